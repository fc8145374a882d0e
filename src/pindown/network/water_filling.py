"""The fewest bits that weights need on average for the loss to rise by ε: reverse water-filling over the curvature."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Kind, Status, bits
from pindown.network.cost import Cost, evaluation_cost
from pindown.network.diagonal import BLOCKS, Diagonal, DiagonalMatrix, curvature_diagonal
from pindown.network.examples import Examples
from pindown.network.kept import Kept
from pindown.network.noise_search import FIRST, Rises, crossing
from pindown.network.progress import Progress, window
from pindown.network.rise import RiseQuestion
from pindown.network.subject import Solution, Subject
from pindown.network.water_results import TensorRate, WaterFilling
from pindown.rng import torch_generator
from pindown.spaces.initialisation import Normal
from pindown.spaces.network import Weights
from pindown.spaces.weight_priors import matching_names
from pindown.stats import mean_and_stderr

__all__ = ["WaterFilling", "plan_water_filling", "reverse_water_filling", "water_filling"]

Source = Literal["rms", "prior"]


def reverse_water_filling(variances: Tensor, distortion: float) -> tuple[float, Tensor]:
    r"""The water level θ and the rates in bits at which independent Gaussians meet a total distortion D.

    .. math:: R(D) = \sum_i \max\Big(0, \tfrac12 \log_2 \frac{\sigma_i^2}{\theta}\Big), \qquad
        \sum_i \min(\theta, \sigma_i^2) = D

    (Kolmogorov 1956; Berger 1971, Rate distortion theory; Cover and Thomas 2006, Elements of information theory,
    theorem 10.3.3). Components below the water are not described at all.

    Args:
        variances: :math:`\sigma_i^2`, zero or more.
        distortion: D, above zero. From the total variance on no bits are needed and θ is the largest variance.

    Returns:
        θ, and the rates in the order of the variances.

    Raises:
        InputError: for a distortion of zero or less, or a negative variance.

    >>> level, rates = reverse_water_filling(torch.tensor([4.0, 1.0, 0.01]), 0.51)
    >>> round(level, 4), [round(float(r), 4) for r in rates]
    (0.25, [2.0, 1.0, 0.0])
    """
    v = variances.detach().double()
    if not distortion > 0.0 or not math.isfinite(distortion):
        raise InputError(f"distortion {distortion}", "a finite number above zero")
    if bool((v < 0.0).any()) or not bool(torch.isfinite(v).all()):
        raise InputError("variances that are negative or not finite", "numbers of zero or more")
    if distortion >= float(v.sum()):
        return float(v.max()) if len(v) else 0.0, torch.zeros_like(v)
    ascending = v.sort().values
    n = len(v)
    below = torch.cat([v.new_zeros(1), ascending.cumsum(0)[:-1]])  # variance under the water if it ends before i
    level = (distortion - below) / torch.arange(n, 0, -1, dtype=torch.float64, device=v.device)
    # The level ends before the first component that reaches above it.
    i = int((level <= ascending).nonzero()[0])
    theta = float(level[i])
    return theta, 0.5 * torch.log2(v / theta).clamp_min(0.0)


def water_filling(
    subject: Subject,
    *,
    epsilon: float,
    relative: bool = False,
    solution: int | Solution = 0,
    source: Source = "rms",
    matrix: DiagonalMatrix | None = None,
    probes: int | None = 32,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    accuracy: float = 0.05,
    draws: int = 256,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> WaterFilling:
    r"""Measure the fewest bits that describe the weights so that the mean loss rises by ε, under a quadratic loss.

    Near a minimum errors δ of the weights raise the loss by :math:`\tfrac12 \sum_i h_i \operatorname{E}\delta_i^2`
    where they are independent, with h the diagonal of the curvature. A weight is taken to be Gaussian of variance
    :math:`s_i^2`. Then the rise is the distortion of independent sources of variance :math:`\sigma_i^2 = \tfrac12 h_i
    s_i^2`, and the fewest bits are the rate–distortion function

    .. math:: R(\varepsilon) = \sum_i \max\Big(0, \tfrac12 \log_2 \frac{\sigma_i^2}{\theta}\Big), \qquad
        \sum_i \min(\theta, \sigma_i^2) = \varepsilon

    by :func:`reverse_water_filling`. No code for such weights has fewer bits at that rise (``bits``). The rates are
    then tried: the weights go through the Gaussian test channel that attains them, all at once, and the rise is
    measured (``predicted_rise``). It differs from ε where the loss is not quadratic that far out, and where the errors
    add up through curvature off the diagonal: what is lost of trained weights is not independent of it. So the water
    level at which the measured rise is ε is found too, and the bits there are the figure to use (``measured``).

    The curvature is estimated (:mod:`pindown.network.diagonal`), and a logarithm of an estimate is biased: both the
    error of the bits and their bias are the jackknife's over blocks of probes (Efron and Stein 1981, The jackknife
    estimate of variance), and the bias is taken off. The correction is added to the error in quadrature.

    ``½ h s²`` does not change when the units of a ReLU layer are rescaled one factor for the layer; a factor for each
    unit moves the root mean squares and with them the figure (Dinh et al. 2017).

    Args:
        subject: the network with its loss and data.
        epsilon: the rise, in the loss's own unit (nats for cross-entropy).
        relative: whether ``epsilon`` is a share of the loss of the weights as given.
        solution: which of the subject's solutions, or another.
        source: ``"rms"``: a weight has the mean square of its tensor; ``"prior"``: the variance of its prior.
        matrix: by default Gauss–Newton for cross-entropy and squared error, else the Hessian.
        probes: random vectors behind the curvature; None for the exact Gauss–Newton diagonal, for small networks.
        include: globs over the names of the tensors; all that move by default.
        exclude: globs of tensors that stay as they are and cost nothing.
        accuracy: standard error of half the logarithm of the water level, where the rise is measured.
        draws: pairs of passes through the test channel at most.
        seed: everything random follows from it.
        checkpoint: folder for unfinished work; the same call with it goes on from there to the same answer.
        progress: called with the share done and a text.

    Returns:
        The bits, in all and for each tensor. Where noise on all weights at the size of the weights themselves raises a
        quadratic loss by less than ε, no bits are needed and the figure is *out of range*.

    Raises:
        InputError: for a bad argument, a loss without derivatives or that is not finite as given.
        CheckpointError: for a checkpoint that is damaged or of another call.

    Example:
        >>> import torch
        >>> from pindown import Subject, water_filling
        >>> line = torch.nn.Linear(2, 1, bias=False)
        >>> _ = torch.nn.init.ones_(line.weight)
        >>> x = torch.diag(torch.tensor([2.0, 1.0]))  # loss (4 d₁² + d₂²)/2: variances 2 and 1/2
        >>> subject = Subject(line, "mse", (x, x @ torch.ones(2, 1)), prior="lecun")
        >>> found = water_filling(subject, epsilon=0.25, probes=None)  # θ = 1/8: ½ log2 16 + ½ log2 4
        >>> print(found.bits, round(found.level, 6))
        3 bits 0.125
    """
    _check(source, accuracy, draws)
    question = RiseQuestion(subject, solution, epsilon, relative, progress)
    space, point, tell = subject.space(), question.point, question.tell
    names = matching_names(space.names, include, exclude)
    kept = Kept(checkpoint, "water-filling", subject, point, {"seed": seed, "probes": probes, "matrix": matrix})
    try:
        diagonal = _diagonal(subject, point, matrix, probes, seed, kept, window(tell, 0.0, 0.8, "curvature"))
        fill = _Filling(space, point, names, diagonal, source, question.epsilon)
        tell(0.8, "test channel")
        channel = fill.channel(subject, question.base, seed, kept)
        rise, measured = fill.tried(channel, question.unit, accuracy, draws)
    finally:
        kept.close()
    tell(1.0, "done")
    trace = float(diagonal.values[fill.where].sum())
    return WaterFilling(
        matrix=diagonal.matrix, source=source, probes=0 if diagonal.exact else -(-(probes or 0) // BLOCKS) * BLOCKS,
        weights=len(fill.where), level=fill.level, predicted_rise=rise, measured=measured,
        measured_per_weight=_scaled(measured, 1.0 / len(fill.where)),
        trace=fill.jackknifed(lambda h: float(h[fill.where].sum()), "1", trace), seed=seed,
        evaluations=diagonal.passes + fill.evaluations + 1, notes=tuple(fill.notes(rise, subject)), **fill.figures(),
        **question.described(),
    )  # fmt: skip


def plan_water_filling(subject: Subject, *, probes: int | None = 32) -> Cost:
    """What :func:`pindown.water_filling` will take, from a few evaluations made just now."""
    outputs = (subject.classes or 1) * subject.labels
    gradients = float(probes) if probes is not None else float(outputs)
    return evaluation_cost(subject, "water-filling", 12.0 * 2 * FIRST, vectors=2 * BLOCKS + 6, gradients=gradients)


def _diagonal(
    subject: Subject, point: Tensor, matrix: DiagonalMatrix | None, probes: int | None, seed: int, kept: Kept,
    tell: Progress,
) -> Diagonal:  # fmt: skip
    found = kept.find("blocks")
    if found is not None:
        kind = matrix or ("gauss-newton" if subject.head.name in ("cross-entropy", "mean squared error") else "hessian")
        passes = int(kept.find("passes") or 0)
        return Diagonal(kind, found.to(point.device), len(found) == 1, passes)
    diagonal = curvature_diagonal(subject, point, matrix=matrix, probes=probes, seed=seed, progress=tell)
    kept.put("passes", torch.tensor(diagonal.passes))
    kept.put("blocks", diagonal.blocks)
    return diagonal


class _Filling:
    """Rates of the chosen weights for the curvature as estimated, and for it without each block of probes."""

    def __init__(
        self, space: Weights, point: Tensor, names: list[str], diagonal: Diagonal, source: Source, epsilon: float
    ) -> None:
        self.space, self.point, self.names, self.diagonal, self.epsilon = space, point, names, diagonal, epsilon
        self.source, self.dim = source, space.dim
        indices = torch.arange(space.dim, device=point.device)
        self.where = torch.cat([indices[space.slices[n]] for n in names])
        self.variance = torch.zeros(space.dim, dtype=torch.float64, device=point.device)
        for name in names:
            own = space.slices[name]
            value = point[own].double().square().mean() if source == "rms" else _prior_variance(space, name, point)
            self.variance[own] = value
        self.level, rates = self._fill(diagonal.values)
        self.rates = rates
        self.left_out = [] if diagonal.exact else [self._fill(diagonal.leaving_out(b))[1] for b in range(BLOCKS)]
        total = float(self._sources(diagonal.values)[self.where].sum())
        self.nothing = epsilon >= total
        self.evaluations = 0

    def figures(self) -> dict[str, Any]:
        """Bits and shares, in all and by tensor."""
        whole = self._bits(self.where)
        n = len(self.where)
        rows: list[TensorRate] = []
        for name in self.names:
            own = torch.arange(self.dim, device=self.point.device)[self.space.slices[name]]
            b = self._bits(own)
            spread = (
                float(self.variance[own[0]].sqrt()) if self.source == "rms" else float(self.variance[own].mean().sqrt())
            )
            rows.append(TensorRate(name, len(own), b, _scaled(b, 1.0 / len(own)), self._share(own), spread))
        return {
            "bits": whole, "per_weight": _scaled(whole, 1.0 / n), "above_water": self._share(self.where),
            "tensors": tuple(rows),
        }  # fmt: skip

    def jackknifed(self, statistic: Any, unit: str, value: float) -> Estimate:
        """A statistic of the curvature with its jackknife error; nothing is corrected."""
        if self.diagonal.exact:
            return Estimate(value, 0.0, unit, "exact", reference=self._reference())
        left = [statistic(self.diagonal.leaving_out(b)) for b in range(BLOCKS)]
        return Estimate(value, _jackknife_error(left), unit, reference=self._reference(), dof=BLOCKS - 1.0)

    def channel(self, subject: Subject, base: float, seed: int, kept: Kept) -> Rises:
        r"""Rises with weights through the test channel, :math:`\hat w = (1-a) w + \sqrt{a (1-a)}\, s \xi`.

        Here :math:`a = \min(1, u^2 \theta/\sigma^2)` is the share of a weight's variance that is lost at the water
        level :math:`u^2 \theta` (Cover and Thomas 2006, section 10.3.2, with the roles of source and reproduction
        turned round). Draws come in pairs :math:`\pm\xi`, the same at every u.
        """
        sources = self._sources(self.diagonal.values)[self.where].clamp_min(1e-300)
        own, spread = self.point[self.where].double(), self.variance[self.where].sqrt()
        examples = Examples(subject)

        def pairs(u: float, start: int, stop: int) -> Tensor:
            lost = (u * u * self.level / sources).clamp_max(1.0)
            centre, width = (1.0 - lost) * own, (lost * (1.0 - lost)).sqrt() * spread
            out: list[Tensor] = []
            for part in examples.chunks(2 * (stop - start)):
                rows: list[Tensor] = []
                for i in part:
                    g = torch_generator(seed, 0x7E57, start + i // 2)
                    xi = torch.randn(len(own), generator=g, dtype=torch.float64).to(own.device)
                    moved = centre + (width if i % 2 == 0 else -width) * xi
                    rows.append(self.point.index_copy(0, self.where, moved.to(self.point)))
                out.append(subject.losses(torch.stack(rows)).double())
            self.evaluations += 2 * (stop - start)
            rise = torch.cat(out).view(-1, 2).mean(1) - base
            return torch.nan_to_num(rise, nan=math.inf, posinf=math.inf, neginf=-math.inf)

        return Rises(pairs, kept, "channel")

    def tried(self, channel: Rises, unit: str, accuracy: float, most: int) -> tuple[Estimate, Estimate]:
        """The rise at the water level of the model, and the bits at the level where the rise is ε."""
        first = channel.at(1.0, min(FIRST, most))
        reference = "Gaussian test channel at these rates, training examples as given"
        rise = Estimate(math.inf, math.nan, unit, status=Status.NON_FINITE, reference=reference)
        if bool(torch.isfinite(first).all()):
            mean, error = mean_and_stderr(first.cpu().numpy())
            rise = Estimate(mean, error, unit, reference=reference, dof=float(max(len(first) - 1, 1)))
        if self.nothing:
            return rise, self._bits(self.where)
        found = crossing(channel, self.epsilon, accuracy=accuracy, most=most)
        level = found.sigma**2 * self.level

        def rate(curvature: Tensor) -> float:
            return float(0.5 * torch.log2(self._sources(curvature)[self.where] / level).clamp_min(0.0).sum())

        value = rate(self.diagonal.values)
        above = float((self._sources(self.diagonal.values)[self.where] > level).sum())
        left = (
            [rate(self.diagonal.leaving_out(b)) for b in range(BLOCKS)] if not self.diagonal.exact else [value] * BLOCKS
        )
        bias = (BLOCKS - 1) * (sum(left) / BLOCKS - value)
        words = "test channel whose measured rise is ε, Gaussian weights of the " + self.source + " variance"
        if found.side:
            # Levels above the range cost fewer bits still, and levels below it more.
            kind: Kind = "upper_bound" if found.side == "above" else "lower_bound"
            return rise, Estimate(value, 0.0, "bits", kind, found.status, words)
        # bits fall by half a bit for each weight above the water as ln θ = 2 ln u grows by ln 2
        drawn = bits(above * found.log_error)
        error = math.sqrt(drawn**2 + _jackknife_error(left) ** 2 + bias**2)
        return rise, Estimate(
            max(0.0, value - bias), error, "bits", "estimate", found.status, words, float(found.draws - 1)
        )

    def notes(self, rise: Estimate, subject: Subject) -> list[str]:
        """What the figures do not say."""
        out = [
            "A bound of rate–distortion theory for Gaussian weights and a quadratic loss, not a code: codes that meet "
            "it take many weights together.",
            "Mean squares are properties of the weights, not of the function: rescaling single units of a ReLU layer "
            "keeps every output and moves them (Dinh et al. 2017).",
        ]
        if not self.nothing and not self.epsilon / 1.5 <= rise.value <= 1.5 * self.epsilon:
            out.append(
                f"At the rates of the model the measured rise is {rise}, not {self.epsilon:.3g}: the loss is not "
                "quadratic that far out, or errors add up off the diagonal. Use the bits at the measured rise."
            )
        if self.diagonal.matrix == "hessian":
            negative = float((self.diagonal.values[self.where] < 0).double().mean())
            if negative:
                out.append(f"{negative:.0%} of the Hessian's diagonal is negative and was taken to be 0.")
        if subject.head.name == "cross-entropy" and self.diagonal.matrix == "gauss-newton":
            out.append("The curvature is that of the Gauss–Newton matrix: the Hessian's where the residuals vanish.")
        return out

    def _sources(self, curvature: Tensor) -> Tensor:
        out = torch.zeros_like(self.variance)
        out[self.where] = 0.5 * curvature[self.where].clamp_min(0.0) * self.variance[self.where]
        return out

    def _fill(self, curvature: Tensor) -> tuple[float, Tensor]:
        rates = torch.zeros_like(self.variance)
        level, rates[self.where] = reverse_water_filling(self._sources(curvature)[self.where], self.epsilon)
        return level, rates

    def _bits(self, own: Tensor) -> Estimate:
        value = float(self.rates[own].sum())
        if self.nothing:
            return Estimate(0.0, 0.0, "bits", "upper_bound", Status.OUT_OF_RANGE, self._reference())
        if self.diagonal.exact:
            return Estimate(value, 0.0, "bits", "exact", reference=self._reference())
        left = [float(r[own].sum()) for r in self.left_out]
        error = _jackknife_error(left)
        bias = (BLOCKS - 1) * (sum(left) / BLOCKS - value)
        corrected = max(0.0, value - bias)
        # What is corrected by is itself uncertain: it counts as an error too.
        widened = math.hypot(error, bias)
        status = Status.REACHED if abs(bias) <= max(0.05 * value, 2.0 * error) else Status.WIDENED
        kind: Kind = "estimate"
        return Estimate(corrected, widened, "bits", kind, status, self._reference(), BLOCKS - 1.0)

    def _share(self, own: Tensor) -> Estimate:
        value = float((self.rates[own] > 0).double().mean())
        left = [float((r[own] > 0).double().mean()) for r in self.left_out]
        if self.diagonal.exact:
            return Estimate(value, 0.0, "1", "exact", reference=self._reference())
        return Estimate(
            value, _jackknife_error(left), "1", reference=self._reference(), dof=BLOCKS - 1.0, support=(0.0, 1.0)
        )

    def _reference(self) -> str:
        return (
            f"Gaussian weights of the {self.source} variance, quadratic loss with the {self.diagonal.matrix} diagonal"
        )


def _jackknife_error(left: list[float]) -> float:
    b, mean = len(left), sum(left) / len(left)
    return math.sqrt((b - 1) / b * sum((v - mean) ** 2 for v in left))


def _prior_variance(space: Weights, name: str, like: Tensor) -> Tensor:
    p = next(p for p in space.parameters if p.name == name)
    if isinstance(p.prior, Normal):
        variance = torch.as_tensor(p.prior.std, dtype=torch.float64).square()
    else:
        variance = (torch.as_tensor(p.prior.high, dtype=torch.float64) - p.prior.low).square() / 12.0
    full = variance.expand(p.shape).reshape(-1).to(like.device)
    return full if p.free is None else full[p.free.to(like.device)]


def _scaled(e: Estimate, factor: float) -> Estimate:
    return Estimate(e.value * factor, e.stderr * factor, e.unit, e.kind, e.status, e.reference, e.dof)


def _check(source: str, accuracy: float, draws: int) -> None:
    if source not in ("rms", "prior"):
        raise InputError(f"source {source!r}", '"rms" or "prior"')
    if not 0.0 < accuracy < 1.0:
        raise InputError(f"accuracy {accuracy}", "a standard error between 0 and 1, such as 0.05")
    if isinstance(draws, bool) or draws < 4:
        raise InputError(f"draws {draws!r}", "4 pairs or more")
