"""Coherence of bets, of policies and of caches of values."""

from __future__ import annotations

from typing import Any

from pindown.choices.bets import Bets
from pindown.choices.books import book_or_probabilities
from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.coherence_result import INDICES, Graph
from pindown.choices.drawn_graph import graph_to_draw
from pindown.choices.graphs import ranks
from pindown.choices.indices import Axiom, exact, unsupported
from pindown.choices.policy import Policy
from pindown.choices.policy_relation import PolicyRelation
from pindown.choices.residuals import blamed, explains, residuals
from pindown.choices.value_cache import ValueCache

__all__ = ["parts_of_bets", "parts_of_cache", "parts_of_policy"]


def _nothing() -> dict[str, Any]:
    no, axiom = unsupported(), Axiom(False, 0, False)
    return {
        **dict.fromkeys(INDICES, no), **dict.fromkeys(("warp", "sarp", "garp", "harp"), axiom), "stochastic": (),
        "residuals": {}, "breaks": (), "graph": Graph((), (), ()), "ranks": 0, "notes": (), "pump": None,
    }  # fmt: skip


def parts_of_bets(bets: Bets) -> dict[str, Any]:
    """Coherent where some probabilities make no accepted bet a losing one on average, else a Dutch book."""
    certificate, pump = book_or_probabilities(bets)
    parts = _nothing() | {"coherent": pump is None, "certificate": certificate, "pump": pump}
    share = 0.0 if pump is None or pump.share is None else pump.share
    return parts | {"money_pump_index": exact(share, cycle=() if pump is None else tuple(s.end for s in pump.steps))}


def parts_of_policy(policy: Policy) -> tuple[dict[str, Any], PolicyRelation]:
    """Coherent where no final states are preferred to each other in a ring."""
    relation = PolicyRelation(policy)
    cycle, names = relation.violating_cycle(), policy.states
    sarp = relation.sarp()
    parts = _nothing() | {
        "coherent": cycle is None, "warp": relation.warp(), "sarp": sarp, "garp": sarp, "ranks": len(relation.parts)
    }  # fmt: skip
    shown = sorted(i for part in relation.parts for i in part)
    place = {i: k for k, i in enumerate(shown)}
    rows = [sum(1 << place[j] for j in shown if relation.rows[i] >> j & 1) for i in shown]
    local = [[place[i] for i in part] for part in relation.parts]
    parts["graph"] = graph_to_draw([names[i] for i in shown], rows, rows, local)
    if cycle is None:
        rank = ranks(local, len(shown))
        held = all(rank[a] > rank[b] for a, row in enumerate(rows) for b in range(len(rows)) if row >> b & 1)
        parts["certificate"] = Certificate(
            "ranks", f"{len(local)} ranks of states explain the policy: it ends in the highest that it can reach.",
            {names[i]: float(rank[place[i]]) for i in shown}, {}, (), held,
        )  # fmt: skip
        return parts, relation
    ring = " over ".join(names[i] for i in [*cycle, cycle[0]])
    steps = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    parts["certificate"] = Certificate(
        "cycle", f"The policy prefers final states in a ring: {ring}.", cycle=tuple(names[i] for i in cycle),
        verified=all(relation.rows[i] >> j & 1 for i, j in steps),
    )  # fmt: skip
    back = [cycle[0], *reversed(cycle[1:])]
    trades = tuple(
        Step(names[a], names[b], None, True, f"where it could end in {names[a]}, it goes to {names[b]}")
        for a, b in zip(back, [*back[1:], back[0]], strict=True)
    )
    parts["pump"] = Pump(tuple(names[i] for i in back), trades, None, None, True, parts["certificate"].verified)
    return parts, relation


def parts_of_cache(cache: ValueCache) -> dict[str, Any]:
    """Coherent where every entry equals its backup; else the residuals and the entries to blame."""
    found = residuals(cache)
    parts = _nothing() | {"residuals": {s: float(r) for s, r in found.items()}}
    wrong = {s: r for s, r in found.items() if r}
    if not wrong:
        statement = "Every entry equals what its transitions give."
        return parts | {"coherent": True, "certificate": Certificate("consistent", statement, verified=True)}
    blame, proved = blamed(cache)
    told = ", ".join(f"{s} (claimed {float(cache.values[s]):g}, should be {float(v):g})" for s, v in blame.items())
    few = "the fewest that explain all residuals" if proved else "every entry that differs from its backup"
    statement = f"{len(wrong)} of {len(found)} entries differ from their backup. To blame, {few}: {told}."
    numbers = {s: float(v) for s, v in blame.items()}
    exactly = {s: str(v) for s, v in blame.items()}
    certificate = Certificate("entries", statement, numbers, exactly, tuple(blame), explains(cache, blame))
    return parts | {"coherent": False, "certificate": certificate}
