"""Links of the pages that the documentation builder does not see, and what `numbers.md` has to explain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pindown.cli.app import command_names
from pindown.report.registry import KINDS

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?P<to>[^)\s]+)\)")
FENCED = re.compile(r"^ *```.*?^ *```\s*$", re.M | re.S)
NO_GUIDE = {"version"}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the builder makes them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in found}


def broken(page: Path) -> list[str]:
    """Links to files or headings that are not there."""
    out: list[str] = []
    for match in LINK.finditer(FENCED.sub("", page.read_text(encoding="utf-8"))):
        to, _, anchor = match["to"].partition("#")
        if "://" in to:
            continue
        target = (page.parent / to).resolve() if to else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            out.append(match["to"])
    return out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not broken(page)


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# One two\n[a](#one-two) [b](#three) [c](none.md) [d](https://x.org/none)\n```\n[e](f.md)\n```\n")
    assert broken(page) == ["#three", "none.md"]


def test_every_page_of_the_guide_is_in_the_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert re.search(rf"{re.escape(page.relative_to(ROOT / 'docs').as_posix())}\s*$", contents, re.M), page


def test_every_command_has_a_guide() -> None:
    guides = [p.read_text(encoding="utf-8") for p in (ROOT / "docs").glob("*.md")]
    for name in set(command_names()) - NO_GUIDE:
        assert any(re.search(rf"^ *\$ pindown {name}\b", text, re.M) for text in guides), name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.part)
def test_every_result_is_explained_with_a_guide(kind) -> None:
    text = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    row = re.search(
        rf"^\| \*\*{re.escape(kind.part)}\*\* \(\[guide\]\([^)]+\)\), `([^`]+)` \| .+ \| .+ \|$", text, re.M
    )
    assert row is not None
    assert row[1] == kind.made_by


def test_results_are_explained_in_the_order_of_the_report() -> None:
    text = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \*\*(.+?)\*\*", text, re.M) == [kind.part for kind in KINDS]


def test_every_kept_benchmark_is_on_its_page() -> None:
    shown = re.findall(r"^<!-- benchmark: (\w+) -->$", (ROOT / "docs" / "peers.md").read_text(encoding="utf-8"), re.M)
    assert sorted(shown) == sorted(p.stem for p in (ROOT / "benchmarks" / "results").glob("*.md"))
