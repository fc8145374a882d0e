"""``pindown tour``: a quick version of everything on built-in data, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pindown.cli._console import show
from pindown.cli._options import Address, Backend, Checkpoint, Json, Quiet, Resume, Seed, Unfinished, on_cluster
from pindown.cli._output import write_json
from pindown.cli._places import STDOUT, give_json

__all__ = ["tour"]

_REPORT = "report.html"


def tour(
    only: Annotated[
        list[str] | None,
        typer.Option(help="A stop, such as audit; can be given again.", show_default="all stops"),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    out: Annotated[Path, typer.Option(help=f"Folder for {_REPORT} and the records.")] = Path("pindown-tour"),
    json: Json = None,
    seed: Seed = 0,
    backend: Backend = None,
    address: Address = None,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Run a quick version of everything on built-in data and join the results on one page."""
    unfinished = Unfinished(out, checkpoint)
    unfinished.check(json, resume=resume)

    from pindown.studies.tour import tour as run

    options: dict[str, Any] = {"seed": seed, "stops": only or None, "jobs": jobs, "checkpoint": unfinished.folder}
    with on_cluster(backend, address, jobs=jobs, kept=unfinished.folder, quiet=quiet):
        found = unfinished.run(lambda progress: run(**options, progress=progress), quiet=quiet)

    from pindown.report.joined import first_verdicts, write_joined_report

    records = {f"{name}.json": record for name, record in found.records().items()}
    for name, record in records.items():
        write_json(record, out / name)
    write_joined_report(records, out / _REPORT, title="A tour of pindown")
    unfinished.done()
    if json is not None:
        give_json(found.to_dict(), json)
    if not quiet:
        for name, verdict in first_verdicts(records):
            show(f"{name}. {verdict}\n", error=json == STDOUT)
        took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.seconds.items())
        show(f"{took}.", error=json == STDOUT)
        show(f"Report: {out / _REPORT}", error=json == STDOUT)
