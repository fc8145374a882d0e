"""Choices from menus and budgets, divided between the fewest agents of whom each is coherent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from pindown.choices import chance
from pindown.choices.axioms import Relation
from pindown.choices.budgets import Budgets
from pindown.choices.committee import Member
from pindown.choices.counting import MOST_COUNTED, coherent_patterns
from pindown.choices.description import explain, stretches
from pindown.choices.drops import drop_nodes
from pindown.choices.graphs import components, induced, ranks, some_cycle
from pindown.choices.item_relations import menu_houtman_maks, of_menus
from pindown.choices.menus import Menus
from pindown.choices.rationales import Division, fewest_agents
from pindown.choices.unfinished import digest, kept_folder

__all__ = ["divide_budgets", "divide_menus"]

Progress = Callable[[float, str], None]
_SIZES = {"particles": 200, "repeats": 4}


def divide_menus(menus: Menus, seconds: float, seed: int, progress: Progress | None) -> dict[str, Any]:
    """The rationales behind menus, and the bits of each explanation."""
    n, items = len(menus), len(menus.items)
    groups = _same_choices(menus)
    heads = [g[0] for g in groups]

    def conflicts(chosen: Sequence[int]) -> list[list[int]]:
        shown: dict[tuple[int, int], int] = {}
        rows = [0] * items
        for g in chosen:
            taken = menus.taken[heads[g]]
            for other in menus.offered[heads[g]]:
                if other != taken:
                    shown.setdefault((taken, other), g)
                    rows[taken] |= 1 << other
        cycle = some_cycle(rows)
        if cycle is None:
            return []
        return [sorted({shown[edge] for edge in zip(cycle, [*cycle[1:], cycle[0]], strict=True)})]

    division = fewest_agents(len(groups), conflicts, seconds)
    members: list[Member] = []
    own: list[list[int]] = []
    for part in division.groups:
        rows = sorted(k for g in part for k in groups[g])
        rank = ranks(components(of_menus_of(menus, rows)), items)
        members.append(Member(dict(zip(menus.items, rank, strict=True)), tuple(menus.names[k] for k in rows)))
        own.append(rows)

    def saved(rows: Sequence[int]) -> float:
        offered = {tuple(sorted(menus.offered[k])) for k in rows}
        total = sum(math.log2(len(menus.offered[k])) for k in rows)
        if items <= MOST_COUNTED:
            return total - math.log2(coherent_patterns(offered, items))
        return max(0.0, total - math.lgamma(items + 1) / math.log(2))

    kept = set(menu_houtman_maks(menus, of_menus(menus), seconds).kept)
    parts = stretches(n, lambda rows: some_cycle(of_menus_of(menus, rows)) is None)
    bits = explain(
        n, sum(math.log2(len(m)) for m in menus.offered), saved,
        [k for k, name in enumerate(menus.names) if name in kept or not kept],
        lambda k: math.log2(max(1, len(menus.offered[k]) - 1)) - math.log2(len(menus.offered[k])),
        own, parts, [tuple(sorted(m)) for m in menus.offered],
    )  # fmt: skip
    verified = all(_takes_best(menus, m, rows) for m, rows in zip(members, own, strict=True))
    return _parts(division, members, bits, verified)


def divide_budgets(budgets: Budgets, seconds: float, seed: int, progress: Progress | None) -> dict[str, Any]:
    """The types behind budgets, and the bits of each explanation, random shares being 0."""
    n, relation = len(budgets), Relation(budgets)

    def conflicts(chosen: Sequence[int]) -> list[list[int]]:
        weak, strict = induced(relation.weak, chosen), induced(relation.strict, chosen)
        cycle = some_cycle(weak, strict)
        return [] if cycle is None else [sorted(chosen[k] for k in cycle)]

    division = fewest_agents(n, conflicts, seconds)
    members: list[Member] = []
    for part in division.groups:
        rank = ranks(components(induced(relation.weak, part)), len(part))
        names = [budgets.names[i] for i in part]
        members.append(Member(dict(zip(names, rank, strict=True)), tuple(names)))
    known: dict[tuple[int, ...], float] = {}

    def saved(rows: Sequence[int]) -> float:
        key = tuple(rows)
        if key not in known:
            part = Relation(budgets.take(rows)) if key else None
            place = kept_folder(f"surprise-{digest(key)[:12]}")
            luck = (
                None
                if part is None
                else chance.of_budgets(part.spending, 1.0, seed, progress, **_SIZES, checkpoint=place)
            )
            known[key] = 0.0 if luck is None else luck.surprise.value
        return known[key]

    gone = set(drop_nodes(relation.weak, relation.strict, seconds).nodes)
    parts = stretches(n, lambda rows: not conflicts(list(rows)))
    bits = explain(
        n, 0.0, saved, [i for i in range(n) if i not in gone], lambda _: 0.0, division.groups, parts, list(range(n))
    )  # fmt: skip
    verified = all(not conflicts(list(part)) for part in division.groups)
    note = "Bits are relative to random budget shares, and estimated by splitting."
    return _parts(division, members, bits, verified) | {"notes": (note,)}


def of_menus_of(menus: Menus, rows: Sequence[int]) -> list[int]:
    """The preferences that some of the observations show, as bit sets."""
    out = [0] * len(menus.items)
    for k in rows:
        out[menus.taken[k]] |= sum(1 << i for i in menus.offered[k] if i != menus.taken[k])
    return out


def _same_choices(menus: Menus) -> list[list[int]]:
    """Observations of one menu with one choice, together: whoever explains one of them explains all."""
    groups: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for k, (offered, taken) in enumerate(zip(menus.offered, menus.taken, strict=True)):
        groups.setdefault((tuple(sorted(offered)), taken), []).append(k)
    return list(groups.values())


def _takes_best(menus: Menus, member: Member, rows: Sequence[int]) -> bool:
    rank = [member.utility[name] for name in menus.items]
    return all(
        all(rank[menus.taken[k]] > rank[i] for i in menus.offered[k] if i != menus.taken[k]) for k in rows
    )  # fmt: skip


def _parts(division: Division, members: list[Member], bits: dict[str, float], verified: bool) -> dict[str, Any]:
    return {
        "size": len(members), "optimal": division.least == len(members), "least": division.least,
        "members": tuple(members), "witness": "", "description_bits": bits, "verified": verified, "notes": (),
    }  # fmt: skip
