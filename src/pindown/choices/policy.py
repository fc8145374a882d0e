"""A policy in a deterministic decision process: what is done in each state, and what could have been done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pindown.choices.cells import name_of, refuse_cell
from pindown.choices.trades import truth_of
from pindown.errors import DataError, InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Policy"]


class Policy:
    """What is done in each state of a deterministic decision process.

    A state in which one can stay (an action leads back to it), or without any action, is one to end in: a *final
    state*.

    Args:
        transitions: for each state its actions and the state that each leads to, or a list of the states that can
            follow, each then being the name of the action that leads to it.
        actions: for each state with actions, the one that is taken.

    Attributes:
        states: all states, in the order of their first appearance.
        options: for each state, by action name, the number of the state that follows.
        taken: for each state the action that is taken; None where there is none.

    Raises:
        InputError: for an empty process, a state without its action, or an action that does not exist there.

    Example:
        >>> from pindown import Policy
        >>> Policy({"A": {"stay": "A", "go": "B"}, "B": {"stay": "B"}}, {"A": "go", "B": "stay"})
        Policy(2 states, 3 transitions)
    """

    kind: ClassVar[str] = "policy"

    def __init__(
        self, transitions: Mapping[Any, Mapping[Any, Any] | Sequence[Any]], actions: Mapping[Any, Any]
    ) -> None:
        if not transitions:
            raise DataError("a policy without transitions", "at least one state with an action")
        numbers: dict[str, int] = {}
        for row, state in enumerate(transitions):
            numbers.setdefault(name_of(state, row, "state"), len(numbers))
        found: dict[int, dict[str, int]] = {}
        for row, (state, ways) in enumerate(transitions.items()):
            here = numbers[name_of(state, row, "state")]
            found[here] = {
                name_of(action, row, "action"): numbers.setdefault(name_of(to, row, "next"), len(numbers))
                for action, to in (ways.items() if isinstance(ways, Mapping) else zip(ways, ways, strict=True))
            }
        self.states = tuple(numbers)
        self.options: list[dict[str, int]] = [found.get(k, {}) for k in range(len(numbers))]
        done = {str(name_of(s, r, "state")): name_of(a, r, "action") for r, (s, a) in enumerate(actions.items())}
        self.taken: list[str | None] = []
        for state, ways in zip(self.states, self.options, strict=True):
            action = done.pop(state, None)
            if ways and action is None:
                raise InputError(f"state {state!r} without its action", f"one of {', '.join(ways)}")
            if action is not None and action not in ways:
                raise InputError(f"action {action!r} in state {state!r}", f"one of {', '.join(ways) or 'none'}")
            self.taken.append(action)
        if done:
            raise InputError(f"an action for the unknown state {next(iter(done))!r}", "states with transitions")

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Policy:
        """From one row a transition: ``state``, ``action``, ``next``, ``taken``.

        Raises:
            DataError: for an action twice in a state, or a state in which not exactly one is taken.
        """
        transitions: dict[str, dict[str, str]] = {}
        actions: dict[str, str] = {}
        for i, row in enumerate(rows):
            state, action = name_of(row["state"], i, "state"), name_of(row["action"], i, "action")
            ways = transitions.setdefault(state, {})
            if action in ways:
                raise refuse_cell(i, "action", action, f"each action of state {state!r} once")
            ways[action] = name_of(row["next"], i, "next")
            if truth_of(row["taken"], i, "taken"):
                if state in actions:
                    raise refuse_cell(i, "taken", row["taken"], f"one action taken in state {state!r}")
                actions[state] = action
        return cls(transitions, actions)

    @property
    def final(self) -> list[int]:
        """The states to end in: without actions, or with one that leads back to them."""
        return [s for s, ways in enumerate(self.options) if not ways or s in ways.values()]

    def __len__(self) -> int:
        return len(self.states)

    def __repr__(self) -> str:
        ways = counted(sum(map(len, self.options)), "transition")
        return f"Policy({counted(len(self), 'state')}, {ways})"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a transition: ``state``, ``action``, ``next``, ``taken``."""
        import pandas as pd

        rows = [
            (state, action, self.states[to], action == taken)
            for state, ways, taken in zip(self.states, self.options, self.taken, strict=True)
            for action, to in ways.items()
        ]
        return pd.DataFrame(rows, columns=["state", "action", "next", "taken"])
