"""``pindown resources``: what nearly all objectives want of a linear programme or an environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pindown.cli._options import (
    Address,
    Backend,
    Checkpoint,
    Json,
    Quiet,
    Resume,
    Seed,
    Unfinished,
    on_cluster,
)
from pindown.cli._places import deliver
from pindown.cli._target import load_environment, load_family, split_target
from pindown.errors import DataError, InputError

if TYPE_CHECKING:
    from pindown.resources.convergence import Problem
    from pindown.resources.families import Family

__all__ = ["resources"]

_RECORD, _REPORT = "resources.json", "report.html"


def resources(
    problem: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM",
            help="An MPS or LP file; the name of a gymnasium environment such as Taxi-v4; or a programme, an economy, "
            "an MDP or a chain in Python, as in my_module.py:problem.",
            show_default=False,
        ),
    ],
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="Prior over objectives, by name or as in my_module.py:family; can be given again.",
            show_default="all five",
        ),
    ] = None,
    objectives: Annotated[int, typer.Option(min=2, help="Objectives drawn from each prior.")] = 1000,
    nearly_all: Annotated[float, typer.Option(help="Share that a resource has to reach under every prior.")] = 0.8,
    discount: Annotated[float, typer.Option(help="Of an environment.")] = 0.95,
    steps: Annotated[int, typer.Option(min=0, help="Of empowerment, in an environment; 0 for none.")] = 2,
    volume: Annotated[bool, typer.Option("--volume", help="Bits of volume per unit as well.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Processes; -1 for all cores.", show_default="1")] = None,
    backend: Backend = None,
    address: Address = None,
    out: Annotated[Path, typer.Option(help="Folder for the record and the report.")] = Path("pindown-resources"),
    json: Json = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Tell what nearly all objectives want of an environment, and under which priors."""
    unfinished = Unfinished(out, checkpoint)
    unfinished.check(json, resume=resume)
    found, families = _read(problem), _families(family)

    from pindown.resources.convergence import convergence

    with on_cluster(backend, address, jobs=jobs, kept=unfinished.folder, quiet=quiet):
        result = unfinished.run(
            lambda progress: convergence(
                found, families, objectives, seed, nearly_all=nearly_all, discount=discount, steps=steps,
                volume=volume, jobs=jobs, progress=progress, checkpoint=unfinished.folder,
            ),
            quiet=quiet,
        )  # fmt: skip

    from pindown.report.resources import write_resources_report

    deliver(result, write_resources_report, out / _RECORD, out / _REPORT, json=json, quiet=quiet)
    unfinished.done()


def _read(problem: str) -> Problem:
    """A file by its ending, a Python object, or an environment by its name."""
    if Path(problem).suffix.lower() in (".mps", ".lp"):
        from pindown.resources.linear_program import LinearProgram

        return LinearProgram.from_file(problem)
    if split_target(problem)[0].suffix == ".py":
        return load_environment(problem)
    if Path(problem).exists():
        raise DataError(f"{problem} ends with {Path(problem).suffix!r}", "a file that ends with .mps, .lp or .py")
    from pindown.resources.gym_tables import make_environment
    from pindown.resources.mdp import MDP

    try:
        return MDP.from_gymnasium(make_environment(problem))
    except InputError as error:
        wanted = "an MPS, LP or Python file, or the name of a gymnasium environment with a table"
        raise InputError(f"{problem!r}: {error.got}", wanted, error.remedy) from error


def _families(names: list[str] | None) -> list[str | Family] | None:
    """Families by name, and those of the user's own modules."""
    if names is None:
        return None
    return [load_family(name) if split_target(name)[0].suffix == ".py" else name for name in names]
