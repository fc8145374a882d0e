"""Coherence of policies, with certificates that are checked again by walking the process itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.drawn_graph import graph_to_draw
from pindown.choices.graphs import induced, ranks
from pindown.choices.policy import Policy
from pindown.choices.policy_relation import PolicyRelation, ends, rounds

__all__ = ["highest_reached", "parts_of_policy", "shown_from"]


def parts_of_policy(policy: Policy) -> tuple[dict[str, Any], PolicyRelation]:
    """What is said of policies: coherent where no final states are preferred to each other in a ring."""
    relation = PolicyRelation(policy)
    cycle, names = relation.violating_cycle(), policy.states
    sarp = relation.sarp()
    shown = sorted(i for part in relation.parts for i in part)
    place = {i: k for k, i in enumerate(shown)}
    rows = induced(relation.rows, shown)
    local = [[place[i] for i in part] for part in relation.parts]
    parts: dict[str, Any] = {
        "coherent": cycle is None, "warp": relation.warp(), "sarp": sarp, "garp": sarp, "ranks": len(relation.parts),
        "graph": graph_to_draw([names[i] for i in shown], rows, rows, local),
    }  # fmt: skip
    if cycle is None:
        rank = dict(zip(shown, ranks(local, len(shown)), strict=True))
        many = f"{len(local)} ranks of states explain" if len(local) != 1 else "One rank of states explains"
        statement = f"{many} the policy: it ends in the highest that it can reach."
        found = Certificate("ranks", statement, {names[i]: float(r) for i, r in rank.items()}, {}, ())
        return parts | {"certificate": found.checked(highest_reached(policy, rank)), "pump": None}, relation
    ring = " over ".join(names[i] for i in [*cycle, cycle[0]])
    statement = f"The policy prefers final states in a ring: {ring}."
    back = [cycle[0], *reversed(cycle[1:])]
    steps = list(zip(back, [*back[1:], back[0]], strict=True))
    found = [shown_from(policy, better, worse) for worse, better in steps]
    verified = all(s is not None for s in found)
    trades = tuple(
        Step(names[a], names[b], None, True, _because(policy, s, b, a)) for (a, b), s in zip(steps, found, strict=True)
    )
    certificate = Certificate("cycle", statement, cycle=tuple(names[i] for i in cycle), verified=verified)
    pump = Pump(tuple(names[i] for i in back), trades, None, None, True, verified)
    return parts | {"certificate": certificate, "pump": pump}, relation


def _because(policy: Policy, s: int | None, better: int, worse: int) -> str:
    if s is None:
        return "shown by no state"
    names = policy.states
    if s == worse:
        return f"from {names[worse]}, where it could stay or come to rest elsewhere, it goes to {names[better]}"
    return f"from {names[s]} it goes to {names[better]}, although it could end in {names[worse]}"


def shown_from(policy: Policy, better: int, worse: int) -> int | None:
    """A state from which the policy shows that it prefers one state to another; None where none does.

    Either it comes to rest in the better from there, though it could have reached the worse, or it leaves the worse for
    the better on a round for ever on which it could have rested.
    """
    following = [s if a is None else policy.options[s][a] for s, a in enumerate(policy.taken)]
    final = set(policy.final)
    if worse in final and better != worse and following[better] == better:
        before: list[list[int]] = [[] for _ in following]
        for s, ways in enumerate(policy.options):
            for to in ways.values():
                before[to].append(s)
        found, front = {worse}, [worse]
        while front:
            front = [s for s in {s for to in front for s in before[to]} if s not in found]
            found.update(front)
        end = ends(following)
        shows = sorted(s for s in found if end[s] == better)
        if shows:
            return worse if worse in shows else shows[0]
    on_round = any(worse in ring and final.intersection(ring) for ring in rounds(following))
    return worse if on_round and following[worse] == better else None


def highest_reached(policy: Policy, rank: dict[int, int]) -> bool:
    """Whether the policy ends from each state in the one final state of highest rank that can be reached.

    Final states are looked at from the highest rank down, and whatever leads to one is marked with it.
    """
    following = [s if a is None else policy.options[s][a] for s, a in enumerate(policy.taken)]
    final = policy.final
    if any(set(ring).intersection(final) for ring in rounds(following)):
        return False
    if len({rank[s] for s in final}) != len(final):
        return False
    before: list[list[int]] = [[] for _ in following]
    for s, ways in enumerate(policy.options):
        for to in ways.values():
            before[to].append(s)
    best: dict[int, int] = {}
    for goal in sorted(final, key=lambda s: -rank[s]):
        front: Sequence[int] = [goal] if goal not in best else []
        while front:
            best |= dict.fromkeys(front, goal)
            front = [s for s in {s for to in front for s in before[to]} if s not in best]
    end = ends(following)
    return all(best.get(s) == e for s, e in enumerate(end) if following[e] == e)
