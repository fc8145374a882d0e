"""One report of any records: what is read, what is refused by name, what stands on the page."""

from __future__ import annotations

import copy
import itertools
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joined_fixture import every_record
from test_report_page import Elements
from typer.testing import CliRunner, Result

import pindown
from pindown.cli.app import app, command_names
from pindown.errors import CheckpointError, DataError, InputError
from pindown.report.joined import first_verdicts, joined_page, read_results, write_joined_report
from pindown.report.registry import KINDS, NO_RESULTS, kind_of
from pindown.report.resources import _ink, _luminance
from pindown.studies.tour import STOPS, Stop, tour

SOURCE = Path(pindown.__file__).parent
NAMES = [kind.family.removeprefix("pindown/") for kind in KINDS]


@pytest.fixture(scope="module")
def records() -> dict[str, dict[str, Any]]:
    return every_record()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def small_page(given: dict[str, dict[str, Any]], **more: Any) -> str:
    with mock.patch("pindown.report.page._plotly", return_value="/* no charts */"):
        return joined_page(given, **more)


# ---------------------------------------------------------------- the registry


def test_every_schema_of_the_package_has_a_section_or_a_reason() -> None:
    """A new result without a section is found here: give it a line in pindown.report.registry."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        found |= set(re.findall(r'(?:SCHEMA\b[^=\n]*=|schema=)\s*"(pindown/[a-z-]+/\d+)"', path.read_text("utf-8")))
    assert len(found) > 20
    shown = {kind.schema for kind in KINDS} | {"pindown/tour/1"}
    left = {s for s in found - shown if s.rpartition("/")[0] not in NO_RESULTS}
    assert not left


def test_every_kind_is_there_once_and_says_what_makes_it() -> None:
    assert len({kind.family for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        module, _, function = kind.sections.partition(":")
        assert callable(getattr(import_module(f"pindown.report.{module}"), function))
        if kind.made_by.startswith("pindown."):
            assert callable(getattr(pindown, kind.made_by.removeprefix("pindown.")))
        else:
            assert kind.made_by.split()[1] in command_names()


def test_the_fixture_has_every_kind(records: dict[str, dict[str, Any]]) -> None:
    assert set(records) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_has_a_verdict_and_says_what_it_does_not(records: dict[str, dict[str, Any]], name: str) -> None:
    sections = kind_of(records[name]).make(records[name])
    assert any(s.verdict or s.blocks for s in sections)
    assert any(s.limits for s in sections)


# ---------------------------------------------------------------- the page


def test_the_page_of_everything(records: dict[str, dict[str, Any]]) -> None:
    page = joined_page({f"{name}.json": r for name, r in records.items()}, title="All of it")
    assert page.count("Copyright 2012-") <= 1 + page.count("* Copyright")  # plotly's own banner
    elements = Elements(page)
    runnable = [text for a, text in elements.scripts if a.get("type") != "application/json"]
    assert len(runnable) == 2
    ids = [a["id"] for _, a in elements.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in elements.named("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    parts = re.findall(r'<h2 class="part" id="p(\d+)">(.*?)</h2>', page)
    assert [int(n) for n, _ in parts] == list(range(1, len(KINDS) + 2))
    assert parts[-1][1] == "All results"
    for tag, attributes in elements.tags:
        assert "src" not in attributes, tag
    assert "<i>shopper</i>" not in page
    assert "<b>Ann</b>" not in page


def test_headings_go_down_one_level_at_a_time(records: dict[str, dict[str, Any]]) -> None:
    page = small_page({f"{name}.json": r for name, r in records.items()})
    levels = [int(n) for n in re.findall(r"<h([1-6])[ >]", page)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_parts_stand_in_the_order_of_the_registry(records: dict[str, dict[str, Any]]) -> None:
    page = small_page({name: records[name] for name in ("fermi", "ledger", "audit", "profile")})
    found = re.findall(r'<h2 class="part"[^>]*>(.*?)</h2>', page)
    assert [f.split(":")[0] for f in found] == ["Measurement", "Audit", "Values", "Fermi estimate", "All results"]


def test_two_of_one_name_are_told_apart_by_their_files(records: dict[str, dict[str, Any]]) -> None:
    other = copy.deepcopy(records["ledger"])
    other["seed"] = 99
    page = small_page({"a/values.json": records["ledger"], "b/values.json": other})
    assert re.findall(r'<h2 class="part"[^>]*>(.*?)</h2>', page)[:2] == [
        "Values: how to answer (a/values.json)",
        "Values: how to answer (b/values.json)",
    ]


def facts(page: str, part: int) -> dict[str, str]:
    block = re.search(rf'id="p{part}">.*?<dl class="facts">(.*?)</dl>', page, re.S)
    assert block is not None
    return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", block[1]))


def test_how_it_was_made_is_counted_from_the_record(records: dict[str, dict[str, Any]]) -> None:
    page = small_page({"c.json": records["network-comparison"], "p.json": records["profile"]})
    compared = facts(page, 2)
    assert compared["Seed"] == "4"
    assert compared["Time"] == "2.5 s"
    # three measures: two figures, two single ones and a difference each; one measure did not converge
    assert compared["Figures"] == "10 usable, 5 not converged"
    assert "Evaluations" not in compared
    own = records["profile"]
    assert own["evaluations"] > sum(i["evaluations"] for i in own["islands"][:1])
    assert facts(page, 1)["Evaluations"] == f"{own['evaluations']:,}"


def test_evaluations_inside_a_sum_are_not_added_again(records: dict[str, dict[str, Any]]) -> None:
    record = copy.deepcopy(records["profile"])
    record["evaluations"] = 7
    assert facts(small_page({"p.json": record}), 1)["Evaluations"] == "7"
    audit = records["audit"]
    measured = [m["profile"]["evaluations"] for s in audit["subjects"] for m in s["measurements"]]
    assert facts(small_page({"a.json": audit}), 1)["Evaluations"] == f"{sum(measured):,}"


def test_a_figure_that_cannot_be_used_is_said_at_the_top(records: dict[str, dict[str, Any]]) -> None:
    words = "Not every figure can be used as it stands."
    assert words in small_page({"c.json": records["network-comparison"]})
    good = copy.deepcopy(records["network-comparison"])
    good["measures"] = good["measures"][:2]
    assert words not in small_page({"c.json": good})


def test_a_record_alone_and_the_first_verdicts(records: dict[str, dict[str, Any]]) -> None:
    ((name, verdict),) = first_verdicts({"f.json": records["fermi"]})
    assert name == "Fermi estimate: How complex are human values?"
    assert verdict.startswith("human values: at most")
    assert "One result on one page." in small_page({"f.json": records["fermi"]})
    with pytest.raises(InputError, match="no results"):
        joined_page({})


def test_the_difference_of_networks_is_told_by_its_outcome(records: dict[str, dict[str, Any]]) -> None:
    page = small_page({"c.json": records["network-comparison"]})
    assert "late lies below early in measure &lt;loss&gt;." in page
    assert "No difference between late and early is resolved in measure &lt;noise&gt; and measure" in page


def test_numbers_on_a_heat_map_have_contrast() -> None:
    for k in range(101):
        cell = _luminance(k / 100)
        ink = {"#000000": 0.0, "#ffffff": 1.0}[_ink(k / 100)]
        assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) >= 4.5
    assert _ink(0.0) == _ink(None) == "#000000"
    assert _ink(1.0) == "#ffffff"


# ---------------------------------------------------------------- what is refused


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("hello", "is no JSON"),
        ('{"schema": "pindown/fermi/1", "verdict": "x', "ends in the middle, at line 1"),
        ('{"schema": "pindown/fermi/1",\n"seed": ', "ends in the middle, at line 2"),
        (b"\xff\xfe\x00\x01", "is no text"),
        ('{"schema": "pindown/fermi/1", "seed": NaN}', "it holds the number NaN"),
        ("[" * 100_000, "is no JSON that pindown wrote"),
        ("[1, 2]", "a JSON list"),
        ("null", "a JSON null"),
        ('"text"', "a JSON text"),
        ("{}", "no schema: not a result of pindown"),
        ('{"schema": 3}', "the schema 3: not a result of pindown"),
        ('{"schema": "other/fermi/1"}', "not a result of pindown"),
        ('{"schema": "pindown/fermi/2"}', "which this version of pindown does not read; wanted 'pindown/fermi/1'"),
        ('{"schema": "pindown/alchemy/1"}', "does not know; wanted one of arrangements, audit,"),
        ('{"schema": "pindown/checkpoint/1"}', "unfinished work: go on from it with --resume"),
        ('{"schema": "pindown/elicitation/1"}', "run `pindown values` with them"),
        ('{"schema": "pindown/tour/1", "results": {}}', "a tour without results"),
        ('{"schema": "pindown/tour/1", "results": {"a": {"schema": "x"}}}', "not a result of pindown"),
    ],
)
def test_a_file_that_is_no_result_is_refused_by_its_name(own_folder: Path, content: str | bytes, says: str) -> None:
    path = written(own_folder, "odd.json", content)
    with pytest.raises(CheckpointError, match=r"odd\.json") as refused:
        read_results([path])
    assert says in str(refused.value)
    done = run("report", str(path))
    assert done.exit_code == 4
    assert "odd.json" in done.stderr
    assert not (own_folder / "report.html").exists()


def test_a_result_that_is_cut_short_anywhere_is_refused(own_folder: Path, records: dict[str, dict[str, Any]]) -> None:
    text = json.dumps(records["ledger"])
    for at in range(1, len(text), 97):
        path = written(own_folder, "cut.json", text[:at])
        with pytest.raises(CheckpointError, match=r"cut\.json is no JSON"):
            read_results([path])


def test_missing_files_folders_and_copies_are_refused(own_folder: Path, records: dict[str, dict[str, Any]]) -> None:
    one = written(own_folder, "one.json", json.dumps(records["fermi"]))
    two = written(own_folder, "two.json", json.dumps(records["fermi"], indent=3))
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        read_results(["none.json"])
    with pytest.raises(DataError, match="Name the files in it"):
        read_results([own_folder])
    with pytest.raises(InputError, match=r"one\.json is named twice"):
        read_results([one, own_folder / "." / "one.json"])
    with pytest.raises(CheckpointError, match=r"two\.json holds the same result as .*one\.json"):
        read_results([one, two])
    with pytest.raises(InputError, match="no files"):
        read_results([])
    assert list(read_results([one])) == [str(one)]


DAMAGE = st.sampled_from([None, "text", -1, 1e300, [], {}, [1, "a"], True, "nan", {"schema": "pindown/estimate/1"}])


def places(x: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a record, deep ones too; of a long list its ends."""
    out = [here] if here else []
    if isinstance(x, dict):
        for key, value in x.items():
            out += places(value, (*here, key))
    elif isinstance(x, list):
        for i in sorted({0, len(x) - 1}) if x else ():
            out += places(x[i], (*here, i))
    return out


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), gone=st.booleans(), damage=DAMAGE)
def test_damage_is_refused_by_file_or_shown(
    records: dict[str, dict[str, Any]], name: str, place: int, gone: bool, damage: Any
) -> None:
    record = copy.deepcopy(records[name])
    among = [p for p in places(record) if p != ("schema",)]
    chosen = among[place % len(among)]
    parent = record
    for key in chosen[:-1]:
        parent = parent[key]
    if gone and isinstance(parent, dict):
        del parent[chosen[-1]]
    else:
        parent[chosen[-1]] = copy.deepcopy(damage)
    try:
        said = small_page({"hurt.json": record})
    except CheckpointError as error:
        said = str(error)
    assert said.startswith(("<!doctype html>", "hurt.json"))


# ---------------------------------------------------------------- the commands


def test_the_command_joins_files(own_folder: Path, records: dict[str, dict[str, Any]]) -> None:
    names = ["fermi", "ledger", "convergence"]
    files = [written(own_folder, f"{name}.json", json.dumps(records[name])).name for name in names]
    done = run("report", *files, "-o", "pages/all.html", "--title", "Mine & yours")
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == ["Report", "of", "3", "results:", "pages/all.html"]
    assert "<h1>Mine &amp; yours</h1>" in (own_folder / "pages" / "all.html").read_text(encoding="utf-8")
    assert run("report", *files, "--quiet").stdout == ""
    assert (own_folder / "report.html").exists()


def test_the_command_refuses_places_before_it_reads(own_folder: Path, records: dict[str, dict[str, Any]]) -> None:
    file = written(own_folder, "fermi.json", json.dumps(records["fermi"])).name
    before = (own_folder / file).read_bytes()
    for words, says in ((["-o", "."], "is a folder"), (["-o", file], "is one of the results")):
        done = run("report", file, *words)
        assert done.exit_code == 5
        assert says in done.stderr
    assert (own_folder / file).read_bytes() == before
    assert run("report").exit_code == 2


def quick_stops() -> tuple[Stop, ...]:
    return tuple(s for s in STOPS if s.name in ("subagents", "overoptimisation", "power"))


def test_the_tour_writes_records_that_join_again(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pindown.studies.tour.STOPS", quick_stops())
    done = run("tour", "--out", "t", "--seed", "3", "--json", "all.json")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in Path("t").iterdir()) == [
        "overoptimisation.json", "power.json", "report.html", "subagents.json",
    ]  # fmt: skip
    assert "Over-optimisation: a heavy-tailed proxy." in done.stdout
    assert "Report: t/report.html" in done.stdout
    record = json.loads(Path("all.json").read_text(encoding="utf-8"))
    assert (record["schema"], record["seed"]) == ("pindown/tour/1", 3)
    assert all(r["seed"] == 3 for r in record["results"].values())
    assert run("report", "all.json", "-q").exit_code == 0
    twice = run("report", "all.json", "t/power.json")
    assert twice.exit_code == 4
    assert "t/power.json holds the same result as all.json, power" in " ".join(twice.stderr.split())
    assert json.loads(run("tour", "--only", "power", "--json", "-", "--quiet").stdout)["results"].keys() == {"power"}


def test_a_tour_tells_its_progress_and_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pindown.studies.tour.STOPS", quick_stops())
    told: list[float] = []
    first = tour(seed=5, progress=lambda share, text: told.append(share))
    assert told == sorted(told)
    assert told[0] == 0.0
    assert told[-1] == 1.0
    second, other = tour(seed=5), tour(seed=6)

    def figures(found: Any) -> str:
        return re.sub(r'"seconds": [^,}]*', "", json.dumps(found.records()))

    assert figures(first) == figures(second) != figures(other)
    with pytest.raises(InputError, match="the stops moon"):
        tour(stops=["moon"])


def test_the_tour_has_a_stop_for_every_part() -> None:
    """One record at least of each domain: a new one is found here."""
    assert len({s.name for s in STOPS}) == len(STOPS)
    domains = {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name in _DOMAINS}
    assert {_DOMAINS[d] for d in domains} <= {s.name for s in STOPS}


_DOMAINS = {
    "engine": "measure", "network": "audit", "studies": "study", "choices": "coherence", "values": "values",
    "resources": "resources", "fermi": "fermi", "landscapes": "landscape",
}  # fmt: skip


@pytest.mark.slow
def test_the_whole_tour_from_end_to_end(own_folder: Path) -> None:
    done = run("tour", "--out", "t", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert {p.stem for p in Path("t").glob("*.json")} == {s.name for s in STOPS}
    write_joined_report(read_results(sorted(Path("t").glob("*.json"))), "again.html", title="A tour of pindown")
    assert "A tour of pindown" in Path("again.html").read_text(encoding="utf-8")
