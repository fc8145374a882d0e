r"""Whether the bits that a likelihood claims are earned: held-out log-loss of the answers.

Each answer is predicted from those before it (Dawid 1984, Statistical theory: the prequential approach). With the
right likelihood its log-loss :math:`-\log_2 p(a_t \mid a_{<t})` has the predictive entropy as its mean, whatever was
asked, so that the sum of the differences is a martingale. Where the loss is higher by more than chance, the noise is
larger than the source says: the posterior is too narrow, and its bits are false.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, xlogy

from pindown.estimate import Estimate, Status
from pindown.values.belief import Belief
from pindown.values.problem import Answer

__all__ = ["Earned", "Prequential"]

Array = NDArray[np.float64]
_FEWEST = 10
_LEVEL = 0.05


@dataclass(frozen=True)
class Earned:
    """Predicted against claimed bits of the answers.

    Attributes:
        earned: whether the claims hold; None where there are too few answers to tell.
        predicted: held-out bits an answer: log2 of the number of answers less the log-loss.
        claimed: the same as the likelihood expects it.
        z: by how many standard deviations the prediction falls short; above 1.64 is *not earned* (5%, one-sided).
        answers: how many there were.
    """

    earned: bool | None
    predicted: Estimate
    claimed: Estimate
    z: float
    answers: int

    def __bool__(self) -> bool:
        return self.earned is True

    def __str__(self) -> str:
        if self.earned is None:
            return f"not tested: {self.answers} answer{'s' * (self.answers != 1)} of {_FEWEST} needed"
        word = "earned" if self.earned else "NOT EARNED"
        return (
            f"{word}: {self.predicted.value:.3f} bits an answer predicted held out, {self.claimed.value:.3f} claimed "
            f"(z = {self.z:.1f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            **self.__dict__, "predicted": self.predicted.to_dict(), "claimed": self.claimed.to_dict(),
            "z": None if math.isnan(self.z) else self.z if math.isfinite(self.z) else str(self.z),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Earned:
        """Read back what :meth:`to_dict` wrote."""
        earned, z = record["earned"], record["z"]
        return cls(
            None if earned is None else bool(earned), Estimate.from_dict(record["predicted"]),
            Estimate.from_dict(record["claimed"]), math.nan if z is None else float(z), int(record["answers"]),
        )  # fmt: skip


@dataclass
class Prequential:
    """The running comparison of losses with what was expected of them."""

    losses: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)

    def update(self, belief: Belief, answer: Answer) -> None:
        """Predict one answer, then let the belief take it in."""
        source = belief.problem.sources[answer.source]
        p = np.exp(source.log_chances(belief.population, np.array([answer.question])))[:, 0]
        predictive = np.clip(belief.weights @ p, 0.0, 1.0)
        entropy = float(-xlogy(predictive, predictive).sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = np.where(predictive > 0, predictive * np.log(predictive) ** 2, 0.0)
        self.losses.append(-belief.update(answer) / math.log(2.0))
        self.expected.append(entropy / math.log(2.0))
        self.variances.append(max(0.0, float(squares.sum()) - entropy**2) / math.log(2.0) ** 2)
        self.chance.append(math.log2(source.outcomes))

    def verdict(self, reference: str) -> Earned:
        """What the answers so far tell."""
        return verdict(self.losses, self.expected, self.variances, self.chance, reference)


def verdict(
    losses: Sequence[float], expected: Sequence[float], variances: Sequence[float], chance: Sequence[float],
    reference: str,
) -> Earned:  # fmt: skip
    """Compare losses with what was expected of them, all in bits."""
    n = len(losses)
    if n == 0:
        nothing = Estimate(math.nan, math.nan, "bits", "estimate", Status.UNSUPPORTED, reference)
        return Earned(None, nothing, nothing, math.nan, 0)
    saved = np.asarray(chance) - np.asarray(losses)
    claim = float(np.mean(np.asarray(chance) - np.asarray(expected)))
    sd = math.sqrt(sum(variances))
    short = float(np.sum(losses) - np.sum(expected))
    z = 0.0 if sd == 0.0 and abs(short) < 1e-9 else (math.inf if sd == 0.0 else short / sd)
    held = Estimate(float(saved.mean()), sd / n, "bits", "estimate", Status.REACHED, reference)
    told = Estimate(claim, 0.0, "bits", "exact", Status.REACHED, reference)
    earned = None if n < _FEWEST else bool(z <= float(ndtri(1.0 - _LEVEL)))
    return Earned(earned, held, told, z, n)
