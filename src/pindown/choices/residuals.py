r"""Caches of values: Bellman residuals entry by entry, and the entries to blame.

The residual of a state is :math:`V(s) - \max_a (r_a + \sum_{s'} w_{as'} V(s'))` (Bellman 1957). One wrong entry leaves
a residual at itself and at every state that was backed up from it; to blame is the smallest set of entries that, put
right, leaves no residual at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from pindown.choices.value_cache import Transition, ValueCache

__all__ = ["blamed", "explains", "residuals"]

_MOST_BLAMED, _MOST_TRIES = 4, 20_000
_SWEEPS = 3


def residuals(cache: ValueCache) -> dict[str, Fraction]:
    """The residual of each state that has transitions, exactly.

    Example:
        >>> residuals(ValueCache({0: 0, 1: 1, 2: 5}, {2: [0, 1]}))
        {'2': Fraction(4, 1)}
    """
    return {s: cache.values[s] - _backup(ways, cache.values) for s, ways in _actions(cache).items()}


def blamed(cache: ValueCache) -> tuple[dict[str, Fraction], bool]:
    """The smallest set of entries that explains all residuals, with the values that put them right.

    Returns:
        The entries and their right values, and whether the set is proved to be smallest. Where no set of at most four
        entries explains all, every entry with a residual, not proved.
    """
    ways = _actions(cache)
    wrong = {s for s, r in residuals(cache).items() if r}
    if not wrong:
        return {}, True
    # An entry without a residual of its own can be to blame only through the states that were backed up from it.
    near = set(wrong)
    for s in wrong:
        near |= {t.next for terms in ways[s] for t in terms}
    tries = 0
    candidates = sorted(near, key=lambda s: (s not in wrong, list(cache.values).index(s)))
    for size in range(1, _MOST_BLAMED + 1):
        for chosen in combinations(candidates, size):
            tries += 1
            if tries > _MOST_TRIES:
                return {s: _backup(ways[s], cache.values) for s in sorted(wrong)}, False
            found = _repaired(cache, ways, chosen)
            if found is not None:
                return found, True
    return {s: _backup(ways[s], cache.values) for s in sorted(wrong)}, False


def explains(cache: ValueCache, right: dict[str, Fraction]) -> bool:
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


def _backup(ways: Sequence[Sequence[Transition]], values: dict[str, Fraction]) -> Fraction:
    return max(sum((t.reward + t.weight * values[t.next] for t in terms), Fraction(0)) for terms in ways)


def _repaired(
    cache: ValueCache, ways: dict[str, list[list[Transition]]], chosen: Sequence[str]
) -> dict[str, Fraction] | None:
    """Values of the chosen entries that leave no residual anywhere; None where there are none that backups find."""
    values = dict(cache.values)
    for _ in range(_SWEEPS * len(chosen)):
        for s in chosen:
            right = _own_value(s, ways, values)
            if right is None:
                return None
            values[s] = right
    if any(values[s] != _backup(w, values) for s, w in ways.items()):
        return None
    return {s: values[s] for s in chosen}


def _own_value(s: str, ways: dict[str, list[list[Transition]]], values: dict[str, Fraction]) -> Fraction | None:
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
    for state, actions in ways.items():
        for terms in actions:
            weight = sum((t.weight for t in terms if t.next == s), Fraction(0))
            if weight and len(actions) == 1 and state != s:
                rest = sum((t.reward + (t.weight * values[t.next] if t.next != s else 0) for t in terms), Fraction(0))
                return (values[state] - rest) / weight
    return None
