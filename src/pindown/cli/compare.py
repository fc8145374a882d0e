"""``pindown compare``: functions that an optimiser finds against those of random solutions, from files of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pindown.cli._console import unkept_progress
from pindown.cli._options import Json, Quiet, Seed
from pindown.cli._output import check_folder
from pindown.cli._places import STDOUT, deliver
from pindown.errors import OutputError

__all__ = ["compare"]

_RECORD, _REPORT = "comparison.json", "report.html"
_FILE = "a .npy file of whole numbers (networks, inputs), or a .npz with labels and, if any, groups and attempted"


def compare(
    runs: Annotated[
        Path,
        typer.Argument(
            metavar="RUNS", help=f"Labels that the optimiser's fitting networks give: {_FILE}.", show_default=False
        ),
    ],
    random: Annotated[
        Path,
        typer.Argument(
            metavar="RANDOM", help="The same of random networks that fit the same labels.", show_default=False
        ),
    ],
    splits: Annotated[int, typer.Option(min=2, help="Random splits, and bootstrap samples.")] = 200,
    out: Annotated[Path, typer.Option(help=f"Folder for {_REPORT} and {_RECORD}.")] = Path("pindown-compare"),
    json: Json = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Compare the functions that an optimiser finds with those of random solutions, on the same inputs."""
    check_folder(out, "--out")
    if json is not None and json != STDOUT:
        if Path(json).is_dir():
            raise OutputError(f"{json} is a folder", "a file", "give --json a file name")
        check_folder(Path(json).parent, "--json")

    import numpy as np

    from pindown.network.compare_samplers import compare_samplers
    from pindown.network.function_sample import read_labels

    first, second = read_labels(runs), read_labels(random)
    with unkept_progress(quiet=quiet):
        result = compare_samplers(first, second, np.arange(first.labels.shape[1]), splits=splits, seed=seed)

    from pindown.report.networks import write_samplers_report

    deliver(result, write_samplers_report, out / _RECORD, out / _REPORT, json=json, quiet=quiet)
