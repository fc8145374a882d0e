"""``pindown study``: experiments that put the measurements together and answer a question."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pindown.cli._console import Interrupted, progress_bar, show
from pindown.cli._options import Address, Backend, on_cluster
from pindown.cli._output import write_json
from pindown.cli._places import STDOUT, check_places, give_json, what_is_kept
from pindown.cli._target import load_study

__all__ = ["study"]

_REPORT, _RECORD, _CHECKPOINT = "report.html", "study.json", "checkpoint"


class Name(StrEnum):
    """The studies that there are."""

    COMPRESSION = "compression"


def study(
    name: Annotated[Name, typer.Argument(help="compression: does optimisation compress by default?")],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[my_module.py:make_study]", help="A study of your own model.", show_default="the built-in tasks"
        ),
    ] = None,
    question: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Which question; can be given again.", show_default="all there are"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Larger samples and more tasks: hours.")] = False,
    out: Annotated[Path, typer.Option(help=f"Folder for {_REPORT} and {_RECORD}.")] = Path("pindown-study"),
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the record here too; - for standard output.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    backend: Backend = None,
    address: Address = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder for unfinished work.", show_default=f"{_CHECKPOINT} inside --out")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the unfinished work that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Run a study, write its report and its record; every verdict follows from the figures by a stated rule.

    A function make_study in a module of yours returns a pindown.StudySubject: your model at two widths and how it is
    trained.
    """
    kept = checkpoint or out / _CHECKPOINT
    check_places(out, json, kept, resume=resume, own=checkpoint is None)
    assert name is Name.COMPRESSION

    from pindown.studies.compression import compression

    options: dict[str, Any] = {"full": full, "seed": seed, "jobs": jobs, "checkpoint": kept}
    if target is not None:
        options["own"] = load_study(target)
    try:
        with (
            on_cluster(backend, address, jobs=jobs, target=target, kept=kept, quiet=quiet),
            progress_bar(quiet=quiet) as progress,
        ):
            result = compression(question or None, **options, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted(what_is_kept(kept)) from None

    from pindown.report.study import write_study_report

    record = result.to_dict()
    write_json(record, out / _RECORD)
    write_study_report(record, out / _REPORT)
    if json is not None:
        give_json(record, json)
    if checkpoint is None and kept.is_dir():
        shutil.rmtree(kept)
    if not quiet:
        show(result.summary(), error=json == STDOUT)
        show(f"Report with every figure: {out / _REPORT}", error=json == STDOUT)
