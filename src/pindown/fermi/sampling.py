"""Values of all quantities at given points of the unit cube, and scrambled Sobol' points of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.stats import qmc

from pindown.errors import InputError
from pindown.fermi.model import Model, nodes_of
from pindown.fermi.operations import evaluate
from pindown.fermi.quantity import Quantity, is_random
from pindown.rng import child_seed

__all__ = ["Sampler", "sobol_runs", "turned"]

Array = NDArray[np.float64]
_BITS = 52


class Sampler:
    r"""A model as a function of the unit cube, one coordinate for each quantity that is random in its own right.

    Coordinates stand in the order of the names, so that no rearrangement of a formula changes the points. Correlated
    quantities are joined by a Gaussian copula: with :math:`z = L\,\Phi^{-1}(u)` and :math:`LL^\top = R`,
    :math:`R_{ij} = 2\sin(\pi\rho_{ij}/6)` for Spearman's :math:`\rho_{ij}` (Pearson 1907), margins stay what they were.

    Attributes:
        inputs: the random quantities, by coordinate.
        names: their names.
        groups: for each coordinate the name of the group that varies together; its own name where it is alone.
    """

    def __init__(self, model: Model, roots: Sequence[Quantity] | None = None) -> None:
        self.model = model
        self._name = model.names
        self._order = model.nodes
        self.inputs = sorted((q for q in self._order if is_random(q)), key=lambda q: self._name[q])
        self.names = [self._name[q] for q in self.inputs]
        self._at = {q: k for k, q in enumerate(self.inputs)}
        self._blocks = _blocks(self.names, model)
        self.groups = list(self.names)
        for block, _ in self._blocks:
            for k in block:
                self.groups[k] = " + ".join(self.names[i] for i in block)

    def behind(self, target: Quantity) -> list[int]:
        """The coordinates that a quantity depends on, with those that vary together with one of them."""
        parts = set(nodes_of([target]))
        groups = {self.groups[k] for k, q in enumerate(self.inputs) if q in parts}
        return [k for k in range(self.dim) if self.groups[k] in groups]

    @property
    def dim(self) -> int:
        return len(self.inputs)

    def values(self, u: Array, wanted: Iterable[Quantity]) -> list[Array]:
        """Values of the wanted quantities at points ``(n, dim)`` of the unit cube; each quantity is computed once."""
        u = self._joined(u)
        found: dict[Quantity, Array] = {}
        with np.errstate(all="ignore"):  # what is not finite is seen in the result and told there
            for q in self._order:
                own = u[:, self._at[q]] if q in self._at else np.full(u.shape[0], 0.5)
                if q.distribution is not None:
                    found[q] = q.distribution.quantile(own)
                elif q.step is not None:
                    found[q] = evaluate(q.step, [found[p] for p in q.parts], own)
        return [found[q] for q in wanted]

    def moved(self, k: int, z: float) -> Array:
        """The point at which input ``k`` has normal score ``z`` and every other its median, given that.

        It is a point of the *independent* cube: correlated inputs follow.
        """
        scores = np.zeros(self.dim)
        scores[k] = z
        for block, factor in self._blocks:
            if k in block:
                along = (factor @ factor.T)[:, block.index(k)] * z
                scores[list(block)] = np.linalg.solve(factor, along)
        return special.ndtr(scores)

    def _joined(self, u: Array) -> Array:
        if not self._blocks:
            return u
        u = u.copy()
        for block, factor in self._blocks:
            columns = list(block)
            u[:, columns] = special.ndtr(special.ndtri(u[:, columns]) @ factor.T)
        return np.clip(u, 2.0**-53, 1.0 - 2.0**-53)


def sobol_runs(n: int, dim: int, runs: int, seed: int, *path: int) -> Iterator[Array]:
    r"""Independent randomisations ``(n, dim)`` of one Sobol' net, strictly inside the unit cube.

    The net has one random linear scrambling (Matoušek 1998, J. Complexity 14:527) and each run a digital shift of its
    own: given the scrambling, the runs are independent and each of their points is uniform, so that their spread tells
    the error of their mean (L'Ecuyer 2018, Randomized quasi-Monte Carlo).

    >>> [x.shape for x in sobol_runs(4, 2, 3, 0)]
    [(4, 2), (4, 2), (4, 2)]
    """
    power = n.bit_length() - 1
    if n != 1 << power:
        raise InputError(f"{n} points", "a power of 2")
    rng = np.random.default_rng(child_seed(seed, *path))
    scale = 2.0**-_BITS
    whole = np.zeros((n, 0), dtype=np.uint64)
    if dim:
        net = qmc.Sobol(dim, scramble=True, bits=_BITS, rng=rng).random_base2(power)
        whole = np.asarray(net / scale).astype(np.uint64)
    for _ in range(runs):
        shift = rng.integers(1 << _BITS, size=dim, dtype=np.uint64)
        yield np.asarray((whole ^ shift) * scale + 0.5 * scale, dtype=np.float64)


def turned(u: Array, directions: Sequence[Array]) -> Array:
    r"""Points of the cube turned so that their first coordinates, the most even ones, run along ``directions``.

    In normal scores a rotation leaves independent normals as they are: :math:`u' = \Phi(H_1 H_2 \dots\,\Phi^{-1}(u))`
    with reflections that take the first axes to the directions, which are orthonormal (either way along them). An
    answer that varies mostly there is then nearly a function of few coordinates (the linear transformation of Imai and
    Tan 2006, J. Comput. Finance 10:129).

    >>> turned(np.array([[0.2, 0.5]]), [np.array([0.0, 1.0])]).round(6)
    array([[0.5, 0.8]])
    """
    if not directions:
        return u
    mirrors: list[Array] = []
    for k, b in enumerate(directions):
        v = b
        for m in mirrors:
            v = v - m * (2.0 * float(m @ v))
        v = v.copy()
        v[:k] = 0.0
        v[k] += 1.0 if v[k] >= 0.0 else -1.0
        mirrors.append(v / np.linalg.norm(v))
    z = special.ndtri(u)
    for m in reversed(mirrors):
        z -= np.outer(z @ m, 2.0 * m)
    return np.clip(special.ndtr(z), 2.0**-53, 1.0 - 2.0**-53)


def _blocks(names: Sequence[str], model: Model) -> list[tuple[tuple[int, ...], Array]]:
    """Groups of correlated coordinates with the Cholesky factor of each."""
    place = {name: k for k, name in enumerate(names)}
    matrix = np.eye(len(names))
    for a, b, rank in model.correlations:
        matrix[place[a], place[b]] = matrix[place[b], place[a]] = 2.0 * math.sin(math.pi * rank / 6.0)
    left, blocks = set(range(len(names))), []
    while left:
        block, reached = {min(left)}, {min(left)}
        while reached:
            reached = {int(j) for i in reached for j in np.flatnonzero(matrix[i])} - block
            block |= reached
        left -= block
        if len(block) > 1:
            order = tuple(sorted(block))
            part = matrix[np.ix_(order, order)]
            if np.linalg.eigvalsh(part)[0] <= 1e-10:
                told = ", ".join(names[i] for i in order)
                raise InputError(f"correlations of {told} that contradict each other", "a positive definite matrix")
            blocks.append((order, np.linalg.cholesky(part)))
    return blocks
