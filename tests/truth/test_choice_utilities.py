"""Utilities of coherent budgets: Afriat's inequalities, in fractions."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pindown import Budgets, coherence
from pindown.choices.axioms import Relation
from pindown.choices.budget_utilities import afriat_holds, utilities
from pindown.choices.cells import as_fraction
from pindown.choices.certificates import Utilities


def shares(n: int, income: Any, seed: int = 0) -> Budgets:
    """Fixed shares of each budget are spent on three goods: the choices of a Cobb–Douglas utility."""
    prices = np.exp(np.random.default_rng(seed).uniform(-3, 3, (n, 3)))
    return Budgets(prices, np.broadcast_to(income, (n,))[:, None] * np.array([0.5, 0.3, 0.2]) / prices)


def exactly(found: Utilities) -> tuple[list[Fraction], list[Fraction]]:
    if found.logarithmic:
        two = Fraction(2)
        return [-(two ** int(e)) for e in found.utility.values()], [two ** int(k) for k in found.marginal.values()]
    return [as_fraction(u) for u in found.utility.values()], [as_fraction(m) for m in found.marginal.values()]


@pytest.mark.parametrize("way", ["solved", "exponents"])
def test_utilities_exist_exactly_where_garp_holds(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small whole numbers, so that ties are common; each inequality is checked here as well."""
    if way == "exponents":
        monkeypatch.setattr("pindown.choices.budget_utilities._MOST_SOLVED", 0)
    rng = np.random.default_rng(5)
    coherent = 0
    for _ in range(25):
        n = int(rng.integers(2, 6))
        prices, quantities = rng.integers(1, 4, (n, 2)), rng.integers(0, 4, (n, 2))
        quantities[quantities.sum(axis=1) == 0, 0] = 1
        relation = Relation(Budgets(prices, quantities))
        if not relation.garp():
            continue
        coherent += 1
        found = utilities(relation)
        assert found is not None
        assert found.verified
        assert found.logarithmic == (way == "exponents")
        utility, marginal = exactly(found)
        for i in range(n):
            for j in range(n):
                gap = Fraction(int(prices[i] @ quantities[j])) - Fraction(int(prices[i] @ quantities[i]))
                assert utility[j] <= utility[i] + marginal[i] * gap
    assert 8 <= coherent <= 24


def test_money_worth_the_same_everywhere_has_a_ratio_of_one() -> None:
    """Who spends 100 at every price has the utility 100 Σ share log x, and a dollar is worth the same at each.

    The least ratio is 1; room costs a sixty-fourth of it.
    """
    same = utilities(Relation(shares(12, 100.0)))
    assert same is not None
    assert not same.logarithmic
    assert same.ratio.kind == "upper_bound"
    assert 1.0 <= same.ratio.value < 1.02


def test_the_least_ratio_of_two_budgets() -> None:
    """E_12 − E_11 = −6 and E_21 − E_22 = 3: round the ring 6 λ_1 ≤ 3 λ_2, so that the least ratio is 2."""
    found = utilities(Relation(Budgets([[1, 1], [0.5, 0.5]], [[4, 4], [1, 1]])))
    assert found is not None
    assert found.verified
    assert 2.0 <= found.ratio.value < 2.04


def test_the_utility_gives_the_choices() -> None:
    """Bundles that cost no more than what was bought are worth no more."""
    table = shares(10, np.exp(np.random.default_rng(1).uniform(0, 3, 10)))
    found = coherence(table, surprise=False).certificate.utilities
    assert found is not None
    assert not found.logarithmic
    u, m = np.array(list(found.utility.values())), np.array(list(found.marginal.values()))
    spent = (table.prices * table.quantities).sum(axis=1)
    rng = np.random.default_rng(2)
    for i in range(10):
        others = rng.dirichlet(np.ones(3), 200) * spent[i] / table.prices[i]
        worth = (u[None] + m[None] * (others @ table.prices.T - spent[None])).min(axis=1)
        assert worth.max() <= u[i] + 1e-9 * max(1.0, abs(u[i]))


def test_many_budgets_have_utilities_in_exponents() -> None:
    """Afriat's recursion leaves the floats; the exponents are proved without them."""
    rng = np.random.default_rng(0)
    table = shares(400, np.exp(rng.uniform(-3, 3, 400)))
    found = utilities(Relation(table))
    assert found is not None
    assert found.logarithmic
    assert found.verified
    some = Relation(table.take(range(0, 400, 20)))
    names = list(found.utility)[::20]
    two = Fraction(2)
    utility = [-(two ** int(found.utility[n])) for n in names]
    assert afriat_holds(some.spending, utility, [two ** int(found.marginal[n]) for n in names])


def test_the_check_can_fail() -> None:
    """Utilities turned upside down, a marginal utility of 0, and exponents that leave no room do not pass."""
    relation = Relation(shares(6, np.arange(1.0, 7.0)))
    found = utilities(relation)
    assert found is not None
    utility, marginal = exactly(found)
    assert afriat_holds(relation.spending, utility, marginal)
    assert not afriat_holds(relation.spending, [-u for u in utility], marginal)
    assert not afriat_holds(relation.spending, utility, [Fraction(0), *marginal[1:]])


def test_exponents_without_room_are_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    from pindown.choices import budget_utilities as module

    relation = Relation(shares(8, np.exp(np.random.default_rng(3).uniform(-3, 3, 8))))
    monkeypatch.setattr(module, "_MOST_SOLVED", 0)
    for most in (0, 150):  # by exponents, and in fractions
        monkeypatch.setattr(module, "_MOST_FRACTIONS", most)
        honest = utilities(relation)
        assert honest is not None
        assert honest.verified
    true = module._logarithms(relation.spending)
    parts, e = module._parts(relation), np.array(list(honest.utility.values()), dtype=np.int64)
    k = np.array(list(honest.marginal.values()), dtype=np.int64)
    assert module._exponents_hold(parts, e, k, *true)
    assert not module._exponents_hold(parts, -e, k, *true)
    assert not module._exponents_hold(parts, e, k - 40, *true)
    # Logarithms that are far off give exponents that the fractions refuse.
    monkeypatch.setattr(module, "_logarithms", lambda _: (true[0] - 400, true[1] + 400, true[2]))
    broken = utilities(relation)
    assert broken is not None
    assert not broken.verified


def test_the_record_of_utilities_comes_back() -> None:
    found = coherence(shares(5, 10.0), surprise=False)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert type(found).from_dict(record).to_dict() == found.to_dict()
    del record["certificate"]["utilities"]
    assert type(found).from_dict(record).certificate.utilities is None
