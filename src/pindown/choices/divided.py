"""Choices from menus and budgets, divided between the fewest agents of whom each is coherent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pindown.choices import chance
from pindown.choices.axioms import Relation
from pindown.choices.budgets import Budgets
from pindown.choices.committee import Member
from pindown.choices.counting import MOST_COUNTED, coherent_patterns
from pindown.choices.description import explain, stretches
from pindown.choices.drops import drop_nodes, short_cycles
from pindown.choices.graphs import components, induced, ranks, some_cycle
from pindown.choices.item_relations import menu_houtman_maks, of_menus
from pindown.choices.menus import Menus
from pindown.choices.one_by_one import MOST_ITEMS, coherent_bits, picks_of
from pindown.choices.rationales import Division, coherent, fewest_agents
from pindown.choices.unfinished import digest, kept_folder
from pindown.errors import InputError
from pindown.estimate import counted

__all__ = ["divide_budgets", "divide_menus"]

Progress = Callable[[float, str], None]
_SIZES = {"particles": 200, "repeats": 4}
_MOST_PICKED, _CHOOSERS = 2000, 500


def divide_menus(menus: Menus, seconds: float, seed: int, progress: Progress | None) -> dict[str, Any]:
    """The rationales behind menus, and the bits of each explanation."""
    n, items = len(menus), len(menus.items)
    groups = _same_choices(menus)
    heads = [g[0] for g in groups]

    def conflicts(chosen: Sequence[int]) -> Iterator[list[int]]:
        shown: dict[tuple[int, int], int] = {}
        rows = [0] * items
        for g in chosen:
            taken = menus.taken[heads[g]]
            for other in menus.offered[heads[g]]:
                if other != taken:
                    shown.setdefault((taken, other), g)
                    rows[taken] |= 1 << other
        for cycle in short_cycles(rows, rows):
            yield sorted({shown[edge] for edge in zip(cycle, [*cycle[1:], cycle[0]], strict=True)})

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
        if items <= MOST_ITEMS and len(offered) <= _MOST_PICKED:
            bits, _ = coherent_bits([picks_of(m) for m in offered if len(m) > 1], items, seed, choosers=_CHOOSERS)
            return bits + total - sum(math.log2(len(m)) for m in offered)
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
    n = len(budgets)
    if n > chance.MOST_BUDGETS:
        raise InputError(f"{n:,} budgets to divide", f"at most {chance.MOST_BUDGETS:,}", "give a sample of them")
    relation = Relation(budgets)

    def conflicts(chosen: Sequence[int]) -> Iterator[list[int]]:
        weak, strict = induced(relation.weak, chosen), induced(relation.strict, chosen)
        for cycle in short_cycles(weak, strict):
            yield sorted(chosen[k] for k in cycle)

    division = fewest_agents(n, conflicts, seconds)
    members: list[Member] = []
    for part in division.groups:
        rank = ranks(components(induced(relation.weak, part)), len(part))
        names = [budgets.names[i] for i in part]
        members.append(Member(dict(zip(names, rank, strict=True)), tuple(names)))
    gone = set(drop_nodes(relation.weak, relation.strict, seconds).nodes)
    kept = [i for i in range(n) if i not in gone]
    parts = stretches(n, lambda rows: coherent(conflicts, list(rows)))
    measured = list(dict.fromkeys(tuple(rows) for rows in (kept, *division.groups, *parts)))
    known = {
        rows: _bits_of(budgets.take(rows), seed, _within(progress, k, measured), kept_folder(_name_of(rows)))
        for k, rows in enumerate(measured)
    }
    bits = explain(
        n, 0.0, lambda rows: known[tuple(rows)], kept, lambda _: 0.0, division.groups, parts, list(range(n))
    )  # fmt: skip
    verified = all(coherent(conflicts, part) for part in division.groups)
    note = "Bits are relative to random budget shares, and estimated by splitting."
    return _parts(division, members, bits, verified) | {"notes": (note,)}


def _bits_of(part: Budgets, seed: int, progress: Progress | None, place: Path | None) -> float:
    """How rare it is that random shares of these budgets are coherent."""
    luck = chance.of_budgets(Relation(part).spending, 1.0, seed, progress, **_SIZES, checkpoint=place)
    return luck.surprise.value


def _name_of(rows: Sequence[int]) -> str:
    return f"surprise-{digest(tuple(rows))[:12]}"


def _within(progress: Progress | None, k: int, measured: Sequence[Sequence[int]]) -> Progress | None:
    """Progress of one measurement among several."""
    if progress is None:
        return None
    text = f"bits of {counted(len(measured[k]), 'budget')}, part {k + 1} of {len(measured)}"
    progress(k / len(measured), text)
    return lambda share, _: progress((k + share) / len(measured), text)


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
