r"""Do N observed bits buy at most N bits of optimisation? The exact answer for finite systems, and a counterexample.

A system in a state :math:`x \sim p` is acted on, and :math:`f(x, a)` comes out. Optimisation bits here are those by
which the outcome is less uncertain than the state: :math:`H(X) - H(f(X, a))`. An agent that sees nothing has the best
fixed action; one that sees :math:`O` the best action for each observation. Touchette and Lloyd (2000, Information-
theoretic limits of control) bound what sight adds by :math:`I(X; O)` *over the best blind reduction from any
distribution of states*. From the distribution that is there it may buy more: a key opens a lock.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.spaces.base import check_count
from pindown.values.plans import normalised

__all__ = ["Steering", "lock_and_key", "steering_bits"]

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
_MOST_POLICIES, _MOST_STATES = 4096, 4_194_304


@dataclass(frozen=True)
class Steering:
    """What seeing buys.

    Attributes:
        observed: information of the observation about the state, in bits.
        blind: optimisation bits of the best fixed action.
        sighted: optimisation bits of the best action for each observation.
        bought: the difference.
        holds: whether at most as many bits were bought as observed.
    """

    observed: Estimate
    blind: Estimate
    sighted: Estimate
    bought: Estimate
    holds: bool

    def __str__(self) -> str:
        verdict = "N for N holds" if self.holds else "N for N does not hold"
        return (
            f"{self.observed.value:.3f} bits observed buy {self.bought.value:.3f} bits of optimisation "
            f"({self.blind.value:.3f} blind, {self.sighted.value:.3f} sighted): {verdict}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        figures = {k: getattr(self, k).to_dict() for k in ("observed", "blind", "sighted", "bought")}
        return {**figures, "holds": self.holds}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Steering:
        """Read back what :meth:`to_dict` wrote."""
        figures = {k: Estimate.from_dict(record[k]) for k in ("observed", "blind", "sighted", "bought")}
        return cls(**figures, holds=bool(record["holds"]))


def steering_bits(outcomes: Any, seen: Any = None, weights: Any = None) -> Steering:
    """What an observation buys in a finite system, exactly, over all policies.

    Args:
        outcomes: ``(states, actions)``, a whole number for what comes out.
        seen: ``(states,)`` what is observed in each state; by default the state itself.
        weights: probabilities of the states; by default uniform.

    Raises:
        InputError: for shapes that do not fit, or more than 4096 policies.

    Example:
        >>> print(steering_bits([[0, 1], [1, 0]]))  # a bit that is turned or left
        1.000 bits observed buy 1.000 bits of optimisation (0.000 blind, 1.000 sighted): N for N holds
    """
    table = np.asarray(outcomes)
    if table.ndim != 2 or 0 in table.shape or not np.issubdtype(table.dtype, np.integer) or table.size > _MOST_STATES:
        raise InputError(
            f"outcomes of shape {table.shape} and type {table.dtype}",
            f"whole numbers (states, actions), at most {_MOST_STATES:,} of them",
        )
    n, actions = table.shape
    p = normalised(weights, n, "weights of states")
    told = np.arange(n) if seen is None else np.asarray(seen)
    if told.shape != (n,):
        raise InputError(f"observations of shape {told.shape}", f"({n},), one a state")
    names, place = np.unique(told, return_inverse=True)
    if actions ** min(len(names), 64) > _MOST_POLICIES:
        raise InputError(
            f"{actions} actions for each of {len(names)} observations", f"at most {_MOST_POLICIES} policies in all",
            "merge observations that are acted on alike",
        )  # fmt: skip
    code = np.unique(table, return_inverse=True)[1].reshape(table.shape)
    start = _bits_of(p)

    def gained(choice: IntArray) -> float:
        return start - _bits_of(np.bincount(code[np.arange(n), choice], p).astype(np.float64))

    blind = max(gained(np.full(n, a, dtype=np.int64)) for a in range(actions))
    policies = itertools.product(range(actions), repeat=len(names))
    sighted = max(gained(np.asarray(policy, dtype=np.int64)[place]) for policy in policies)
    observed = _bits_of(np.bincount(place, p).astype(np.float64))
    reference = f"{n:,} states, {actions} actions"

    def figure(x: float) -> Estimate:
        return Estimate(x, 0.0, "bits", "exact", Status.REACHED, reference)

    bought = sighted - blind
    return Steering(figure(observed), figure(blind), figure(sighted), figure(bought), bought <= observed + 1e-9)


def lock_and_key(key: int = 1, payload: int = 16) -> Steering:
    """The counterexample: the right key of ``key`` bits empties a payload of ``payload`` bits; a wrong one leaves it.

    Blind, the outcome is the empty payload with probability :math:`2^{-k}` and a uniform one else, of
    :math:`h(2^{-k}) + (1 - 2^{-k}) m` bits but for the empty one's being among the others; seen, it has none.

    Args:
        key: bits of the key, which are observed.
        payload: bits of the payload, which are not.

    Example:
        >>> print(lock_and_key())
        1.000 bits observed buy 9.000 bits of optimisation (8.000 blind, 17.000 sighted): N for N does not hold
    """
    k, m = check_count(key, "key"), check_count(payload, "payload")
    if k > 3 or 2 ** (2 * k + m) > _MOST_STATES:
        raise InputError(f"a key of {k} bits and a payload of {m}", "a key of 3 bits at most, and 2k + m at most 22")
    keys, loads = np.divmod(np.arange(2 ** (k + m)), 2**m)
    tried = np.arange(2**k)
    outcome = np.where(keys[:, None] == tried, 0, loads[:, None])
    if k < 2:
        return steering_bits(outcome, keys)
    # With more keys than policies can be listed for, opening is what every policy that sees the key should do: the
    # outcome then has no uncertainty at all, which nothing betters.
    blind = steering_bits(outcome, np.zeros(len(keys), dtype=np.int64))
    reference = blind.blind.reference

    def figure(x: float) -> Estimate:
        return Estimate(x, 0.0, "bits", "exact", Status.REACHED, reference)

    bought = k + m - blind.blind.value
    return Steering(figure(float(k)), blind.blind, figure(float(k + m)), figure(bought), bought <= k + 1e-9)


def _bits_of(p: Array) -> float:
    """Shannon's entropy in bits."""
    return bits(max(0.0, -float(math.fsum(xlogy(p, p)))))
