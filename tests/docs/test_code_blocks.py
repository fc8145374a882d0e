"""Every Python block of the README and the guide runs, page by page, from top to bottom.

A block is left out only by a comment on the line before it that says why: ``<!-- not run: it takes an hour -->``. A
block with a title is a file: it is written under that name, so that a later block can use it. A block that needs a data
set says so in the same way, ``<!-- data: choices/file.csv -->``, and is skipped where that is absent; one that needs a
package that is not always there, ``<!-- needs: gymnasium -->``, is left out where it is not.
A page that takes longer than the default tests may say so and why, ``<!-- slow page: it trains a network -->``, and
runs among the slow tests only.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from pindown.network.plan import QUICK

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<before>[^\n]*)\n(?P<indent> *)```python(?P<info>[^\n]*)\n(?P<code>.*?)^(?P=indent)```\s*$", re.M | re.S
)
NOT_RUN = re.compile(r"^\s*<!-- not run: (?P<why>\S.*?) -->\s*$")
SLOW_PAGE = re.compile(r"^<!-- slow page: \S.*? -->$", re.M)
TITLE = re.compile(r'title="(?P<name>[\w.]+)"')
PACKAGE = re.compile(r"^\s*<!-- needs: (?P<name>\w+) -->\s*$")
NEEDS = re.compile(r"^\s*<!-- data: (?P<file>[\w./]+) -->\s*$")
DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Block:
    line: int
    code: str
    file: str = ""
    left_out: str = ""
    data: str = ""


def blocks(text: str) -> list[Block]:
    """The Python blocks of a page, in order."""
    found: list[Block] = []
    for match in FENCE.finditer("\n" + text):
        indent = len(match["indent"])
        code = "".join(line[indent:] if line.strip() else "\n" for line in match["code"].splitlines(keepends=True))
        title = TITLE.search(match["info"])
        reason = NOT_RUN.match(match["before"])
        line = text.count("\n", 0, match.start("code") - 1) + 1
        data = NEEDS.match(match["before"])
        package = PACKAGE.match(match["before"])
        missing = package["name"] if package and find_spec(package["name"]) is None else ""
        found.append(
            Block(
                line,
                code,
                title["name"] if title else "",
                reason["why"] if reason else f"{missing} is not installed" if missing else "",
                data["file"] if data else "",
            )
        )
    return found


def run(page: list[Block], name: str) -> None:
    """Run a page's blocks in one namespace; an error points at the page's own lines."""
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in page:
        if block.file:
            Path(block.file).write_text(block.code, encoding="utf-8")
        if block.data and not (DATA / block.data).is_file():
            pytest.skip(f"{name} up to line {block.line} ran; what follows needs ../shared/data/{block.data}")
        if block.data:
            shutil.copy(DATA / block.data, ".")
        if not block.left_out:
            exec(compile("\n" * (block.line - 1) + block.code, name, "exec"), namespace)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_code(pages: list[Path], word: str = "") -> list[Path]:
    """Those of the pages that have a block with ``word`` in it."""
    return [p for p in pages if any(word in block.code for block in blocks(p.read_text(encoding="utf-8")))]


def slow_pages() -> list[Path]:
    """Those that say that they are slow."""
    return [p for p in PAGES if SLOW_PAGE.search(p.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", [p for p in with_code(PAGES) if p not in slow_pages()], ids=page_name)
def test_the_code_of_a_page_runs(page: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Audits run with fewer chains and runs and ask nothing in depth: no page states their figures, and each page has a
    slow test as well."""
    monkeypatch.setattr("pindown.network.plan.QUICK", replace(QUICK, chains=2, burn_in=4, sweeps=8))
    monkeypatch.setattr("pindown.network.plan._SMALL", 0)
    monkeypatch.setattr("pindown.network.audit._REPEATS", 2)
    monkeypatch.setattr("pindown.network.audit.read_questions", lambda asked: ())
    monkeypatch.syspath_prepend(own_folder)  # where Python looks first for what a page wrote
    run(blocks(page.read_text(encoding="utf-8")), str(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({*with_code(PAGES, "audit("), *slow_pages()}), ids=page_name)
def test_the_code_of_a_page_runs_as_it_stands(page: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(own_folder)
    run(blocks(page.read_text(encoding="utf-8")), str(page))


@pytest.mark.parametrize("page", slow_pages(), ids=page_name)
def test_the_code_of_a_slow_page_is_python(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        compile(block.code, str(page), "exec")


def test_the_pages_have_code() -> None:
    found = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"))]
    assert len([block for block in found if not block.left_out]) >= 8


def test_an_error_is_seen_at_its_line() -> None:
    page = blocks("# Title\n\n```python\nx = 1\n```\n\nText.\n\n```python\n\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run(page, "page.md")
    assert caught.traceback[-1].lineno + 1 == 11


def test_only_a_reason_leaves_a_block_out() -> None:
    left_out, bare, without_reason = blocks(
        "<!-- not run: needs an hour -->\n```python\n1 / 0\n```\n\n"
        "```python\n2\n```\n<!-- not run: -->\n```python\n3\n```\n"
    )
    assert left_out.left_out == "needs an hour"
    assert not bare.left_out
    assert not without_reason.left_out


def test_a_titled_block_becomes_a_file(own_folder: Path) -> None:
    run(blocks('```python title="shop.py"\nprice = 3\n```\n'), "page.md")
    assert (own_folder / "shop.py").read_text(encoding="utf-8") == "price = 3\n"


def test_other_languages_are_no_python() -> None:
    assert not blocks("```console\n$ ls\n```\n\n```\nx\n```\n")
