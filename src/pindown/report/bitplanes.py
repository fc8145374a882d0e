"""The report of one bit-plane record on a page of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pindown.errors import CheckpointError
from pindown.files import write_atomically
from pindown.report import notation
from pindown.report.blocks import Column, Section, Table
from pindown.report.depth_planes import planes_section
from pindown.report.page import render_page
from pindown.report.reader import Reader, read_as
from pindown.report.weight_records import BitPlanes

__all__ = ["bitplanes_sections", "write_bitplanes_report"]


def bitplanes_sections(record: Mapping[str, Any]) -> list[Section]:
    """The sections of a bit-plane report.

    Args:
        record: what ``BitPlanes.to_dict()`` gives, schema ``pindown/bitplanes/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    planes = _read(record)
    return [planes_section([(0, planes.subject or "the network", planes)]), _measured(planes)]


def write_bitplanes_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of one bit-plane record as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    sections = bitplanes_sections(record)
    planes = _read(record)
    facts = [
        ("pindown", planes.version or "version not recorded"),
        ("Seed", notation.count(planes.seed)),
        ("Time", notation.duration(planes.seconds)),
        ("Format", planes.format),
        ("ε", notation.number(planes.epsilon)),
    ]
    subtitle = (
        "Which bits of a trained network’s weights carry what the loss needs, and what is safe to quantise to what."
    )
    title = f"Bit planes of {planes.subject or 'a network'}"
    write_atomically(path, render_page(title, sections, facts=facts, subtitle=subtitle))


def _read(record: Mapping[str, Any]) -> BitPlanes:
    schema = record.get("schema") if isinstance(record, Mapping) else None  # JSON may hold a list
    if schema != BitPlanes.SCHEMA:
        raise CheckpointError(
            f"a record of schema {schema!r}", repr(BitPlanes.SCHEMA), "hand over what `pindown bitplanes --json` wrote"
        )
    return read_as(BitPlanes, Reader(record, "record"))


def _measured(planes: BitPlanes) -> Section:
    rows = [
        ["architecture", planes.architecture or None],
        ["loss", planes.loss or None],
        ["data", planes.data or None],
        ["examples", None if planes.examples is None else notation.count(planes.examples)],
        ["loss of the weights as they are", None if planes.baseline is None else notation.with_error(planes.baseline)],
        ["largest rise tolerated, ε", notation.number(planes.epsilon)],
        [
            "confidence of each decision",
            None if planes.confidence is None else f"{notation.number(100 * planes.confidence)}%",
        ],
        ["loss evaluations", None if planes.evaluations is None else notation.count(planes.evaluations)],
        ["time", notation.duration(planes.seconds)],
        ["seed", notation.count(planes.seed)],
        ["pindown", planes.version or None],
    ]
    return Section("How it was measured", (), [Table("What was measured", [Column("what"), Column("value")], rows)])
