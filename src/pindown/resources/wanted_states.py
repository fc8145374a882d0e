"""Which states of an environment the best policies of many objectives go to, and whether they let it end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pindown.resources.chain import Chain
from pindown.resources.mdp import MDP
from pindown.resources.planning import best_actions, best_values, mixed_policy, occupancy

__all__ = ["GOING_ON", "state_items", "wanted_layers", "wanted_states"]

Floats = NDArray[np.float64]
GOING_ON = "going on for ever"
_FOR_EVER = 1.0 - 1e-7
_MORE = 1e-6


def state_items(mdp: MDP) -> list[str]:
    """What the columns of :func:`wanted_states` stand for: states, actions where there is a choice, going on."""
    actions = [f"action {a}" for a in mdp.actions] if len(mdp.actions) > 1 else []
    return [*mdp.states, *actions, *([GOING_ON] if mdp.ended is not None else [])]


def wanted_states(
    mdp: MDP, rewards: Floats, discount: float, jobs: int | None = None
) -> tuple[NDArray[np.bool_], Floats]:
    """For each reward function ``(N, S)``: the states and actions that its best policy seeks, and for how much time.

    A state is sought where the best policy spends more discounted time in it than the policy does that takes all
    actions alike; an action, where it is taken in more of the time before the end. Where the environment can end, one
    more column tells whether the best policy, followed for ever, ends with a chance below one half. Of actions that are
    equally good all are taken alike, so that nothing depends on their order.

    Returns:
        Wanted ``(N, k)`` for the ``k`` items of :func:`state_items`, and shares of time of that shape.
    """
    values = best_values(mdp, rewards, discount, jobs=jobs)
    choices = best_actions(mdp, values)
    usual = _times(mdp, mdp.available, discount)
    seen: dict[bytes, Floats] = {}
    times = np.zeros((len(rewards), len(usual)))
    for i, best in enumerate(choices):
        key = np.packbits(best).tobytes()
        if key not in seen:
            seen[key] = _times(mdp, best, discount)
        times[i] = seen[key]
    wanted = times > usual + _MORE
    if mdp.ended is not None:
        wanted[:, -1] = times[:, -1] > 0.5
    return wanted, times


def _times(mdp: MDP, actions: NDArray[np.bool_], discount: float) -> Floats:
    """Shares of time of one policy, and the chance that it never ends."""
    policy = mixed_policy(actions)
    states = occupancy(mdp, policy, discount)
    parts = [states]
    if len(mdp.actions) > 1:
        live = states.copy()
        if mdp.ended is not None:
            live[mdp.ended] = 0.0
        parts.append(live @ policy / max(float(live.sum()), 1e-300))
    if mdp.ended is not None:
        parts.append(np.array([max(0.0, 1.0 - occupancy(mdp, policy, _FOR_EVER)[mdp.ended])]))
    return np.concatenate(parts)


def wanted_layers(chain: Chain, rewards: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """For each objective on the last layer ``(N, n_last)``: which states of the earlier layers are best for it.

    States that are equally good are all wanted. The value is where a state stands between the layer's worst and best.
    """
    wanted: list[NDArray[np.bool_]] = []
    place: list[Floats] = []
    for layer in range(len(chain.tables)):
        worth = rewards @ chain.reach(layer).T
        low, high = worth.min(axis=1, keepdims=True), worth.max(axis=1, keepdims=True)
        wide = np.maximum(high - low, 1e-300)
        wanted.append(worth >= high - 1e-9 * wide)
        place.append(np.where(high - low > 0, (worth - low) / wide, 1.0))
    return np.concatenate(wanted, axis=1), np.concatenate(place, axis=1)
