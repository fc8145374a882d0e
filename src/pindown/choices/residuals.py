r"""Caches of values: Bellman residuals entry by entry, and the entries to blame.

The residual of a state is :math:`V(s) - \max_a (r_a + \sum_{s'} w_{as'} V(s'))` (Bellman 1957). One wrong entry leaves
a residual at itself and at every state that was backed up from it; to blame is the smallest set of entries that, put
right, leaves no residual at all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations

from pindown.choices.value_cache import Transition, ValueCache

__all__ = ["blamed", "explains", "residuals"]

_MOST_BLAMED, _MOST_TRIES = 4, 20_000
_SWEEPS = 3

Ways = Mapping[str, Sequence[Sequence[Transition]]]


def residuals(cache: ValueCache) -> dict[str, Fraction]:
    """The residual of each state that has transitions, exactly.

    Example:
        >>> residuals(ValueCache({0: 0, 1: 1, 2: 5}, {2: [0, 1]}))
        {'2': Fraction(4, 1)}
    """
    return {s: cache.values[s] - _backup(ways, cache.values) for s, ways in _actions(cache).items()}


def blamed(cache: ValueCache, seconds: float = 20.0) -> tuple[dict[str, Fraction], bool]:
    """The smallest set of entries that explains all residuals, with the values that put them right.

    Args:
        cache: the claimed values.
        seconds: the longest that the search may take.

    Returns:
        The entries and their right values, and whether the set is proved to be smallest: whether of every smaller one
        it could be decided that it does not explain all. Where no set of at most four entries is found to, or time
        ran out, every entry with a residual, not proved.
    """
    stop = time.monotonic() + seconds
    ways = _actions(cache)
    wrong = {s for s, r in residuals(cache).items() if r}
    if not wrong:
        return {}, True
    # An entry can put right its own residual and those of the states that were backed up from it.
    reach: dict[str, set[str]] = {s: {s} for s in wrong}
    users: dict[str, set[str]] = {}
    for s, actions in ways.items():
        for t in (t for terms in actions for t in terms):
            users.setdefault(t.next, set()).add(s)
            if s in wrong:
                reach.setdefault(t.next, set()).add(s)
    place = {s: k for k, s in enumerate(cache.values)}
    candidates = sorted(reach, key=lambda s: (s not in wrong, place[s]))
    tries, proved = 0, True
    for size in range(1, _MOST_BLAMED + 1):
        for chosen in combinations(candidates, size):
            tries += 1
            if tries > _MOST_TRIES or (tries % 100 == 0 and time.monotonic() >= stop):
                return {s: _backup(ways[s], cache.values) for s in sorted(wrong)}, False
            if not wrong.issubset(set().union(*(reach[s] for s in chosen))):
                continue
            found, decided = _repaired(cache, ways, users, chosen)
            if found is not None:
                return found, proved
            proved = proved and decided
    return {s: _backup(ways[s], cache.values) for s in sorted(wrong)}, False


def explains(cache: ValueCache, right: Mapping[str, Fraction]) -> bool:
    """Whether the cache with these values put right has no residual anywhere.

    Example:
        >>> explains(ValueCache({0: 0, 1: 1, 2: 5}, {2: [0, 1]}), {"2": Fraction(1)})
        True
    """
    values = {**cache.values, **right}
    return all(values[s] == _backup(ways, values) for s, ways in _actions(cache).items())


def _actions(cache: ValueCache) -> dict[str, list[list[Transition]]]:
    """For each state with transitions, its terms action by action."""
    grouped: dict[str, dict[str, list[Transition]]] = {}
    for term in cache.terms:
        grouped.setdefault(term.state, {}).setdefault(term.action, []).append(term)
    return {s: list(actions.values()) for s, actions in grouped.items()}


def _backup(ways: Sequence[Sequence[Transition]], values: Mapping[str, Fraction]) -> Fraction:
    return max(sum((t.reward + t.weight * values[t.next] for t in terms), Fraction(0)) for terms in ways)


def _repaired(
    cache: ValueCache, ways: Ways, users: Mapping[str, set[str]], chosen: Sequence[str]
) -> tuple[dict[str, Fraction] | None, bool]:
    """Values of the chosen entries that leave no residual anywhere, and whether it is decided that there are none else.

    Backups find them where the chosen do not hang on each other in a ring.
    """
    values = dict(cache.values)
    for _ in range(_SWEEPS * len(chosen)):
        before = [values[s] for s in chosen]
        for s in chosen:
            right = _own_value(s, ways, users, values)
            if right is None:
                return None, False
            values[s] = right
        if before == [values[s] for s in chosen]:
            break
    else:
        return None, False
    # The others are as they were: what was right and is backed up from none of the chosen stays right.
    touched = {s for s in chosen if s in ways}.union(*(users.get(s, set()) for s in chosen))
    if any(values[s] != _backup(ways[s], values) for s in touched):
        return None, True
    return {s: values[s] for s in chosen}, True


def _own_value(
    s: str, ways: Ways, users: Mapping[str, set[str]], values: Mapping[str, Fraction]
) -> Fraction | None:  # fmt: skip
    """What an entry should be by its own backup, or, where it has none, by that of a state that depends on it alone."""
    if s in ways:
        options: list[Fraction] = []
        for terms in ways[s]:
            back = sum((t.weight for t in terms if t.next == s), Fraction(0))
            if back >= 1:
                return None
            rest = sum((t.reward + (t.weight * values[t.next] if t.next != s else 0) for t in terms), Fraction(0))
            options.append(rest / (1 - back))
        return max(options)
    for state in sorted(users.get(s, set())):
        actions = ways[state]
        for terms in actions:
            weight = sum((t.weight for t in terms if t.next == s), Fraction(0))
            if weight and len(actions) == 1 and state != s:
                rest = sum((t.reward + (t.weight * values[t.next] if t.next != s else 0) for t in terms), Fraction(0))
                return (values[state] - rest) / weight
    return None
