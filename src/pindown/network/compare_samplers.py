"""Does an optimiser find functions as often as random solutions do?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network import function_statistics as stats
from pindown.network.function_sample import FunctionSample, read_sample
from pindown.network.sampler_results import BothSamplers, FunctionCount, SamplerComparison
from pindown.rng import child_seed
from pindown.stats import wilson_interval

__all__ = ["SamplerComparison", "compare_samplers"]

_SHOWN = 300
Counts = NDArray[np.float64]

_SHARE = (0.0, 1.0)


def compare_samplers(
    optimiser_runs: Any, random_solutions: Any, inputs: Any, *, splits: int = 200, seed: int = 0
) -> SamplerComparison:
    r"""Compare the functions that an optimiser finds, :math:`P_\mathrm{OPT}`, with those of random solutions,
    :math:`P_B`.

    A function is the vector of labels on ``inputs``. The total variation
    :math:`\tfrac12\sum_f |P_\mathrm{OPT}(f) - P_B(f)|` of the observed shares is above zero for two samples of one
    distribution; ``null`` is what it is for two disjoint parts of the random solutions at the same sizes, so that the
    figure to read is ``excess``. Both are means over random splits into whole groups: in each, as many random
    solutions as there are runs (at most half of them) stand in for the optimiser. A correlation of counts does not
    tell whether two distributions are alike: Mingard et al. (2021, Is SGD a Bayesian sampler? Well, almost) report
    correlations where much of the mass differs.

    What was not seen is corrected for by its Good–Turing mass (see :mod:`pindown.network.function_statistics`).
    Standard errors are by the bootstrap over independent groups.

    Args:
        optimiser_runs: fitting networks: modules, whole-number labels ``(N, n)`` on the inputs, or what
            ``train_ensemble`` returns for one stop.
        random_solutions: the same of random networks that fit the same labels, or what ``random_solutions`` returns.
        inputs: where functions are told apart, ``(n, …)``; the training inputs may be among them.
        splits: random splits, and bootstrap samples.
        seed: everything random follows from it.

    Raises:
        InputError: for draws that cannot be read, fewer than two of either, or random solutions from one group.

    Example:
        >>> import torch
        >>> coin = torch.Generator().manual_seed(0)
        >>> fair = torch.randint(0, 2, (4000, 3), generator=coin)
        >>> biased = (torch.rand(1000, 3, generator=coin) < 0.25).long()
        >>> found = compare_samplers(biased, fair, torch.eye(3))
        >>> abs(found.total_variation.value - 22 / 64) < 0.04, found.null.value < 0.06  # 27 − 8 + 3 (9 − 8) of 64
        (True, True)
    """
    x = inputs if isinstance(inputs, Tensor) else torch.as_tensor(inputs)
    a = read_sample(optimiser_runs, x, "optimiser's runs")
    b = read_sample(random_solutions, x, "random solutions")
    if splits < 2:
        raise InputError(f"splits {splits}", "2 or more")
    groups = int(b.groups.max()) + 1
    if groups < 4:
        raise InputError(
            f"random solutions from {groups} independent groups", "4 or more", "draw more blocks or runs, each its own"
        )
    job = _Comparison(a, b, splits, np.random.default_rng(child_seed(seed, 0xC0)))
    total, null, above = job.splits()
    held_out = job.held_out()
    low, high = wilson_interval(a.size, max(a.attempted, a.size))
    unit = "share of mass"
    first, second = job.whole
    relative = job.bootstrapped(stats.merged_relative_entropy, "bits", "random solutions")
    if bool((second[first > 0] == 0).any()):
        status = Status.REACHED if math.isfinite(relative.value) else Status.BEYOND_REACH
        value = relative.value if math.isfinite(relative.value) else 0.0
        relative = Estimate(value, 0.0, "bits", "lower_bound", status, relative.reference)
    return SamplerComparison(
        inputs=len(x), draws=a.size, attempted=max(a.attempted, a.size), random_draws=b.size, random_groups=groups,
        reached=Estimate(
            a.size / max(a.attempted, a.size), (high - low) / 3.92, "1", reference="runs started",
            support=_SHARE,
        ),
        functions=(int((first > 0).sum()), int((second > 0).sum())),
        total_variation=Estimate(
            float(total.mean()), job.error(stats.plug_in_total_variation), "1", reference=unit, support=_SHARE
        ),
        null=Estimate(
            float(null.mean()), float(null.std(ddof=1)), "1", reference="two parts of the random solutions",
            support=_SHARE,
        ),
        excess=Estimate(
            float((total - null).mean()),
            math.hypot(job.error(stats.plug_in_total_variation), float(null.std(ddof=1))), "1", reference=unit,
        ),
        p_value=(1 + above) / (1 + splits),
        corrected_total_variation=job.bootstrapped(stats.coverage_total_variation, "1", unit),
        held_out_total_variation=held_out,
        relative_entropy=relative,
        entropy_bits=BothSamplers(*(job.own(stats.chao_shen_entropy, i, "bits") for i in (0, 1))),
        unseen=BothSamplers(*(job.own(stats.good_turing, i, "1") for i in (0, 1))),
        rank_correlation=job.bootstrapped(stats.rank_correlation, "1", "functions seen by both"),
        log_correlation=job.bootstrapped(stats.log_count_correlation, "1", "functions seen by both"),
        counts=job.most(),
        seed=seed,
    )  # fmt: skip


class _Comparison:
    def __init__(self, a: FunctionSample, b: FunctionSample, splits: int, rng: np.random.Generator) -> None:
        self.a, self.b, self.times, self.rng = a, b, splits, rng
        every, ids = np.unique(np.concatenate([a.labels, b.labels]), axis=0, return_inverse=True)
        self.every: NDArray[np.int64] = every
        ids = ids.reshape(-1)
        self.ids = (ids[: a.size], ids[a.size :])
        self.groups = (a.groups, b.groups)
        self.whole = (self._counts(0), self._counts(1))
        self.samples = [(self._resampled(0), self._resampled(1)) for _ in range(splits)]

    def _counts(self, which: int, keep: NDArray[Any] | None = None) -> Counts:
        ids = self.ids[which] if keep is None else self.ids[which][keep]
        return np.bincount(ids, minlength=len(self.every)).astype(np.float64)

    def _resampled(self, which: int) -> Counts:
        """Counts of a bootstrap sample of whole groups."""
        groups = self.groups[which]
        n = int(groups.max()) + 1
        times = np.bincount(self.rng.integers(0, n, n), minlength=n)
        drawn = times[groups].astype(np.float64)
        return np.bincount(self.ids[which], weights=drawn, minlength=len(self.every)).astype(np.float64)

    def splits(self) -> tuple[Counts, Counts, int]:
        """Total variation of the optimiser and of stand-ins against the rest of the random solutions."""
        size = min(self.a.size, self.b.size // 2)
        total, null = np.empty(self.times), np.empty(self.times)
        for i in range(self.times):
            stand_in, rest = self._parted(size)
            runs = self.rng.permutation(self.a.size)[: int(stand_in.sum())]
            second = self._counts(1, rest)
            total[i] = stats.plug_in_total_variation(self._counts(0, runs), second)
            null[i] = stats.plug_in_total_variation(self._counts(1, stand_in), second)
        # A split is as large as the optimiser where the null reaches its mean over all splits.
        return total, null, int((null >= total.mean()).sum())

    def _parted(self, size: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Draws of whole groups: about ``size`` in one part, the others in the rest."""
        groups = self.groups[1]
        sizes = np.bincount(groups)
        order = self.rng.permutation(len(sizes))
        last = max(1, min(len(sizes) - 1, int(np.searchsorted(np.cumsum(sizes[order]), size, side="right"))))
        chosen = np.zeros(len(sizes), dtype=bool)
        chosen[order[:last]] = True
        return chosen[groups], ~chosen[groups]

    def held_out(self) -> Estimate:
        """The separation on held-out halves, mean over splits; its error is that over independent groups."""
        values, variances = np.empty(self.times), np.empty(self.times)
        for i in range(self.times):
            mine = self.rng.permutation(self.a.size) < self.a.size // 2
            theirs, other = self._parted(self.b.size // 2)
            chosen = stats.preferred(self._counts(0, mine), self._counts(1, theirs))
            values[i] = stats.held_out_separation(chosen, self._counts(0, ~mine), self._counts(1, other))
            variances[i] = self._variance_of_share(0, chosen, ~mine) + self._variance_of_share(1, chosen, other)
        # The mean over splits uses all draws, so its error is about that of a share measured on both halves.
        known = variances[np.isfinite(variances)]
        error = math.sqrt(float(known.mean()) / 2.0) if len(known) else math.nan
        groups = min(len(np.unique(g)) for g in self.groups)
        return Estimate(
            float(values.mean()), error, "1",
            reference="below the total variation in the mean", dof=float(groups - 1),
        )  # fmt: skip

    def _variance_of_share(self, which: int, chosen: NDArray[np.bool_], keep: NDArray[np.bool_]) -> float:
        """Of the share of the kept draws that show a chosen function, by the spread over groups; NaN of one group."""
        groups = np.unique(self.groups[which][keep], return_inverse=True)[1]
        n, clusters = int(keep.sum()), int(groups.max()) + 1
        hit = chosen[self.ids[which][keep]].astype(np.float64)
        off = np.bincount(groups, weights=hit - hit.mean())
        # No draw or every draw hit: one more of either kind (Agresti and Coull 1998) keeps the error above zero.
        least = (n + 1.0) / (n + 2.0) ** 2 / n
        return clusters / (clusters - 1) * max(float((off**2).sum()) / n**2, least) if clusters > 1 else math.nan

    def error(self, statistic: Callable[[Counts, Counts], float]) -> float:
        """Standard deviation over bootstrap samples."""
        values = np.asarray([statistic(a, b) for a, b in self.samples])
        values = values[np.isfinite(values)]
        return float(values.std(ddof=1)) if len(values) > self.times // 2 else math.nan

    def bootstrapped(self, statistic: Callable[[Counts, Counts], float], unit: str, reference: str) -> Estimate:
        value = statistic(*self.whole)
        status = Status.REACHED if math.isfinite(value) else Status.UNSUPPORTED
        return Estimate(value, self.error(statistic), unit, status=status, reference=reference)

    def own(self, statistic: Callable[[Counts], float], which: int, unit: str) -> Estimate:
        values = np.asarray([statistic(sample[which]) for sample in self.samples])
        return Estimate(
            statistic(self.whole[which]), float(values.std(ddof=1)), unit,
            reference="functions of " + ("the optimiser" if which == 0 else "random solutions"),
        )  # fmt: skip

    def most(self) -> tuple[FunctionCount, ...]:
        first, second = self.whole
        order = np.argsort(-(first / first.sum() + second / second.sum()), kind="stable")[:_SHOWN]
        return tuple(FunctionCount(_name(self.every[i]), int(first[i]), int(second[i])) for i in order)


def _name(labels: NDArray[np.int64]) -> str:
    """Labels as hexadecimal digits, the first input being the highest bit; more than two classes as they are."""
    if labels.max(initial=0) > 1:
        return " ".join(map(str, labels.tolist()))
    width = -(-len(labels) // 4)
    padded = np.concatenate([labels, np.zeros(4 * width - len(labels), dtype=np.int64)])
    return f"{int(''.join(map(str, padded.tolist())), 2):0{width}x}"
