"""Verdicts by stated rules with three outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pindown.estimate import Estimate
from pindown.network.sampler_results import SamplerComparison
from pindown.studies.results import Verdict

__all__ = ["MATERIAL", "alike", "decide", "gap_closed", "slope_differs"]

MATERIAL = 0.05
"""A difference of this share of all mass counts."""
_SEEN = 0.8
_Z = 1.96


def decide(supported: bool, refuted: bool) -> str:
    """The outcome; both at once is a contradiction of the rule and stays undecided.

    >>> decide(True, False), decide(False, True), decide(False, False), decide(True, True)
    ('supported', 'refuted', 'undecided', 'undecided')
    """
    return "undecided" if supported == refuted else "supported" if supported else "refuted"


def alike(claim: str, compared: Sequence[tuple[str, SamplerComparison]]) -> Verdict:
    """Whether every one of these optimisers draws functions as random solutions do."""
    rule = (
        f"Refuted where some optimiser's total variation on held-out draws is above {MATERIAL:g} with its 95% "
        f"interval; supported where that and the excess over the null are below {MATERIAL:g} with their intervals for "
        f"every one, and each sampler has shown at least {_SEEN:.0%} of its mass; else undecided."
    )
    if not compared:
        return Verdict(claim, "undecided", rule, "Nothing could be compared.")
    worst = max(compared, key=lambda c: _low(c[1].held_out_total_variation))
    refuted = _low(worst[1].held_out_total_variation) > MATERIAL
    supported = all(
        max(_high(c.excess), _high(c.held_out_total_variation)) < MATERIAL
        and max(c.unseen.optimiser.value, c.unseen.random.value) <= 1 - _SEEN
        for _, c in compared
    )
    least = min(compared, key=lambda c: c[1].held_out_total_variation.value)
    because = (
        f"{len(compared)} compared. Largest: {worst[0]}, {worst[1].held_out_total_variation} on held-out draws (total "
        f"variation {worst[1].total_variation}, null {worst[1].null}). Smallest: {least[0]}, "
        f"{least[1].held_out_total_variation} (total variation {least[1].total_variation}, null {least[1].null})."
    )
    return Verdict(claim, decide(supported, refuted), rule, because)


def gap_closed(claim: str, pairs: Sequence[tuple[str, SamplerComparison, SamplerComparison]]) -> Verdict:
    """Whether random solutions of such margins are as the optimiser's: (name, against all, against those)."""
    rule = (
        f"Of the optimisers whose total variation on held-out draws is above {MATERIAL:g} with its 95% interval: "
        "supported where for every one it falls to less than half with its interval; refuted where for some it stays "
        "above half with its interval; else undecided."
    )
    wide = [(n, a, b) for n, a, b in pairs if _low(a.held_out_total_variation) > MATERIAL]
    if not wide:
        return Verdict(claim, "undecided", rule, "No optimiser with a gap and enough random solutions of such margins.")
    left: list[tuple[str, float, float, SamplerComparison, SamplerComparison]] = []
    for name, a, b in wide:
        before, after = a.held_out_total_variation, b.held_out_total_variation
        rest = after.value - 0.5 * before.value
        half = math.hypot(_half(after), 0.5 * _half(before))
        left.append((name, rest - half, rest + half, a, b))
    supported = all(high < 0 for _, _, high, _, _ in left)
    refuted = any(low > 0 for _, low, _, _, _ in left)
    most = max(left, key=lambda row: row[1])
    least = min(left, key=lambda row: row[2])
    because = (
        f"{len(wide)} compared. Least closed: {most[0]}, from {most[3].held_out_total_variation} to "
        f"{most[4].held_out_total_variation}. Most closed: {least[0]}, from {least[3].held_out_total_variation} to "
        f"{least[4].held_out_total_variation}."
    )
    return Verdict(claim, decide(supported, refuted), rule, because)


def slope_differs(claim: str, optimiser: Estimate, random: Estimate) -> Verdict:
    """Whether the optimiser's error falls with width and that of random solutions does not (wide minus narrow)."""
    rule = (
        "Supported where the optimiser's error falls with its 95% interval and falls by more than that of random "
        "solutions with its interval; refuted where it does not fall more, with its interval; else undecided."
    )
    gain = optimiser.value - random.value
    error = math.hypot(optimiser.stderr, random.stderr)
    supported = _high(optimiser) < 0 and gain + _Z * error < 0
    refuted = gain - _Z * error > 0
    because = f"Change of the error from narrow to wide: optimiser {optimiser}, random solutions {random}."
    return Verdict(claim, decide(supported, refuted), rule, because)


def _half(e: Estimate) -> float:
    """Half of the 95% interval, by Student's t where few groups stand behind the error."""
    low, high = e.interval()
    return (high - low) / 2.0


def _low(e: Estimate) -> float:
    return e.interval()[0]


def _high(e: Estimate) -> float:
    return e.interval()[1]
