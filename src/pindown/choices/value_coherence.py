"""Coherence of bets and of caches of values, and what is said of choices to which most does not apply."""

from __future__ import annotations

from typing import Any

from pindown.choices.bets import Bets
from pindown.choices.books import book_or_probabilities
from pindown.choices.certificates import Certificate
from pindown.choices.coherence_result import INDICES, Graph
from pindown.choices.indices import Axiom, exact, unsupported
from pindown.choices.residuals import blamed, explains, residuals
from pindown.choices.value_cache import ValueCache
from pindown.estimate import counted

__all__ = ["parts_of_bets", "parts_of_cache", "parts_unstated"]

_MOST_TOLD = 6


def parts_unstated() -> dict[str, Any]:
    """The parts of a result of which nothing is said."""
    no, axiom = unsupported(), Axiom(False, 0, False)
    return {
        **dict.fromkeys(INDICES, no), **dict.fromkeys(("warp", "sarp", "garp", "harp"), axiom), "stochastic": (),
        "residuals": {}, "breaks": (), "graph": Graph((), (), ()), "ranks": 0, "notes": (), "pump": None,
    }  # fmt: skip


def parts_of_bets(bets: Bets) -> dict[str, Any]:
    """Coherent where some probabilities make no accepted bet a losing one on average, else a Dutch book."""
    certificate, pump = book_or_probabilities(bets)
    parts = parts_unstated() | {"coherent": pump is None, "certificate": certificate, "pump": pump}
    share = 0.0 if pump is None or pump.share is None else pump.share
    return parts | {"money_pump_index": exact(share, cycle=() if pump is None else tuple(s.end for s in pump.steps))}


def parts_of_cache(cache: ValueCache, seconds: float) -> dict[str, Any]:
    """Coherent where every entry equals its backup; else the residuals and the entries to blame."""
    found = residuals(cache)
    parts = parts_unstated() | {"residuals": {s: float(r) for s, r in found.items()}}
    wrong = {s: r for s, r in found.items() if r}
    if not wrong:
        statement = "Every entry equals what its transitions give."
        return parts | {"coherent": True, "certificate": Certificate("consistent", statement, verified=True)}
    blame, proved = blamed(cache, seconds)
    listed = [f"{s} (claimed {float(cache.values[s]):g}, should be {float(v):g})" for s, v in blame.items()]
    told = ", ".join(listed[:_MOST_TOLD]) + (
        f", and {len(listed) - _MOST_TOLD} more" if len(listed) > _MOST_TOLD else ""
    )
    whole = explains(cache, blame)
    few = "the fewest that explain all residuals" if proved else "entries that explain all residuals"
    few = few if whole else "every entry that differs from its backup"
    one = len(wrong) == 1
    differ = f"{len(wrong):,} of {counted(len(found), 'entry', 'entries')} differ{'s' * one}"
    statement = f"{differ} from {'its' if one else 'their'} backup. To blame, {few}: {told}."
    numbers = {s: float(v) for s, v in blame.items()}
    exactly = {s: str(v) for s, v in blame.items()}
    # Put right they leave no residual; or else each of them has one, which the cache itself shows.
    verified = whole or (set(blame) == set(wrong) and all(cache.values[s] != v for s, v in blame.items()))
    certificate = Certificate("entries", statement, numbers, exactly, tuple(blame), verified)
    return parts | {"coherent": False, "certificate": certificate}
