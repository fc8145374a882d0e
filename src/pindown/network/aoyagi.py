r"""The learning coefficient of deep linear networks in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from pindown.errors import InputError

__all__ = ["aoyagi"]


def aoyagi(widths: Sequence[int], rank: int) -> tuple[Fraction, int]:
    r"""λ and multiplicity m of a deep linear network whose true map has rank ``rank``.

    For :math:`L(W) = E\|W_\ell \cdots W_1 x - W^* x\|^2` with widths :math:`H_1, …, H_{\ell+1}`,
    :math:`M_s = H_s - r`, there is a set :math:`\mathcal M` of :math:`\ell' + 1` layers with
    :math:`\max_{\mathcal M} M < \frac1{\ell'} \sum_{\mathcal M} M \le \min_{\mathcal M^c} M`, and with
    :math:`M = \lceil \frac1{\ell'}\sum_{\mathcal M} M_s \rceil`, :math:`a = \sum_{\mathcal M} M_s - (M - 1)\ell'`

    .. math:: \lambda = \frac{-r^2 + r(H_1 + H_{\ell+1})}{2} + \frac{a(\ell' - a)}{4\ell'}
              - \frac{\ell'(\ell' - 1)}{4}\Big(\frac1{\ell'}\sum_{\mathcal M} M_s\Big)^2
              + \frac12 \sum_{i<j \in \mathcal M} M_i M_j, \qquad m = a(\ell' - a) + 1

    (Aoyagi 2024, Consideration on the learning efficiency of multiple-layered neural networks with linear units,
    Neural Networks 172, theorem 1; two layers: Aoyagi and Watanabe 2005, Stochastic complexities of reduced rank
    regression in Bayesian estimation). It is the global coefficient: the local one at weights each of whose matrices
    has exactly rank ``rank``, and larger or equal elsewhere.

    Args:
        widths: inputs, hidden widths, outputs; at least two.
        rank: of the true map, from 0 to the smallest width.

    Raises:
        InputError: for fewer than two widths, a width below one, or a rank that the widths do not allow.

    Example:
        >>> aoyagi([16, 12, 12, 16], 3)
        (Fraction(80, 1), 3)
        >>> aoyagi([20, 1], 1)
        (Fraction(10, 1), 1)
    """
    if len(widths) < 2 or any(isinstance(w, bool) or w != int(w) or w < 1 for w in widths):
        raise InputError(f"widths {list(widths)}", "two or more whole numbers of 1 or more")
    if isinstance(rank, bool) or rank != int(rank) or not 0 <= rank <= min(widths):
        raise InputError(f"rank {rank}", f"a whole number from 0 to the smallest width, {min(widths)}")
    excess = sorted(int(w) - int(rank) for w in widths)
    # Such a set holds the smallest excesses, and there always is one.
    inside = next(excess[:k] for k in range(2, len(excess) + 1) if _is_set(excess, k))
    layers, total = len(inside) - 1, sum(inside)
    a = total - (-(-total // layers) - 1) * layers
    regular = Fraction(-rank * rank + rank * (int(widths[0]) + int(widths[-1])), 2)
    pairs = sum(p * q for p, q in combinations(inside, 2))
    mean = Fraction(total, layers)
    value = regular + Fraction(a * (layers - a), 4 * layers) - Fraction(layers * (layers - 1), 4) * mean**2
    return value + Fraction(pairs, 2), a * (layers - a) + 1


def _is_set(excess: list[int], size: int) -> bool:
    layers, total = size - 1, sum(excess[:size])
    return excess[size - 1] * layers <= total and (size == len(excess) or total <= layers * excess[size])
