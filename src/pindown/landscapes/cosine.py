"""How well a random direction goes with the gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from scipy.special import gammaln

from pindown.engine.objective import Objective
from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.stats import mean_and_stderr

__all__ = ["RandomDirection", "random_direction"]

_POINTS = 512


@dataclass(frozen=True)
class RandomDirection:
    r"""The cosine between the gradient and a direction drawn at random, in ``dim`` dimensions.

    .. math:: E[\cos^2] = \frac1n, \qquad
        E|\cos| = \frac{\Gamma(n/2)}{\sqrt\pi\,\Gamma((n+1)/2)} \approx \sqrt{\frac{2}{\pi n}}

    These differ by a factor that grows as the root of ``n``: 25 at n = 1000. The second is the share of the gradient's
    slope that a random step finds, the first the share of its square.

    Attributes:
        dim: dimensions, n.
        mean_square, mean_absolute: the two expectations, exact.
        seen_square, seen_absolute: means over prior points and random directions; *unsupported* without a gradient.
    """

    dim: int
    mean_square: Estimate
    mean_absolute: Estimate
    seen_square: Estimate
    seen_absolute: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"dim": self.dim, **{f.name: getattr(self, f.name).to_dict() for f in fields(self)[1:]}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> RandomDirection:
        """Read back what :meth:`to_dict` wrote."""
        return cls(int(record["dim"]), *(Estimate.from_dict(record[f.name]) for f in fields(cls)[1:]))


def random_direction(dim: int, objective: Objective | None, rng: torch.Generator | None = None) -> RandomDirection:
    """The two expectations, and their means on a loss that has a gradient.

    Raises:
        InputError: for less than one dimension.

    Example:
        >>> found = random_direction(1000, None)
        >>> print(found.mean_square, found.mean_absolute)
        0.001 0.0252376
    """
    if dim < 1:
        raise InputError(f"{dim} dimensions", "at least one")
    absolute = math.exp(float(gammaln(dim / 2) - gammaln((dim + 1) / 2))) / math.sqrt(math.pi)
    means = [
        Estimate(1.0 / dim, 0.0, "1", "exact", reference="random direction"),
        Estimate(absolute, 0.0, "1", "exact", reference="random direction"),
    ]
    nan = float("nan")
    seen = [Estimate(nan, nan, "1", status=Status.UNSUPPORTED, reference="no gradient")] * 2
    if objective is not None and rng is not None:
        _, slope = objective.losses_and_gradients(objective.prior(_POINTS, rng))
        slope = slope.double()[slope.norm(dim=-1) > 0]
        direction = torch.randn(slope.shape, generator=rng, dtype=torch.float64)
        cosine = (slope * direction).sum(-1) / (slope.norm(dim=-1) * direction.norm(dim=-1))
        for i, values in enumerate((cosine.square(), cosine.abs())):
            mean, stderr = mean_and_stderr(values.numpy())
            seen[i] = Estimate(mean, stderr, "1", reference="prior points", support=(0.0, 1.0))
    return RandomDirection(dim, *means, *seen)
