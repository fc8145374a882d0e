"""What a reference returns."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath as mp

DIGITS = 50


@dataclass(frozen=True)
class Exact:
    """An exact probability on the log scale.

    Attributes:
        bits: −log2 P(loss ≤ t).
        learning_coefficient: λ(t) = t P'(t) / P(t), or NaN where t does not scale the event.
    """

    bits: float
    learning_coefficient: float = float("nan")

    @classmethod
    def from_cdf(cls, probability: mp.mpf, density: mp.mpf | None = None, t: float | mp.mpf | None = None) -> Exact:
        """From P(loss ≤ t) and, where given, its derivative at ``t``."""
        lam = float("nan") if density is None or t is None else float(mp.mpf(t) * density / probability)
        return cls(float(-mp.log(probability, 2)), lam)
