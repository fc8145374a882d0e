"""How much of a trained network can be pruned before its loss rises by ε: single weights, or whole channels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.cost import Cost, evaluation_cost
from pindown.network.diagonal import curvature_diagonal
from pindown.network.examples import Evaluation, Examples
from pindown.network.kept import Kept
from pindown.network.progress import Progress, window
from pindown.network.pruning_results import Pruning, PruningCurve, TensorShare
from pindown.network.pruning_search import Measured, Path, Rows, planned_evaluations
from pindown.network.rise import RiseQuestion
from pindown.network.subject import Solution, Subject
from pindown.rng import torch_generator
from pindown.spaces.network import Weights
from pindown.spaces.weight_priors import matching_names

__all__ = ["Pruning", "plan_pruning", "prunable_tensors", "pruning"]

Order = Literal["magnitude", "saliency"]
Scope = Literal["global", "tensor"]
_PROBES = 32


def pruning(
    subject: Subject,
    *,
    epsilon: float,
    relative: bool = False,
    order: Order = "magnitude",
    scope: Scope = "global",
    structured: bool = False,
    solution: int | Solution = 0,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    draws: int = 8,
    seed: int = 0,
    checkpoint: str | FilePath | None = None,
    progress: Progress | None = None,
) -> Pruning:
    r"""Measure the share of a network's weights that has to stay for its mean training loss to rise by at most ε.

    Weights are set to zero in order of magnitude, or of their saliency
    :math:`\tfrac12 h_{ii} w_i^2`, the rise that the diagonal of the curvature predicts for each one alone at a minimum
    (LeCun, Denker and Solla 1990, Optimal brain damage, eq. 5; the curvature from
    :mod:`pindown.network.diagonal`). The rise is then measured: at a grid of shares kept, and by halving to the first
    crossing of ε (:mod:`pindown.network.pruning_search`). Nothing is retrained. Random orders are the control: an order
    that does no better than they do knows nothing.

    With ``structured=True`` whole channels go, with everything that hangs on them, out of a copy of the module, by the
    dependency graph of torch-pruning (Fang et al. 2023, DepGraph: towards any structural pruning), ranked by the mean
    score of their weights. Shares are then of all parameters.

    Magnitudes are a property of the weights, not of the function: rescaling the units of a ReLU layer keeps every
    output and changes the order (Dinh et al. 2017). Saliencies ``h w²`` do not change under it, nor do the figures by
    saliency.

    Args:
        subject: the network with its loss and data; the loss must be a mean over examples.
        epsilon: the rise, in the loss's own unit (nats for cross-entropy).
        relative: whether ``epsilon`` is a share of the loss of the weights as given.
        order: ``"magnitude"`` or ``"saliency"``.
        scope: ``"global"`` ranks all weights together; ``"tensor"`` takes the same share from each tensor.
        structured: whether whole channels go. Needs the extra ``prune``.
        solution: which of the subject's solutions, or another.
        include: globs over the names of the tensors; by default those of two axes or more.
        exclude: globs of tensors that stay whole.
        draws: random orders of the control; 0 for none.
        seed: everything random follows from it.
        checkpoint: folder for unfinished work; the same call with it goes on from there to the same answer.
        progress: called with the share done and a text.

    Returns:
        The curve with its threshold, the control, and what is left of each tensor. Errors are over examples, paired
        with the network as given; those of the control over draws too.

    Raises:
        InputError: for a bad argument, a loss that is no mean over examples or not finite as given, or without
            torch-pruning where it is needed.
        CheckpointError: for a checkpoint that is damaged or of another call.

    Example:
        >>> import torch
        >>> from pindown import Subject, pruning
        >>> line = torch.nn.Linear(4, 1, bias=False)
        >>> with torch.no_grad():
        ...     _ = line.weight.copy_(torch.tensor([[2.0, 0.0, 0.0, -1.0]]))
        >>> x = torch.eye(4).repeat(5, 1)
        >>> found = pruning(Subject(line, "mse", (x, line(x).detach()), prior="lecun"), epsilon=0.01)
        >>> found.kept.value, found.curve.pruned  # the two zeros can go, neither of the others can
        (0.5, 2)
    """
    _check(order, scope, draws)
    question = RiseQuestion(subject, solution, epsilon, relative, progress)
    names = prunable_tensors(subject.space(), include, exclude)
    settings = {"order": order, "scope": scope, "structured": structured, "seed": seed, "names": names}
    kept = Kept(checkpoint, "pruning", subject, question.point, settings)
    job = _Job(subject, question, names, order, scope, seed, kept)
    try:
        curve, control, parts = job.structured(draws) if structured else job.single_weights(draws)
    finally:
        kept.close()
    question.tell(1.0, "done")
    return Pruning(
        held_out_examples=subject.held_out_size, structured=structured, scope=scope, baseline=question.baseline,
        curve=curve, control=control, advantage=_advantage(curve, control), seed=seed, evaluations=job.evaluations,
        notes=tuple(_notes(order, curve, control)), **question.described(), **parts,
    )  # fmt: skip


def plan_pruning(
    subject: Subject,
    *,
    order: Order = "magnitude",
    draws: int = 8,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
) -> Cost:
    """What :func:`pindown.pruning` of single weights will take, from a few evaluations made just now.

    Raises:
        InputError: for globs that match nothing.
    """
    space = subject.space()
    names = prunable_tensors(space, include, exclude)
    size = sum(space.slices[n].stop - space.slices[n].start for n in names)
    share = 1.0 + (subject.held_out_size / subject.train_size)
    count = share * (planned_evaluations(1, size) + planned_evaluations(draws, size))
    gradients = _PROBES if order == "saliency" else 0
    return evaluation_cost(subject, "pruning", count, vectors=12 + 2 * draws, gradients=gradients)


def prunable_tensors(
    space: Weights, include: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> list[str]:
    """The tensors that pruning is about: those that the globs leave, by default of two axes or more.

    Raises:
        InputError: for globs that match nothing.
    """
    names = matching_names(space.names, include, exclude)
    return names if include is not None else [n for n in names if len(space.shapes[n]) > 1]


class _Job:
    def __init__(
        self, subject: Subject, question: RiseQuestion, names: Sequence[str], order: Order, scope: Scope, seed: int,
        kept: Kept,
    ) -> None:  # fmt: skip
        self.subject, self.names, self.order, self.scope, self.seed = subject, names, order, scope, seed
        self.point, self.epsilon, self.unit, self.tell = question.point, question.epsilon, question.unit, question.tell
        self.kept = kept
        self.examples = Examples(subject)
        self.held_out = Examples(subject, held_out=True) if subject.held_out_size else None

    @property
    def evaluations(self) -> int:
        """Networks evaluated, on training and held-out examples."""
        return self.examples.evaluations + (self.held_out.evaluations if self.held_out else 0)

    def single_weights(self, draws: int) -> tuple[PruningCurve, PruningCurve | None, dict[str, Any]]:
        """Prune weights one by one."""
        space = self.subject.space()
        where = [torch.arange(space.dim, device=self.point.device)[space.slices[n]] for n in self.names]
        sizes = [len(w) for w in where]
        if not where or not bool(self.point[torch.cat(where)].any()):
            return _nothing(self.order), None, {"weights": sum(sizes), "tensors": (), "unsupported": ()}
        score = self._scores()
        path = WeightPath(self, self.order, [_ranked(where, [score[w] for w in where], self.scope)])
        curve = self._measure(path, 0.0, 0.3)
        control = None
        if draws:
            orders = []
            for k in range(draws):
                g = torch_generator(self.seed, 0x9A4D, k)
                orders.append(_ranked(where, [torch.rand(n, generator=g).to(score.device) for n in sizes], self.scope))
            control = self._measure(WeightPath(self, "random", orders), 0.3, 0.7)
        gone = torch.zeros(space.dim, dtype=torch.bool, device=self.point.device)
        gone[path.orders[0][: curve.pruned].long()] = True
        shares = [
            TensorShare(n, len(w), 1.0 - float(gone[w].double().mean())) for n, w in zip(self.names, where, strict=True)
        ]
        return curve, control, {"weights": sum(sizes), "tensors": tuple(shares), "unsupported": ()}

    def structured(self, draws: int) -> tuple[PruningCurve, PruningCurve | None, dict[str, Any]]:
        """Prune channels."""
        from pindown.network.structured import ChannelPath, Channels

        self.tell(0.0, "dependencies")
        channels = Channels(self.subject, self.point, self.names)
        parts: dict[str, Any] = {
            "weights": channels.parameters, "tensors": (), "unsupported": tuple(channels.unsupported)
        }  # fmt: skip
        if not channels.units:
            return _nothing(self.order), None, parts
        order = channels.ranked(channels.scores(self._scores()), self.scope)
        path = ChannelPath(channels, self.order, [order], self.examples, self.held_out)
        curve = self._measure(path, 0.05, 0.3)
        control = None
        if draws:
            orders = [
                channels.ranked(torch.rand(channels.units, generator=torch_generator(self.seed, 0x9A4E, k)), self.scope)
                for k in range(draws)
            ]
            control = self._measure(ChannelPath(channels, "random", orders, self.examples, self.held_out), 0.35, 0.65)
        parts["tensors"] = tuple(TensorShare(*row) for row in channels.left(order[: curve.pruned]))
        return curve, control, parts

    def evaluate_points(self, points: Sequence[Tensor]) -> list[tuple[Evaluation, Evaluation | None]]:
        """Training and held-out evaluations of weight vectors, made one chunk at a time."""
        x = torch.stack(list(points))
        train = self.examples.at(x)
        held = self.held_out.at(x) if self.held_out is not None else None
        return [(_row(train, i), None if held is None else _row(held, i)) for i in range(len(x))]

    def _measure(self, path: Path, start: float, width: float) -> PruningCurve:
        base, held = self.evaluate_points([self.point])[0]
        rows = Rows(path, base, held, self.kept)
        return Measured(rows, self.epsilon, self.unit, self.seed).run(window(self.tell, start, width, path.name))

    def _scores(self) -> Tensor:
        """What each weight is ranked by, ``(D,)``: small ones go first."""
        square = self.point.double().square()
        if self.order == "magnitude":
            return square
        diagonal = curvature_diagonal(self.subject, self.point, probes=_PROBES, seed=self.seed)
        return 0.5 * diagonal.values.clamp_min(0.0) * square


class WeightPath:
    """Single weights in the order in which they are set to zero; see :class:`pindown.network.pruning_search.Path`."""

    def __init__(self, job: _Job, name: str, orders: Sequence[Tensor]) -> None:
        self.job, self.name, self.orders = job, name, orders
        self.size, self.draws = len(orders[0]), len(orders)

    def kept(self, m: int) -> float:
        """Share of the weights that is left."""
        return (self.size - m) / self.size

    def evaluate(self, wanted: Sequence[tuple[int, int]]) -> list[tuple[Evaluation, Evaluation | None]]:
        """Training and held-out examples for each pair of (m, draw)."""
        out: list[tuple[Evaluation, Evaluation | None]] = []
        for part in self.job.examples.chunks(len(wanted)):
            points = [
                self.job.point.index_fill(0, self.orders[k][:m].long(), 0.0) for m, k in (wanted[i] for i in part)
            ]
            out += self.job.evaluate_points(points)
        return out


def _row(evaluation: Evaluation, i: int) -> Evaluation:
    errors = evaluation.errors
    return Evaluation(evaluation.losses[i : i + 1], None if errors is None else errors[i : i + 1])


def _ranked(where: Sequence[Tensor], scores: Sequence[Tensor], scope: str) -> Tensor:
    """Indices in order of their score; ``"tensor"`` makes it the rank within the tensor, relative to its size."""
    keys = list(scores)
    if scope == "tensor":
        keys = [s.argsort(stable=True).argsort(stable=True).double() / len(s) for s in scores]
    order = torch.cat(list(where))[torch.cat(keys).argsort(stable=True)]
    return order.int() if len(order) < 2**31 else order  # there may be several, each as long as the weights


def _nothing(order: str) -> PruningCurve:
    kept = Estimate(math.nan, math.nan, "1", status=Status.UNSUPPORTED, reference=f"{order} pruning")
    return PruningCurve(order, 1, 0, 0, kept, None, (), (), (), ())


def _advantage(curve: PruningCurve, control: PruningCurve | None) -> Estimate | None:
    """How much less the curve keeps than the control; examples are resampled together."""
    if control is None:
        return None
    reference = f"random minus {curve.order} pruning"
    status = next((c.kept.status for c in (curve, control) if not c.kept.status.ok), Status.REACHED)
    value = control.kept.value - curve.kept.value
    bound = any(c.kept.kind != "estimate" for c in (curve, control))
    error = math.nan if bound else float(np.std(np.subtract(control.replicates, curve.replicates), ddof=1))
    return Estimate(value, error, "1", status=status, reference=reference, support=(-1.0, 1.0))


def _notes(order: str, curve: PruningCurve, control: PruningCurve | None) -> list[str]:
    out = ["Nothing was retrained: fine-tuning after pruning may keep less."]
    if order == "magnitude":
        out.append(
            "Magnitudes are properties of the weights, not of the function: rescaling the units of a ReLU layer keeps "
            "every output and changes the order (Dinh et al. 2017). Saliencies do not change."
        )
    for c in (curve, control):
        if c is not None and c.falls:
            out.append(
                f"The curve of {c.order} pruning is not monotone: its loss falls along {len(c.falls)} of the measured "
                "steps. The threshold is the first crossing that was seen."
            )
    return out


def _check(order: str, scope: str, draws: int) -> None:
    if order not in ("magnitude", "saliency"):
        raise InputError(f"order {order!r}", '"magnitude" or "saliency"')
    if scope not in ("global", "tensor"):
        raise InputError(f"scope {scope!r}", '"global" or "tensor"')
    if isinstance(draws, bool) or draws < 0 or draws == 1:
        raise InputError(f"draws {draws!r}", "0, or 2 and more", "one random order has no interval")
