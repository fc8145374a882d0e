"""The plans among which one is to be chosen: policies, outputs, responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.errors import DataError, InputError
from pindown.rng import torch_generator
from pindown.spaces.base import Space, check_count

__all__ = ["Plans", "normalised"]

Array = NDArray[np.float64]
_SAMPLING = 11


class Plans:
    """A finite set of plans with their features, or draws from a larger set.

    Args:
        features: ``(plans, features)``, one row a plan. A whole number stands for that many plans without features.
        names: names of the plans; by default their numbers.
        weights: the base measure, 0 or more; by default uniform. Shares of plans are shares of it.
        reference: what estimates that depend on the plans are relative to.
        drawn: whether the plans are independent draws of a larger set, so that shares have a sampling error.

    Raises:
        InputError: for shapes that do not fit.
        DataError: for features that are not finite, or weights that are negative or add up to 0.

    Example:
        >>> from pindown.values.plans import Plans
        >>> len(Plans([[1.0, 0.0], [0.0, 1.0]], names=["short", "long"]))
        2
    """

    def __init__(
        self,
        features: Any,
        *,
        names: Sequence[str] | None = None,
        weights: Any = None,
        reference: str = "",
        drawn: bool = False,
    ) -> None:
        if isinstance(features, int):
            features = np.empty((check_count(features, "the number of plans"), 0))
        try:
            self.features: Array = np.array(features, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"features of plans that are no table of numbers ({error})", "(plans, features)"
            ) from error
        if self.features.ndim != 2 or len(self.features) == 0:
            raise InputError(
                f"features of plans of shape {self.features.shape}", "(plans, features), at least one plan"
            )
        bad = np.argwhere(~np.isfinite(self.features))
        if len(bad):
            raise DataError(f"feature {bad[0][1] + 1} of plan {bad[0][0] + 1} is not finite", "finite numbers")
        n = len(self.features)
        self.names = tuple(map(str, names)) if names is not None else tuple(str(i + 1) for i in range(n))
        if len(self.names) != n or len(set(self.names)) != n:
            raise InputError(f"{len(set(self.names))} different names for {n} plans", "one of its own for each plan")
        self.weights = normalised(weights, n, "weights of plans")
        self.drawn = drawn
        self.reference = reference or f"{n} plan{'s' * (n != 1)}"

    @classmethod
    def sampled(
        cls, sampler: Space | Callable[[int, Any], Any], n: int, *, seed: int = 0, features: Any = None
    ) -> Plans:
        """Independent draws from a space of plans.

        Args:
            sampler: a space, or a function of the number of draws and a ``torch.Generator``.
            n: how many plans to draw. Maxima over plans are maxima over these.
            seed: everything random follows from it.
            features: maps the draws ``(n, …)`` to features ``(n, features)``; by default the draws themselves.

        Example:
            >>> from pindown import Gaussian
            >>> Plans.sampled(Gaussian(3), 50).features.shape
            (50, 3)
        """
        n = check_count(n, "n")
        rng = torch_generator(seed, _SAMPLING)
        draws: Any = sampler.sample(n, rng=rng) if isinstance(sampler, Space) else sampler(n, rng)
        table = np.asarray(draws if features is None else features(draws), dtype=np.float64)
        if table.ndim != 2 or len(table) != n:
            raise InputError(f"the sampler gave plans of shape {table.shape}", f"({n}, features) for {n} draws")
        name = sampler.reference if isinstance(sampler, Space) else "the sampler"
        return cls(table, reference=f"{n} draws from {name}", drawn=True)

    def number(self, name: Any, where: str) -> int:
        """The number of a plan that is named by its name or its number from 0.

        Raises:
            InputError: where there is no such plan.
        """
        if isinstance(name, int | np.integer) and not isinstance(name, bool) and 0 <= int(name) < len(self):
            return int(name)
        if isinstance(name, str) and name in self.names:
            return self.names.index(name)
        first = ", ".join(self.names[:8]) + (", …" if len(self) > 8 else "")
        raise InputError(f"{where} names plan {name!r}", f"one of {first}, or a number from 0 to {len(self) - 1}")

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        return f"Plans({self.reference}, {self.features.shape[1]} features)"


def normalised(weights: Any, n: int, what: str) -> Array:
    """Weights that add up to 1; uniform for None.

    Raises:
        InputError: for another number of them.
        DataError: where one is negative or not finite, or all are 0.
    """
    if weights is None:
        return np.full(n, 1.0 / n)
    w = np.array(weights, dtype=np.float64)
    if w.shape != (n,):
        raise InputError(f"{what} of shape {w.shape}", f"({n},)")
    bad = np.flatnonzero(~np.isfinite(w) | (w < 0))
    if bad.size:
        raise DataError(f"{what}: number {bad[0] + 1} is {w[bad[0]]}", "finite numbers of 0 or more")
    if not w.sum() > 0:
        raise DataError(f"{what} of total mass 0", "a positive total", "give at least one of them a positive weight")
    return w / w.sum()
