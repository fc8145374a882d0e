"""``pindown subagents``: how many agents it takes to explain choices, and whether several pay for themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pindown.cli._choices import read_table
from pindown.cli._console import Interrupted, progress_bar, show
from pindown.cli._output import check_folder, write_json
from pindown.cli._places import STDOUT, check_places, give_json
from pindown.errors import InputError

__all__ = ["subagents"]

_RECORD, _REPORT, _NO_WORK = "subagents.json", "report.html", "unfinished"


def subagents(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A CSV or Parquet table of trades, menus, pairs or budgets.", show_default=False
        ),
    ],
    kind: Annotated[
        str | None, typer.Option(help="trades, menus, pairs or budgets.", show_default="seen from the columns")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that tells subjects apart; can be given again. Then with --subject.", show_default=False
        ),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="The subject, with --by; columns joined by ' / '.", show_default=False)
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; can be given again.", show_default="none")
    ] = None,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Leave out rows with an empty cell.")] = False,
    trade_probability: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Chance of each observed offer in a round.", show_default="as observed"),
    ] = None,
    start: Annotated[str | None, typer.Option(help="Item held at first.", show_default="any, equally likely")] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Longest search for fewer members.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder for the record and the report.")] = Path("pindown-subagents"),
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the record here too; - for standard output.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Find the fewest agents that explain choices, and what explains them in the fewest bits."""
    check_places(out, json, out / _NO_WORK, resume=False, own=True)
    check_folder(out, "--out")
    found = read_table(file, kind, by, ignore, drop_missing)
    if isinstance(found, dict):
        if subject not in found:
            names = ", ".join(list(found)[:10])
            raise InputError(f"subject {subject!r}", f"one of {names}, …", "choose one with --subject")
        found = found[subject]
    elif subject is not None:
        raise InputError("--subject without --by", "the column that tells subjects apart", "give it with --by")

    from pindown.choices.subagents import subagents as search

    try:
        with progress_bar(quiet=quiet) as progress:
            result = search(
                found, seed, trade_probabilities=trade_probability, start=start, seconds=seconds, subject=subject or "",
                progress=progress,
            )  # fmt: skip
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
