"""Random solutions and an optimiser's runs of the same margins.

To restrict random solutions to margins at least as large as the optimiser's median compares them with runs of which
half have smaller ones. Where both have draws of every size, a fairer comparison is stratified: the runs' quantiles cut
margins into bins of equally many runs, and from each bin equally many random solutions are taken, so that both have the
same distribution over bins. Random solutions that were drawn given a margin of at least γ are, within a bin above γ,
draws of the same distribution as those drawn without, so that both are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pindown.network.function_sample import FunctionSample
from pindown.studies.labels import Found

__all__ = ["Drawn", "Matched", "matched"]

BINS = 10
_FEWEST = 20  # random solutions of a bin that is compared
_COVERED = 0.75  # share of the runs in such bins below which nothing is said
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """Random solutions, and the margin γ that they were drawn above: 0 for all of them."""

    found: Found
    above: float = 0.0


@dataclass(frozen=True)
class Matched:
    """Both samplers' draws with one distribution of margins over bins.

    Attributes:
        runs, random: the draws.
        whole: whether all runs are among them; the others have margins that too few random solutions have.
    """

    runs: FunctionSample
    random: FunctionSample
    whole: bool


def matched(
    runs: Found, sources: Sequence[Drawn], of: Literal["margins", "scaled"], seed: int, *, bins: int = BINS
) -> Matched | None:  # fmt: skip
    """Draws of equal distribution over bins; None where too few random solutions have the runs' margins.

    Args:
        runs: the optimiser's.
        sources: random solutions; for ``"scaled"`` those that were drawn above no margin.
        of: raw margins, or margins over the network's own output size.
        seed: of which random solutions of a bin are taken.
        bins: of equally many runs each.
    """
    own = getattr(runs, of)
    if len(runs) < 2 * bins:
        return None
    inner = np.quantile(own, np.arange(1, bins) / bins)
    place = np.searchsorted(inner, own, side="right")
    rng = np.random.default_rng(seed)
    inside: list[list[tuple[int, int]]] = [[] for _ in range(bins)]  # source and row of each bin's random solutions
    least, most = float(own.min()), float(own.max())
    for s, source in enumerate(sources):
        theirs = getattr(source.found, of)
        bin_of = np.searchsorted(inner, theirs, side="right")
        low = np.concatenate([[least], inner])[bin_of]
        usable = (theirs >= least) & (theirs <= most) & (low >= source.above)
        for row in rng.permutation(np.flatnonzero(usable)).tolist():
            inside[int(bin_of[row])].append((s, row))
    covered = np.asarray([len(b) >= _FEWEST for b in inside])
    keep = covered[place]
    if keep.mean() < _COVERED:
        return None
    # Bins hold equally many runs up to ties, so their shares are taken as they are.
    share = np.bincount(place[keep], minlength=bins) / keep.sum()
    total = min(len(b) / share[j] for j, b in enumerate(inside) if covered[j])
    chosen = [pick for j, b in enumerate(inside) if covered[j] for pick in b[: int(total * share[j])]]
    groups: dict[tuple[int, int], int] = {}
    labels = np.stack([sources[s].found.labels[row] for s, row in chosen])
    ids = [groups.setdefault((s, int(sources[s].found.groups[row])), len(groups)) for s, row in chosen]
    if len(groups) < 4:
        return None
    random = FunctionSample(labels, np.asarray(ids, dtype=np.int64), len(chosen))
    return Matched(runs.sample(keep), random, bool(keep.all()))
