"""The committee behind a log of trades, what explains the log in fewest bits, and what a contract would gain."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from pindown.choices.committee import Member
from pindown.choices.contracts import best_contract
from pindown.choices.counting import MOST_COUNTED, coherent_patterns
from pindown.choices.description import log2_choose, stretches, whole_number_bits
from pindown.choices.drops import drop_pairs
from pindown.choices.graphs import some_cycle
from pindown.choices.one_by_one import MOST_ITEMS, coherent_bits, picks_of
from pindown.choices.order_dimension import Orders, check_orders, smallest_committee
from pindown.choices.trades import Trades
from pindown.errors import InputError
from pindown.estimate import Estimate, Status

__all__ = ["committee_of_trades", "order_bits"]

_MOST_PICKED, _CHOOSERS = 2000, 500


def committee_of_trades(
    trades: Trades, chances: float | Mapping[tuple[str, str], float] | None, start: str | None, discount: float,
    seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """Everything about a committee of traders."""
    offers, first = _offers(trades, chances), _start(trades, start)
    n = len(trades.items)
    found = smallest_committee(n, trades.accepted_pairs, trades.refused_pairs, seconds)
    utilities = np.array([_ranks(order) for order in found.orders]) if found.orders else np.zeros((0, n))
    members = tuple(
        Member({trades.items[i]: int(row[i]) for i in np.argsort(-row)}) for row in utilities.astype(int)
    )  # fmt: skip
    parts: dict[str, Any] = {
        "size": len(members), "optimal": not members or found.least == len(members), "least": found.least,
        "members": members, "witness": _witness(trades, found), "description_bits": _bits(trades, found, seconds),
        "verified": bool(members) and check_orders(found.orders, trades.accepted_pairs, trades.refused_pairs),
        "notes": (),
    }  # fmt: skip
    if not members:
        nothing = Estimate(math.nan, math.nan, "utility", "estimate", Status.UNSUPPORTED, "vetoing")
        return parts | {"contract_gain": nothing, "contract": (), "gains": (), "weights": (), "proof": math.nan}
    scale = max(1, n - 1)
    contract = best_contract(utilities / scale, offers, first, discount)
    taken = tuple((trades.items[i], trades.items[j], x) for i, j, x in contract.accepts)
    parts["notes"] = ("The contract takes each member's ranks, from 0 to 1, as its utility.",)
    return parts | {
        "contract_gain": contract.gain, "contract": taken, "gains": contract.members, "weights": contract.weights,
        "proof": contract.proof,
    }  # fmt: skip


def _ranks(order: Sequence[int]) -> list[int]:
    """Utilities of the items by their place in an order from the top."""
    out = [0] * len(order)
    for k, item in enumerate(order):
        out[item] = len(order) - 1 - k
    return out


def _witness(trades: Trades, found: Orders) -> str:
    if not found.witness:
        return ""
    names = [trades.items[i] for i in found.witness]
    if found.refused:
        return f"it accepts {' → '.join(names)} and refuses {names[0]} → {names[-1]}"
    return f"it accepts the ring {' → '.join([*names, names[0]])}"


def _bits(trades: Trades, found: Orders, seconds: float) -> dict[str, float]:
    """Bits of each explanation; an order costs what it says about the pairs of items that were offered."""
    n, items = len(trades), len(trades.items)
    order = order_bits({(min(pair), max(pair)) for pair in zip(trades.have, trades.offered, strict=True)}, items)
    out = {"random": float(n)}
    weights = np.zeros((items, items))
    for a, b, yes in zip(trades.have, trades.offered, trades.accepted, strict=True):
        weights[(b, a) if yes else (a, b)] += 1.0
    net = np.maximum(weights - weights.T, 0.0)
    rows = [sum(1 << int(j) for j in np.flatnonzero(row)) for row in net > 0]
    even = float(np.minimum(weights, weights.T).sum()) / 2.0
    errors = round(even + drop_pairs(rows, rows, net, seconds).cost)
    out["one agent with errors"] = order + math.log2(n + 1) + log2_choose(n, errors)
    k = len(found.orders)
    if k > 1:
        orders = k * order - math.log2(math.factorial(k)) + whole_number_bits(k)
        out["subagents"] = orders
        out["mixture"] = orders + _mixture(trades, found.orders)
    parts = stretches(n, lambda rows: _one_order(trades, rows))
    if len(parts) > 1:
        s = len(parts)
        out["hidden state"] = s * order + whole_number_bits(s) + log2_choose(n - 1, s - 1)
    return out


def order_bits(pairs: Collection[tuple[int, int]], items: int) -> float:
    """``log2`` of the number of ways in which linear orders can rank these pairs.

    Counted for a dozen items, estimated by picking for 62, and at most ``log2`` of the number of orders beyond.

    >>> round(2 ** order_bits([(0, 1), (1, 2)], 3)), round(2 ** order_bits([(0, 1), (1, 2), (0, 2)], 3))
    (4, 6)
    """
    if items <= MOST_COUNTED:
        return math.log2(coherent_patterns(pairs, items))
    every = math.lgamma(items + 1) / math.log(2)
    if items > MOST_ITEMS or len(pairs) > _MOST_PICKED:
        return min(every, float(len(pairs)))
    bits, _ = coherent_bits([picks_of(pair) for pair in sorted(pairs)], items, 0, choosers=_CHOOSERS)
    return min(every, len(pairs) - bits)


def _mixture(trades: Trades, orders: Sequence[Sequence[int]]) -> float:
    """Bits of the answers when one member, drawn anew each time, answers alone; chances by maximum likelihood."""
    places = [{item: k for k, item in enumerate(order)} for order in orders]
    agrees = np.array(
        [
            [float((p[b] < p[a]) == yes) for p in places]
            for a, b, yes in zip(trades.have, trades.offered, trades.accepted, strict=True)
        ]
    )
    if not agrees.any(axis=1).all():
        return math.inf
    weights = np.full(len(orders), 1.0 / len(orders))
    for _ in range(500):
        weights = (weights * agrees / (agrees @ weights)[:, None]).mean(axis=0)
    chance = agrees @ weights
    return float(-np.log2(chance).sum()) + 0.5 * (len(orders) - 1) * math.log2(len(trades))


def _one_order(trades: Trades, rows: Sequence[int]) -> bool:
    """Whether one order gives all of these answers."""
    over = [0] * len(trades.items)
    for r in rows:
        a, b = trades.have[r], trades.offered[r]
        high, low = (b, a) if trades.accepted[r] else (a, b)
        over[high] |= 1 << low
    return some_cycle(over) is None


def _offers(trades: Trades, chances: float | Mapping[tuple[str, str], float] | None) -> np.ndarray:
    n = len(trades.items)
    made = np.zeros((n, n))
    for a, b in zip(trades.have, trades.offered, strict=True):
        made[a, b] += 1.0
    if chances is None:
        return made / np.maximum(made.sum(axis=1, keepdims=True), 1.0)
    if isinstance(chances, Mapping):
        out = np.zeros((n, n))
        for (have, offered), chance in chances.items():
            for name in (have, offered):
                if str(name) not in trades.items:
                    raise InputError(
                        f"a trade probability for {name!r}", f"items of the log: {', '.join(trades.items)}"
                    )
            out[trades.items.index(str(have)), trades.items.index(str(offered))] = chance
        return out
    return np.where(made > 0, float(chances), 0.0)


def _start(trades: Trades, start: str | None) -> np.ndarray:
    n = len(trades.items)
    if start is None:
        return np.full(n, 1.0 / n)
    if start not in trades.items:
        raise InputError(f"start {start!r}", f"one of {', '.join(trades.items)}")
    return np.eye(n)[trades.items.index(start)]
