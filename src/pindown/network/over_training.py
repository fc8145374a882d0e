"""The learning coefficient over the checkpoints of one training run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, Status
from pindown.network.learning_coefficient import learning_coefficient
from pindown.network.learning_coefficient_result import LearningCoefficient
from pindown.network.localised_runs import GAMMAS
from pindown.network.progress import Progress, part, rising
from pindown.network.record import Record
from pindown.network.subject import Subject
from pindown.network.weights_file import ENDINGS, read_state

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LearningCurve", "checkpoint_files", "checkpoint_points", "learning_coefficient_over_training"]

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class LearningCurve(Record, schema="pindown/learning-curve/1"):
    """λ over training.

    Attributes:
        subject: the subject's name.
        names: one for each checkpoint, in order.
        steps: the number that each name holds, or its place where it holds none.
        points: λ at each.
        seed: the seed.
    """

    subject: str
    names: tuple[str, ...]
    steps: tuple[int, ...]
    points: tuple[LearningCoefficient, ...]
    seed: int

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The bare figures."""
        return tuple(p.estimate for p in self.points)

    def summary(self) -> str:
        """One line a checkpoint."""
        lines = [f"λ of {self.subject} over {len(self.points)} checkpoints"]
        for name, p in zip(self.names, self.points, strict=True):
            lines.append(f"  {name}: λ = {p}, loss {p.loss_at_weights:.4g}")
        return "\n".join(lines)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each checkpoint."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, step, p in zip(self.names, self.steps, self.points, strict=True):
            low, high = p.interval()
            rows.append(
                {
                    "checkpoint": name,
                    "step": step,
                    "loss": p.loss_at_weights,
                    "learning_coefficient": p.value,
                    "low": low,
                    "high": high,
                    "status": p.status.value,
                }
            )
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return self.to_dataframe().round(3).to_html(index=False)


def learning_coefficient_over_training(
    subject: Subject,
    checkpoints: str | Path | Iterable[State | nn.Module | Tensor] | Mapping[str, State | nn.Module | Tensor],
    method: str = "auto",
    seed: int = 0,
    *,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> LearningCurve:
    """λ at every checkpoint of a training run (Lau et al. 2023; Hoogland et al. 2024, Loss landscape degeneracy).

    All checkpoints are measured at the same inverse temperatures and under the localisation that the last one is given
    by the tool, so that the curve does not show changes of the question. Where chains at the last one do not converge
    within the budget, the next tighter localisation is tried, up to the tightest, γ = 10,000.

    Args:
        subject: the model with its loss and data; its own weights are not used.
        checkpoints: a folder of ``.safetensors``, ``.pt`` or ``.pth`` files, ordered by the numbers in their names;
            state dicts, modules or points ``(D,)`` in order; or these by name.
        method: see :func:`learning_coefficient`.
        seed: everything random follows from it.
        checkpoint: folder for unfinished work; the same call with it resumes where it was.
        progress: called with the share done and a text.
        **options: the other options of :func:`learning_coefficient`.

    Raises:
        InputError: for an empty folder or list, before any sampling.
        CheckpointError: for a file that cannot be read, weights that do not fit, or a loss there that is not finite,
            before any sampling.

    Example:
        >>> import torch
        >>> from pindown import Subject, learning_coefficient_over_training
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> subject = Subject(model, "mse", (x, x.sum(1, keepdim=True)))
        >>> states = {"step 1": {"weight": torch.ones(1, 2)}}  # the solution: λ = 1
        >>> curve = learning_coefficient_over_training(subject, states, precision=0.1, self_check=False)
        >>> curve.names, abs(curve.points[0].value - 1.0) < 0.3
        (('step 1',), True)
    """
    if not isinstance(subject, Subject):
        raise InputError(f"checkpoints of {type(subject).__name__}", "a pindown.Subject")
    points = checkpoint_points(subject, checkpoints)
    progress = None if progress is None else rising(progress)
    names = tuple(points)
    found: dict[str, LearningCoefficient] = {}
    gamma = options.pop("localisation", None)
    check = bool(options.pop("self_check", True))

    def at(i: int, gamma: float | None, kept: str = "") -> LearningCoefficient:
        name = names[i]
        place = len(names) - 1 - i
        return learning_coefficient(
            subject, method, seed, point=points[name], localisation=gamma, self_check=check and place == 0,
            checkpoint=None if checkpoint is None else Path(checkpoint) / f"{i}{kept}",
            progress=None if progress is None else part(progress, place, len(names), name), **options,
        )  # fmt: skip

    last = len(names) - 1
    found[names[last]] = first = at(last, gamma)
    for tighter in [g for g in GAMMAS if gamma is None and g > first.localisation]:
        if first.status is not Status.NOT_CONVERGED:
            break
        wider, first = first.localisation, at(last, tighter, f"-{tighter:g}")
        why = f"γ = {tighter:g}, since chains under γ = {wider:g} did not converge within the budget"
        first = replace(first, choices={**first.choices, "localisation": why})
        if first.status.ok:
            found[names[last]] = first
    gamma = found[names[last]].localisation
    for i in reversed(range(last)):
        found[names[i]] = at(i, gamma)
    steps = tuple(_step(name, i) for i, name in enumerate(names))
    return LearningCurve(subject.name, names, steps, tuple(found[n] for n in names), seed)


def checkpoint_points(
    subject: Subject,
    checkpoints: str | Path | Iterable[State | nn.Module | Tensor] | Mapping[str, State | nn.Module | Tensor],
) -> dict[str, Tensor]:
    """The points of a training run by name, in order, as :func:`learning_coefficient_over_training` takes them.

    Raises:
        InputError, CheckpointError: as there.
    """
    space = subject.space()
    points: dict[str, Tensor] = {}
    for name, given in _named(checkpoints).items():
        try:
            point = given if isinstance(given, Tensor) else space.flatten(given)
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error.got}", error.wanted, error.remedy) from error
        if tuple(point.shape) != (space.dim,):
            raise InputError(f"{name}: a point of shape {tuple(point.shape)}", f"({space.dim},)")
        points[name] = point.to(space.dtype).to(subject.device)
    losses = [float(subject.losses(p.unsqueeze(0))) for p in points.values()]
    broken = [name for name, loss in zip(points, losses, strict=True) if not math.isfinite(loss)]
    if broken:
        raise CheckpointError(
            f"a loss that is not finite at {', '.join(broken)}", "weights with a finite loss", "leave these out"
        )
    return points


def checkpoint_files(folder: str | Path) -> list[Path]:
    """The checkpoints in a folder, ordered by the numbers in their names.

    Raises:
        InputError: for no folder, or none inside.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder at {folder}", "a folder of checkpoints", "check the path")
    files = [f for f in folder.iterdir() if f.suffix in ENDINGS]
    if not files:
        raise InputError(f"no checkpoint in {folder}", f"files that end in {', '.join(ENDINGS)}")
    return sorted(files, key=lambda f: ([int(n) for n in re.findall(r"\d+", f.stem)], f.name))


def _named(given: Any) -> dict[str, State | nn.Module | Tensor]:
    if isinstance(given, str | Path):
        return {f.stem: read_state(f) for f in checkpoint_files(given)}
    if isinstance(given, Mapping):
        named = {str(k): v for k, v in cast("Mapping[Any, Any]", given).items()}
    else:
        named = {f"checkpoint {i}": v for i, v in enumerate(given)}
    wrong = [type(v).__name__ for v in named.values() if not isinstance(v, nn.Module | Mapping | Tensor)]
    if wrong or not named:
        raise InputError(f"checkpoints of type {', '.join(wrong) or 'nothing'}", "state dicts, modules or points")
    return named


def _step(name: str, place: int) -> int:
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else place
