"""The transition tables of gymnasium's toy-text environments, read without running them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pindown.errors import InputError

__all__ = ["GymTable", "make_environment", "read_gym_table"]


@dataclass(frozen=True)
class GymTable:
    """A table as arrays; ``kernel`` is ``(S·A, S)``."""

    kernel: sparse.csr_array
    available: NDArray[np.bool_]
    states: tuple[str, ...]
    actions: tuple[str, ...]
    start: NDArray[np.float64] | None
    rewards: NDArray[np.float64]
    name: str


def read_gym_table(env: Any) -> GymTable:
    """Read ``env.unwrapped.P``, with one more state for the end where any transition ends the episode.

    Raises:
        InputError: where there is no such table, or its chances do not sum to 1.
    """
    inner = getattr(env, "unwrapped", env)
    table = getattr(inner, "P", None)
    if not isinstance(table, Mapping) or not table:
        raise InputError(
            f"{type(inner).__name__} has no transition table", "an environment with .unwrapped.P, such as Taxi",
            "hand over its transitions as arrays: MDP(transitions)",
        )  # fmt: skip
    count, acts = len(table), max(len(actions) for actions in table.values())
    final = _final_states(table)
    ends = any(end for actions in table.values() for outs in actions.values() for *_, end in outs)
    size = count + ends
    rows: list[int] = []
    columns: list[int] = []
    chances: list[float] = []
    gained, arrived = np.zeros(size), np.zeros(size)
    available = np.zeros((size, acts), dtype=bool)
    for s in range(count):
        for a, outs in table[s].items():
            available[s, a] = True
            for chance, target, reward, end in [(1.0, count, 0.0, True)] if s in final else outs:
                to = count if end and target not in final else int(target)
                rows.append(s * acts + int(a))
                columns.append(to)
                chances.append(float(chance))
                gained[to] += float(chance) * float(reward)
                arrived[to] += float(chance)
    if ends:
        available[count, 0] = True
        rows.append(count * acts)
        columns.append(count)
        chances.append(1.0)
    kernel = sparse.csr_array((np.array(chances), (rows, columns)), shape=(size * acts, size))
    _check_sums(kernel, available, acts)
    start = getattr(inner, "initial_state_distrib", None)
    first = None if start is None else np.concatenate([np.asarray(start, dtype=np.float64), np.zeros(int(ends))])
    return GymTable(
        kernel=kernel,
        available=available,
        states=(*(str(i) for i in range(count)), *(("ended",) if ends else ())),
        actions=tuple(str(a) for a in range(acts)),
        start=first,
        rewards=np.where(arrived > 0, gained / np.maximum(arrived, 1e-300), 0.0),
        name=str(getattr(getattr(env, "spec", None), "id", "") or type(inner).__name__),
    )


def _final_states(table: Mapping[int, Any]) -> set[int]:
    """States that are entered from elsewhere, and only by transitions that end the episode."""
    ending: set[int] = set()
    going_on: set[int] = set()
    for s, actions in table.items():
        for outs in actions.values():
            for chance, target, _, end in outs:
                if chance > 0 and target != s:
                    (ending if end else going_on).add(int(target))
    return ending - going_on


def _check_sums(kernel: sparse.csr_array, available: NDArray[np.bool_], acts: int) -> None:
    sums = np.asarray(kernel.sum(axis=1)).ravel()
    bad = np.flatnonzero(available.ravel() & (np.abs(sums - 1.0) > 1e-9))
    if bad.size:
        s, a = divmod(int(bad[0]), acts)
        raise InputError(f"the chances of state {s}, action {a} sum to {sums[bad[0]]:.9g}", "1")


def make_environment(name: str) -> Any:
    """An environment of gymnasium by its name.

    Raises:
        InputError: where gymnasium is not installed or knows no such name.
    """
    if find_spec("gymnasium") is None:
        raise InputError("gymnasium is not installed", "it for a name", "pip install 'pindown[resources]'")
    gymnasium: Any = import_module("gymnasium")

    try:
        return gymnasium.make(name)
    except gymnasium.error.Error as error:
        raise InputError(str(error), "a name that gymnasium knows, such as Taxi-v4") from error
