"""``pindown coherence``: are observed choices coherent, how do they lose where not, and how surprising is that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pindown.cli._choices import read_table
from pindown.cli._console import Interrupted, progress_bar, show
from pindown.cli._output import check_folder, write_json
from pindown.cli._places import STDOUT, check_places, give_json
from pindown.errors import InputError

if TYPE_CHECKING:
    from pindown.choices.coherence_result import Coherence
    from pindown.choices.panel import Panel

__all__ = ["coherence"]

_RECORD, _REPORT, _NO_WORK = "coherence.json", "report.html", "unfinished"


def coherence(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV or Parquet table of observed choices.", show_default=False)
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            help="budgets, menus, pairs, bets, lotteries, trades, policy or 'value cache'.",
            show_default="seen from the columns",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Column that tells subjects apart; can be given again.", show_default="one subject"),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only this subject, with --by; columns joined by ' / '.", show_default=False)
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; can be given again.", show_default="none")
    ] = None,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Leave out rows with an empty cell.")] = False,
    surprise: Annotated[
        bool | None,
        typer.Option(
            "--surprise/--no-surprise",
            help="Measure how surprising the answer is.",
            show_default="for one subject only",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Longest time for each hard index.")] = 20.0,
    out: Annotated[Path, typer.Option(help="Folder for the record and the report.")] = Path("pindown-coherence"),
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the record here too; - for standard output.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Tell whether choices are coherent, how they lose where they are not, and how surprising that is."""
    check_places(out, json, out / _NO_WORK, resume=False, own=True)
    check_folder(out, "--out")
    found = read_table(file, kind, by, ignore, drop_missing)
    if subject is not None:
        if not isinstance(found, dict):
            raise InputError("--subject without --by", "the column that tells subjects apart", "give it with --by")
        if subject not in found:
            raise InputError(f"no subject {subject!r}", f"one of {', '.join(list(found)[:10])}, …")
        found = found[subject]
    try:
        with progress_bar(quiet=quiet) as progress:
            options: dict[str, Any] = {"seed": seed, "seconds": seconds, "progress": progress}
            result = _measured(found, surprise, options, subject or "")
    except KeyboardInterrupt:
        raise Interrupted("Stopped before there was a result; nothing was written.") from None

    from pindown.report.choices import write_choices_report

    record = result.to_dict()
    write_json(record, out / _RECORD)
    write_choices_report(record, out / _REPORT)
    if json is not None:
        give_json(record, json)
    if not quiet:
        show(result.summary(), error=json == STDOUT)
        show(f"Report: {out / _REPORT}", error=json == STDOUT)


def _measured(found: Any, surprise: bool | None, options: dict[str, Any], subject: str) -> Coherence | Panel:
    if isinstance(found, dict):
        from pindown.choices.panel import coherence_panel

        return coherence_panel(found, surprise=bool(surprise), **options)
    from pindown.choices.coherence import coherence as measure

    return measure(found, surprise=surprise is not False, subject=subject, **options)
