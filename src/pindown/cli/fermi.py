"""``pindown fermi``: an estimate from a TOML file, or the built-in one of human values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pindown.cli._console import unkept_progress
from pindown.cli._options import Json, Quiet, Seed
from pindown.cli._places import check_places, deliver

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
    json: Json = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Estimate a quantity from a small graph of guesses and bounds, and say what decides it."""
    check_places(out, json, out / _NO_WORK, resume=False, own=True)

    from pindown.fermi.estimate import estimate
    from pindown.fermi.human_values import human_values
    from pindown.fermi.toml_text import read_toml, to_toml

    model = human_values() if file is None else read_toml(file)
    with unkept_progress(quiet=quiet) as progress:
        result = estimate(model, seed, samples=samples, sensitivity=sensitivity, progress=progress)

    from pindown.files import write_atomically
    from pindown.report.fermi import write_fermi_report

    write_atomically(out / _MODEL, to_toml(model))
    deliver(
        result,
        write_fermi_report,
        out / _RECORD,
        out / _REPORT,
        json=json,
        quiet=quiet,
        also=f"; the estimate: {out / _MODEL}",
    )
