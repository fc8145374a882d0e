"""``pindown coherence``: are observed choices coherent, how do they lose where not, and how surprising is that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pindown.cli._choices import read_table
from pindown.cli._options import Address, Backend, Checkpoint, Json, Quiet, Resume, Seed, Unfinished, on_cluster
from pindown.cli._places import deliver
from pindown.errors import InputError

if TYPE_CHECKING:
    from pindown.choices.coherence_result import Coherence
    from pindown.choices.panel import Panel

__all__ = ["coherence"]

_RECORD, _REPORT = "coherence.json", "report.html"


def coherence(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV or Parquet table of observed choices.", show_default=False)
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            help="budgets, menus, pairs, bets, quotes, lotteries, trades, policy or 'value cache'.",
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
    json: Json = None,
    seed: Seed = 0,
    backend: Backend = None,
    address: Address = None,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether choices are coherent, how they lose where they are not, and how surprising that is."""
    unfinished = Unfinished(out, checkpoint)
    unfinished.check(json, resume=resume)
    found = read_table(file, kind, by, ignore, drop_missing)
    if subject is not None:
        if not isinstance(found, dict):
            raise InputError("--subject without --by", "the column that tells subjects apart", "give it with --by")
        if subject not in found:
            more = ", …" * (len(found) > 10)
            raise InputError(f"no subject {subject!r}", f"one of {', '.join(list(found)[:10])}{more}")
        found = found[subject]
    options: dict[str, Any] = {"seed": seed, "seconds": seconds, "checkpoint": unfinished.folder}
    with on_cluster(backend, address, kept=unfinished.folder, quiet=quiet):
        result = unfinished.run(
            lambda progress: _measured(found, surprise, {**options, "progress": progress}, subject or ""), quiet=quiet
        )

    from pindown.report.choices import write_choices_report

    deliver(result, write_choices_report, out / _RECORD, out / _REPORT, json=json, quiet=quiet)
    unfinished.done()


def _measured(found: Any, surprise: bool | None, options: dict[str, Any], subject: str) -> Coherence | Panel:
    if isinstance(found, dict):
        from pindown.choices.panel import coherence_panel

        return coherence_panel(found, surprise=bool(surprise), **options)
    from pindown.choices.coherence import coherence as measure

    return measure(found, surprise=surprise is not False, subject=subject, **options)
