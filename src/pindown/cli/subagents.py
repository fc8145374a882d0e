"""``pindown subagents``: how many agents it takes to explain choices, and whether several pay for themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pindown.cli._choices import read_table
from pindown.cli._options import Checkpoint, Json, Quiet, Resume, Seed, Unfinished
from pindown.cli._places import deliver
from pindown.errors import InputError

__all__ = ["subagents"]

_RECORD, _REPORT = "subagents.json", "report.html"


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
    json: Json = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Find the fewest agents that explain choices, and what explains them in the fewest bits."""
    unfinished = Unfinished(out, checkpoint)
    unfinished.check(json, resume=resume)
    found = read_table(file, kind, by, ignore, drop_missing)
    if isinstance(found, dict):
        if subject not in found:
            names = ", ".join(list(found)[:10])
            got = "no --subject" if subject is None else f"no subject {subject!r}"
            raise InputError(got, f"one of {names}{', …' * (len(found) > 10)}", "choose one with --subject")
        found = found[subject]
    elif subject is not None:
        raise InputError("--subject without --by", "the column that tells subjects apart", "give it with --by")

    from pindown.choices.subagents import subagents as search

    table = found
    result = unfinished.run(
        lambda progress: search(
            table, seed, trade_probabilities=trade_probability, start=start, seconds=seconds, subject=subject or "",
            progress=progress, checkpoint=unfinished.folder,
        ),
        quiet=quiet,
    )  # fmt: skip

    from pindown.report.choices import write_choices_report

    deliver(result, write_choices_report, out / _RECORD, out / _REPORT, json=json, quiet=quiet)
    unfinished.done()
