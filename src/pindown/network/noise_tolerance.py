"""How much Gaussian noise the weights of a trained network tolerate before its loss rises by ε."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.network.cost import Cost, evaluation_cost
from pindown.network.examples import Examples, crossed_mean, paired_mean
from pindown.network.kept import Kept
from pindown.network.noise_results import NoisePoint, NoiseTolerance, TensorTolerance
from pindown.network.noise_search import FIRST, Crossing, Rises, crossing
from pindown.network.progress import Progress
from pindown.network.rise import RiseQuestion
from pindown.network.subject import Solution, Subject
from pindown.rng import torch_generator
from pindown.spaces.weight_priors import matching_names

__all__ = ["NoiseTolerance", "noise_tolerance", "plan_noise_tolerance"]

_CURVE = (-3, -2, -1, 0, 1, 2)  # octaves around the crossing
_NOISE_BYTES = 250_000_000
_LEVELS = 18.0  # values of σ at which a crossing looks, as seen on perceptrons and small transformers


def noise_tolerance(
    subject: Subject,
    *,
    epsilon: float,
    relative: bool = False,
    solution: int | Solution = 0,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    tensors: bool = True,
    accuracy: float = 0.05,
    draws: int = 512,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> NoiseTolerance:
    r"""Measure the standard deviation of Gaussian noise on the weights at which the mean loss has risen by ε.

    With independent standard normals ξ the rise is

    .. math:: R(\sigma) = \operatorname{E}\,L(w + \sigma s \circ \xi) - L(w)
        = \tfrac12 \sigma^2 \sum_i s_i^2 H_{ii} + O(\sigma^4)

    where L is the mean training loss and H its Hessian; for linear regression the first term is all there is. Three
    kinds of noise are measured: on all weights relative to the root mean square of their tensor (``joint``; s is that
    value), on all weights alike (``absolute``; s = 1), and on one tensor at a time (``tensors``). What single tensors
    tolerate does not hold for all at once. A tolerance relative to the root mean square is also given in bits,
    :math:`\log_2(\mathrm{rms}/\sigma)`: how many of each weight's leading bits count.

    The search is that of :mod:`pindown.network.noise_search`: antithetic pairs of draws, the same at every σ, as many
    as it takes for a standard error of ``accuracy`` in ln σ. The expected rise under Gaussian noise as a measure of
    flatness is that of Neyshabur et al. 2017 (Exploring generalization in deep learning) and of PAC-Bayes bounds.

    Noise is a question about weights, not about the function: rescaling the units of a ReLU layer leaves every output
    as it is and moves these figures (Dinh et al. 2017, Sharp minima can generalize for deep nets).

    Args:
        subject: the network with its loss and data.
        epsilon: the rise, in the loss's own unit (nats for cross-entropy).
        relative: whether ``epsilon`` is a share of the loss of the weights as given.
        solution: which of the subject's solutions, or another.
        include: globs over the names of the tensors that get noise; all that move by default.
        exclude: globs of tensors that get none.
        tensors: whether to measure single tensors too.
        accuracy: standard error of ln σ to reach.
        draws: pairs of draws at most.
        seed: everything random follows from it. Networks of the same shape get the same noise.
        checkpoint: folder for unfinished work; the same call with it goes on from there to the same answer.
        progress: called with the share done and a text.

    Returns:
        The tolerances. Their errors are over draws, on the given training examples; those of the held-out rises are
        over draws and held-out examples. Where the loss does not rise by ε up to 64 root mean squares, or has risen by
        it at 2⁻³⁰, the figure is a bound and *out of range*. A tensor of zeros has no root mean square and is
        *unsupported*.

    Raises:
        InputError: for a bad argument or a loss that is not finite as given.
        CheckpointError: for a checkpoint that is damaged or of another call.

    Example:
        >>> import torch
        >>> from pindown import Subject, noise_tolerance
        >>> line = torch.nn.Linear(2, 1, bias=False)
        >>> _ = torch.nn.init.ones_(line.weight)
        >>> x = 2.0 * torch.eye(2)  # loss (4 d₁² + 4 d₂²)/2: R(σ) = 4σ²
        >>> found = noise_tolerance(Subject(line, "mse", (x, 2.0 * torch.ones(2, 1)), prior="lecun"), epsilon=0.01)
        >>> low, high = found.joint.sigma.interval(0.99)
        >>> low < 0.05 < high  # √(0.01/4)
        True
    """
    _check(accuracy, draws)
    question = RiseQuestion(subject, solution, epsilon, relative, progress)
    point, tell = question.point, question.tell
    names = matching_names(subject.space().names, include, exclude)
    kept = Kept(checkpoint, "noise-tolerance", subject, point, {"seed": seed, "tensors": names})
    run = _Run(subject, question, names, accuracy, draws, seed, kept)
    try:
        tell(0.0, "all tensors")
        joint, curve, held_out, influence, falls = run.joint()
        tell(0.2, "all weights alike")
        absolute = run.absolute()
        rows: list[TensorTolerance] = []
        for i, name in enumerate(names if tensors else ()):
            tell(0.3 + 0.7 * i / len(names), name)
            rows.append(run.single(i, name))
    finally:
        kept.close()
    tell(1.0, "done")
    return NoiseTolerance(
        held_out_examples=subject.held_out_size, baseline=question.baseline, joint=joint, absolute=absolute,
        tensors=tuple(rows), curve=curve, held_out_rise=held_out, influence=influence, falls=falls, seed=seed,
        accuracy=accuracy, evaluations=run.evaluations, notes=tuple(run.notes(joint, rows)), **question.described(),
    )  # fmt: skip


def plan_noise_tolerance(
    subject: Subject,
    *,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    tensors: bool = True,
) -> Cost:
    """What :func:`pindown.noise_tolerance` will take, from a few evaluations made just now.

    Raises:
        InputError: for globs that match nothing.
    """
    names = matching_names(subject.space().names, include, exclude)
    kinds = 2 + (len(names) if tensors else 0)
    return evaluation_cost(subject, "noise tolerance", kinds * _LEVELS * 2 * FIRST, vectors=2 * FIRST)


class _Run:
    def __init__(
        self, subject: Subject, question: RiseQuestion, names: Sequence[str], accuracy: float, draws: int, seed: int,
        kept: Kept,
    ) -> None:  # fmt: skip
        self.subject, self.names, self.point, self.base = subject, names, question.point, question.base
        self.accuracy, self.draws, self.seed, self.kept = accuracy, draws, seed, kept
        self.space, self.unit, self.epsilon = subject.space(), question.unit, question.epsilon
        self.examples = Examples(subject)
        self.evaluations = 1
        self.rms = {n: float(self.point[self.space.slices[n]].double().square().mean().sqrt()) for n in names}
        chosen = torch.cat([self.point[self.space.slices[n]] for n in names])
        self.size, self.whole_rms = len(chosen), float(chosen.double().square().mean().sqrt())
        self.reference = f"Gaussian noise on the weights, {subject.train_size:,} training examples as given"

    def joint(
        self,
    ) -> tuple[TensorTolerance, tuple[NoisePoint, ...], Estimate | None, tuple[float, ...], tuple[float, ...]]:
        """Noise relative to each tensor's root mean square, with the curve around the crossing."""
        scale = torch.zeros_like(self.point)
        for n in self.names:
            scale[self.space.slices[n]] = self.rms[n]
        if not bool(scale.any()):
            return self._unsupported("all tensors", self.size, 0.0), (), None, (), ()
        rises, found = self._crossing("joint", scale, 0)
        row = self._row("all tensors", self.size, None, found)
        curve: list[NoisePoint] = []
        held_out: Estimate | None = None
        noise = self._noise(scale, 0)
        examples = Examples(self.subject, held_out=True) if self.subject.held_out_size else None
        if found.side == "":
            for octave in _CURVE:
                sigma = found.sigma * 2.0**octave
                count = found.draws if octave == 0 else min(FIRST, found.draws)
                rise = paired_mean(rises.at(sigma, count), self.unit, self.reference)
                beside = self._held_out(examples, noise, sigma, count) if examples is not None else None
                curve.append(NoisePoint(sigma, rise, beside))
                held_out = beside if octave == 0 else held_out
        return row, tuple(curve), held_out, found.influence, found.falls

    def absolute(self) -> TensorTolerance:
        """The same noise on every weight."""
        if self.whole_rms == 0.0:
            return self._unsupported("all weights", self.size, 0.0)
        scale = torch.zeros_like(self.point)
        for n in self.names:
            scale[self.space.slices[n]] = self.whole_rms
        return self._row("all weights", self.size, self.whole_rms, self._crossing("absolute", scale, 0)[1])

    def single(self, i: int, name: str) -> TensorTolerance:
        """Noise on one tensor."""
        where = self.space.slices[name]
        size = where.stop - where.start
        if self.rms[name] == 0.0:
            return self._unsupported(name, size, 0.0)
        scale = torch.zeros_like(self.point)
        scale[where] = self.rms[name]
        return self._row(name, size, self.rms[name], self._crossing(name, scale, 1 + i)[1])

    def notes(self, joint: TensorTolerance, rows: Sequence[TensorTolerance]) -> list[str]:
        """What the figures do not say."""
        out = [
            "Tolerances are properties of the weights, not of the function: rescaling the units of a ReLU layer keeps "
            "every output and moves them (Dinh et al. 2017).",
        ]
        if rows:
            out.append("What one tensor tolerates alone does not hold for all at once: the joint figure does.")
        if any(r.sigma.status.value == "unsupported" for r in (joint, *rows)):
            out.append("Tensors of zeros have no root mean square: their noise has no scale, and they have no rank.")
        return out

    def _noise(self, scale: Tensor, branch: int) -> Callable[[int], Tensor]:
        where = scale.nonzero().flatten()
        drawn: dict[int, Tensor] = {}  # the same at every σ
        most = _NOISE_BYTES // (scale.numel() * scale.element_size())

        def draw(k: int) -> Tensor:
            if k not in drawn:
                fresh = again(k)
                if len(drawn) >= most:
                    return fresh
                drawn[k] = fresh
            return drawn[k]

        def again(k: int) -> Tensor:
            g = torch_generator(self.seed, 0x401, branch, k)
            xi = torch.randn(len(where), generator=g, dtype=self.space.dtype).to(scale.device)
            return torch.zeros_like(scale).index_copy_(0, where, xi * scale[where])

        return draw

    def _crossing(self, name: str, scale: Tensor, branch: int) -> tuple[Rises, Crossing]:
        noise = self._noise(scale, branch)

        def pairs(sigma: float, start: int, stop: int) -> Tensor:
            out: list[Tensor] = []
            for part in self.examples.chunks(2 * (stop - start)):
                # Both signs of a draw, one after the other.
                rows = [self.point + (sigma if i % 2 == 0 else -sigma) * noise(start + i // 2) for i in part]
                out.append(self.subject.losses(torch.stack(rows)).double())
            self.evaluations += 2 * (stop - start)
            rise = torch.cat(out).view(-1, 2).mean(1) - self.base
            return torch.nan_to_num(rise, nan=math.inf, posinf=math.inf, neginf=-math.inf)

        rises = Rises(pairs, self.kept, name)
        return rises, crossing(rises, self.epsilon, accuracy=self.accuracy, most=self.draws)

    def _held_out(self, examples: Examples, noise: Callable[[int], Tensor], sigma: float, count: int) -> Estimate:
        """The held-out rise, with an error over draws and examples."""
        base = examples.at(self.point.unsqueeze(0))

        def compute(start: int, stop: int) -> Tensor:
            parts: list[Tensor] = []
            for part in examples.chunks(2 * (stop - start)):
                rows = [self.point + (sigma if i % 2 == 0 else -sigma) * noise(start + i // 2) for i in part]
                parts.append(examples.at(torch.stack(rows)).rises(base))
            self.evaluations += 2 * (stop - start)
            return torch.cat(parts).view(stop - start, 2, -1).mean(1)

        rises = self.kept.rows(f"held-out {sigma.hex()}", count, compute)
        return crossed_mean(rises, self.unit, f"Gaussian noise, {examples.size:,} held-out examples as a sample")

    def _row(self, name: str, size: int, rms: float | None, found: Crossing) -> TensorTolerance:
        """A crossing as figures."""
        kind = {"": "estimate", "above": "lower_bound", "below": "upper_bound"}[found.side]
        opposite = {"estimate": "estimate", "lower_bound": "upper_bound", "upper_bound": "lower_bound"}[kind]
        dof = float(max(found.draws - 1, 1))
        common = {"status": found.status, "reference": self.reference, "dof": dof}
        error = found.log_error if found.side == "" else 0.0
        sigma = Estimate(found.sigma, found.sigma * error, "rms", kind, **common)  # type: ignore[arg-type]
        leading = Estimate(-math.log2(found.sigma), bits(error), "bits", opposite, **common)  # type: ignore[arg-type]
        absolute = None
        if rms is not None:
            absolute = Estimate(rms * found.sigma, rms * found.sigma * error, "1", kind, **common)  # type: ignore[arg-type]
        return TensorTolerance(name, size, rms, sigma, absolute, leading, found.draws)

    def _unsupported(self, name: str, size: int, rms: float) -> TensorTolerance:
        def nothing(unit: str) -> Estimate:
            return Estimate(math.nan, math.nan, unit, status=Status.UNSUPPORTED, reference=self.reference)

        return TensorTolerance(name, size, rms, nothing("rms"), None, nothing("bits"), 0)


def _check(accuracy: float, draws: int) -> None:
    if not 0.0 < accuracy < 1.0:
        raise InputError(f"accuracy {accuracy}", "a standard error of ln σ between 0 and 1, such as 0.05")
    if isinstance(draws, bool) or draws < 4:
        raise InputError(f"draws {draws!r}", "4 pairs or more")
