r"""Priors over value functions: finitely many hypotheses, linear features, or any space with a value map.

A value :math:`v` gives each plan a number. Where the code in which a source speaks is unknown, a hypothesis is a value
*and* an encoding; the two have labels, and information about the value alone is what is usable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pindown.errors import DataError, InputError
from pindown.rng import torch_generator
from pindown.spaces.base import Space, check_count
from pindown.spaces.gaussian import Gaussian
from pindown.values.plans import Plans, normalised

__all__ = ["Hypotheses", "LinearValues", "Prior", "SpaceValues"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
_PARTICLES = 4000
_DRAWS = 7


class Prior(Protocol):
    """What the ledger asks of a prior.

    Attributes:
        finite: whether the particles are all there is, so that sums over them are exact.
        reference: the name that estimates carry.
    """

    finite: bool
    reference: str

    def particles(self, seed: int) -> tuple[Array, Array]:
        """Points ``(N, dim)`` and their weights ``(N,)``."""
        ...

    def values(self, points: Array, plans: Plans, which: Any = None) -> Array:
        """Value of each plan (or of the plans numbered ``which``) at each point, ``(N, plans)``."""
        ...

    def propose(self, points: Array, scale: float, rng: torch.Generator) -> Array:
        """A move that is reversible with respect to the prior."""
        ...


class Hypotheses:
    """Finitely many value functions.

    Args:
        values: ``(hypotheses, plans)``; a whole number stands for that many hypotheses that give plans no numbers,
            whose acceptable plans and sources are then given as tables.
        weights: prior weights; by default uniform.
        names: names of the hypotheses.
        value_labels: hypotheses with the same label are one value under different encodings; by default all differ.
        encoding_labels: the encoding of each hypothesis; by default there is one, which is known.

    Raises:
        InputError: for shapes that do not fit.
        DataError: for values that are not finite, or a prior of total mass 0.

    Example:
        >>> from pindown.values.priors import Hypotheses
        >>> Hypotheses([[1.0, 0.0], [0.0, 1.0]]).reference
        '2 hypotheses'
    """

    finite = True

    def __init__(
        self,
        values: Any,
        weights: Any = None,
        *,
        names: Sequence[str] | None = None,
        value_labels: Any = None,
        encoding_labels: Any = None,
    ) -> None:
        self.table: Array | None = None
        if isinstance(values, int):
            n = check_count(values, "the number of hypotheses")
        else:
            self.table = np.array(values, dtype=np.float64)
            if self.table.ndim != 2 or len(self.table) == 0:
                raise InputError(f"values of shape {self.table.shape}", "(hypotheses, plans), at least one hypothesis")
            if not np.isfinite(self.table).all():
                i, j = np.argwhere(~np.isfinite(self.table))[0]
                raise DataError(
                    f"hypothesis {i + 1} gives plan {j + 1} the value {self.table[i, j]}", "a finite number"
                )
            n = len(self.table)
        self.weights = normalised(weights, n, "prior weights")
        self.names = tuple(map(str, names)) if names is not None else ()
        if self.names and len(self.names) != n:
            raise InputError(f"{len(self.names)} names for {n} hypotheses", "one of each")
        self.value_labels = _labels(value_labels, n, "value_labels")
        self.encoding_labels = _labels(encoding_labels, n, "encoding_labels")
        if value_labels is None and encoding_labels is not None:
            raise InputError("encoding_labels without value_labels", "both, since an encoding is of a value")
        self.reference = f"{n:,} hypotheses"

    @classmethod
    def encoded(cls, values: Any, encodings: int, weights: Any = None, encoding_weights: Any = None) -> Hypotheses:
        """Every value under every encoding, independent of each other: hypothesis ``value · encodings + encoding``.

        Example:
            >>> len(Hypotheses.encoded(4, 24))
            96
        """
        k = check_count(encodings, "encodings")
        n = values if isinstance(values, int) else len(values)
        table = values * k if isinstance(values, int) else np.repeat(np.asarray(values, dtype=np.float64), k, axis=0)
        w = np.outer(normalised(weights, n, "prior weights"), normalised(encoding_weights, k, "encoding weights"))
        return cls(table, w.ravel(), value_labels=np.repeat(np.arange(n), k), encoding_labels=np.tile(np.arange(k), n))

    def particles(self, seed: int) -> tuple[Array, Array]:
        """The numbers of the hypotheses ``(N, 1)``, and the prior weights."""
        return np.arange(len(self), dtype=np.float64)[:, None], self.weights

    def values(self, points: Array, plans: Plans, which: Any = None) -> Array:
        """Rows of the table."""
        if self.table is None:
            raise InputError(
                "hypotheses without values, in a place that needs them", "a table (hypotheses, plans)",
                "give acceptable= and the sources as tables, or the hypotheses their values",
            )  # fmt: skip
        if self.table.shape[1] != len(plans):
            raise InputError(f"values of {self.table.shape[1]} plans", f"one for each of the {len(plans)} plans")
        rows = self.table[points[:, 0].astype(np.int64)]
        return rows if which is None else rows[:, which]

    def propose(self, points: Array, scale: float, rng: torch.Generator) -> Array:
        """The points: sums over all hypotheses need no moves."""
        return points

    def __len__(self) -> int:
        return len(self.weights)


class SpaceValues:
    """Any space of the project with a map from its points to values of plans, held as particles.

    Args:
        space: the prior.
        value: maps points ``(N, dim)`` and features ``(plans, features)``, both NumPy arrays, to values ``(N, plans)``.
        particles: how many draws stand for the prior.

    Example:
        >>> from pindown import Box
        >>> from pindown.values.priors import SpaceValues
        >>> SpaceValues(Box([0.0], [1.0]), lambda x, f: -(x - f.T) ** 2, particles=100).particles(0)[0].shape
        (100, 1)
    """

    finite = False

    def __init__(self, space: Space, value: Callable[[Array, Array], Any], particles: int = _PARTICLES) -> None:
        if not isinstance(space, Space):
            raise InputError(
                f"a space of type {type(space).__name__}", "an object with dim, reference, sample, propose"
            )
        if not callable(value):
            raise InputError(f"value of type {type(value).__name__}", "a function of points and features")
        self.space, self.value = space, value
        self.count = check_count(particles, "particles", 2)
        self.reference = space.reference

    def particles(self, seed: int) -> tuple[Array, Array]:
        """Draws from the space, equally weighted."""
        drawn = self.space.sample(self.count, rng=torch_generator(seed, _DRAWS))
        return np.asarray(drawn, dtype=np.float64), np.full(self.count, 1.0 / self.count)

    def values(self, points: Array, plans: Plans, which: Any = None) -> Array:
        """The value map on the features of the plans."""
        features = plans.features if which is None else plans.features[which]
        out = np.asarray(self.value(points, features), dtype=np.float64)
        if out.shape != (len(points), len(features)):
            raise InputError(
                f"value returned shape {out.shape}", f"{(len(points), len(features))} for as many points and plans"
            )
        if not np.isfinite(out).all():
            raise DataError("value returned numbers that are not finite", "finite values")
        return out

    def propose(self, points: Array, scale: float, rng: torch.Generator) -> Array:
        """The space's own move."""
        moved = self.space.propose(torch.as_tensor(points), scale, rng=rng)
        return np.asarray(moved, dtype=np.float64)

    def __len__(self) -> int:
        return self.count


class LinearValues(SpaceValues):
    r"""Values that are linear in the features, :math:`v(x) = w \cdot \phi(x)`.

    Args:
        dim: number of features.
        measure: ``"gaussian"`` for :math:`w \sim N(0, s^2 I)`, ``"sphere"`` for a uniform direction of length ``s``.
        scale: the ``s`` above.
        particles: how many draws stand for the prior.

    Example:
        >>> from pindown.values.priors import LinearValues
        >>> LinearValues(2, "sphere").reference
        'linear values, uniform on the sphere in 2 dimensions'
    """

    def __init__(
        self,
        dim: int,
        measure: Literal["gaussian", "sphere"] = "gaussian",
        *,
        scale: float = 1.0,
        particles: int = _PARTICLES,
    ) -> None:
        if measure not in ("gaussian", "sphere"):
            raise InputError(f"measure {measure!r}", "'gaussian' or 'sphere'")
        if not (isinstance(scale, int | float) and 0.0 < scale < float("inf")):
            raise InputError(f"scale {scale!r}", "a number above 0")
        self.measure, self.scale = measure, float(scale)
        super().__init__(Gaussian(dim), self._linear, particles)
        where = "uniform on the sphere in" if measure == "sphere" else f"Gaussian of scale {scale:g} in"
        self.reference = f"linear values, {where} {dim} dimensions"

    def _linear(self, points: Array, features: Array) -> Array:
        if features.shape[1] != self.space.dim:
            raise InputError(f"{features.shape[1]} features of plans", f"{self.space.dim}, as the prior has")
        return self.weights_of(points) @ features.T

    def weights_of(self, points: Array) -> Array:
        """The weights ``w`` of particles, ``(N, dim)``."""
        if self.measure == "sphere":
            return self.scale * points / np.linalg.norm(points, axis=1, keepdims=True)
        return self.scale * points


def _labels(labels: Any, n: int, what: str) -> IntArray | None:
    if labels is None:
        return None
    out = np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64).ravel()
    if out.shape != (n,):
        raise InputError(f"{what} of length {len(out)}", f"{n}, one a hypothesis")
    return out
