"""What a sampler found on one task, as plain values that a step can keep: labels, groups, margins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.settings import Settings
from pindown.estimate import Estimate
from pindown.network.ensemble_training import EnsembleOptimiser, train_ensemble
from pindown.network.function_sample import FunctionSample
from pindown.network.perceptrons import PerceptronPrior
from pindown.network.random_solutions import random_solutions
from pindown.studies.tasks import BinaryTask, boolean_task, digit_pair_task, random_labels

__all__ = ["Found", "clustered_mean", "draw_random", "make_task", "train_runs"]


def make_task(spec: Mapping[str, Any]) -> BinaryTask:
    """The task that a plain description names."""
    task = (
        boolean_task(spec["m"], training_set=spec["training_set"])
        if spec["kind"] == "boolean"
        else digit_pair_task(spec["digits"][0], spec["digits"][1], spec["m"], training_set=spec["training_set"])
    )
    coins = spec.get("coins")
    return task if coins is None else random_labels(task, coins)


def draw_random(
    *, task: Mapping[str, Any], widths: tuple[int, ...], count: int, draws: int = 1, margin: float = 0.0,
    law: str = "normal", seed: int = 0, split: tuple[int, int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Random solutions of a task: by rejection, or with ``split`` by that many runs of that many particles each."""
    data = make_task(task)
    prior = PerceptronPrior(tuple(widths), law=law)  # type: ignore[arg-type]
    how: dict[str, Any] = {"engine": "rejection"}
    if split is not None:
        repeats, particles = split
        how = {"engine": "splitting", "repeats": repeats, "settings": Settings(splitting_particles=particles)}
    found = random_solutions(
        prior, data.train_x, data.train_y, count=count, draws=draws, margin=margin, seed=seed, **how
    )
    return {
        **_record(prior, data, found.points, found.groups), "attempted": len(found), "draws": found.draws,
        "bits": found.bits.to_dict(), "blocks": found.blocks,
    }  # fmt: skip


def train_runs(
    *, task: Mapping[str, Any], widths: tuple[int, ...], how: Mapping[str, Any], runs: int, stops: tuple[int, ...],
    level: float | None = None, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """An optimiser's runs on a task, at each stop; with ``level`` counted from that mean training loss on."""
    data = make_task(task)
    prior = PerceptronPrior(tuple(widths))
    found = train_ensemble(
        prior, data.train_x, data.train_y, runs=runs, how=EnsembleOptimiser(**how), stops=stops, epochs=1000,
        level=math.inf if level is None else level, seed=seed,
    )  # fmt: skip
    return {
        str(stop): {**_record(prior, data, r.points, r.groups), "attempted": r.attempted, "losses": r.losses.tolist()}
        for stop, r in found.items()
    }


def _record(prior: PerceptronPrior, task: BinaryTask, points: Tensor, groups: Tensor) -> dict[str, Any]:
    labels = prior.labels(points, task.x)
    margins = prior.margins(points, task.train_x, task.train_y)
    smallest = margins.amin(1) if len(points) else torch.empty(0)
    size = margins.square().mean(1).sqrt() if len(points) else torch.empty(0)
    return {
        "labels": [np.packbits(row).tobytes().hex() for row in labels.numpy()],
        "groups": groups.tolist(),
        "margins": smallest.tolist(),
        "scaled": (smallest / size).tolist(),
    }


class Found:
    """A sampler's draws on a task, read back from a step.

    Attributes:
        labels: ``(N, n)`` on all inputs of the task.
        groups, margins, scaled: as in the record; ``scaled`` is the margin over the root mean square output.
        attempted: runs started.
        errors: share of wrong labels on the inputs that are not for training, ``(N,)``.
        exact: which draws have every label of the task right, ``(N,)``.
    """

    def __init__(self, record: Mapping[str, Any], task: BinaryTask) -> None:
        n = len(task.x)
        rows = [np.frombuffer(bytes.fromhex(h), dtype=np.uint8) for h in record["labels"]]
        packed = np.stack(rows) if rows else np.empty((0, -(-n // 8)), dtype=np.uint8)
        self.labels: NDArray[np.int64] = np.unpackbits(packed, axis=1)[:, :n].astype(np.int64)
        self.groups = np.asarray(record["groups"], dtype=np.int64)
        self.margins = np.asarray(record["margins"], dtype=np.float64)
        self.scaled = np.asarray(record["scaled"], dtype=np.float64)
        self.attempted = int(record["attempted"])
        wrong = self.labels != task.y.numpy()[None, :]
        self.errors = wrong[:, task.rest.numpy()].mean(1)
        self.exact = ~wrong.any(1)

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, keep: NDArray[np.bool_] | None = None) -> FunctionSample:
        """The draws, or those that the mask names, for :func:`pindown.compare_samplers`."""
        keep = np.ones(len(self), dtype=bool) if keep is None else keep
        return FunctionSample(self.labels[keep], self.groups[keep], self.attempted)

    def distinct_groups(self, keep: NDArray[np.bool_]) -> int:
        """How many groups the kept draws come from."""
        return len(np.unique(self.groups[keep]))

    def mean(self, values: NDArray[Any], reference: str) -> Estimate:
        """A mean over draws with the error of independent groups."""
        return clustered_mean(values, self.groups, reference)


def clustered_mean(values: NDArray[Any], groups: NDArray[np.int64], reference: str) -> Estimate:
    """A mean over draws of values from 0 to 1, with the error of independent groups of them."""
    if not len(values):
        return Estimate(float("nan"), float("nan"), "1", reference=reference)
    mean = float(values.mean())
    each = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(each, weights=values.astype(float) - mean)
    error = float(np.sqrt((sums**2).sum()) / len(values))
    n = int(each.max()) + 1
    if error == 0.0:  # all alike, where Agresti and Coull (1998) keep the error above zero
        p = (n * mean + 2.0) / (n + 4.0)
        error = math.sqrt(p * (1.0 - p) / (n + 4.0))
    return Estimate(mean, error, "1", reference=reference, support=(0.0, 1.0))


def optimiser_record(how: EnsembleOptimiser) -> dict[str, Any]:
    """An optimiser as plain values."""
    return asdict(how)
