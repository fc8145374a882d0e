r"""Which variables depend on each other, and the blocks that this suggests.

Two variables are independent under a loss where changing both changes it by the sum of what changing each does:

.. math:: \delta_{ij} = L(x) - L(x_{\bar i}) - L(x_{\bar j}) + L(x_{\bar i \bar j}) = 0.

A loss whose graph of :math:`\delta \ne 0` falls apart is a sum over the parts (Munetomo and Goldberg 1999, Linkage
identification by non-monotonicity detection; Omidvar, Li, Mei and Yao 2014, Cooperative co-evolution with differential
grouping). It is looked for at a few points, so what shows only rarely can be missed; the search by the blocks, which
is what is judged, then tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform

from pindown.engine.objective import Objective
from pindown.landscapes.cnf import CNF
from pindown.landscapes.variables import Variables

__all__ = ["MOST_VARIABLES", "Couplings", "candidate_blocks", "couplings", "formula_couplings"]

Floats = NDArray[np.float64]
Blocks = tuple[tuple[int, ...], ...]
MOST_VARIABLES = 256
_CONTEXTS = 6
_ROUNDING = 256.0
_LARGEST = (10, 8, 6, 4, 3, 2)


@dataclass(frozen=True)
class Couplings:
    """How strongly variables depend on each other.

    Attributes:
        strength: mean absolute :math:`\\delta_{ij}` as a share of the loss's standard deviation, ``(n, n)``; 0 where no
            dependence was seen.
        evaluations: that were spent.
    """

    strength: Floats
    evaluations: int


def couplings(objective: Objective, variables: Variables, rng: torch.Generator) -> Couplings:
    """Mixed differences of each two variables at a few prior points."""
    n, before = len(variables), objective.evaluations
    masks = torch.stack([variables.mask((v,)) for v in range(n)])
    first, second = np.triu_indices(n, 1)
    total = np.zeros(len(first))
    eps = torch.finfo(objective.dtype).eps if objective.dtype.is_floating_point else torch.finfo(torch.float64).eps
    spread: list[float] = []
    for _ in range(_CONTEXTS):
        x = objective.prior(1, rng)
        y = variables.other_values(objective, x, rng)
        alone = objective.losses(torch.where(masks, y, x)).cpu().numpy()
        base = float(objective.losses(x)[0])
        pairs: list[Floats] = []
        for start in range(0, len(first), 4096):
            both = masks[first[start : start + 4096]] | masks[second[start : start + 4096]]
            pairs.append(objective.losses(torch.where(both, y, x)).cpu().numpy())
        together = np.concatenate(pairs) if pairs else np.empty(0)
        largest = np.maximum(np.maximum(abs(alone[first]), abs(alone[second])), np.maximum(abs(together), abs(base)))
        delta = np.abs(together - alone[first] - alone[second] + base)
        total += np.where(delta > _ROUNDING * eps * largest, delta, 0.0)
        spread += [base, *alone.tolist()]
    scale = float(np.std(spread)) or 1.0
    strength = np.zeros((n, n))
    strength[first, second] = strength[second, first] = total / _CONTEXTS / scale
    return Couplings(strength, objective.evaluations - before)


def formula_couplings(cnf: CNF) -> Couplings:
    r"""Those of a formula, from its clauses alone.

    A clause of ``k`` literals makes :math:`|\delta| = 1` for each two of its variables where its others are all false:
    with probability :math:`2^{-(k-2)}`.
    """
    strength = np.zeros((cnf.variables, cnf.variables))
    variance = 0.0
    for clause in cnf.clauses:
        places = [abs(v) - 1 for v in clause]
        strength[np.ix_(places, places)] += 2.0 ** (2 - len(clause))
        variance += 2.0 ** -len(clause) * (1.0 - 2.0 ** -len(clause))
    np.fill_diagonal(strength, 0.0)
    return Couplings(strength / variance**0.5, 0)


def candidate_blocks(found: Couplings) -> list[Blocks]:
    """Partitions to try: the parts that share no dependence, and cuts of the tree of average linkage.

    The first, where the graph falls apart, is exact; the others leave dependences across blocks.
    """
    n = len(found.strength)
    count, label = connected_components(found.strength > 0)
    parts = _blocks(label)
    out: list[Blocks] = [parts] if count > 1 else []
    if count > 1 and max(map(len, parts)) <= _LARGEST[0]:
        return out
    if n > 2:
        distance = found.strength.max() - found.strength
        np.fill_diagonal(distance, 0.0)
        tree = cut_tree(linkage(squareform(distance, checks=False), "average"))  # (n, n): from n blocks to one
        for largest in _LARGEST:
            fitting = (c for c in tree.T[::-1] if np.bincount(c).max() <= largest)
            cut = next(fitting, None)
            if cut is not None and 1 < len(set(cut.tolist())) < n:
                out.append(_blocks(cut))
    return list(dict.fromkeys(out))


def _blocks(label: Sequence[int] | NDArray[np.integer[Any]]) -> Blocks:
    blocks: dict[int, list[int]] = {}
    for i, k in enumerate(label):
        blocks.setdefault(int(k), []).append(i)
    return tuple(sorted(tuple(b) for b in blocks.values()))
