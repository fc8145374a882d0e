"""Choices between lotteries: known answers, and everything against a search over all utilities of three outcomes."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import pindown
from pindown import Coherence, Lotteries
from pindown.choices.exact_lp import maximise
from pindown.choices.expected_utility import explained, is_compound, is_utility
from pindown.choices.lottery_coherence import of_lotteries
from pindown.choices.lottery_patterns import DropLoss, all_patterns, descents

ALLAIS: list[dict[str, dict[str, Any]]] = [
    {"1A": {"1M": 1}, "1B": {"1M": 0.89, "5M": 0.10, "nothing": 0.01}},
    {"2A": {"1M": 0.11, "nothing": 0.89}, "2B": {"5M": 0.10, "nothing": 0.90}},
]


def coherence(table: Lotteries, **options: Any) -> Coherence:
    """Through the record; the certificate is checked here as well, against the probabilities."""
    found = pindown.coherence(table, **options)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Coherence.from_dict(record).to_dict() == found.to_dict()
    assert found.certificate.verified
    exact = {k: Fraction(v) for k, v in found.certificate.exact.items()}
    rows = [
        (i, k, [a - b for a, b in zip(menu[taken], other, strict=True)])
        for i, (menu, taken) in enumerate(zip(table.chances, table.taken, strict=True))
        for k, other in enumerate(menu)
        if k != taken
    ]
    if found.coherent:
        for i, _, gain in rows:
            value = sum(exact[o] * g for o, g in zip(table.outcomes, gain, strict=True))
            assert value > 0 or (value == 0 and not table.strict[i])
    else:
        names = {
            f"{table.names[i]}: {table.label(i, table.taken[i])} over {table.label(i, k)}": gain for i, k, gain in rows
        }
        assert sum(exact.values()) == 1
        assert min(exact.values()) > 0
        for s in range(len(table.outcomes)):
            assert sum(w * names[n][s] for n, w in exact.items()) == 0
    return found


def test_the_pair_of_allais_is_incoherent() -> None:
    """Half of 1A and half of 2B are half of 1B and half of 2A: 1M 50%, 5M 5%, nothing 45%."""
    found = coherence(Lotteries(ALLAIS, ["1A", "2B"]))
    assert not found.coherent
    assert found.certificate.exact == {"1: 1A over 1B": "1/2", "2: 2B over 2A": "1/2"}
    assert "1M 1/2, 5M 1/20, nothing 9/20" in found.certificate.statement
    assert found.pump is not None
    assert found.pump.forcing
    assert found.pump.share == 1.0
    assert "whatever comes up" in found.pump.sentence
    assert found.houtman_maks.value == 0.5
    assert found.swaps.value == 1
    assert found.surprise.value == 0.0


@pytest.mark.parametrize("picks", [["1A", "2A"], ["1B", "2B"]])
def test_the_other_answers_to_allais_are_coherent(picks: list[str]) -> None:
    """Of four patterns two are coherent: one bit."""
    found = coherence(Lotteries(ALLAIS, picks))
    assert found.coherent
    assert not found.vacuous
    assert found.surprise.kind == "exact"
    assert found.surprise.value == 1.0
    assert found.method == "2 of 4 patterns, counted"


def test_one_choice_between_two_is_vacuous_and_one_of_a_mixture_is_not() -> None:
    alone = coherence(Lotteries(ALLAIS[:1], ["1A"]))
    assert alone.coherent
    assert alone.vacuous
    mixture = {"a": {"x": 1}, "b": {"y": 1}, "both": {"x": "1/2", "y": "1/2"}}
    middle = coherence(Lotteries([mixture], ["both"]))
    assert not middle.coherent
    end = coherence(Lotteries([mixture], ["a"]))
    assert end.coherent
    assert end.surprise.value == pytest.approx(math.log2(3 / 2))


def test_indifference_is_allowed_where_no_choice_was_strict() -> None:
    """Weak choices alone say nothing. A weak ring forces indifference, against which one strict choice is a pump that
    pays in a part of the branches only."""
    weak = coherence(Lotteries(ALLAIS, ["1A", "2B"], strict=False))
    assert weak.coherent
    assert weak.vacuous
    a, b = {"a": {"x": 1}, "b": {"y": 1}}, {"a": {"x": 0.5, "y": 0.5}, "b": {"y": 1}}
    ring = coherence(Lotteries([a, a], ["a", "b"], strict=[False, False]))
    assert ring.coherent
    found = coherence(Lotteries([a, b], ["b", "a"], strict=[False, True]))
    assert not found.coherent
    assert found.pump is not None
    assert not found.pump.forcing
    # (1, -1)/2 taken strictly and (-1, 1) weakly cancel with weights 2/3 and 1/3.
    assert found.pump.share == pytest.approx(2 / 3)


def rays(table: Lotteries) -> list[tuple[int, int]]:
    """Utilities of three outcomes, the first at 0: each on which two lotteries tie, and one between neighbours.

    They meet every cone of utilities that the comparisons cut out of the plane.
    """
    edges = {
        (-c.difference[2], c.difference[1])
        for i in range(len(table))
        for pick in range(len(table.offered[i]))
        for c in table.differences(i, pick)
    }
    corners = sorted(edges | {(-x, -y) for x, y in edges}, key=lambda v: math.atan2(v[1], v[0]))
    out = [(0, 0), *corners]
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        out += [(a[0] + b[0], a[1] + b[1]), (-a[1], a[0])]
    return out


def patterns_by_search(table: Lotteries) -> set[tuple[int, ...]]:
    """All patterns that one of these utilities gives strictly."""
    found = set[tuple[int, ...]]()
    for ray in rays(table):
        picks: list[int] = []
        for menu in table.chances:
            worth = [ray[0] * lottery[1] + ray[1] * lottery[2] for lottery in menu]
            best = [k for k, w in enumerate(worth) if w == max(worth)]
            picks += best[:1] if len(best) == 1 else []
        if len(picks) == len(table):
            found.add(tuple(picks))
    return found


def drawn(rng: np.random.Generator, n: int, outcomes: int, most: int, parts: int) -> Lotteries:
    """Random menus of two to ``most`` different lotteries, each in ``parts``, and random choices."""
    menus: list[dict[str, dict[str, Fraction]]] = []
    for _ in range(n):
        seen = set[tuple[int, ...]]()
        size = int(rng.integers(2, most + 1))
        while len(seen) < size:
            seen.add(tuple(rng.multinomial(parts, np.full(outcomes, 1 / outcomes)).tolist()))
        menus.append(
            {f"l{k}": {f"o{s}": Fraction(x, parts) for s, x in enumerate(lottery)} for k, lottery in enumerate(seen)}
        )
    return Lotteries(menus, [f"l{int(rng.integers(len(m)))}" for m in menus])


@pytest.mark.parametrize("seed", range(2))
def test_everything_equals_a_search_over_all_utilities(seed: int) -> None:
    """Verdict, choices to drop and bits; small parts, so that ties are common."""
    rng = np.random.default_rng(seed)
    answers = set[bool]()
    for _ in range(10):
        table = drawn(rng, int(rng.integers(2, 6)), 3, 3, 4)
        truth = patterns_by_search(table)
        mine = all_patterns(table, 10**6)
        assert mine is not None
        assert {tuple(row) for row in mine.tolist()} == truth
        found = coherence(table, particles=50, repeats=2)
        assert found.coherent == (tuple(table.taken) in truth)
        far = min(sum(a != b for a, b in zip(t, table.taken, strict=True)) for t in truth)
        assert found.houtman_maks.optimal
        assert found.houtman_maks.value == pytest.approx(1 - far / len(table))
        assert 0 <= found.swaps.value <= sum(len(m) - 1 for m in table.offered)
        everyone = list(itertools.product(*(range(len(m)) for m in table.offered)))
        near = sum(min(sum(a != b for a, b in zip(t, x, strict=True)) for t in truth) <= far for x in everyone)
        assert found.surprise.kind == "exact"
        assert found.surprise.value == pytest.approx(math.log2(len(everyone) / near), abs=1e-9)
        answers.add(found.coherent)
    assert answers == {True, False}


def test_swaps_are_the_fewest_comparisons_to_give_up() -> None:
    rng = np.random.default_rng(4)
    seen = set[float]()
    for _ in range(8):
        table = drawn(rng, 3, 3, 3, 4)
        said = table.comparisons()
        least = min(
            r
            for r in range(len(said) + 1)
            for gone in itertools.combinations(range(len(said)), r)
            if explained([c for k, c in enumerate(said) if k not in gone], 3).utility is not None
        )
        found = pindown.coherence(table, surprise=False).swaps
        assert found.optimal
        assert found.value == least
        seen.add(least)
    assert len(seen) > 1


def test_pairs_in_general_position_have_as_many_patterns_as_planes_have_regions() -> None:
    """Seven planes through one point in three dimensions: 2 (1 + 6 + 15) = 44 regions (Schläfli)."""
    table = drawn(np.random.default_rng(1), 7, 4, 2, 9973)
    found = all_patterns(table, 10**6)
    assert found is not None
    assert len(found) == 44


def test_random_descents_estimate_the_number_of_patterns() -> None:
    """Without bias: within four errors of the count, and the error is small."""
    table = drawn(np.random.default_rng(1), 7, 4, 2, 9973)
    log, error = descents(table, 60, np.random.default_rng(2))
    assert error < 0.15
    assert abs(log - math.log2(44)) < 4 * error
    blind, _ = descents(Lotteries(ALLAIS[:1] * 6, ["1A"] * 6), 5, np.random.default_rng(3))
    assert blind == 1.0  # one menu six times: two patterns, not 2^6


def test_where_the_tree_is_too_large_the_bits_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pindown.choices.lottery_coherence._MOST_PROGRAMMES", 3)
    table = drawn(np.random.default_rng(1), 7, 4, 2, 9973)
    found = of_lotteries(table, True, 0)
    assert found.surprise.kind == "estimate"
    assert found.surprise.stderr < 0.15
    assert abs(found.surprise.value - math.log2(2**7 / 44)) < 4 * found.surprise.stderr
    assert math.isnan(of_lotteries(table, False, 0).surprise.value)


def test_distance_to_the_patterns_is_the_number_to_drop() -> None:
    loss = DropLoss(np.array([[0, 1, 2], [1, 1, 0]]), [2, 2, 3])
    assert loss(np.array([[0, 1, 2], [0, 0, 0], [1, 0, 1]])).tolist() == [0.0, 2.0, 2.0]


def test_certificates_can_fail() -> None:
    table = Lotteries(ALLAIS, ["1A", "2B"])
    said = table.comparisons()
    half = Fraction(1, 2)
    assert is_compound({0: half, 1: half}, said)
    assert not is_compound({0: Fraction(1, 3), 1: Fraction(2, 3)}, said)
    assert not is_compound({0: -half, 1: -half}, said)
    assert not is_compound({0: half, 1: half}, Lotteries(ALLAIS, ["1A", "2B"], strict=False).comparisons())
    assert not is_utility([Fraction(1), Fraction(2), Fraction(0)], said)
    assert is_utility([Fraction(1), Fraction(1), Fraction(0)], said[:1])
    assert not is_utility([Fraction(1), Fraction(1), Fraction(1)], said[:1])


def test_the_exact_programme_equals_the_floating_one() -> None:
    """Values and duals; the dual is checked by its own inequalities."""
    rng = np.random.default_rng(6)
    for _ in range(30):
        m, n = int(rng.integers(1, 6)), int(rng.integers(1, 6))
        a, b, c = rng.integers(-3, 6, (m, n)), rng.integers(0, 5, m), rng.integers(-3, 5, n)
        a, b = np.vstack([a, np.ones(n, dtype=int)]), np.append(b, 7)  # bounded
        exact = [[Fraction(int(x), 3) for x in row] for row in a], [Fraction(int(x), 3) for x in b]
        x, y = maximise([Fraction(int(v), 2) for v in c], *exact)
        value = sum(Fraction(int(v), 2) * w for v, w in zip(c, x, strict=True))
        truth = linprog(-c / 2, a / 3, b / 3, method="highs")
        assert float(value) == pytest.approx(-truth.fun, abs=1e-9)
        assert sum(v * w for v, w in zip(y, exact[1], strict=True)) == value
        assert min(y) >= 0
        for j in range(n):
            assert sum(v * row[j] for v, row in zip(y, exact[0], strict=True)) >= Fraction(int(c[j]), 2)
