"""``pindown fermi``: an estimate from a TOML file, or the built-in one of human values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pindown.cli._console import Interrupted, progress_bar, show
from pindown.cli._output import check_folder, write_json
from pindown.cli._places import STDOUT, check_places, give_json

__all__ = ["fermi"]

_RECORD, _REPORT, _MODEL, _NO_WORK = "fermi.json", "report.html", "model.toml", "unfinished"


def fermi(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE.toml]", help="The estimate.", show_default="how complex are human values?"),
    ] = None,
    samples: Annotated[int, typer.Option(min=256, help="Points in all, a power of 2.")] = 1 << 14,
    sensitivity: Annotated[int, typer.Option(min=0, help="Rows for Sobol' indices, a power of 2; 0 for none.")] = 1
    << 10,
    out: Annotated[Path, typer.Option(help="Folder for the report, the record and the estimate as TOML.")] = Path(
        "pindown-fermi"
    ),
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the record here too; - for standard output.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Estimate a quantity from a small graph of guesses and bounds, and say what decides it."""
    check_places(out, json, out / _NO_WORK, resume=False, own=True)
    check_folder(out, "--out")

    from pindown.fermi.estimate import estimate
    from pindown.fermi.human_values import human_values
    from pindown.fermi.toml_text import read_toml, to_toml

    model = human_values() if file is None else read_toml(file)
    try:
        with progress_bar(quiet=quiet) as progress:
            result = estimate(model, seed, samples=samples, sensitivity=sensitivity, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted("Stopped before there was a result; nothing was written.") from None

    from pindown.files import write_atomically
    from pindown.report.fermi import write_fermi_report

    record = result.to_dict()
    write_json(record, out / _RECORD)
    write_atomically(out / _MODEL, to_toml(model))
    write_fermi_report(record, out / _REPORT)
    if json is not None:
        give_json(record, json)
    if not quiet:
        show(result.summary(), error=json == STDOUT)
        show(f"Report: {out / _REPORT}; the estimate: {out / _MODEL}", error=json == STDOUT)
