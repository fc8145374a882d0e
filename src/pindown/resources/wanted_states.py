"""Which states of an environment the best policies of many objectives go to, and whether they let it end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pindown.resources.chain import Chain
from pindown.resources.mdp import MDP
from pindown.resources.planning import best_actions, best_values, occupancy, random_occupancy

__all__ = ["GOING_ON", "wanted_layers", "wanted_states"]

Floats = NDArray[np.float64]
GOING_ON = "going on for ever"
_FOR_EVER = 1.0 - 1e-7
_MORE = 1e-6


def wanted_states(
    mdp: MDP, rewards: Floats, discount: float, jobs: int | None = None
) -> tuple[NDArray[np.bool_], Floats]:
    """For each reward function ``(N, S)``: the states that its best policy seeks, and how much time it spends there.

    A state is sought where the best policy spends more discounted time in it than the policy does that takes all
    actions alike. Where the environment can end, one more column tells whether the best policy, followed for ever, ends
    with a chance below one half. Among actions that are equally good the first is taken.

    Returns:
        Wanted ``(N, S)`` or ``(N, S + 1)``, and shares of time of that shape.
    """
    values = best_values(mdp, rewards, discount, jobs=jobs)
    policies = best_actions(mdp, values).argmax(axis=2)
    usual = random_occupancy(mdp, discount)
    seen: dict[bytes, tuple[Floats, float]] = {}
    times, lasting = np.zeros(rewards.shape), np.zeros(len(rewards))
    for i, policy in enumerate(policies):
        key = policy.tobytes()
        if key not in seen:
            stays = 1.0 - occupancy(mdp, policy, _FOR_EVER)[mdp.ended] if mdp.ended is not None else 1.0
            seen[key] = occupancy(mdp, policy, discount), float(stays)
        times[i], lasting[i] = seen[key]
    wanted = times > usual + _MORE
    if mdp.ended is None:
        return wanted, times
    return np.column_stack([wanted, lasting > 0.5]), np.column_stack([times, lasting])


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
