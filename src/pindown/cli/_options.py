"""Options that several commands have, each worded once, and what they lead to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from pindown.cli._console import Interrupted, ProgressReport, progress_bar, show
from pindown.cli._places import check_places, give_json, what_is_kept
from pindown.errors import InputError

if TYPE_CHECKING:
    from pindown.network.subject import Subject

__all__ = [
    "Address",
    "Backend",
    "Checkpoint",
    "Device",
    "DryRun",
    "Json",
    "Quiet",
    "Resume",
    "Seed",
    "Unfinished",
    "WeightsFile",
    "give_plan",
    "on_cluster",
    "subject_of_function",
]

T = TypeVar("T")

WeightsFile = Annotated[
    Path | None,
    typer.Option(help="Trained weights for TARGET's model: a .safetensors, .pt or .pth file.", show_default=False),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where to evaluate the network, as in cuda.", show_default="where TARGET's model is"),
]
Json = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write the record here too; - for standard output.", show_default=False),
]
Seed = Annotated[int, typer.Option(min=0, help="Everything random follows from it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it will take, and stop.")]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Folder for unfinished work.", show_default="checkpoint inside --out")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the unfinished work that is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]


class BackendName(StrEnum):
    """The clusters that there are."""

    RAY = "ray"
    DASK = "dask"


Backend = Annotated[
    BackendName | None,
    typer.Option(help="Run what is independent on a cluster of this kind.", show_default="this machine"),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where the cluster of --backend answers.", show_default=False),
]


@contextmanager
def on_cluster(
    backend: BackendName | None,
    address: str | None,
    *,
    jobs: int | None = None,
    target: str | None = None,
    kept: Path | None = None,
    quiet: bool = False,
) -> Generator[None]:
    """Run what is independent on the cluster that the options name; without them on this machine.

    Args:
        backend: what ``--backend`` says.
        address: what ``--address`` says.
        jobs: what ``--jobs`` says: on a cluster no more than so many tasks at once.
        target: the user's module, which the workers are sent.
        kept: folder for unfinished work; where the workers do not see it, that is said.
        quiet: whether to say nothing.
    """
    if backend is None:
        if address is not None:
            raise InputError("--address without --backend", "--backend ray or --backend dask")
        yield
        return
    if address is None:
        raise InputError(f"--backend {backend} without --address", "where the cluster answers")
    if jobs == 1:
        raise InputError(f"--jobs 1 with --backend {backend}", "more, or no --jobs", "leave --jobs out")

    from pindown.cli._target import target_modules
    from pindown.engine.cluster import cluster

    with cluster(backend.value, address, modules=target_modules(target)) as found:
        if not quiet:
            show(f"Working on {found}.", error=True)
            if kept is not None and not found.shares(kept):
                show(
                    f"The workers do not see {kept}: what one of them has begun is lost when it dies. A folder that "
                    "all machines share keeps it: name one with --checkpoint or --out.",
                    error=True,
                )
        yield


class Unfinished:
    """The folder for unfinished work: where nobody names one it lies in ``--out``, and goes when the work is done.

    Args:
        out: folder for the results.
        checkpoint: the folder that the user named.
        name: of the folder inside ``out``; commands that share ``out`` have one each.
    """

    def __init__(self, out: Path, checkpoint: Path | None, name: str = "checkpoint") -> None:
        self.out, self.own = out, checkpoint is None
        self.folder = checkpoint or out / name

    def check(self, json: str | None, *, resume: bool) -> None:
        """Refuse before any work what would fail after it; see :func:`pindown.cli._places.check_places`."""
        check_places(self.out, json, self.folder, resume=resume, own=self.own)

    def run(self, measure: Callable[[ProgressReport | None], T], *, quiet: bool) -> T:
        """Measure under a progress bar; after Ctrl-C say what is kept."""
        try:
            with progress_bar(quiet=quiet) as progress:
                return measure(progress)
        except KeyboardInterrupt:
            raise Interrupted(what_is_kept(self.folder)) from None

    def done(self) -> None:
        """Remove the folder, unless the user named it."""
        if self.own and self.folder.is_dir():
            shutil.rmtree(self.folder)


def give_plan(plan: Any, json: str | None) -> None:
    """Print a plan, or send its record where ``json`` says."""
    if json is None:
        show(str(plan))
    else:
        give_json(plan.to_dict(), json)


def subject_of_function(target: str, weights: Path | None, device: str | None = None) -> Subject:
    """The subject that the function ``target`` makes, with the weights of a file where there is one."""
    from pindown.cli._target import load_subject

    subject = load_subject(target)
    if weights is not None:
        from pindown.network.weights_file import with_weights

        subject = subject.with_model(with_weights(subject.module, weights))
    return subject if device is None else subject.on(device)
