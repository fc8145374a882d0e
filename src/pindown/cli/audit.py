"""``pindown audit``: measure trained networks, write the report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from pindown.cli._console import show
from pindown.cli._options import (
    Address,
    Backend,
    Checkpoint,
    Device,
    DryRun,
    Json,
    Quiet,
    Resume,
    Seed,
    Unfinished,
    WeightsFile,
    give_plan,
    on_cluster,
    subject_of_function,
)
from pindown.cli._output import write_json
from pindown.cli._places import STDOUT, give_json
from pindown.errors import InputError

__all__ = ["audit"]

_REPORT, _RECORD = "report.html", "audit.json"


def audit(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="Where the subject comes from, as in my_module.py:make_subject: a function that returns a "
            "pindown.Subject. Left out: two small networks, trained on handwritten digits.",
            show_default=False,
        ),
    ] = None,
    weights: WeightsFile = None,
    out: Annotated[Path, typer.Option(help=f"Folder for {_REPORT} and {_RECORD}.")] = Path("pindown-audit"),
    json: Json = None,
    seed: Seed = 0,
    full: Annotated[bool, typer.Option("--full", help="More runs, smaller intervals, longer.")] = False,
    repeats: Annotated[
        int | None, typer.Option(min=2, help="Independent runs of each measurement.", show_default="4, full 12")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Most loss evaluations of each measurement.", show_default="none")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="one a core")] = None,
    in_depth: Annotated[
        bool, typer.Option(help="Whether to ask the best network where its bits sit, its spectrum and the like.")
    ] = True,
    epsilon: Annotated[
        float, typer.Option(min=0.0, help="Rise of the mean loss that counts as harmless where that is asked.")
    ] = 0.01,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Weights from along the training of TARGET's model: its learning coefficient is followed over them.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    backend: Backend = None,
    address: Address = None,
    dry_run: DryRun = False,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Measure how much training has pinned a network down, and write a report."""
    if weights is not None and target is None:
        raise InputError("--weights without TARGET", "a function that makes the model they belong to")
    if checkpoints is not None and target is None:
        raise InputError("--checkpoints without TARGET", "a function that makes the model they belong to")
    if device is not None and target is None:
        raise InputError("--device without TARGET", "a network large enough for one", "the built-in two are not")
    unfinished = Unfinished(out, checkpoint)
    if not dry_run:
        unfinished.check(json, resume=resume)

    from pindown.network.audit import audit as audit_subject
    from pindown.network.audit import audit_digits, plan_audit

    subject = None if target is None else subject_of_function(target, weights, device)
    if dry_run or (subject is not None and not quiet):
        plan = plan_audit(subject, full=full, repeats=repeats, budget=budget, jobs=jobs, checkpoints=checkpoints)
        if dry_run:
            give_plan(plan, json)
            return
        for part in plan.subjects:
            if part.advice:
                show(str(part), error=True)

    options: dict[str, Any] = {"seed": seed, "full": full, "repeats": repeats, "budget": budget, "jobs": jobs}
    options |= {"in_depth": in_depth, "epsilon": epsilon, "checkpoints": checkpoints}
    options |= {"checkpoint": unfinished.folder}
    measure = audit_digits if subject is None else partial(audit_subject, subject)
    with on_cluster(backend, address, jobs=jobs, target=target, kept=unfinished.folder, quiet=quiet):
        result = unfinished.run(lambda progress: measure(**options, progress=progress), quiet=quiet)
    record = result.to_dict()
    _write(record, out, json)
    unfinished.done()
    if not quiet:
        from pindown.report.terminal import audit_summary

        show(audit_summary(record), error=json == STDOUT)
        show(f"Report: {out / _REPORT}", error=json == STDOUT)


def _write(record: dict[str, Any], out: Path, json: str | None) -> None:
    from pindown.report.audit import write_audit_report

    write_json(record, out / _RECORD)
    write_audit_report(record, out / _REPORT)
    if json is not None:
        give_json(record, json)
