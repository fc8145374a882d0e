"""Certificates of policies, items, bets and contracts: checked on the table itself, and wrong ones do not pass."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import pindown
from pindown import Bets, Coherence, Menus, Policy
from pindown.choices import books, items_coherence
from pindown.choices.contracts import _held, _most, best_contract
from pindown.choices.item_relations import ItemRelation, of_menus
from pindown.choices.policy_coherence import highest_reached, shown_from
from pindown.choices.policy_relation import PolicyRelation, _above_cycles, rounds


def coherence(table: Any) -> Coherence:
    found = pindown.coherence(table, surprise=False)
    assert found.certificate.verified
    return found


def process(rng: np.random.Generator) -> Policy:
    n = int(rng.integers(2, 9))
    ways = {s: sorted({int(t) for t in rng.integers(0, n, int(rng.integers(1, 4)))}) for s in range(n)}
    return Policy(ways, {s: int(rng.choice(w)) for s, w in ways.items()})


def test_preferences_of_many_policies_at_once_equal_those_of_each() -> None:
    rng = np.random.default_rng(3)
    rings = 0
    for _ in range(200):
        relation = PolicyRelation(process(rng))
        options = [list(o.values()) or [s] for s, o in enumerate(relation.policy.options)]
        following = np.array([[rng.choice(o) for o in options] for _ in range(5)])
        at_once = relation._many_rows(following).tolist()
        assert at_once == [relation._rows(f) for f in following.tolist()]
        one_by_one = [_above_cycles(relation._rows(f)) for f in following.tolist()]
        assert relation.contradictions(following).tolist() == one_by_one
        rings += any(len(r) > 1 for f in following.tolist() for r in rounds(f))
    assert rings > 50


def test_certificates_of_policies_are_checked_by_walking() -> None:
    """Every preference is shown from some state, nothing else is, and ranks turned upside down do not pass."""
    rng = np.random.default_rng(4)
    answers = set()
    for _ in range(200):
        policy = process(rng)
        relation = PolicyRelation(policy)
        n = len(policy)
        shown = {(i, j) for i in range(n) for j in range(n) if shown_from(policy, i, j) is not None}
        assert shown == {(i, j) for i in range(n) for j in range(n) if relation.rows[i] >> j & 1}
        found = coherence(policy)
        if found.coherent and len(policy.final) > 1 and any(relation.rows):
            rank = {policy.states.index(k): int(r) for k, r in found.certificate.numbers.items()}
            assert highest_reached(policy, rank)
            assert not highest_reached(policy, {s: -r for s, r in rank.items()})
        answers.add(found.coherent)
    assert answers == {True, False}


def test_certificates_of_items_are_checked_on_the_table() -> None:
    """A relation with an edge that the table does not show does not pass, nor ranks that leave out one that it does."""
    menus = Menus([["a", "b"], ["b", "c"]], ["a", "b"])
    relation = of_menus(menus)
    parts = items_coherence.parts_of_menus(menus, 1.0)
    assert parts["certificate"].verified

    def altered(sources: dict[tuple[int, int], list[int]]) -> Any:
        return ItemRelation(relation.items, [sum(1 << j for a, j in sources if a == i) for i in range(3)], sources)

    said = [[(0, 1)], [(1, 2)]]
    ring = altered({**relation.sources, (2, 0): [1]})
    cycle = ring.violating_cycle()
    assert cycle is not None
    assert not items_coherence._certificate(ring, cycle, ring.parts, said.__getitem__, [0, 1]).verified
    assert not items_coherence._pump(ring, cycle, str, said.__getitem__).verified
    half = altered({(0, 1): [0], (2, 1): [1]})
    assert not items_coherence._certificate(half, None, half.parts, said.__getitem__, [0, 1]).verified


def test_a_contract_of_no_gain_is_proved_by_its_weights_and_one_of_gain_has_none() -> None:
    """The proof is by policy iteration, apart from the programme: under wrong weights there is something to gain."""
    rng = np.random.default_rng(6)
    nothing = 0
    for _ in range(30):
        utilities = rng.integers(0, 5, (2, 4)).astype(float)
        offers = rng.uniform(0, 0.3, (4, 4)) * (1 - np.eye(4))
        found = best_contract(utilities, offers, np.full(4, 0.25), discount=0.95)
        assert found.gain.kind == "exact"
        if found.gain.value == 0.0:
            nothing += 1
            assert found.proof < 1e-7 * 25
            pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
            before = utilities[0] @ _held(offers, np.full(4, 0.25), 0.95, [
                (i, j) for i, j in pairs if (utilities[:, j] > utilities[:, i]).all()])  # fmt: skip
            # One member alone would as a rule trade more: its own utility proves nothing.
            assert _most(utilities[0], offers, np.full(4, 0.25), 0.95, pairs) >= before - 1e-9
        else:
            assert sum(found.members) == pytest.approx(found.gain.value)
            assert min(found.members) > -1e-9
    assert 0 < nothing < 30


def test_hundreds_of_bets_are_decided_by_the_few_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fair odds less a margin are coherent; the answer of a few bets at a time is that of all at once."""
    rng = np.random.default_rng(5)
    chance = rng.dirichlet(np.ones(6))
    stakes = np.eye(6)[rng.integers(0, 6, 200)]
    # Odds above fair favour the bettor, so that the true chances expect no bet to lose.
    fair = coherence(Bets(stakes, np.ceil(100.0 * rng.uniform(1.0, 1.4, (200, 1)) / chance) / 100.0))
    assert fair.coherent
    table = Bets(stakes[:25], np.maximum(1.0, np.floor(80.0 * rng.uniform(1.0, 1.3, (25, 1)) / chance) / 100.0))
    few = coherence(table)
    with monkeypatch.context() as patch:
        patch.setattr("pindown.choices.books._JOIN", 1000)
        many = coherence(table)
    assert few.pump is not None
    assert many.pump is not None
    assert few.pump.loss == pytest.approx(many.pump.loss, rel=1e-12)


@pytest.mark.parametrize("guess", [0, 1, None, "mixed"])
def test_the_book_does_not_rest_on_what_floating_point_guessed(guess: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However wrong the guess is, the sure loss is that of the programme over all bets at once, and so is its dual.

    The least expected loss under any probabilities is the greatest sure loss; here both are found in fractions.
    """
    rng = np.random.default_rng(8)
    answers = set[bool]()
    for _ in range(12):
        n, m = int(rng.integers(3, 14)), int(rng.integers(2, 5))
        stakes, odds = rng.integers(0, 3, (n, m)).astype(float), rng.integers(2, 14, (n, m)) / 2.0
        stakes[stakes.sum(axis=1) == 0, 0] = 1.0
        bets = Bets(stakes, odds)
        with monkeypatch.context() as patch:
            patch.setattr(books, "_guessed", lambda gains: [None] * len(gains))
            whole = coherence(bets)
        wrong = [Fraction(int(v)) for v in rng.integers(0, 2, n)] if guess == "mixed" else [guess] * n
        with monkeypatch.context() as patch:
            patch.setattr(books, "_guessed", lambda gains, wrong=wrong: list(wrong))
            found = coherence(bets)
        with monkeypatch.context() as patch:
            patch.setattr(books, "_FEW", 0)
            usual = coherence(bets)
        assert found.coherent == whole.coherent == usual.coherent
        if whole.pump is not None:
            assert found.pump is not None
            assert usual.pump is not None
            assert found.pump.loss == whole.pump.loss == usual.pump.loss
        answers.add(found.coherent)
    assert answers == {True, False}


def test_a_book_of_hundreds_of_bets_that_all_lose_takes_a_moment() -> None:
    """Nearly all bets are made in full: floating point finds which, and a dozen are left to solve for in fractions."""
    rng = np.random.default_rng(9)
    chance = rng.dirichlet(np.ones(6))
    stakes = np.eye(6)[rng.integers(0, 6, 600)] * rng.integers(1, 20, (600, 1))
    odds = np.maximum(1.01, np.round(rng.uniform(0.8, 1.1, (600, 1)) / chance, 2))
    found = coherence(Bets(stakes, odds))
    assert not found.coherent
    assert found.pump is not None
    assert found.pump.verified
    made = np.array([found.certificate.numbers.get(str(k + 1), 0.0) for k in range(600)])
    net = stakes * odds - stakes.sum(axis=1, keepdims=True)
    assert (made @ net).max() == pytest.approx(-found.pump.loss)
    # By duality no book loses more than what the bets are expected to lose under any probabilities.
    assert found.pump.loss <= np.maximum(0.0, -(net @ chance)).sum()
    assert (made == 1.0).sum() > 200
