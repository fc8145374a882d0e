"""Coherence of choices among named items: menus, majorities of pairs, accepted trades."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.drawn_graph import graph_to_draw
from pindown.choices.graphs import ranks
from pindown.choices.indices import Axiom, Index, exact, unsupported
from pindown.choices.item_relations import (
    ItemRelation,
    menu_houtman_maks,
    menu_swaps,
    of_menus,
    of_pairs,
    of_trades,
    pair_swaps,
    trade_houtman_maks,
)
from pindown.choices.menus import Menus
from pindown.choices.pairs import Pairs
from pindown.choices.stochastic import menu_tests, pair_tests
from pindown.choices.trades import Trades

__all__ = ["parts_of_menus", "parts_of_pairs", "parts_of_trades"]

Edge = tuple[int, int]
Said = Callable[[int], list[Edge]]
"""What an observation, by number, shows to be preferred to what: read off the table itself."""


def parts_of_menus(menus: Menus, seconds: float) -> dict[str, Any]:
    """Everything about menus but the surprise."""
    relation = of_menus(menus)

    def because(k: int) -> str:
        menu = ", ".join(menus.items[i] for i in menus.offered[k])
        return f"observation {menus.names[k]}: {menus.items[menus.taken[k]]} from {menu}"

    def said(k: int) -> list[Edge]:
        return [(menus.taken[k], other) for other in menus.offered[k] if other != menus.taken[k]]

    different = {(m, t): k for k, (m, t) in enumerate(zip(menus.offered, menus.taken, strict=True))}
    parts = _parts(relation, because, said, different.values())
    parts["houtman_maks"] = menu_houtman_maks(menus, relation, seconds)
    parts["swaps"] = menu_swaps(menus, relation, seconds)
    parts["stochastic"] = menu_tests(menus)
    return parts


def parts_of_pairs(pairs: Pairs, seconds: float) -> dict[str, Any]:
    """Everything about comparisons but the surprise; majorities stand for preferences."""
    relation = of_pairs(pairs)
    compared = pairs.compared

    def because(k: int) -> str:
        i, j = compared[k]
        return f"{pairs.items[i]} {int(pairs.counts[i, j])} to {int(pairs.counts[j, i])} against {pairs.items[j]}"

    def said(k: int) -> list[Edge]:
        i, j = compared[k]
        more = int(pairs.counts[i, j] - pairs.counts[j, i])
        return [(i, j)] if more > 0 else [(j, i)] if more < 0 else []

    parts = _parts(relation, because, said, range(len(compared)))
    swaps = pair_swaps(pairs, relation, seconds)
    total = int(pairs.counts.sum())
    even = sum(min(int(pairs.counts[i, j]), int(pairs.counts[j, i])) for i, j in pairs.compared)
    if swaps.optimal:
        parts["houtman_maks"] = exact((total - even - swaps.value) / total)
    else:
        parts["houtman_maks"] = Index(
            swaps.estimate.__class__(
                (total - even - swaps.value) / total, 0.0, "1", "lower_bound", swaps.estimate.status
            ),
            False,
            (total - even - swaps.other) / total,
        )
    parts["swaps"] = swaps
    parts["stochastic"] = pair_tests(pairs)
    parts["notes"] = ("Majorities stand for preferences; the share kept is one of single comparisons.",)
    return parts


def parts_of_trades(trades: Trades, seconds: float) -> dict[str, Any]:
    """Everything about trades but the surprise; accepted trades stand for preferences."""
    relation = of_trades(trades)

    def because(k: int) -> str:
        return f"offer {k + 1}: {trades.items[trades.offered[k]]} for {trades.items[trades.have[k]]}, accepted"

    def said(k: int) -> list[Edge]:
        return [(trades.offered[k], trades.have[k])] if trades.accepted[k] else []

    parts = _parts(relation, because, said, range(len(trades)))
    parts["houtman_maks"] = trade_houtman_maks(relation, len(trades), seconds)
    parts["swaps"] = unsupported()
    return parts


def _parts(
    relation: ItemRelation, because: Callable[[int], str], said: Said, different: Collection[int]
) -> dict[str, Any]:
    """Parts that all three have in common.

    Args:
        relation: the preferences.
        because: an observation in words.
        said: the preferences that an observation shows.
        different: observations that between them show all.
    """
    cycle, parts = relation.violating_cycle(), relation.parts
    no = unsupported()
    sarp = relation.sarp()
    return {
        "coherent": cycle is None,
        "certificate": _certificate(relation, cycle, parts, said, different),
        "pump": None if cycle is None else _pump(relation, cycle, because, said),
        "warp": relation.warp(),
        "sarp": sarp,
        "garp": sarp,
        "harp": Axiom(False, 0, False),
        "ccei": no,
        "varian": no,
        "money_pump_index": no,
        "minimum_cost_index": no,
        "residuals": {},
        "breaks": (),
        "stochastic": (),
        "graph": graph_to_draw(relation.items, relation.rows, relation.rows, parts),
        "ranks": len(parts),
        "notes": (),
    }


def _certificate(
    relation: ItemRelation, cycle: Sequence[int] | None, parts: Sequence[Sequence[int]], said: Said,
    different: Collection[int],
) -> Certificate:  # fmt: skip
    """Ranks or a ring, checked again on the observations themselves."""
    items = relation.items
    if cycle is None:
        rank = ranks(parts, len(items))
        order = " over ".join(items[c[0]] for c in parts)
        order = order if len(items) <= 12 else f"{len(items)} ranks"
        return Certificate(
            "ranks", f"One order explains the choices: {order}.",
            dict(zip(items, map(float, rank), strict=True)), {}, (),
            all(rank[i] > rank[j] for k in different for i, j in said(k)),
        )  # fmt: skip
    steps = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    shown = " over ".join(items[i] for i in [*cycle, cycle[0]])
    return Certificate(
        "cycle", f"The choices go in a ring: {shown}.", cycle=tuple(items[i] for i in cycle),
        verified=all(_shown(relation, *step, said) for step in steps),
    )  # fmt: skip


def _shown(relation: ItemRelation, better: int, worse: int, said: Said) -> bool:
    """Whether the observation that the relation names for a preference shows it."""
    seen = relation.sources.get((better, worse), [])
    return bool(seen) and (better, worse) in said(seen[0])


def _pump(relation: ItemRelation, cycle: Sequence[int], because: Callable[[int], str], said: Said) -> Pump:
    """From each item to the one that was preferred to it; each step was shown by an observation."""
    back = [cycle[0], *reversed(cycle[1:])]
    steps: list[Step] = []
    for at, to in zip(back, [*back[1:], back[0]], strict=True):
        shown = relation.sources[to, at][0]
        steps.append(Step(relation.items[at], relation.items[to], None, True, because(shown)))
    verified = all(_shown(relation, to, at, said) for at, to in zip(back, [*back[1:], back[0]], strict=True))
    return Pump(tuple(relation.items[i] for i in back), tuple(steps), None, None, True, verified)
