"""Best values and policies for many reward functions at once, and where those policies spend their time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from pindown.errors import InputError
from pindown.resources.mdp import MDP

__all__ = ["best_actions", "best_values", "check_discount", "mixed_policy", "occupancy", "policy_matrix"]

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]
_CELLS = 32_768  # values that are iterated together: they fit into a core's cache
_LEAST = 64  # reward functions of one block
_TIE = 1e-7


def check_discount(discount: float) -> float:
    """A discount factor that can be used.

    Raises:
        InputError: unless it lies between 0 and 1.
    """
    if not 0.0 < discount < 1.0:
        raise InputError(f"discount = {discount!r}", "a number above 0 and below 1, such as 0.95")
    return float(discount)


def best_values(
    mdp: MDP,
    rewards: ArrayLike,
    discount: float,
    *,
    tolerance: float = 1e-6,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Floats:
    r"""Optimal values of every state under many reward functions, by value iteration on all of them at once.

    .. math:: V(s) = R(s) + \gamma \max_a \sum_{s'} P(s' \mid s, a)\, V(s')

    It stops by the bounds of MacQueen (1966) and Porteus (1971): with :math:`\Delta` the last change,
    :math:`V^* - V` lies between :math:`\frac{\gamma}{1-\gamma}\min\Delta` and
    :math:`\frac{\gamma}{1-\gamma}\max\Delta`, and the middle of that range is added
    (Puterman, Markov Decision Processes, 1994, section 6.6).

    Args:
        mdp: the environment.
        rewards: for being in each state, ``(N, S)``.
        discount: :math:`\gamma`.
        tolerance: the largest error of a value, relative to the largest reward's worth for ever, at most 1e-3.
        jobs: threads; by default one, or what ``joblib.parallel_config`` says.
        progress: called with the share done and a text.

    Returns:
        Values ``(N, S)``.

    Raises:
        InputError: for rewards of another shape or that are not finite.

    Example:
        >>> from pindown import MDP
        >>> best_values(MDP([[1, 2], [1, -1], [2, -1]]), [[0, 1, 2]], 0.5).round(5).tolist()
        [[2.0, 2.0, 4.0]]
    """
    gamma = check_discount(discount)
    if not 0 < tolerance <= 1e-3:
        raise InputError(f"tolerance = {tolerance!r}", "above 0, at most 1e-3")
    given = np.asarray(rewards, dtype=np.float64)
    count = len(mdp.states)
    if given.ndim != 2 or given.shape[1] != count or not np.isfinite(given).all():
        raise InputError(f"rewards of shape {given.shape}", f"finite numbers (N, {count}), one for a state")
    width = max(_LEAST, _CELLS // count)
    blocks = [given[i : i + width].T for i in range(0, len(given), width)]
    work = (delayed(_iterate)(mdp, np.ascontiguousarray(b), gamma, tolerance) for b in blocks)
    done: list[Floats] = []
    running: Any = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(work)
    for values in running:
        done.append(values)
        if progress is not None:
            progress(len(done) / len(blocks), f"{min(len(done) * width, len(given)):,} of {len(given):,} objectives")
    return np.concatenate(done, axis=1).T if done else np.zeros((0, count))


def _iterate(mdp: MDP, rewards: Floats, gamma: float, tolerance: float) -> Floats:
    """Values ``(S, n)`` for rewards ``(S, n)``."""
    step = _stepper(mdp, rewards.shape[1])
    scale = max(float(np.abs(rewards).max(initial=0.0)), 1e-300) / (1.0 - gamma)
    values = rewards.copy()
    factor = gamma / (1.0 - gamma)
    # Looking at the bounds costs a third of a sweep; they can only be met near the end.
    for sweep in range(1, _most_sweeps(gamma, tolerance) + 1):
        new = step(values)
        new *= gamma
        new += rewards
        if sweep % 8 == 0:
            change = new - values
            low, high = change.min(axis=0), change.max(axis=0)
            within = (high - low) * factor / 2.0
            if float(within.max(initial=0.0)) <= tolerance * scale:
                new += factor * (low + high) / 2.0
                return np.where(np.abs(new) <= within, 0.0, new)  # what cannot be told from 0, such as the end's value
        values = new
    return values


def _most_sweeps(gamma: float, tolerance: float) -> int:
    """Sweeps after which γⁿ is below the tolerance: the distance to the answer shrinks by γ at each."""
    return math.ceil(math.log(tolerance) / math.log(gamma)) + 8


def _stepper(mdp: MDP, width: int) -> Callable[[Floats], Floats]:
    count, acts = mdp.available.shape
    if mdp.deterministic:
        to = np.ascontiguousarray(mdp.successors.T)
        spare = np.empty((count, width))

        def gather(values: Floats) -> Floats:
            best = np.take(values, to[0], axis=0)
            for a in range(1, acts):
                np.take(values, to[a], axis=0, out=spare, mode="clip")
                np.maximum(best, spare, out=best)
            return best

        return gather

    def multiply(values: Floats) -> Floats:
        return np.asarray(mdp.kernel @ values).reshape(count, acts, -1).max(axis=1)

    return multiply


def action_values(mdp: MDP, values: Floats) -> Floats:
    """What each action leads to, ``Σ P(s'|s,a) V(s')``, ``(N, S, A)``; −∞ for actions that a state lacks."""
    count, acts = mdp.available.shape
    after = np.asarray(mdp.kernel @ values.T).T.reshape(len(values), count, acts)
    return np.where(mdp.available, after, -np.inf)


def best_actions(mdp: MDP, values: Floats) -> NDArray[np.bool_]:
    """Which actions are best within 1e-7 of the range of the values, ``(N, S, A)``."""
    q = action_values(mdp, values)
    scale = np.abs(values).max(axis=1, initial=0.0)[:, None, None]
    return q >= q.max(axis=2, keepdims=True) - np.maximum(scale, 1e-300) * _TIE


def mixed_policy(actions: NDArray[np.bool_]) -> Floats:
    """The policy that takes the given actions ``(S, A)`` of each state alike."""
    return actions / actions.sum(axis=1, keepdims=True)


def policy_matrix(mdp: MDP, policy: Floats) -> sparse.csr_array:
    """The transition matrix ``(S, S)`` of one policy, the chance of each action in each state ``(S, A)``."""
    s, a = np.nonzero(policy)
    count, acts = policy.shape
    mixing = sparse.csr_array((policy[s, a], (s, s * acts + a)), shape=(count, count * acts))
    return sparse.csr_array(mixing @ mdp.kernel)


def occupancy(mdp: MDP, policy: Floats, discount: float) -> Floats:
    r"""The share of discounted time that a policy ``(S, A)`` spends in each state.

    :math:`d = (1-\gamma)\,\mu (I - \gamma P_\pi)^{-1}` with :math:`\mu` the start, ``(S,)``; it sums to 1.

    Example:
        >>> from pindown import MDP
        >>> star = MDP([[1, 2], [1, -1], [2, -1]], start=0)
        >>> occupancy(star, np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), 0.5)
        array([0.5, 0. , 0.5])
    """
    return _discounted(mdp, policy_matrix(mdp, policy), discount)


def _discounted(mdp: MDP, moves: sparse.csr_array, discount: float) -> Floats:
    count = len(mdp.states)
    matrix = sparse.csc_array(sparse.eye_array(count) - discount * moves.T)
    return np.maximum((1.0 - discount) * splu(matrix).solve(mdp.start), 0.0)
