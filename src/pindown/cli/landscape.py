"""``pindown landscape``: what makes a search hard, and what helps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pindown.cli._options import Checkpoint, Json, Quiet, Resume, Seed, Unfinished
from pindown.cli._places import deliver
from pindown.cli._target import load_problem, split_target
from pindown.errors import DataError

if TYPE_CHECKING:
    from pindown.landscapes.cnf import CNF
    from pindown.landscapes.problem import SearchProblem

__all__ = ["landscape"]

_RECORD, _REPORT = "landscape.json", "report.html"
_FORMULAS = (".cnf", ".dimacs")


def landscape(
    problem: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM",
            help="A formula in DIMACS format, .cnf or .dimacs; or a pindown.SearchProblem or pindown.CNF in Python, as "
            "in my_module.py:problem.",
            show_default=False,
        ),
    ],
    budget: Annotated[int, typer.Option(min=64, help="Most evaluations of one search.")] = 2**13,
    starts: Annotated[int, typer.Option(min=6, help="Held-out starts of each search.")] = 16,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each measurement.")] = 4,
    particles: Annotated[
        int | None, typer.Option(min=8, help="Of each run on the target.", show_default="chosen from the dimension")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the record and the report.")] = Path("pindown-landscape"),
    json: Json = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Tell how many bits a target holds, what each constraint adds, and which search finds it."""
    unfinished = Unfinished(out, checkpoint)
    unfinished.check(json, resume=resume)
    found = _read(problem)

    from pindown.landscapes.landscape import landscape

    result = unfinished.run(
        lambda progress: landscape(
            found, seed=seed, budget=budget, starts=starts, repeats=repeats, particles=particles,
            progress=progress, checkpoint=unfinished.folder,
        ),
        quiet=quiet,
    )  # fmt: skip

    from pindown.report.landscape import write_landscape_report

    deliver(result, write_landscape_report, out / _RECORD, out / _REPORT, json=json, quiet=quiet)
    unfinished.done()


def _read(problem: str) -> SearchProblem | CNF:
    """A formula by its ending, or a Python object."""
    path = Path(problem)
    if path.suffix.lower() in _FORMULAS:
        from pindown.landscapes.cnf import CNF

        return CNF.from_dimacs(path)
    if split_target(problem)[0].suffix != ".py":
        raise DataError(
            f"{problem} is neither a formula nor a Python file", "a file that ends with .cnf, .dimacs or .py"
        )
    return load_problem(problem)
