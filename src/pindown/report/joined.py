"""One report of any results: each record is a part of the page, with its own verdicts, figures and how it was made."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pindown.errors import CheckpointError, DataError, InputError
from pindown.estimate import Estimate, Status
from pindown.files import write_atomically
from pindown.report import notation
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Notice, Row, Section, Table
from pindown.report.page import render_page
from pindown.report.registry import KINDS, Kind, kind_of

__all__ = ["first_verdicts", "joined_page", "read_results", "write_joined_report"]

Records = Mapping[str, Mapping[str, Any]]

_TITLE = "pindown: one report"
_SUBTITLE = "What was measured, in one page: verdicts, figures with their intervals, and what the figures do not say."
_ESTIMATE = "pindown/estimate/1"
TOUR = "pindown/tour/1"
_ENDING = "All results"
_HEADLINES = 3  # figures of each result that stand at the top of the page
_LIMITS = (
    "Results stand side by side; nothing is added up. Bits of different kinds (how rare acceptable points are, what a "
    "source says, what a success rate needs, how good an outcome is) are never added, and bits of one kind can be "
    "compared only where they are relative to the same prior.",
    "Intervals hold one by one. Of a hundred intervals at 95% about five miss, and a page like this one has many.",
    "Only figures whose status is good can be used as they stand; each section says which are not, and why.",
)


@dataclass(frozen=True)
class _Part:
    """One record on the page."""

    file: str
    kind: Kind
    record: Mapping[str, Any]
    sections: Sequence[Section]
    name: str
    statuses: Counter[Status]
    evaluations: float | None

    @property
    def usable(self) -> int:
        return sum(n for status, n in self.statuses.items() if status.ok)

    @property
    def doubtful(self) -> dict[Status, int]:
        """Figures that were measured and cannot be used as they stand."""
        return {s: n for s, n in self.statuses.items() if not s.ok and s is not Status.UNSUPPORTED}


def read_results(paths: Sequence[str | Path]) -> dict[str, dict[str, Any]]:
    """The records in the files, by their paths.

    Raises:
        InputError: where no file is named, or one is named twice.
        DataError: where a file cannot be read.
        CheckpointError: where a file is no JSON, no result of pindown, one of another version, or the copy of another.
            Every message names the file.
    """
    if not paths:
        raise InputError("no files", "one result of pindown or more", "name them, as in results/*.json")
    places: dict[Path, str] = {}
    found: dict[str, dict[str, Any]] = {}
    for path in map(Path, paths):
        place = path.resolve()
        if place in places:
            raise InputError(f"{path} is named twice", "each file once", "leave one out")
        places[place] = str(path)
        for name, record in _unpacked(str(path), _read(path)).items():
            _kind(name, record)
            same = next((other for other, r in found.items() if r == record), None)
            if same is not None:
                raise CheckpointError(f"{name} holds the same result as {same}", "each result once", "leave one out")
            found[name] = record
    return found


def write_joined_report(records: Records, path: str | Path, *, title: str = "") -> None:
    """Write one page of the records as one self-contained HTML file, whole or not at all.

    Args:
        records: what ``to_dict()`` of results gives, each under the name of its file.
        path: of the page.
        title: heading of the page.

    Raises:
        InputError: without a record.
        CheckpointError: where one is no result, or damaged; its name is in the message.
        OutputError: where the file cannot be written.
    """
    write_atomically(path, joined_page(records, title=title))


def joined_page(records: Records, *, title: str = "") -> str:
    """The page of several records.

    Raises:
        InputError: without a record.
        CheckpointError: where one is no result, or damaged; its name is in the message.
    """
    if not records:
        raise InputError("no results", "one or more")
    parts = _parts(records)
    sections = [_glance(parts)]
    for part in parts:
        sections += [replace(s, part=part.name) for s in part.sections]
    ending = (_measured(parts), Section("What the figures do not say", limits=_LIMITS))
    sections += [replace(s, part=_ENDING) for s in ending]
    facts = [
        ("Results", notation.count(len(parts))),
        ("Figures", notation.count(sum(p.statuses.total() for p in parts))),
        ("pindown", ", ".join(sorted({str(p.record["version"]) for p in parts if p.record.get("version")})) or
         "version not recorded"),
    ]  # fmt: skip
    part_facts = {p.name: _facts(p) for p in parts}
    return render_page(title or _TITLE, sections, facts=facts, subtitle=_SUBTITLE, part_facts=part_facts)


def first_verdicts(records: Records) -> list[tuple[str, str]]:
    """What each record is called in the report, and its first verdict.

    Raises:
        CheckpointError: where one is no result, or damaged; its name is in the message.
    """
    return [(p.name, " ".join(_first_sentences(p))) for p in _parts(records)]


def _parts(records: Records) -> list[_Part]:
    return _named(sorted((_part(file, r) for file, r in records.items()), key=lambda p: KINDS.index(p.kind)))


def _kind(file: str, record: object) -> Kind:
    """The kind of a record; a refusal names the file."""
    try:
        return kind_of(record)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error.got}", error.wanted, error.remedy) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        remedy = "name the files in it" if path.is_dir() else "check the path"
        raise DataError(f"{path} cannot be read ({error.strerror or error})", "a JSON file", remedy) from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is no text", "a JSON file that pindown wrote") from error
    if not text.strip():
        raise CheckpointError(f"{path} is empty", "a JSON file that pindown wrote", "run the command again")
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        what = f"ends in the middle, at line {error.lineno}" if cut else f"{error.msg} at line {error.lineno}"
        raise CheckpointError(
            f"{path} is no JSON: {what}", "a JSON file that pindown wrote", "run the command again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON that pindown wrote ({error})", "plain JSON") from error


def _unpacked(file: str, record: Any) -> dict[str, Any]:
    """A record under its file's name; of a tour each of its results."""
    if not isinstance(record, dict) or record.get("schema") != TOUR:
        return {file: record}
    inside = record.get("results")
    if not isinstance(inside, dict) or not inside:
        raise CheckpointError(f"{file}: a tour without results", "one or more", "the record is damaged: run it again")
    return {f"{file}, {name}": one for name, one in inside.items()}


def _no_number(token: str) -> float:
    raise ValueError(f"it holds the number {token}")


def _part(file: str, record: Mapping[str, Any]) -> _Part:
    kind = _kind(file, record)
    try:
        sections = kind.make(record)
        estimates = list(_estimates(record))
    except InputError as error:
        raise CheckpointError(f"{file}: {error.got}", error.wanted, error.remedy) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, StopIteration) as error:
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{file} cannot be shown ({what})", f"a whole record of schema {kind.schema}",
            f"the record is damaged: run {kind.made_by} again",
        ) from error  # fmt: skip
    name = kind.name(record)
    title = f"{kind.part}: {name}" if name and name.casefold() != kind.part.casefold() else kind.part
    return _Part(file, kind, record, sections, title, Counter(e.status for e in estimates), _evaluations(record))


def _named(parts: Sequence[_Part]) -> list[_Part]:
    """The parts under names of their own: two of one name are told apart by their files."""
    seen = Counter(p.name for p in parts)
    return [replace(p, name=f"{p.name} ({p.file})") if seen[p.name] > 1 else p for p in parts]


def _estimates(x: Any) -> Iterator[Estimate]:
    """Every figure of a record, wherever it stands."""
    if isinstance(x, Mapping):
        if x.get("schema") == _ESTIMATE:
            yield Estimate.from_dict(x)
        else:
            for value in x.values():
                yield from _estimates(value)
    elif isinstance(x, list | tuple):
        for value in x:
            yield from _estimates(value)


def _evaluations(x: Any) -> float | None:
    """Evaluations that a record states; where a part has a sum of its own, what is inside is not added again."""
    if isinstance(x, Mapping):
        own = x.get("evaluations")
        if isinstance(own, int | float) and not isinstance(own, bool):
            return float(own)
        inside = [_evaluations(v) for v in x.values()]
    elif isinstance(x, list | tuple):
        inside = [_evaluations(v) for v in x]
    else:
        return None
    known = [n for n in inside if n is not None]
    return sum(known) if known else None


def _glance(parts: Sequence[_Part]) -> Section:
    groups = [
        CardGroup(p.name, p.file, _headlines(p), None, _first_sentences(p), link=f"#p{i + 1}")
        for i, p in enumerate(parts)
    ]
    doubtful = [p for p in parts if p.doubtful]
    files = "one result" if len(parts) == 1 else f"{len(parts)} results"
    said = f"{files.capitalize()} on one page."
    blocks: list[Block] = [Cards(groups)]
    if doubtful:
        where = "; ".join(f"{p.name} ({_counted(p.doubtful)})" for p in doubtful)
        blocks.append(
            Notice("caution", "Not every figure can be used as it stands.", f"{where}. Their sections say why.")
        )
    return Section("At a glance", (said,), blocks)


def _headlines(part: _Part) -> list[Card]:
    """The first figures of a part's first cards."""
    for section in part.sections:
        for block in section.blocks:
            if isinstance(block, Cards) and block.groups and block.groups[0].cards:
                own = block.groups[0]
                several = len(block.groups) > 1
                cards = [c for c in own.cards if c.value is not None and not math.isnan(c.value.value)][:_HEADLINES]
                return [replace(c, label=f"{c.label}, {own.title}") if several else c for c in cards]
    return []


def _first_sentences(part: _Part) -> list[str]:
    """The first verdict of a part; a study has one for each question."""
    if part.kind.family == "pindown/compression-study":
        return [f"{s.title} {' '.join(s.verdict)}" for s in part.sections]
    return next((list(s.verdict[:1]) for s in part.sections if s.verdict), [])


def _counted(statuses: Mapping[Status, int]) -> str:
    return ", ".join(f"{n} {notation.status_words(s)}" for s, n in statuses.items())


def _facts(p: _Part) -> list[tuple[str, str]]:
    r = p.record
    facts = [("File", p.file)]
    if created := str(r.get("created") or ""):
        facts.append(("Made", created.replace("T", " ")[:16]))
    facts += [
        ("pindown", str(r.get("version") or "not recorded")),
        ("Seed", notation.count(_number(r, "seed"))),
        ("Time", notation.duration(_number(r, "seconds"))),
    ]
    if p.evaluations is not None:
        facts.append(("Evaluations", notation.count(p.evaluations)))
    if p.statuses:
        bad = _counted(p.doubtful)
        facts.append(("Figures", f"{p.usable} usable" + (f", {bad}" if bad else "")))
    return facts


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _measured(parts: Sequence[_Part]) -> Section:
    rows: list[Row] = [
        [
            p.name, p.file, p.kind.made_by, _number(p.record, "seed"), _number(p.record, "seconds"), p.evaluations,
            p.statuses.total(), p.usable, _counted(p.doubtful) or None,
            p.statuses.get(Status.UNSUPPORTED, 0) or None, p.record.get("version") or None, p.kind.schema,
        ]
        for p in parts
    ]  # fmt: skip
    columns = [
        Column("result"), Column("file"), Column("made by"), Column("seed", digits=0), Column("seconds", digits=3),
        Column("evaluations", digits=0), Column("figures", digits=0), Column("usable", digits=0),
        Column("not to be used"), Column("cannot be measured", digits=0), Column("pindown"), Column("schema"),
    ]  # fmt: skip
    tables = [Table("Every result", columns, rows, note="Evaluations and times are those that the records state.")]
    machines: dict[tuple[str, str], list[str]] = {}
    for p in parts:
        environment = p.record.get("environment")
        for key, value in environment.items() if isinstance(environment, Mapping) else ():
            machines.setdefault((str(key), str(value)), []).append(p.name)
    if machines:
        own: list[Row] = [[key, value, ", ".join(names)] for (key, value), names in machines.items()]
        tables.append(Table("Machine", [Column("what"), Column("value"), Column("result")], own))
    return Section("How it was measured", (), tables)
