"""``pindown audit``: measure trained networks, write the report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pindown.cli._console import Interrupted, progress_bar, show
from pindown.cli._output import write_json
from pindown.cli._places import STDOUT, check_places, give_json, what_is_kept
from pindown.errors import InputError

if TYPE_CHECKING:
    from pindown.network.plan import Plan
    from pindown.network.subject import Subject

__all__ = ["audit"]

_REPORT, _RECORD, _CHECKPOINT = "report.html", "audit.json", "checkpoint"


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
    weights: Annotated[
        Path | None,
        typer.Option(help="Trained weights for TARGET's model: a .safetensors, .pt or .pth file.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help=f"Folder for {_REPORT} and {_RECORD}.")] = Path("pindown-audit"),
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the record here too; - for standard output.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it will take, and stop.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder for unfinished work.", show_default=f"{_CHECKPOINT} inside --out")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the unfinished work that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Measure how much training has pinned a network down, and write a report."""
    if weights is not None and target is None:
        raise InputError("--weights without TARGET", "a function that makes the model they belong to")
    if checkpoints is not None and target is None:
        raise InputError("--checkpoints without TARGET", "a function that makes the model they belong to")
    kept = checkpoint or out / _CHECKPOINT
    if not dry_run:
        check_places(out, json, kept, resume=resume, own=checkpoint is None)

    from pindown.network.audit import audit as audit_subject
    from pindown.network.audit import audit_digits, plan_audit

    subject = None if target is None else _subject(target, weights)
    if dry_run or (subject is not None and not quiet):
        plan = plan_audit(subject, full=full, repeats=repeats, jobs=jobs)
        if dry_run:
            _give_plan(plan, json)
            return
        for part in plan.subjects:
            if part.advice:
                show(str(part), error=True)

    options: dict[str, Any] = {"seed": seed, "full": full, "repeats": repeats, "budget": budget, "jobs": jobs}
    options |= {"in_depth": in_depth, "epsilon": epsilon, "checkpoints": checkpoints}
    try:
        with progress_bar(quiet=quiet) as progress:
            options |= {"checkpoint": kept, "progress": progress}
            result = audit_digits(**options) if subject is None else audit_subject(subject, **options)
    except KeyboardInterrupt:
        raise Interrupted(what_is_kept(kept)) from None

    record = result.to_dict()
    _write(record, out, json)
    if checkpoint is None and kept.is_dir():
        shutil.rmtree(kept)
    if not quiet:
        from pindown.report.terminal import audit_summary

        show(audit_summary(record), error=json == STDOUT)
        show(f"Report: {out / _REPORT}", error=json == STDOUT)


def _subject(target: str, weights: Path | None) -> Subject:
    from pindown.cli._target import load_subject

    subject = load_subject(target)
    if weights is None:
        return subject
    from pindown.cli._weights import with_weights

    return subject.with_model(with_weights(subject.module, weights))


def _write(record: dict[str, Any], out: Path, json: str | None) -> None:
    from pindown.report.audit import write_audit_report

    write_json(record, out / _RECORD)
    write_audit_report(record, out / _REPORT)
    if json is not None:
        give_json(record, json)


def _give_plan(plan: Plan, json: str | None) -> None:
    if json is None:
        show(str(plan))
    else:
        give_json(plan.to_dict(), json)
