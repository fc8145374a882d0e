"""A cache of claimed values, and the transitions that tie them to each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from pindown.choices.cells import as_fraction, name_of, number_of, refuse_cell
from pindown.errors import DataError, InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Transition", "ValueCache"]


@dataclass(frozen=True)
class Transition:
    """One term of a state's backup: under ``action``, ``reward`` once and ``weight`` times the value of ``next``."""

    state: str
    next: str
    weight: Fraction
    reward: Fraction
    action: str


class ValueCache:
    r"""Claimed values :math:`V(s)` that should obey :math:`V(s) = \max_a (r_a + \sum_{s'} w_{as'} V(s'))`.

    With one action a state that is a sum, as in a table of Fibonacci numbers; the weights hold probabilities and the
    discount of a decision process. States without transitions are given from outside.

    Args:
        values: the claimed value of each state.
        transitions: for each state the states that follow, as a mapping from state to weight or a list of states of
            weight 1; or, for several actions, rows ``(state, action, next, weight, reward)``.

    Raises:
        InputError: for an empty cache.
        DataError: for a state without a value, a value or weight that is not finite, or a term that stands twice.

    Example:
        >>> from pindown import ValueCache
        >>> ValueCache({0: 0, 1: 1, 2: 1, 3: 2}, {2: [0, 1], 3: [1, 2]})
        ValueCache(4 states, 4 terms)
    """

    kind: ClassVar[str] = "value cache"

    def __init__(
        self,
        values: Mapping[Any, Any],
        transitions: Mapping[Any, Mapping[Any, Any] | Sequence[Any]] | Iterable[Sequence[Any]],
    ) -> None:
        if not values:
            raise DataError("an empty cache", "at least one state with its value")
        self.values: dict[str, Fraction] = {}
        for i, (state, value) in enumerate(values.items()):
            self.values[name_of(state, i, "state")] = as_fraction(number_of(value, i, "value"))
        self.terms: list[Transition] = []
        seen: set[tuple[str, str, str]] = set()
        for i, (state, action, to, weight, reward) in enumerate(_rows(transitions)):
            term = Transition(
                name_of(state, i, "state"),
                name_of(to, i, "next"),
                as_fraction(number_of(weight, i, "weight")),
                as_fraction(number_of(reward, i, "reward")),
                name_of(action, i, "action"),
            )
            for name, column in ((term.state, "state"), (term.next, "next")):
                if name not in self.values:
                    raise refuse_cell(i, column, name, "a state with a value")
            if (term.state, term.action, term.next) in seen:
                raise refuse_cell(i, "next", term.next, f"each state once under action {term.action!r} of {term.state}")
            seen.add((term.state, term.action, term.next))
            self.terms.append(term)

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> ValueCache:
        """From one row a term: ``state``, ``value``, ``next`` (empty for none), and maybe ``weight``, ``reward``,
        ``action``.

        Raises:
            DataError: where a state has two different values.
        """
        values: dict[str, Any] = {}
        terms: list[tuple[Any, ...]] = []
        for i, row in enumerate(rows):
            state = name_of(row["state"], i, "state")
            value = number_of(row["value"], i, "value")
            if values.setdefault(state, value) != value:
                raise refuse_cell(i, "value", value, f"the value {values[state]} that {state!r} has above")
            to = row["next"]
            if to is None or to != to or not str(to).strip():
                continue
            terms.append((state, row.get("action", "-"), to, row.get("weight", 1), row.get("reward", 0)))
        return cls(values, terms)

    @property
    def states(self) -> tuple[str, ...]:
        """All states."""
        return tuple(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"ValueCache({counted(len(self), 'state')}, {counted(len(self.terms), 'term')})"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a term, and one for each state without any: ``state``, ``value``, ``action``, ``next``, …"""
        import pandas as pd

        rows = [
            (t.state, float(self.values[t.state]), t.action, t.next, float(t.weight), float(t.reward))
            for t in self.terms
        ]
        bound = {t.state for t in self.terms}
        rows += [(s, float(v), "-", "", 1.0, 0.0) for s, v in self.values.items() if s not in bound]
        return pd.DataFrame(rows, columns=["state", "value", "action", "next", "weight", "reward"])


def _rows(transitions: Any) -> Iterable[tuple[Any, Any, Any, Any, Any]]:
    if isinstance(transitions, Mapping):
        for state, following in transitions.items():
            if isinstance(following, Mapping):
                for to, weight in following.items():
                    yield state, "-", to, weight, 0
            else:
                for to in following:
                    yield state, "-", to, 1, 0
        return
    for i, row in enumerate(transitions):
        cells = tuple(row)
        if len(cells) != 5:
            raise InputError(
                f"row {i + 1} of transitions has {len(cells)} cells", "(state, action, next, weight, reward)"
            )
        yield cells
