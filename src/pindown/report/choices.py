"""The page of one coherence record, of a panel of them, or of a committee."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pindown.files import write_atomically
from pindown.report import notation
from pindown.report.choice_panel import PANEL, panel_sections
from pindown.report.choice_records import Committee, Plain, read_coherence, read_committee
from pindown.report.coherence import coherence_sections
from pindown.report.committee import committee_sections
from pindown.report.page import render_page

__all__ = ["write_choices_report"]


def write_choices_report(record: Mapping[str, Any], path: str | Path) -> None:
    """Write the report of a coherence, panel or committee record as one self-contained HTML file, whole or not at all.

    Raises:
        CheckpointError: where the record is of another schema or damaged.
        OutputError: where the file cannot be written.
    """
    schema = record.get("schema") if isinstance(record, Mapping) else None
    if schema == Committee.SCHEMA:
        committee = read_committee(record)
        sections, plain, title = committee_sections(record), committee, "Subagents"
    elif schema == PANEL:
        sections, plain, title = panel_sections(record), None, "Coherence of many subjects"
    else:
        sections, plain, title = coherence_sections(record), read_coherence(record).plain, "Coherence of choices"
    facts: list[tuple[str, str]] = []
    if plain is not None:
        facts = [
            ("pindown", plain.version or "version not recorded"),
            ("Seed", notation.count(plain.seed)),
            ("Time", notation.duration(plain.seconds)),
            ("Choices", plain.counted),
        ]
        title = f"{title}: {plain.subject}" if plain.subject else title
    write_atomically(path, render_page(title, sections, facts=facts, subtitle=_SUBTITLES.get(str(schema), "")))


_SUBTITLES = {
    Plain.SCHEMA: "Whether one ranking explains the choices, how they lose where none does, how surprising that is.",
    PANEL: "Whose choices can be explained by one ranking, and how the others lose.",
    Committee.SCHEMA: "How many agents it takes to explain the choices, and whether several pay for themselves.",
}
