"""The report of an audit: sections from its record, and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pindown.estimate import Estimate, Status
from pindown.files import write_atomically
from pindown.report import audit_text as told
from pindown.report import notation
from pindown.report.audit_charts import Drawn, bits_figure, dimension_figures
from pindown.report.audit_checks import (
    MEETS,
    Compared,
    comparison_figures,
    difference,
    is_share,
    outcome,
    two_sided_figure,
)
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Notice, Section, Table
from pindown.report.charts import is_bound
from pindown.report.depth import in_depth_sections
from pindown.report.page import render_page
from pindown.report.records import Audit, Measurement, Point, Subject, read_audit

__all__ = ["audit_sections", "write_audit_report"]


def audit_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of an audit's report.

    Args:
        record: what ``Audit.to_dict()`` gives, schema ``pindown/audit/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the field is named.
    """
    audit = read_audit(record)
    sections = [
        _glance(audit),
        _bits(audit),
        _dimensions(audit),
        _comparison(audit),
        _two_sided(audit),
        *in_depth_sections(audit.subjects),
        _measured(audit),
        _limits(audit),
    ]
    return [s for s in sections if s is not None]


def write_audit_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of an audit as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    sections = audit_sections(record)
    audit = read_audit(record)
    names = [s.name for s in audit.subjects]
    title = f"Audit of {_listed(names)}" if names and len(names) <= 3 else f"Audit of {len(names)} models"
    facts = [
        ("Made", audit.created.replace("T", " ")[:16] or "date not recorded"),
        ("pindown", audit.version or "version not recorded"),
        ("Seed", notation.count(audit.seed)),
        ("Time", notation.duration(audit.seconds)),
        ("Mode", "full" if audit.full else "default"),
    ]
    subtitle = "How much the search for a trained network has pinned down, in bits, and what it left free."
    write_atomically(path, render_page(title, sections, facts=facts, subtitle=subtitle))


def _glance(audit: Audit) -> Section:
    groups: list[CardGroup] = []
    together, own = _sentences(audit)
    for i, s in enumerate(audit.subjects):
        m = s.primary
        p = m.headline if m else None
        if m is None or p is None:
            groups.append(CardGroup(s.name, "nothing was measured", (), i, own[i]))
            continue
        per_label = notation.scaled(s.label_bits, 1 / s.train_size, "bits") if s.label_bits and s.train_size else None
        groups.append(
            CardGroup(
                s.name,
                f"{m.loss} at most {notation.number(p.tolerance)}, {notation.count(s.parameters)} parameters",
                (
                    Card("Bits pinned down", p.bits, _of(s.label_bits, "that the labels hold")),
                    Card("Bits per training label", p.bits_per_label, _of(per_label, "that a label holds")),
                    Card("Free dimensions", p.free_dimensions, f"of {notation.count(s.parameters)}"),
                    Card("Learning coefficient λ", p.learning_coefficient),
                ),
                i,
                own[i],
            )
        )
    blocks: list[Block] = [Cards(groups)] if groups else []
    return Section("Verdict", together, [*blocks, *_notices(audit)])


def _sentences(audit: Audit) -> tuple[list[str], list[list[str]]]:
    """The verdict's sentences: those on all together, and those on one, without its name in front."""
    together: list[str] = []
    own: list[list[str]] = [[] for _ in audit.subjects]
    for sentence in audit.verdict:
        named = [i for i, s in enumerate(audit.subjects) if sentence.startswith((f"{s.name}:", f"{s.name},"))]
        if len(named) == 1:
            rest = _sentence(sentence.removeprefix(audit.subjects[named[0]].name)[1:].lstrip())
            (own[named[0]] if len(own) > 1 else together).append(rest)
        else:
            together.append(sentence)
    return together, own


def _bits(audit: Audit) -> Section | None:
    drawn = _drawn(audit)
    if not drawn:
        return None
    verdict: list[str] = []
    for s, m, p in _headlines(audit):
        if p.bits is None:
            continue
        said = f"{_said(p.bits)} at {m.loss} ≤ {notation.number(p.tolerance)}"
        if s.label_bits and s.label_bits.value > 0:
            share = notation.scaled(p.bits, 1 / s.label_bits.value, "1")
            said += f", {_worded(notation.value_text(share, True))} of the bits that its training labels hold"
        verdict.append(_about(audit, s, said + "."))
    own = Table(
        "Each question, at its own tolerance",
        [
            Column("subject"), Column("what counts as a solution"), Column("loss"), Column("tolerance t"),
            Column("bits", estimate=True), Column("λ", estimate=True), Column("free dimensions", estimate=True),
            Column("bits per label", estimate=True),
        ],
        [
            [s.name, m.event, m.loss, p.tolerance, p.bits, p.learning_coefficient, p.free_dimensions, p.bits_per_label]
            for _, s, m in drawn
            if (p := m.headline) is not None
        ],
    )  # fmt: skip
    sweep = Table(
        "Every tolerance that was measured",
        [
            Column("subject"), Column("loss"), Column("tolerance t"), Column("bits", estimate=True),
            Column("λ", estimate=True), Column("pinned dimensions", estimate=True),
            Column("free dimensions", estimate=True), Column("bits per label", estimate=True),
        ],
        [
            [s.name, m.loss, p.tolerance, p.bits, p.learning_coefficient, p.pinned_dimensions, p.free_dimensions,
             p.bits_per_label]
            for _, s, m in drawn
            for p in m.sweep
        ],
    )  # fmt: skip
    figures = [bits_figure(loss, group) for loss, group in _by_loss(drawn).items()]
    return Section(
        "Bits pinned down",
        verdict,
        [*figures, *([own] if own.rows else []), *([sweep] if len(sweep.rows) > len(own.rows) else [])],
        method=told.BITS_METHOD,
        limits=told.BITS_LIMITS,
    )


def _dimensions(audit: Audit) -> Section | None:
    figures = [f for loss, g in _by_loss(_drawn(audit)).items() for f in dimension_figures(loss, g)]
    if not figures:
        return None
    verdict: list[str] = []
    for s, m, p in _headlines(audit):
        if p.free_dimensions is None:
            continue
        where = f"at {m.loss} ≤ {notation.number(p.tolerance)}"
        if not math.isfinite(p.free_dimensions.value):
            verdict.append(_about(audit, s, f"{where} it was not measured how many dimensions stay free."))
            continue
        said = f"{where}, {_said(p.free_dimensions, '')}"
        if s.parameters:
            share = notation.scaled(p.free_dimensions, 1 / s.parameters, "1")
            said += f" of {notation.count(s.parameters)} dimensions stay free"
            said += f" ({_worded(notation.value_text(share, True))})"
        else:
            said += " dimensions stay free"
        lam = f", with λ {_equals(p.learning_coefficient)}" if p.learning_coefficient else ""
        verdict.append(_about(audit, s, f"{said}{lam}."))
    return Section(
        "Dimensions that stay free",
        verdict,
        figures,
        method=told.DIMENSIONS_METHOD,
        limits=told.DIMENSIONS_LIMITS,
    )


def _comparison(audit: Audit) -> Section | None:
    compared = [(i, s, s.comparison) for i, s in enumerate(audit.subjects) if s.comparison is not None]
    if not compared:
        return None
    verdict: list[str] = []
    for _, s, c in compared:
        at = "" if c.at_loss is None else f" at training loss {notation.number(c.at_loss)}"
        if c.difference is None or not all(map(math.isfinite, c.difference.interval())):
            verdict.append(_about(audit, s, "no difference can be stated with an interval.", at))
            continue
        shown = difference(c, is_share(s, c)) or c.difference
        low, high = shown.interval()
        first, second = ("random", "SGD’s") if c.order != "SGD − random" else ("SGD’s", "random")
        word = c.quantity.removeprefix("held-out ")
        figure = _said(notation.scaled(shown, 1.0, "percentage points" if is_share(s, c) else ""))
        if low <= 0 <= high:
            said = f"no difference in held-out {word} is shown between random and SGD’s solutions"
        else:
            side = "higher" if low > 0 else "lower"
            said = f"{first} solutions have a {side} held-out {word} than {second}"
        verdict.append(_about(audit, s, f"{said}; {c.order} is {figure}.", at))
    groups: dict[tuple[str, bool], list[Compared]] = {}
    for item in compared:
        groups.setdefault((item[2].quantity, is_share(item[1], item[2])), []).append(item)
    return Section(
        "Random solutions against SGD’s",
        verdict,
        [f for group in groups.values() for f in comparison_figures(group)],
        method=told.COMPARISON_METHOD,
        limits=told.COMPARISON_LIMITS,
    )


def _two_sided(audit: Audit) -> Section | None:
    found = [(i, s, m, m.two_sided) for i, s in enumerate(audit.subjects) for m in s.measurements if m.two_sided]
    if not found:
        return None
    table = Table(
        "Bits from both sides",
        [
            Column("subject"), Column("loss"), Column("outcome"), Column("cooled from the prior", estimate=True),
            Column("warmed up from known solutions", estimate=True),
        ],
        [[s.name, m.loss, MEETS[t.meets], t.bits_from_prior, t.bits_from_known] for _, s, m, t in found],
    )  # fmt: skip
    tones: dict[bool | None, Literal["good", "caution", "bad"]] = {True: "good", False: "bad", None: "caution"}
    names = [m.loss if len(audit.subjects) == 1 else f"{s.name}, {m.loss}" for _, s, m, _ in found]
    notices = [
        Notice(tones[t.meets], f"{name}: {MEETS[t.meets]}.", outcome(t))
        for name, (*_, t) in zip(names, found, strict=True)
    ]
    drawn = [(i, name, m.loss, t) for name, (i, _, m, t) in zip(names, found, strict=True) if t.inverse_temperature]
    return Section(
        "The two-sided check",
        (),
        [*notices, *(two_sided_figure(*figure, half=len(drawn) > 1) for figure in drawn), table],
        method=told.TWO_SIDED_METHOD,
        limits=told.TWO_SIDED_LIMITS,
    )


def _measured(audit: Audit) -> Section:
    runs = Table(
        "Runs",
        [
            Column("subject"), Column("loss"), Column("engine"), Column("status"), Column("independent runs", digits=0),
            Column("loss evaluations", digits=0), Column("gradient evaluations", digits=0), Column("seconds", digits=3),
            Column("lowest loss reached", estimate=True), Column("seed", digits=0),
        ],
        [
            [s.name, m.loss, m.engine or None, notation.status_words(m.status) if m.status else None, m.repeats,
             m.evaluations, m.gradient_evaluations, m.seconds, m.loss_floor, m.seed]
            for _, s, m in _drawn(audit)
        ],
    )  # fmt: skip
    models = Table(
        "Models and data",
        [
            Column("subject"), Column("architecture"), Column("parameters", digits=0), Column("frozen", digits=0),
            Column("prior"), Column("task"), Column("training examples", digits=0),
            Column("held-out examples", digits=0), Column("bits in the labels", estimate=True),
        ],
        [
            [s.name, s.architecture or None, s.parameters, s.frozen, s.prior or None, s.task or None, s.train_size,
             s.held_out_size, s.label_bits]
            for s in audit.subjects
        ],
    )  # fmt: skip
    trained = Table(
        "Solutions that training found",
        [
            Column("subject"), Column("solution"), Column("optimiser"), Column("seed", digits=0),
            Column("steps", digits=0), Column("train loss", digits=3), Column("train error", percent=True, digits=3),
            Column("held-out loss", digits=3), Column("held-out error", percent=True, digits=3),
            Column("bits at its train loss", estimate=True),
        ],
        [
            [s.name, x.name or None, x.optimiser or None, x.seed, x.steps, x.train_loss, x.train_error,
             x.held_out_loss, x.held_out_error, x.depth]
            for s in audit.subjects
            for x in s.solutions
        ],
    )  # fmt: skip
    machine = Table(
        "Versions and machine",
        [Column("what"), Column("value")],
        [["pindown", audit.version or None], *([k, v] for k, v in audit.environment.items())],
    )
    mode = "full run (--full)" if audit.full else "default run; --full measures longer"
    verdict = [f"Seed {notation.count(audit.seed)}, {notation.duration(audit.seconds)}, {mode}."]
    return Section("How it was measured", verdict, [t for t in (runs, trained, models, machine) if t.rows])


def _limits(audit: Audit) -> Section | None:
    return Section("What the figures do not say", limits=audit.notes) if audit.notes else None


def _notices(audit: Audit) -> Iterator[Notice]:
    """One notice for each status that is not good, with where it stands, so that none hides in a table."""
    found: dict[Status, list[str]] = {}
    for s in audit.subjects:
        seen = [(status, f"{s.name} ({m.loss})") for m in s.measurements for status in m.statuses]
        seen += [(x.depth.status, f"{s.name} (depth of SGD’s solutions)") for x in s.solutions if x.depth is not None]
        for status, where in seen:
            # What has no meaning at a tolerance, such as λ at none, is told by its empty cell.
            if not status.ok and status is not Status.UNSUPPORTED and where not in found.setdefault(status, []):
                found[status].append(where)
    for status, places in found.items():
        yield Notice("caution", _sentence(f"{notation.status_words(status)}: {_listed(places)}."), status.message)


def _about(audit: Audit, subject: Subject, text: str, at: str = "") -> str:
    """A sentence on one subject, with its name in front where there are several; one alone is named by the title."""
    if len(audit.subjects) > 1:
        return f"{subject.name}{at}: {text}"
    return _sentence(f"{at.lstrip()}: {text}" if at else text)


def _sentence(text: str) -> str:
    """With a capital, unless it opens with a symbol such as λ."""
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def _headlines(audit: Audit) -> Iterator[tuple[Subject, Measurement, Point]]:
    """Each subject's own loss at the tolerance that speaks for it, where that was measured."""
    for s in audit.subjects:
        m = s.primary
        p = m.headline if m else None
        if m is not None and p is not None:
            yield s, m, p


def _drawn(audit: Audit) -> list[Drawn]:
    return [(i, s, m) for i, s in enumerate(audit.subjects) for m in s.measurements]


def _by_loss(drawn: Iterable[Drawn]) -> dict[str, list[Drawn]]:
    """Measurements of one loss share a chart. A loss with one tolerance and no curve is told by its table row."""
    groups: dict[str, list[Drawn]] = {}
    for i, s, m in drawn:
        groups.setdefault(m.loss, []).append((i, s, m))
    return {
        loss: group
        for loss, group in groups.items()
        if any(m.primary or m.curve or len(m.sweep) > 1 for _, _, m in group)
    }


def _of(e: Estimate | None, what: str) -> str:
    return "" if e is None else f"of {notation.number(e.value)} {what}"


def _said(e: Estimate, unit: str | None = None) -> str:
    """A figure inside a sentence, with its interval, and its status where that is not good."""
    said = _worded(notation.with_error(e) if unit is None else notation.value_text(e))
    if e.kind == "estimate" and (interval := notation.labelled_interval(e)):
        said += f" ({interval})"
    return said if e.status.ok else f"{said} ({notation.status_words(e.status)})"


def _worded(text: str) -> str:
    """Signs of bounds as words: a sentence may hold a tolerance with its own sign beside them."""
    return text.replace("≥", "at least").replace("≤", "at most")


def _equals(e: Estimate) -> str:
    return f"{'of ' if is_bound(e) else '= '}{_said(e)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
