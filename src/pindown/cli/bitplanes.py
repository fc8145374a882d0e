"""``pindown bitplanes``: how many low-order bits of a network's weights carry nothing, and what to quantise to what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pindown.cli._console import show
from pindown.cli._options import (
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
    subject_of_function,
)
from pindown.cli._places import STDOUT, give_json
from pindown.errors import InputError

if TYPE_CHECKING:
    from pindown.network.subject import Subject

__all__ = ["bitplanes"]

_REPORT = "report.html"


def bitplanes(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="Where the subject comes from, as in my_module.py:make_subject: a function that returns a "
            "pindown.Subject. Or a folder with a language model that transformers saved; then with --data.",
            show_default=False,
        ),
    ],
    epsilon: Annotated[float, typer.Option(help="Largest rise of the mean loss, in the loss's own unit.")] = 0.01,
    relative: Annotated[bool, typer.Option("--relative", help="Take --epsilon as a share of the loss.")] = False,
    format: Annotated[
        str, typer.Option(help="fp32, bf16, fp16, fp8_e4m3, fp8_e5m2, or fixed2 to fixed24.", metavar="FORMAT")
    ] = "fp32",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Token numbers for a language model, (sequences, length): a .pt, .npy or .safetensors file.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences a batch, for a language model.")] = 8,
    weights: WeightsFile = None,
    device: Device = None,
    held_out: Annotated[bool, typer.Option("--held-out", help="Use the held-out data in place of training.")] = False,
    include: Annotated[
        list[str] | None, typer.Option(help="Glob of tensors to measure; can be given again.", show_default="all")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Glob of tensors to leave alone; can be given again.", show_default="none")
    ] = None,
    draws: Annotated[int, typer.Option(min=8, help="After how many draws a level stays undecided.")] = 128,
    confidence: Annotated[float, typer.Option(help="Of the decision at each level.")] = 0.95,
    out: Annotated[Path, typer.Option(help="Folder for the record, the table and the exports.")] = Path(
        "pindown-bitplanes"
    ),
    json: Json = None,
    seed: Seed = 0,
    dry_run: DryRun = False,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Measure how many low-order bits of the weights carry nothing, and what is safe to quantise to what."""
    unfinished = Unfinished(out, checkpoint)
    if not dry_run:
        unfinished.check(json, resume=resume)
    subject = _subject(target, data, batch, weights, device)

    from pindown.network.bitplanes import bitplanes as measure
    from pindown.network.bitplanes import plan_bitplanes

    options: dict[str, Any] = {
        "format": format, "include": include or None, "exclude": exclude or None, "held_out": held_out,
    }  # fmt: skip
    if dry_run:
        give_plan(plan_bitplanes(subject, **options), json)
        return
    options |= {"epsilon": epsilon, "relative": relative, "seed": seed, "draws": draws, "confidence": confidence}
    options |= {"checkpoint": unfinished.folder}
    result = unfinished.run(lambda progress: measure(subject, **options, progress=progress), quiet=quiet)

    from pindown.network.export import write_exports
    from pindown.report.bitplanes import write_bitplanes_report

    files = write_exports(result, out)
    write_bitplanes_report(result.to_dict(), out / _REPORT)
    files = [*files, out / _REPORT]
    if json is not None:
        give_json(result.to_dict(), json)
    unfinished.done()
    if not quiet:
        show(result.summary(), error=json == STDOUT)
        show(f"Written: {', '.join(map(str, files))}", error=json == STDOUT)


def _subject(target: str, data: Path | None, batch: int, weights: Path | None, device: str | None) -> Subject:
    if Path(target).is_dir():
        if data is None:
            raise InputError(f"the folder {target} without --data", "a file of token numbers", "give it with --data")
        if weights is not None:
            raise InputError("--weights for a folder, which holds its own", "one of the two", "leave out --weights")
        from pindown.network.pretrained import pretrained

        subject = pretrained(target, data, batch_size=batch)
        return subject if device is None else subject.on(device)
    if data is not None:
        raise InputError("--data for a function, whose subject holds its own", "a folder", "leave out --data")
    return subject_of_function(target, weights, device)
