"""The terminal's summary at several widths."""

from __future__ import annotations

import io
from typing import Any

import pytest
import report_fixture as fixture
from rich.console import Console

from pindown.errors import CheckpointError
from pindown.estimate import Estimate, Status
from pindown.report.notation import value_text
from pindown.report.terminal import audit_summary


def printed(record: dict[str, Any], width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, legacy_windows=False).print(audit_summary(record))
    return out.getvalue()


@pytest.mark.parametrize("width", [24, 40, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_the_figures_stay_whole(width):
    text = printed(fixture.digits_record(), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "width 100" in text
    if width >= 40:
        assert "1,828.0 ± 5.3" in text
        assert "95%: 1,811.1 to" in text


def test_wide_terminals_put_each_figure_beside_its_like():
    record = fixture.digits_record()
    lines = [" ".join(line.split()) for line in printed(record, 120).splitlines()]
    told = [line for line in lines if line.startswith("bits per label")]
    for line, k in zip(told, (0, 1), strict=True):  # cross-entropy, then the margin
        points = [
            min(s["measurements"][k]["sweep"], key=lambda p: p["tolerance"])["bits_per_label"]
            for s in record["subjects"]
        ]
        assert line == "bits per label " + " ".join(value_text(Estimate.from_dict(p)) for p in points)
    assert "cross-entropy at most 0.052 0.079" in lines
    assert "margin at most 0 0" in lines


def test_bounds_statuses_and_failed_checks_are_told_with_what_to_do():
    text = " ".join(printed(fixture.hard_record(), 200).split())
    assert "≥ 467.1" in text
    assert Status.BUDGET_SPENT.message in text
    assert "! apart, two-sided check on the cross-entropy: they do not meet." in text
    assert "nothing measured" not in text


def test_markup_in_names_is_printed_as_it_is():
    text = " ".join(printed(fixture.hard_record(), 400).split())
    assert "[bold]x[/bold]" in text


def test_verdict_and_notes_are_there():
    record = fixture.digits_record()
    text = " ".join(printed(record, 100).split())
    for sentence in record["verdict"] + record["notes"]:
        assert sentence in text


def test_another_schema_is_refused():
    with pytest.raises(CheckpointError, match="pindown/audit/1"):
        audit_summary({"schema": "pindown/audit/9"})


def test_an_empty_record_prints():
    assert "Seed not recorded" in printed({"schema": "pindown/audit/1"}, 80)
