"""POWER: what a state is worth on average over reward functions, and how many options it leaves."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate
from pindown.resources.families import Family, draw_objectives, read_families
from pindown.resources.mdp import MDP
from pindown.resources.options import option_counts
from pindown.resources.planning import best_values, check_discount

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Power", "power"]

SCHEMA = "pindown/power/1"
Progress = Callable[[float, str], None]
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Power:
    """POWER and option counts of every state.

    Attributes:
        states: names.
        power: of each state, in units of reward a step.
        reachable: how many states can be reached from each, itself among them.
        final: how many closed classes of states, from which no action leads out, can be reached from each.
        family, discount, objectives, seed: how it was measured.
    """

    states: tuple[str, ...]
    power: tuple[Estimate, ...]
    reachable: tuple[int, ...]
    final: tuple[int, ...]
    family: str
    discount: float
    objectives: int
    seed: int

    def of(self, state: str | int) -> Estimate:
        """POWER of one state, by name or number.

        Raises:
            InputError: for a state that is not there.
        """
        if isinstance(state, str) and state in self.states:
            return self.power[self.states.index(state)]
        if isinstance(state, int) and 0 <= state < len(self.states):
            return self.power[state]
        raise InputError(f"no state {state!r}", f"one of {', '.join(self.states[:10])}, …")

    def summary(self, most: int = 20) -> str:
        """The states of most POWER and those of least, ``most`` in all."""
        order = sorted(range(len(self.states)), key=lambda i: -self.power[i].value)
        shown = order if len(order) <= most else [*order[: most - most // 2], *order[-(most // 2) :]]
        head = f"POWER under {self.family} rewards, discount {self.discount:g}, {self.objectives:,} objectives"
        rows = [
            f"  {self.states[i]:<24} {self.power[i]}  ({self.reachable[i]} states, {self.final[i]} final classes)"
            for i in shown
        ]
        return "\n".join([head, *rows])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the schema ``pindown/power/1``."""
        return {
            "schema": SCHEMA, "states": list(self.states), "power": [p.to_dict() for p in self.power],
            "reachable": list(self.reachable), "final": list(self.final), "family": self.family,
            "discount": self.discount, "objectives": self.objectives, "seed": self.seed,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Power:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        if record.get("schema") != SCHEMA:
            raise CheckpointError(f"a record of schema {record.get('schema')!r}", SCHEMA)
        try:
            return cls(
                tuple(map(str, record["states"])), tuple(Estimate.from_dict(p) for p in record["power"]),
                tuple(map(int, record["reachable"])), tuple(map(int, record["final"])), str(record["family"]),
                float(record["discount"]), int(record["objectives"]), int(record["seed"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"a POWER record that cannot be read ({error!r})", SCHEMA) from error

    def to_dataframe(self) -> pd.DataFrame:
        """One row a state: ``state``, ``power``, ``stderr``, ``reachable``, ``final``."""
        import pandas as pd

        return pd.DataFrame(
            {
                "state": self.states,
                "power": [p.value for p in self.power],
                "stderr": [p.stderr for p in self.power],
                "reachable": self.reachable,
                "final": self.final,
            }
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def power(
    mdp: MDP,
    *,
    discount: float = 0.95,
    rewards: str | Family = "positive",
    objectives: int = 1000,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Power:
    r"""POWER of every state: its optimal value on average over reward functions, per step, without its own reward.

    .. math:: \mathrm{POWER}(s, \gamma) = \frac{1-\gamma}{\gamma}\, \mathbb{E}_R\left[V^*_R(s, \gamma) - R(s)\right]

    (Turner, Smith, Shah, Critch and Tadepalli 2021, Optimal Policies Tend to Seek Power, definition 5.2.) It depends on
    the family: POWER under rewards that are all negative ranks states the other way round where something can end.

    Args:
        mdp: the environment.
        discount: :math:`\gamma`.
        rewards: the family that reward functions are drawn from.
        objectives: how many are drawn.
        seed: everything random follows from it.
        jobs: threads; by default one, or what ``joblib.parallel_config`` says.
        progress: called with the share done and a text.

    Returns:
        POWER of each state in units of reward a step, and its option counts.

    Raises:
        InputError: for a discount or a family that cannot be used, or fewer than two objectives.

    Example:
        >>> from pindown import MDP, power
        >>> star = MDP([[1, 2], [1, -1], [2, -1]])  # two leaves: E[max of 2 uniforms] = 2/3
        >>> found = power(star, objectives=2000)
        >>> abs(found.of(0).value - 2 / 3) < 4 * found.of(0).stderr
        True
    """
    gamma = check_discount(discount)
    if objectives < 2:
        raise InputError(f"objectives = {objectives}", "at least 2")
    (family,) = read_families([rewards])
    drawn = state_rewards(mdp, family, objectives, seed)
    values = best_values(mdp, drawn, gamma, tolerance=_TOLERANCE, jobs=jobs, progress=progress)
    each = (1.0 - gamma) / gamma * (values - drawn)
    each[np.abs(each) <= _TOLERANCE / gamma * np.abs(drawn).max(initial=0.0)] = 0.0  # below what is resolved
    means, errors = each.mean(axis=0), each.std(axis=0, ddof=1) / math.sqrt(objectives)
    reachable, final = option_counts(mdp)
    reference = f"{family.name} rewards, discount {gamma:g}"
    found = [Estimate(float(m), float(e), "1", reference=reference) for m, e in zip(means, errors, strict=True)]
    return Power(
        mdp.states, tuple(found),
        tuple(map(int, reachable)), tuple(map(int, final)), family.name, gamma, objectives, seed,
    )  # fmt: skip


def state_rewards(mdp: MDP, family: Family, count: int, seed: int) -> NDArray[np.float64]:
    """Rewards ``(count, S)`` of a family, 0 in the state that stands for the end."""
    size = len(mdp.states)
    own = np.linspace(0.0, 1.0, size) if mdp.rewards is None else mdp.rewards
    live = np.array([s for s in range(size) if s != mdp.ended])
    rewards = np.zeros((count, size))
    rewards[:, live] = draw_objectives(family, count, own[live], seed)
    return rewards
