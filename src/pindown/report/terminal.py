"""The terminal's summary of an audit: the verdict and the figures, wide or narrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pindown.estimate import Estimate, Status
from pindown.report import notation
from pindown.report.audit_checks import MEETS, difference, is_share, outcome
from pindown.report.depth_records import Depth
from pindown.report.records import Audit, Measurement, Subject, read_audit

__all__ = ["audit_summary"]

_LABEL_WIDTH, _SUBJECT_WIDTH = 26, 24


@dataclass(frozen=True)
class _Line:
    """One line of a subject: lines of one ``key`` stand side by side; ``group`` orders them."""

    group: int
    key: str
    label: str
    value: str
    note: str = ""


def audit_summary(record: Mapping[str, Any]) -> RenderableType:
    """The summary of an audit for a rich console: subjects side by side where they fit, else one below the other.

    Names and sentences of the record are shown as they are: console markup in them is not read.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
    """
    return _Summary(read_audit(record))


class _Summary:
    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        audit = self._audit
        for sentence in audit.verdict:
            yield Text(sentence)
            yield Text()
        columns = [(s.name, list(_lines(s))) for s in audit.subjects]
        if columns:
            fits = options.max_width >= _LABEL_WIDTH + _SUBJECT_WIDTH * len(columns)
            yield _side_by_side(columns) if fits else _stacked(columns)
        yield from _remarks(audit)
        for note in audit.notes:
            yield Text(f"· {note}", style="dim")
        made = f"Seed {notation.count(audit.seed)}, {notation.duration(audit.seconds)}, pindown {audit.version}"
        yield Text(f"{made}{', full' if audit.full else ''}.", style="dim")


def _lines(s: Subject) -> Iterator[_Line]:
    yield _Line(0, "parameters", "parameters", notation.count(s.parameters))
    for k, m in enumerate(sorted(s.measurements, key=lambda m: not m.primary)):
        yield from _measured(m, f"{m.loss} {k}")
    c = s.comparison
    if c is not None:
        percent = is_share(s, c)
        yield from _figure(2, c.quantity, f"{c.quantity}, random", c.random.held_out, percent)
        yield from _figure(2, c.quantity, f"{c.quantity}, SGD", c.sgd.held_out, percent)
        yield from _figure(2, c.quantity, c.order, difference(c, percent))
    for k, m in enumerate(s.measurements):
        if m.two_sided is not None:
            key = f"two-sided {m.loss} {k}"
            yield _Line(3, key, f"two-sided, {m.loss}", MEETS[m.two_sided.meets])
            yield from _figure(3, key, "  bits from the prior", m.two_sided.bits_from_prior)
            yield from _figure(3, key, "  bits from solutions", m.two_sided.bits_from_known)
    if s.in_depth is not None:
        yield from _deep(s.in_depth)


def _deep(d: Depth) -> Iterator[_Line]:
    """One line for each answer about the best network."""
    yield _Line(4, "in depth", "in depth", d.solution)
    basin = None if d.basin is None else next((p for p in d.basin.curve if p.cutoff == d.basin.cutoff), None)
    curve = None if d.pruning is None else d.pruning.curve
    noise = None if d.noise_tolerance is None else d.noise_tolerance.joint
    planes = None if d.bitplanes is None else d.bitplanes.joint
    figures = {
        "  local λ": None if d.learning_coefficient is None else d.learning_coefficient.estimate,
        "  bits of its basin": None if basin is None else basin.bits or basin.radial,
        "  trace of the curvature": None if d.spectrum is None else d.spectrum.trace,
        "  low-order bits free": None if planes is None else planes.tolerated,
        "  noise, log2(rms/σ)": None if noise is None else noise.bits,
        "  water-filling bits": None if d.water_filling is None else d.water_filling.bits,
    }
    for label, e in figures.items():
        yield from _figure(4, "in depth", label, e)
    if curve is not None:
        yield from _figure(4, "in depth", "  weights kept", curve.kept, percent=True)


def _measured(m: Measurement, key: str) -> Iterator[_Line]:
    p = m.headline
    at = "nothing measured" if p is None else notation.number(p.tolerance)
    yield _Line(1, key, f"{m.loss} at most", at)
    if p is not None:
        yield from _figure(1, key, "  bits", p.bits)
        yield from _figure(1, key, "  bits per label", p.bits_per_label)
        yield from _figure(1, key, "  λ", p.learning_coefficient)
        yield from _figure(1, key, "  free dimensions", p.free_dimensions)


def _figure(group: int, key: str, label: str, e: Estimate | None, percent: bool = False) -> Iterator[_Line]:
    if e is not None:
        note = notation.labelled_interval(e, percent)
        if not e.status.ok:
            words = notation.status_words(e.status)
            note = f"{note}, {words}" if note else words
        yield _Line(group, f"{key}: {label}", label, notation.value_text(e, percent), note)


def _side_by_side(columns: Sequence[tuple[str, list[_Line]]]) -> RenderableType:
    """One column a subject; what a subject lacks leaves its cell empty."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name, _ in columns:
        table.add_column(Text(name, style="bold"))
    told = [{line.key: line for line in lines} for _, lines in columns]
    first: dict[str, _Line] = {}
    for _, lines in columns:
        for line in lines:
            first.setdefault(line.key, line)
    for line in sorted(first.values(), key=lambda line: line.group):
        cells = [_cell(lines[line.key]) if line.key in lines else Text("–", style="dim") for lines in told]
        table.add_row(Text(line.label), *cells)
    return Padding(table, (0, 0, 1, 0))


def _stacked(columns: Sequence[tuple[str, list[_Line]]]) -> RenderableType:
    blocks: list[RenderableType] = []
    for name, lines in columns:
        table = Table.grid(padding=(0, 2, 0, 0))
        for line in lines:
            table.add_row(Text(line.label), _cell(line))
        blocks += [Text(name, style="bold"), Padding(table, (0, 0, 1, 0))]
    return Group(*blocks)


def _cell(line: _Line) -> Text:
    return Text.assemble(line.value, "\n", (line.note, "dim")) if line.note else Text(line.value)


def _remarks(audit: Audit) -> Iterator[RenderableType]:
    """Statuses that are not good and checks that failed, with what to do."""
    for s in audit.subjects:
        seen = dict.fromkeys(status for m in s.measurements for status in m.statuses)
        for status in (one for one in seen if not one.ok and one is not Status.UNSUPPORTED):
            yield Text(f"! {s.name}: {notation.status_words(status)}. {status.message}", style="yellow")
        for m in s.measurements:
            if m.two_sided is not None and m.two_sided.meets is not True:
                yield Text(
                    f"! {s.name}, two-sided check on the {m.loss}: {MEETS[m.two_sided.meets]}. {outcome(m.two_sided)}",
                    style="yellow",
                )
