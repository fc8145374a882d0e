"""Empowerment: how many bits an agent's next actions can put into the state that they lead to."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, Status
from pindown.resources.capacity import capacity
from pindown.resources.mdp import MDP

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Empowerment", "empowerment"]

SCHEMA = "pindown/empowerment/1"
Progress = Callable[[float, str], None]
_MOST_SEQUENCES = 4096


@dataclass(frozen=True)
class Empowerment:
    """Empowerment of some states.

    Attributes:
        states: names.
        bits: of each.
        steps: how many actions.
    """

    states: tuple[str, ...]
    bits: tuple[Estimate, ...]
    steps: int

    def of(self, state: str | int) -> Estimate:
        """Empowerment of one state, by its name or its number.

        Raises:
            InputError: for a state that was not measured.
        """
        name = str(state)
        if name not in self.states:
            raise InputError(f"no state {state!r}", f"one of {', '.join(self.states[:10])}, …")
        return self.bits[self.states.index(name)]

    def summary(self, most: int = 20) -> str:
        """One line a state, the most empowered first."""
        order = sorted(range(len(self.states)), key=lambda i: -self.bits[i].value)[:most]
        return "\n".join(
            [f"Empowerment, {self.steps} steps", *(f"  {self.states[i]:<24} {self.bits[i]}" for i in order)]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the schema ``pindown/empowerment/1``."""
        return {
            "schema": SCHEMA, "states": list(self.states), "bits": [b.to_dict() for b in self.bits],
            "steps": self.steps,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Empowerment:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        if record.get("schema") != SCHEMA:
            raise CheckpointError(f"a record of schema {record.get('schema')!r}", SCHEMA)
        try:
            found = tuple(Estimate.from_dict(b) for b in record["bits"])
            return cls(tuple(map(str, record["states"])), found, int(record["steps"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"an empowerment record that cannot be read ({error!r})", SCHEMA) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a state: ``state``, ``bits``, ``stderr``."""
        import pandas as pd

        rows = {"state": self.states, "bits": [b.value for b in self.bits], "stderr": [b.stderr for b in self.bits]}
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def empowerment(
    mdp: MDP, steps: int, *, states: list[str | int] | None = None, progress: Progress | None = None
) -> Empowerment:
    r"""Bits that a sequence of actions, fixed beforehand, can put into the state that it leads to.

    .. math:: \mathfrak{E}_n(s) = \max_{p(a_1 \dots a_n)} I(A_1 \dots A_n; S_{t+n} \mid S_t = s)

    (Klyubin, Polani and Nehaniv 2005.) It is the capacity of the channel from sequences to states. Where nothing is
    left to chance it is exact: the logarithm of the number of states that can be stood on after n steps. Sequences that
    lead to the same distribution are one; where more than 4096 different ones remain, only the upper bound is given.

    Args:
        mdp: the environment.
        steps: n.
        states: the states to measure; by default all.
        progress: called with the share done and a text.

    Raises:
        InputError: for fewer than one step or a state that is not there.

    Example:
        >>> from pindown import MDP, empowerment
        >>> ring = MDP([[(s - 1) % 8, s, (s + 1) % 8] for s in range(8)])
        >>> empowerment(ring, 2).of(0).value  # five places
        2.321928094887362
    """
    if isinstance(steps, bool) or steps < 1:
        raise InputError(f"steps = {steps!r}", "a whole number from 1")
    chosen = [mdp.index(s) for s in (states if states is not None else range(len(mdp.states)))]
    found: list[Estimate] = []
    for i, s in enumerate(chosen):
        found.append(_places(mdp, s, steps) if mdp.deterministic else _channel(mdp, s, steps))
        if progress is not None:
            progress((i + 1) / len(chosen), f"state {mdp.states[s]}")
    return Empowerment(tuple(mdp.states[s] for s in chosen), tuple(found), int(steps))


def _places(mdp: MDP, state: int, steps: int) -> Estimate:
    to = mdp.successors
    here = np.array([state])
    for _ in range(steps):
        here = np.unique(to[here])
    return Estimate(float(np.log2(len(here))), 0.0, "bits", "exact", reference=f"{steps} actions")


def _channel(mdp: MDP, state: int, steps: int) -> Estimate:
    """Sequences of actions are fixed beforehand, so an action that a state lacks repeats one that it has."""
    count, acts = mdp.available.shape
    rows: NDArray[np.float64] = np.eye(count)[[state]]
    reference = f"{steps} actions"
    for _ in range(steps):
        after = [rows @ mdp.kernel[np.arange(count) * acts + a] for a in range(acts)]
        rows = np.asarray(np.unique(np.round(np.concatenate(after), 12), axis=0), dtype=np.float64)
        if len(rows) > _MOST_SEQUENCES:
            most = float(np.log2(_reached(mdp, state, steps)))
            return Estimate(most, 0.0, "bits", "upper_bound", Status.UNSUPPORTED, reference)
    found = capacity(rows / rows.sum(axis=1, keepdims=True))
    return Estimate(found.value, found.stderr, "bits", found.kind, found.status, reference)


def _reached(mdp: MDP, state: int, steps: int) -> int:
    acts = len(mdp.actions)
    here = np.array([state])
    for _ in range(steps):
        here = np.unique(mdp.kernel[(here[:, None] * acts + np.arange(acts)).ravel()].indices)
    return len(here)
