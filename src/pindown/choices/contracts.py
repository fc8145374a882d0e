r"""What a committee would gain from a contract, or the proof that it would gain nothing.

A committee that vetoes has incomplete preferences, and its members can do better by agreeing beforehand on which trades
to make although one of them loses by it (Wentworth and Lorell 2023, Why not subagents?, against Wentworth 2019). Offers
arrive at random; what is held is a Markov chain, and a contract says how often each offer is taken. Over discounted
shares of time :math:`d_i` in which :math:`i` is held and rates :math:`a_{ij} \le d_i p_{ij}` at which it is given for
:math:`j`,

.. math:: d_i = (1 - \gamma) s_i + \gamma \big(d_i - \sum_j a_{ij} + \sum_j a_{ji}\big),

the members' values :math:`\sum_i d_i u_m(i)` are linear, so that the best contract under which none loses is a linear
programme (a constrained decision process, Altman 1999). Where it gains nothing its dual weighs the members so that
vetoing is already best for the weighted sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.optimize import linprog

from pindown.errors import InputError
from pindown.estimate import Estimate, Status

__all__ = ["Contract", "Exchange", "best_contract", "exchange_gain"]

Array = NDArray[np.float64]
_LEAST, _PROVED = 1e-8, 1e-7


@dataclass(frozen=True)
class Contract:
    """The best contract.

    Attributes:
        gain: what all members together gain over vetoing, none losing; each member's values are as given.
        members: what each gains.
        accepts: ``(have, offered)``: how often such an offer is taken, where it is offered at all.
        weights: where nothing is to be gained, weights of the members under whose sum no contract beats vetoing.
        proof: by how much, at most, any contract could beat it under those weights.
    """

    gain: Estimate
    members: tuple[float, ...]
    accepts: tuple[tuple[int, int, float], ...]
    weights: tuple[float, ...]
    proof: float


def best_contract(utilities: ArrayLike, offers: ArrayLike, start: ArrayLike, discount: float = 0.99) -> Contract:
    """The contract with the greatest total gain under which no member loses.

    Args:
        utilities: ``(members, items)``.
        offers: ``(items, items)``: the chance in each round that the column's item is offered for the row's; rows sum
            to at most 1.
        start: ``(items,)``: the chance of holding each item at first.
        discount: weight of each further round, from 0 to below 1.

    Raises:
        InputError: for shapes that do not fit, or chances that are none.

    Example:
        >>> utilities = [[0, 1, 0, 2], [0, 0, 1, 2]]  # two members, who differ about the items 1 and 2
        >>> best_contract(utilities, [[0] * 4] * 4, [1, 0, 0, 0]).gain.value
        0.0
    """
    u, p, s = (np.asarray(x, dtype=np.float64) for x in (utilities, offers, start))
    if u.ndim != 2 or p.shape != (u.shape[1],) * 2 or s.shape != (u.shape[1],):
        raise InputError(
            f"utilities of shape {u.shape}, offers of shape {p.shape}, start of shape {s.shape}",
            "(members, items), (items, items) and (items,)",
        )
    if (p < 0).any() or (p.sum(axis=1) > 1 + 1e-9).any() or (s < 0).any() or not math.isclose(float(s.sum()), 1.0):
        raise InputError("trade probabilities or a start that are no chances", "0 or more, with sums of at most 1")
    if not 0.0 <= discount < 1.0:
        raise InputError(f"discount {discount}", "a number from 0 to below 1")
    pairs = [(int(i), int(j)) for i, j in np.argwhere(p > 0) if i != j]
    agreed = [(i, j) for i, j in pairs if (u[:, j] > u[:, i]).all()]
    held = _held(p, s, discount, agreed)
    before = u @ held
    if not pairs:
        return Contract(_exactly(0.0), (0.0,) * len(u), (), (1.0,) * len(u), 0.0)
    return _programme(u, p, s, discount, pairs, before)


def _held(p: Array, s: Array, discount: float, agreed: Sequence[tuple[int, int]]) -> Array:
    """Shares of time in which each item is held, when the agreed trades are made."""
    rounds = np.eye(len(s)) - discount * _moves(p, agreed).T
    return np.asarray(np.linalg.solve(rounds, (1.0 - discount) * s), dtype=np.float64)


def _moves(p: Array, agreed: Sequence[tuple[int, int]]) -> Array:
    """The chance of each move in a round, when the agreed trades are made."""
    move = np.eye(len(p))
    for i, j in agreed:
        move[i, i] -= p[i, j]
        move[i, j] += p[i, j]
    return move


def _programme(
    u: Array, p: Array, s: Array, discount: float, pairs: Sequence[tuple[int, int]], before: Array
) -> Contract:
    members, n = u.shape
    many = len(pairs)
    have, offered = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    items, trades, ones = np.arange(n), n + np.arange(many), np.ones(many)
    cells = np.r_[items, have, offered], np.r_[items, trades, trades]
    # Sparse matrices and the fields of results are not known to the annotations of linprog.
    balance: Any = sparse.csr_array(
        (np.r_[np.full(n, 1.0 - discount), discount * ones, -discount * ones], cells), shape=(n, n + many)
    )
    cells = np.r_[trades - n, trades - n], np.r_[trades, have]
    rate: Any = sparse.csr_array((np.r_[ones, -p[have, offered]], cells), shape=(many, n + many))
    value = np.hstack([u, np.zeros((members, many))])
    limits: Any = sparse.vstack([rate, sparse.csr_array(-value)])
    found: Any = linprog(
        -value.sum(axis=0), A_ub=limits, b_ub=np.r_[np.zeros(many), -before + 1e-12],
        A_eq=balance, b_eq=(1.0 - discount) * s, bounds=(0, None), method="highs",
    )  # fmt: skip
    if found.x is None:
        nothing = Estimate(math.nan, math.nan, "utility", "estimate", Status.NOT_CONVERGED)
        return Contract(nothing, (), (), (), math.nan)
    gains = value @ found.x - before
    total = float(gains.sum())
    if total <= _LEAST * max(1.0, float(np.abs(u).max())):
        weights = 1.0 - found.ineqlin.marginals[many:]
        proof = max(0.0, _most(weights @ u, p, s, discount, pairs) - float(weights @ before))
        proved = proof <= _PROVED * max(1.0, float(np.abs(weights @ u).max()))
        gain = _exactly(0.0) if proved else Estimate(proof, 0.0, "utility", "upper_bound", Status.REACHED, "vetoing")
        return Contract(gain, (0.0,) * members, (), tuple(float(w) for w in weights), proof)
    taken = [
        (i, j, min(1.0, float(found.x[n + k] / (found.x[i] * p[i, j]))))
        for k, (i, j) in enumerate(pairs)
        if found.x[n + k] > 1e-9 and found.x[i] > 1e-9
    ]
    return Contract(_exactly(total), tuple(float(g) for g in gains), tuple(taken), (), math.nan)


def _most(utility: Array, p: Array, s: Array, discount: float, pairs: Sequence[tuple[int, int]]) -> float:
    """The most that one agent with this utility could get, by policy iteration (Howard 1960)."""
    agreed = [(i, j) for i, j in pairs if utility[j] > utility[i]]
    best = -math.inf
    while True:
        value = np.linalg.solve(np.eye(len(s)) - discount * _moves(p, agreed), (1.0 - discount) * utility)
        total = float(value.sum())
        if total <= best + 1e-12 * max(1.0, abs(best)):
            return float(s @ value)
        best = total
        agreed = [(i, j) for i, j in pairs if value[j] > value[i]]


def _exactly(x: float) -> Estimate:
    return Estimate(x, 0.0, "utility", "exact", Status.REACHED, "vetoing")


@dataclass(frozen=True)
class Exchange:
    """What two producers gain by moving production of the first good from one to the other.

    Attributes:
        gain: of the second good, the first being kept.
        more, less: who makes more of the first good, and who makes less.
    """

    gain: Estimate
    more: int
    less: int


def exchange_gain(rates: Sequence[float], amount: float = 1.0) -> Exchange:
    """What is gained when producers differ in the rate at which they can trade two goods off.

    A producer of rate ``r`` gives up ``r`` units of the second good for each unit of the first. Moving ``amount`` of
    the first good from the one with the highest rate to the one with the lowest frees ``(highest − lowest) · amount``
    of the second (Ricardo 1817). Producers of one rate gain nothing: their choices are those of one agent with prices.

    Raises:
        InputError: for fewer than two producers, or a rate that is not above 0.

    Example:
        >>> exchange_gain([0.5, 1.0]).gain.value
        0.5
    """
    if len(rates) < 2 or not all(math.isfinite(r) and r > 0 for r in rates):
        raise InputError(f"trade-off rates {list(rates)!r}", "two or more numbers above 0")
    if not amount > 0:
        raise InputError(f"an amount of {amount!r}", "a number above 0")
    low, high = min(range(len(rates)), key=lambda i: rates[i]), max(range(len(rates)), key=lambda i: rates[i])
    gain = (rates[high] - rates[low]) * amount
    return Exchange(Estimate(gain, 0.0, "units of the second good", "exact", Status.REACHED, "no exchange"), low, high)
