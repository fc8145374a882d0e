"""``pindown tour``: a quick version of everything on built-in data, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pindown.cli._console import show, unkept_progress
from pindown.cli._options import Json, Quiet, Seed
from pindown.cli._output import write_json
from pindown.cli._places import STDOUT, check_places, give_json

__all__ = ["tour"]

_REPORT, _NO_WORK = "report.html", "unfinished"


def tour(
    only: Annotated[
        list[str] | None,
        typer.Option(help="A stop, such as audit; can be given again.", show_default="all stops"),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    out: Annotated[Path, typer.Option(help=f"Folder for {_REPORT} and the records.")] = Path("pindown-tour"),
    json: Json = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Run a quick version of everything on built-in data and join the results on one page."""
    check_places(out, json, out / _NO_WORK, resume=False, own=True)

    from pindown.studies.tour import tour as run

    with unkept_progress(quiet=quiet) as progress:
        found = run(seed=seed, stops=only or None, jobs=jobs, progress=progress)

    from pindown.report.joined import first_verdicts, write_joined_report

    records = {f"{name}.json": record for name, record in found.records().items()}
    for name, record in records.items():
        write_json(record, out / name)
    write_joined_report(records, out / _REPORT, title="A tour of pindown")
    if json is not None:
        give_json(found.to_dict(), json)
    if not quiet:
        for name, verdict in first_verdicts(records):
            show(f"{name}. {verdict}\n", error=json == STDOUT)
        took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.seconds.items())
        show(f"{took}.", error=json == STDOUT)
        show(f"Report: {out / _REPORT}", error=json == STDOUT)
