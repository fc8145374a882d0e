"""Finite Markov decision processes: an environment as a table of transitions, with no agent in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from pindown.errors import InputError
from pindown.resources.gym_tables import read_gym_table

__all__ = ["MDP"]

_SUM = 1e-9  # by which the sum of a row of probabilities may miss 1


class MDP:
    r"""States, actions and where they lead: :math:`P(s' \mid s, a)`.

    Args:
        transitions: probabilities ``(S, A, S)``; or whole numbers ``(S, A)``, the state that each action leads to for
            certain. A row of zeros, or a −1, means that the state does not have that action.
        states: names, by default their numbers.
        actions: names.
        start: the state in which everything starts (name or number), or a probability for each state; by default all
            states alike.
        rewards: a reward for being in each state ``(S,)``, which the family of permuted rewards permutes.
        ended: the state that stands for "nothing comes any more" (name or number): its reward is 0 under every
            objective.

    Raises:
        InputError: for shapes that do not fit, a state without actions, or probabilities that do not sum to 1; the row
            is named.

    Example:
        >>> from pindown import MDP
        >>> star = MDP([[1, 2], [1, -1], [2, -1]], states=["centre", "left", "right"], start="centre")
        >>> star
        MDP(3 states, 2 actions, deterministic)
    """

    def __init__(
        self,
        transitions: ArrayLike,
        *,
        states: Sequence[str] | None = None,
        actions: Sequence[str] | None = None,
        start: str | int | ArrayLike | None = None,
        rewards: ArrayLike | None = None,
        ended: str | int | None = None,
        name: str = "",
    ) -> None:
        table = np.asarray(transitions)
        if table.ndim == 2 and np.issubdtype(table.dtype, np.integer):
            kernel, available = _from_successors(table.astype(np.int64))
        elif table.ndim == 3:
            kernel, available = _from_probabilities(np.asarray(table, dtype=np.float64))
        else:
            raise InputError(
                f"transitions of shape {table.shape} and type {table.dtype}",
                "probabilities (S, A, S), or whole numbers (S, A)",
            )
        self._set(kernel, available, states, actions, start, rewards, ended, name)

    def _set(
        self,
        kernel: sparse.csr_array,
        available: NDArray[np.bool_],
        states: Sequence[str] | None,
        actions: Sequence[str] | None,
        start: Any,
        rewards: Any,
        ended: str | int | None,
        name: str,
    ) -> None:
        count, acts = available.shape
        without = np.flatnonzero(~available.any(axis=1))
        if without.size:
            raise InputError(f"state {int(without[0])} has no action", "at least one, such as staying where it is")
        self.states = _names(states, count, "states")
        self.actions = _names(actions, acts, "actions")
        self.available: NDArray[np.bool_] = available
        self.name = name
        # An action that a state lacks repeats one that it has, so that a maximum over actions needs no mask.
        rows = np.arange(count * acts)
        first = available.argmax(axis=1)
        missing = np.flatnonzero(~available.ravel())
        rows[missing] = missing // acts * acts + first[missing // acts]
        self.kernel: sparse.csr_array = sparse.csr_array(kernel[rows])
        lengths = np.diff(self.kernel.indptr)
        self.deterministic = bool((lengths == 1).all())
        self.start: NDArray[np.float64] = self._start(start)
        self.ended = None if ended is None else self.index(ended)
        self.rewards: NDArray[np.float64] | None = None
        if rewards is not None:
            self.rewards = np.asarray(rewards, dtype=np.float64)
            if self.rewards.shape != (count,) or not np.isfinite(self.rewards).all():
                raise InputError(f"rewards of shape {self.rewards.shape}", f"{count} finite numbers, one for a state")

    @property
    def successors(self) -> NDArray[np.int64]:
        """Where each action of a deterministic process leads, ``(S, A)``."""
        if not self.deterministic:
            raise InputError("a process with chance", "a deterministic one")
        return self.kernel.indices.astype(np.int64).reshape(self.available.shape)

    def index(self, state: str | int) -> int:
        """The number of a state.

        Raises:
            InputError: for a state that is not there.
        """
        if isinstance(state, str):
            if state not in self.states:
                raise InputError(f"no state {state!r}", f"one of {', '.join(self.states[:10])}, …")
            return self.states.index(state)
        if isinstance(state, bool) or not 0 <= state < len(self.states):
            raise InputError(f"no state {state!r}", f"a number from 0 to {len(self.states) - 1}")
        return int(state)

    def _start(self, start: Any) -> NDArray[np.float64]:
        count = len(self.states)
        if start is None:
            return np.full(count, 1.0 / count)
        if isinstance(start, (str, int, np.integer)):
            return np.eye(count)[self.index(start if isinstance(start, str) else int(start))]
        chances = np.asarray(start, dtype=np.float64)
        if chances.shape != (count,) or (chances < 0).any() or abs(chances.sum() - 1.0) > _SUM:
            raise InputError(f"start of shape {chances.shape}", f"{count} probabilities that sum to 1, or one state")
        return chances

    @classmethod
    def from_gymnasium(cls, env: Any, *, name: str = "") -> MDP:
        """The transition table that a toy-text environment of gymnasium carries.

        Where a transition ends the episode it leads to the state ``ended``, directly or, where every way into its
        target ends the episode, through that target. The environment's own rewards become a mean reward for arriving in
        each state.

        Args:
            env: an environment whose ``unwrapped.P`` maps states and actions to ``(chance, state, reward, ended)``.
            name: for tables; by default the environment's own.

        Raises:
            InputError: for an environment without such a table.
        """
        table = read_gym_table(env)
        found = cls.__new__(cls)
        found._set(
            table.kernel, table.available, table.states, table.actions, table.start, table.rewards,
            "ended" if "ended" in table.states else None, name or table.name,
        )  # fmt: skip
        return found

    def __repr__(self) -> str:
        kind = "deterministic" if self.deterministic else "with chance"
        return f"MDP({len(self.states)} states, {len(self.actions)} actions, {kind})"


def _from_successors(table: NDArray[np.int64]) -> tuple[sparse.csr_array, NDArray[np.bool_]]:
    count, acts = table.shape
    wrong = np.argwhere((table < -1) | (table >= count))
    if wrong.size:
        s, a = (int(i) for i in wrong[0])
        raise InputError(f"state {s}, action {a} leads to {table[s, a]}", f"a state from 0 to {count - 1}, or −1")
    available = table >= 0
    rows = np.flatnonzero(available.ravel())
    columns = table.ravel()[rows]
    kernel = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(count * acts, count))
    return kernel, available


def _from_probabilities(table: NDArray[np.float64]) -> tuple[sparse.csr_array, NDArray[np.bool_]]:
    count, acts, other = table.shape
    if count != other:
        raise InputError(f"transitions of shape {table.shape}", "(S, A, S): as many targets as states")
    wrong = np.argwhere(~np.isfinite(table) | (table < 0))
    if wrong.size:
        s, a, t = (int(i) for i in wrong[0])
        raise InputError(f"state {s}, action {a} leads to state {t} with chance {table[s, a, t]}", "0 or more")
    sums = table.sum(axis=2)
    bad = np.argwhere((np.abs(sums - 1.0) > _SUM) & (sums != 0.0))
    if bad.size:
        s, a = (int(i) for i in bad[0])
        raise InputError(
            f"the chances of state {s}, action {a} sum to {sums[s, a]:.9g}",
            "1, or 0 where the state does not have that action",
        )
    return sparse.csr_array(table.reshape(count * acts, count)), sums > 0


def _names(names: Sequence[str] | None, count: int, what: str) -> tuple[str, ...]:
    if names is None:
        return tuple(str(i) for i in range(count))
    out = tuple(str(n) for n in names)
    if len(out) != count or len(set(out)) != count:
        raise InputError(f"{len(set(out))} different names for {what}", f"{count}, one for each")
    return out
