"""The sections of one measurement by itself: how rare, how many dimensions, and the two-sided check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pindown.engine.profile import Profile
from pindown.report.audit import audit_sections
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Notice, Section, Table
from pindown.report.notation import count, duration, labelled_interval, number, status_words, with_error
from pindown.report.records import AUDIT_SCHEMA

__all__ = ["profile_sections"]

_POINTS = 8
_METHOD = (
    "Bits at tolerance t are −log2 of the probability that a point drawn from the prior has a loss of at most t. One "
    "bit more means points half as common.",
    "The figures come from independent runs, each with its own seed; the intervals are Student-t intervals over the "
    "runs. Where the search did not reach, the figure is a bound and is drawn as one.",
)
_LIMITS = (
    "The bits are relative to the prior: the same points under another prior have other bits.",
    "They say how rare such points are, not how hard they are to find.",
    "Runs from the prior can all miss a narrow basin that holds most of the deep volume; only a two-sided check with "
    "points from inside it guards against that.",
)


def profile_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of one measurement.

    Args:
        record: what ``Profile.to_dict()`` gives, schema ``pindown/profile/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
    """
    p = Profile.from_dict(record)
    drawn = {s.title: s for s in audit_sections(_as_audit(p, record))}
    bits = p.bits()
    interval = labelled_interval(bits) if bits.kind == "estimate" else ""
    said = with_error(bits).replace("≥", "at least").replace("≤", "at most")
    verdict = f"{said}{f' ({interval})' if interval else ''} pinned down at a loss of at most {number(p.tolerance)}."
    if not bits.status.ok:
        verdict += f" {bits.status.message}"
    local = p.tolerance > 0
    cards = [Card("Bits pinned down", bits)]
    if local:
        cards += [
            Card("Free dimensions", p.free_dimensions(), f"of {count(p.dim)}"),
            Card("Learning coefficient λ", p.learning_coefficient()),
        ]
    blocks: list[Block] = [Cards([CardGroup(p.reference, f"loss at most {number(p.tolerance)}", cards, 0)])]
    if not p.status.ok:
        blocks.append(Notice("caution", f"{p.status}.", p.status.message))
    for title in ("Bits pinned down", "Dimensions that stay free"):
        blocks += drawn[title].blocks if title in drawn else ()
    sections = [Section("What was pinned down", (verdict,), blocks, _METHOD, _LIMITS)]
    check = drawn.get("The two-sided check")
    return [*sections, *([] if check is None else [check]), _runs(p)]


def _as_audit(p: Profile, record: Mapping[str, Any]) -> dict[str, Any]:
    """The measurement as an audit of one subject, so that it is drawn by the same charts."""
    local = [t for t in _tolerances(p) if t > 0]
    sweep = [
        {
            "tolerance": t,
            "bits": p.bits(t).to_dict(),
            "learning_coefficient": p.learning_coefficient(t).to_dict() if t in local else None,
            "pinned_dimensions": p.pinned_dimensions(t).to_dict() if t in local else None,
            "free_dimensions": p.free_dimensions(t).to_dict() if t in local else None,
        }
        for t in _tolerances(p)
    ]
    measurement = {
        "loss": "loss", "event": "loss at most t", "primary": True, "tolerance": p.tolerance, "sweep": sweep,
        "profile": dict(record),
    }  # fmt: skip
    subject = {"name": p.reference, "parameters": p.dim, "prior": p.reference, "measurements": [measurement]}
    return {"schema": AUDIT_SCHEMA, "subjects": [subject]}


def _tolerances(p: Profile) -> list[float]:
    """The tolerance itself, and some losses of the curve above it, spread evenly over its bits."""
    losses = [t for t in p.curve(_POINTS)["loss"] if t > p.tolerance and not math.isclose(t, p.tolerance, rel_tol=1e-3)]
    return [p.tolerance, *losses]


def _runs(p: Profile) -> Section:
    rows = [
        ["engine", p.engine], ["prior", p.reference], ["dimensions", count(p.dim)], ["status", status_words(p.status)],
        ["independent runs", count(p.repeats)], ["loss evaluations", count(p.evaluations)],
        ["gradient evaluations", count(p.gradient_evaluations)], ["lowest loss reached", number(p.loss_floor.value)],
        ["time", duration(p.seconds)], ["seed", count(p.seed)],
        *([k.replace("_", " "), v] for k, v in p.diagnostics.items() if isinstance(v, str) and v),
    ]  # fmt: skip
    return Section("How it was measured", (), [Table("What was measured", [Column("what"), Column("value")], rows)])
