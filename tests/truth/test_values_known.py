"""Known answers of the ledger: hypotheses, encodings, cuts, chains of sources, requirements."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import pindown
from pindown import Ledger, ValueProblem
from pindown.values.belief import Belief
from pindown.values.choice_sources import Comparisons, Demonstrations
from pindown.values.earned import Prequential
from pindown.values.information import Asked, information_chain
from pindown.values.plans import Plans
from pindown.values.priors import Hypotheses, LinearValues
from pindown.values.problem import Answer
from pindown.values.questions import best_batch, best_question, score_source
from pindown.values.reading_sources import Channel, Labels
from pindown.values.requirement import binary_relative_entropy, required_bits


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def ledger(problem: ValueProblem, answers: Any = None, **options: Any) -> Ledger:
    """Through the record."""
    found = pindown.ledger(problem, answers, **options)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Ledger.from_dict(record).to_dict() == found.to_dict()
    return found


def halving(bits: int, flip: float = 0.0) -> Channel:
    def chances(points: np.ndarray, questions: np.ndarray) -> np.ndarray:
        one = (points[:, 0].astype(np.int64)[:, None] >> questions[None, :]) & 1
        yes = np.where(one == 1, 1.0 - flip, flip)
        return np.stack([1.0 - yes, yes], axis=-1)

    noise = "noiseless" if flip == 0 else f"flips {flip}"
    return Channel(chances, questions=bits, outcomes=2, name="halves", noise=noise)


def identified(bits: int, flip: float = 0.0, success: float = 1.0) -> ValueProblem:
    n = 2**bits
    return ValueProblem(Plans(n), Hypotheses(n), "same", [halving(bits, flip)], success=success)


@pytest.mark.slow
def test_two_to_the_twenty_hypotheses_take_twenty_halving_questions() -> None:
    problem = identified(20)
    belief, truth, count, asked = Belief(problem), 0b1011_0011_1000_1101_0110, 0, set()
    while belief.population.chances(belief.weights).max() < 1.0:
        question = best_question(belief, "total", asked)
        assert question.total.value == pytest.approx(1.0, abs=1e-9)
        belief.update(Answer("halves", question.question, truth >> question.question & 1))
        asked.add(("halves", question.question))
        count += 1
    assert count == 20
    assert belief.population.points[0, 0] == truth


def test_the_account_of_halving_questions_is_exact() -> None:
    found = ledger(identified(10))
    for figure in (found.target, found.needed, found.required, found.supplied["halves"], found.usable["halves"]):
        assert figure.value == pytest.approx(10.0, abs=1e-6)
    assert found.supplied["halves"].kind == "exact"
    (line,) = found.sources
    assert line.answers_needed.value == pytest.approx(10.0, abs=1e-9)


def test_noise_of_a_tenth_asks_for_at_least_37_66_answers() -> None:
    """20 bits over the capacity 1 − h(0.1) of a binary symmetric channel (Shannon 1948)."""
    capacity = 1.0 - entropy(0.1)
    found = ledger(identified(10, flip=0.1))
    (line,) = found.sources
    assert line.answers_needed.value == pytest.approx(10.0 / capacity, rel=1e-9)
    assert 2.0 * line.answers_needed.value == pytest.approx(37.66, abs=0.01)
    assert found.supplied["halves"].value == pytest.approx(10.0 * capacity, abs=1e-9)
    assert not found.closed


def pad(bits: int, key_known: bool) -> ValueProblem:
    """A message of ``bits`` bits, and its exclusive or with a uniform key."""
    n = 2**bits
    keys = 1 if key_known else n
    value, key = np.repeat(np.arange(n), keys), np.tile(np.arange(keys), n)
    cipher = np.eye(n)[value ^ key][:, None, :]
    prior = Hypotheses.encoded(n, keys)
    return ValueProblem(Plans(n), prior, np.eye(n), [Channel(cipher, name="message")], success=1.0)


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_a_one_time_pad_supplies_n_bits_of_which_none_is_usable_without_the_key(bits: int) -> None:
    closed, opened = ledger(pad(bits, False)), ledger(pad(bits, True))
    assert closed.supplied["message"].value == pytest.approx(bits, abs=1e-9)
    assert closed.usable["message"].value == pytest.approx(0.0, abs=1e-9)
    assert closed.sources[0].lost.value == pytest.approx(bits, abs=1e-9)
    assert opened.usable["message"].value == pytest.approx(bits, abs=1e-9)
    assert opened.sources[0].lost.value == pytest.approx(0.0, abs=1e-9)
    told = ledger(pad(bits, False), [("message", 0, 1)])
    assert told.usable["message"].value == pytest.approx(0.0, abs=1e-9)
    assert told.missing.value == pytest.approx(bits, abs=1e-9)
    assert ledger(pad(bits, True), [("message", 0, 1)]).missing.value == 0.0


def permuted(length: int) -> ValueProblem:
    """Sequences of four symbols, each sent through one unknown permutation."""
    from itertools import permutations, product

    words = np.array(list(product(range(4), repeat=length)))
    codes = np.array(list(permutations(range(4))))
    sent = codes[:, words].transpose(1, 0, 2).reshape(-1, length)  # (words · codes, length)
    prior = Hypotheses.encoded(len(words), len(codes))
    return ValueProblem(
        Plans(len(words)), prior, np.eye(len(words)), [Channel(np.eye(4)[sent], name="symbols")], success=1.0
    )


def test_an_unknown_permutation_of_four_symbols_loses_log2_of_24_bits_for_ever() -> None:
    """The words that fit what was received are as many as there are injections of the d symbols seen: 4!/(4−d)!."""
    length = 4
    counts = {1: 4, 2: 84, 3: 144, 4: 24}  # words of four letters with d different ones, of 256
    mean = sum(c * math.log2(math.factorial(4) / math.factorial(4 - d)) for d, c in counts.items()) / 256
    found = ledger(permuted(length))
    assert found.supplied["symbols"].value == pytest.approx(2 * length, abs=1e-9)
    assert found.sources[0].lost.value == pytest.approx(mean, abs=1e-9)
    for word in ([0, 1, 2, 3], [3, 1, 0, 1]):  # with three symbols seen the fourth follows
        told = ledger(permuted(length), [("symbols", i, s) for i, s in enumerate(word)])
        assert told.missing.value == pytest.approx(math.log2(24), abs=1e-9)
        assert told.sources[0].lost.value == pytest.approx(4.585, abs=5e-4)
    more = ledger(permuted(5), [("symbols", i, s) for i, s in enumerate([0, 1, 2, 3, 0])])
    assert more.missing.value == pytest.approx(math.log2(24), abs=1e-9)


@pytest.mark.parametrize("repeats", [1, 8])
def test_an_unknown_sign_of_preference_costs_one_bit_for_ever(repeats: int) -> None:
    tastes = np.array([3.0, -3.0, 2.0, -2.0, 1.0, -1.0, 0.5, -0.5])  # symmetric: which is better, and by how much
    sign = np.tile([1.0, -1.0], len(tastes))
    said = np.repeat(tastes, 2) * sign
    levels = np.array([[x > e for e in (-2.5, -1.5, -0.75, 0, 0.75, 1.5, 2.5)] for x in said]).astype(float)
    source = Channel(np.tile(levels, (1, repeats)), name="said")
    found = ledger(ValueProblem(8, Hypotheses.encoded(8, 2), np.eye(8), [source], success=1.0))
    assert found.supplied["said"].value == pytest.approx(3.0, abs=1e-9)
    assert found.usable["said"].value == pytest.approx(2.0, abs=1e-9)
    assert found.sources[0].lost.value == pytest.approx(1.0, abs=1e-12)


def directions(n: int, seed: int) -> ValueProblem:
    """Two plans a question, set apart in a random direction, and values uniform on the circle."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, np.pi, n)
    cut = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    pairs = [[2 * i, 2 * i + 1] for i in range(n)]
    features = np.stack([cut, -cut], axis=1).reshape(-1, 2)
    return ValueProblem(features, LinearValues(2, "sphere", particles=2000), 0.5, [Comparisons(pairs, name="cuts")])


def test_random_half_planes_supply_one_plus_a_harmonic_number() -> None:
    """n lines cut the half circle into n arcs, uniform spacings: 1 + E[−Σ s log2 s] = 1 + (H_n − 1)/ln 2."""
    n = 10
    expected = 1.0 + (sum(1.0 / k for k in range(1, n + 1)) - 1.0) / math.log(2.0)
    assert expected == pytest.approx(3.783, abs=1e-3)
    found: list[float] = []
    for seed in range(60):
        problem = directions(n, seed)
        population, weights = problem.population(seed)
        (supply,) = information_chain(population, weights, [Asked(problem.sources["cuts"], np.arange(n))], seed)
        found.append(supply.supplied.value)
    mean, error = float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(len(found)))
    assert error < 0.05
    assert mean == pytest.approx(expected, abs=3 * error + 0.01)


def test_realised_bits_of_noiseless_cuts_are_what_the_engine_measures() -> None:
    """−log2 of the prior's share that agrees with the answers: the arc, counted by angle."""
    problem = directions(10, 3)
    w = np.array([math.cos(1.0), math.sin(1.0)])
    source = problem.sources["cuts"]
    values = problem.plans.features @ w
    answers = [Answer("cuts", q, int(values[b] > values[a])) for q, (a, b) in enumerate(source.options)]
    found = ledger(problem, answers, seed=0)
    ends = np.sort(np.mod(np.arctan2(*problem.plans.features[::2].T[::-1]) + np.pi / 2, np.pi))
    k = int(np.searchsorted(ends, 1.0))
    arc = ends[k % 10] - ends[k - 1] + (np.pi if k in (0, 10) else 0.0)
    truth = -math.log2(arc / (2 * np.pi))
    assert found.evidence.stderr < 0.15
    assert found.evidence.value == pytest.approx(truth, abs=4 * found.evidence.stderr)
    assert found.supplied["cuts"].value == pytest.approx(found.evidence.value, abs=1e-9)

    def violations(x: np.ndarray) -> np.ndarray:
        v = problem.prior.values(np.asarray(x, dtype=np.float64), problem.plans)
        better = np.array([source.options[a.question][a.answer] for a in answers])
        worse = np.array([source.options[a.question][1 - a.answer] for a in answers])
        return np.maximum(v[:, worse] - v[:, better], 0.0).sum(axis=1)

    measured = pindown.measure(pindown.Gaussian(2), violations, tolerance=0.0, engine="splitting", seed=0).bits()
    assert measured.value == pytest.approx(truth, abs=4 * measured.stderr)


def test_a_second_source_adds_only_its_conditional_bits() -> None:
    """A copy adds nothing; an independent reading of the same bit through noise 0.1 adds H(Y2|Y1) − h(0.1)."""
    value = np.arange(2)
    copy = Channel(np.array([[0.0], [1.0]]), name="first"), Channel(np.array([[0.0], [1.0]]), name="copy")
    found = ledger(ValueProblem(2, Hypotheses(2), np.eye(2), copy))
    assert found.supplied["first"].value == pytest.approx(1.0, abs=1e-12)
    assert found.supplied["copy"].value == pytest.approx(0.0, abs=1e-12)

    noisy = [Channel(np.where(value == 1, 0.9, 0.1)[:, None], name=n) for n in ("a", "b")]
    both = ledger(ValueProblem(2, Hypotheses(2), np.eye(2), noisy))
    assert both.supplied["a"].value == pytest.approx(1 - entropy(0.1), abs=1e-12)
    assert both.supplied["b"].value == pytest.approx(entropy(0.9**2 + 0.1**2) - entropy(0.1), abs=1e-12)

    # Two annotators with one and the same error: what they share is a nuisance, and the second tells nothing new.
    v, z = np.repeat(value, 2), np.tile([0, 1], 2)
    said = (v ^ z).astype(float)[:, None]
    prior = Hypotheses(4, [0.45, 0.05, 0.45, 0.05], value_labels=v, encoding_labels=z)
    shared = ledger(ValueProblem(2, prior, np.eye(2), [Channel(said, name="a"), Channel(said, name="b")]))
    assert shared.usable["a"].value == pytest.approx(1 - entropy(0.1), abs=1e-12)
    assert shared.usable["b"].value == pytest.approx(0.0, abs=1e-12)


def test_realised_bits_add_up_to_the_divergence_from_the_prior() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(30, 6))
    sources = [Comparisons(rationality=2.0, name="a"), Labels(flip=0.2, name="b")]
    problem = ValueProblem(Plans(6), Hypotheses(values), 0.3, sources)
    answers = [("a", q, q % 2) for q in range(6)] + [("b", q, 1) for q in range(3)]
    found = ledger(problem, answers)
    belief = Belief(problem)
    for a in problem.answers(answers):
        belief.update(a)
    divergence = float(belief.weights @ (belief.log_weights - math.log(1 / 30))) / math.log(2)
    assert sum(e.value for e in found.supplied.values()) == pytest.approx(divergence, abs=1e-9)


def test_the_gap_never_shrinks_along_directions_a_source_cannot_see() -> None:
    rng = np.random.default_rng(0)
    seen = np.column_stack([rng.normal(size=10), np.zeros(10)])  # plans that differ in the first feature only
    plans = np.vstack([seen, [[0.0, 1.0], [0.0, -1.0]]])

    def side(features: np.ndarray, points: np.ndarray) -> np.ndarray:
        chosen = np.zeros((len(points), len(features)), dtype=bool)
        chosen[:, 10], chosen[:, 11] = points[:, 1] > 0, points[:, 1] <= 0  # the sign of the second weight
        return chosen

    blind = Comparisons([[i, i + 1] for i in range(9)], rationality=3.0, name="blind")
    able = Comparisons([[10, 11]] * 12, rationality=3.0, name="able")
    problem = ValueProblem(plans, LinearValues(2, particles=2000), side, [blind, able], success=0.95)
    w = np.array([0.7, 0.9])

    def answers(name: str, times: int) -> list[Answer]:
        out = []
        for k in range(times):
            a, b = problem.sources[name].options[k % problem.sources[name].questions]
            p = 1 / (1 + math.exp(-3.0 * float((plans[b] - plans[a]) @ w)))
            out.append(Answer(name, k % problem.sources[name].questions, int(rng.random() < p)))
        return out

    before = ledger(problem).missing.value
    after = ledger(problem, answers("blind", 100))
    assert after.chance.value < 0.5 + 4 * 0.5 / math.sqrt(1000)
    assert after.missing.value > 0.85 * before
    assert ledger(problem, answers("able", 12)).missing.value < 0.4 * before  # the control: one that can see does


@pytest.mark.parametrize(("n", "success"), [(16, 0.9), (16, 1.0), (100, 0.75)])
def test_the_requirement_of_a_uniform_source_is_shannons(n: int, success: float) -> None:
    """R(δ) = log2 n − h(δ) − δ log2(n − 1) for one plan a value (Cover and Thomas 2006, 10.3); d₂ is tight."""
    miss = 1 - success
    truth = math.log2(n) - (entropy(miss) + miss * math.log2(n - 1) if miss else 0.0)
    found = ledger(ValueProblem(n, Hypotheses(n), "same", [], success=success))
    assert found.required.value == pytest.approx(truth, abs=1e-5)
    assert found.needed.value == pytest.approx(truth, abs=1e-9)


def test_one_robust_plan_needs_no_bits_and_overlap_needs_more_than_the_bound() -> None:
    robust = np.eye(5, 6, dtype=bool)
    robust[:, 5] = True
    found = ledger(ValueProblem(6, Hypotheses(5), robust, [], success=0.95))
    assert found.needed.value == found.required.value == 0.0
    assert found.closed
    # Values {1, 2, 3}; plans that suit two of them each: P = 2/3, d₂(1 ‖ 2/3) = 0.585, and I(V; X) = 0.585 is enough.
    pairs = ~np.eye(3, dtype=bool)
    both = ledger(ValueProblem(3, Hypotheses(3), pairs, [], success=1.0))
    assert both.required.value == pytest.approx(math.log2(1.5), abs=1e-6)
    # An uneven prior makes the bound slack: one rare value that needs a plan of its own.
    w = np.array([0.9, 0.05, 0.05])
    slack = ledger(ValueProblem(3, Hypotheses(3, w), np.eye(3), [], success=1.0))
    assert slack.required.value == pytest.approx(float(-(w * np.log2(w)).sum()), abs=1e-6)
    assert slack.needed.value == pytest.approx(-math.log2(0.9), abs=1e-9)
    population, weights = ValueProblem(3, Hypotheses(3, w), np.eye(3), []).population(0)
    assert required_bits(population, weights, 0.9, "").value == pytest.approx(0.0, abs=1e-6)


def test_values_that_accept_nothing_make_the_need_infinite() -> None:
    table = np.array([[1, 0], [0, 0]])
    found = ledger(ValueProblem(2, Hypotheses(2), table, [], success=0.9))
    assert math.isinf(found.needed.value)
    assert math.isinf(found.required.value)
    assert "Infinitely many" in found.verdict


def linear(flip: float, seed: int = 0, particles: int = 1500) -> ValueProblem:
    features = np.random.default_rng(seed).normal(size=(20, 3))
    return ValueProblem(features, LinearValues(3, "sphere", particles=particles), 0.4, [Comparisons(flip=flip)])


def said(problem: ValueProblem, flip: float, times: int, seed: int) -> list[Answer]:
    rng = np.random.default_rng(seed)
    w = rng.normal(size=3)
    values = problem.plans.features @ w / np.linalg.norm(w)
    (source,) = problem.sources.values()
    out: list[Answer] = []
    for q in rng.permutation(source.questions)[:times]:
        a, b = source.options[q]
        out.append(Answer(source.name, int(q), int((values[b] > values[a]) != (rng.random() < flip))))
    return out


def judged(claimed: float, real: float, seed: int) -> Any:
    problem = linear(claimed)
    belief, running = Belief(problem, seed), Prequential()
    for answer in said(problem, real, 60, seed):
        running.update(belief, answer)
    return running.verdict("")


def test_false_bits_are_stamped_and_true_ones_are_not() -> None:
    """Honest answers together do not fall short at 0.1%; each set that is noisier than it says does."""
    honest = [judged(0.1, 0.1, s) for s in range(4)]
    assert sum(found.z for found in honest) / 2.0 < 3.1
    assert judged(0.3, 0.1, 0).earned is True  # less noise than was claimed makes no false bits
    for seed in range(3):
        found = judged(0.02, 0.3, seed)
        assert found.earned is False
        assert found.predicted.value < found.claimed.value
    problem = linear(0.02)
    assert "NOT EARNED" in ledger(problem, said(problem, 0.3, 40, 0)).verdict


def test_information_by_enumeration_and_by_nesting_agree() -> None:
    rng = np.random.default_rng(2)
    values = Hypotheses(rng.normal(size=(200, 6)))
    few = ValueProblem(Plans(6), values, 0.2, [Comparisons([[0, 1], [2, 3], [4, 5], [0, 5], [1, 4]], rationality=2.0)])
    exact = ledger(few).supplied["comparisons"]
    assert exact.kind == "exact"
    # With twenty questions more there are too many patterns; a flip of one half tells nothing, and adds nothing.
    silent = Comparisons([[0, 1]] * 20, flip=0.5, name="silent")
    many = ledger(ValueProblem(Plans(6), values, 0.2, [*few.sources.values(), silent]))
    nested = many.supplied["comparisons"]
    assert nested.kind == "estimate"
    assert nested.stderr < 0.06
    assert nested.value == pytest.approx(exact.value, abs=3 * nested.stderr)
    assert many.supplied["silent"].value == pytest.approx(0.0, abs=1e-9)


def test_particles_cannot_claim_more_bits_than_they_can_tell_apart() -> None:
    """Forty particles and two hundred sharp questions: the two estimates come apart, and the figure is a bound."""
    features = np.random.default_rng(0).normal(size=(30, 6))
    problem = ValueProblem(features, LinearValues(6, particles=40), 0.3, [Comparisons(rationality=20.0)])
    found = ledger(problem).supplied["comparisons"]
    assert found.status is pindown.Status.NOT_CONVERGED
    assert found.kind == "lower_bound"
    assert found.value <= math.log2(40) + 1e-9


def test_information_about_the_decision_is_at_most_all_of_it_and_differs_in_its_choice() -> None:
    """Plans 0 and 1 decide; which of the bad plans 2 and 3 is worse is an even question that decides nothing."""
    values = np.array([[2, 1, 0, -1], [2, 1, -1, 0], [2, 1, 0, -1], [2, 1, -1, 0], [1, 2, 0, -1], [1, 2, -1, 0]], float)
    problem = ValueProblem(Plans(4), Hypotheses(values), 0.0, [Comparisons([[0, 1], [2, 3]])])
    belief = Belief(problem)
    scores = score_source(belief.population, belief.weights, problem.sources["comparisons"])
    assert np.all(scores.decision <= scores.total + 1e-12)
    assert scores.total == pytest.approx([entropy(1 / 3), 1.0], abs=1e-12)
    assert scores.decision == pytest.approx([entropy(1 / 3), 0.0], abs=1e-12)
    assert best_question(belief, "total").question == 1
    assert best_question(belief, "decision").question == 0
    found = ledger(problem, [("comparisons", 0, 0)])
    assert found.closed
    assert found.next_question is None


def test_prices_count() -> None:
    sure = Channel(np.array([[0.0], [1.0]]), name="sure", price=3.0)
    noisy = Channel(np.array([[0.1], [0.9]]), name="noisy", price=1.0)
    belief = Belief(ValueProblem(2, Hypotheses(2), np.eye(2), [sure, noisy]))
    assert best_question(belief, "total").source == "noisy"  # 0.531 bits for 1, not 1 bit for 3
    cheap = Channel(np.array([[0.0], [1.0]]), name="sure", price=1.5)
    noisy = Channel(np.array([[0.1], [0.9]]), name="noisy", price=1.0)
    assert best_question(Belief(ValueProblem(2, Hypotheses(2), np.eye(2), [cheap, noisy])), "total").source == "sure"


def test_a_batch_avoids_asking_the_same_twice() -> None:
    """The two best single questions are copies; the best pair takes one of them and another."""
    n = 8
    bit = (np.arange(n)[:, None] >> np.arange(3)) & 1
    table = np.column_stack([bit[:, 0], bit[:, 0], np.where(bit[:, 1], 0.95, 0.05)]).astype(float)
    belief = Belief(ValueProblem(n, Hypotheses(n), np.eye(n), [Channel(table, name="c")]))
    for by in ("total", "decision"):
        assert {q.question for q in best_batch(belief, 2, by)} in ({0, 2}, {1, 2})
    many = Channel(np.tile(table, (1, 40)), name="many")
    wide = Belief(ValueProblem(n, Hypotheses(n), np.eye(n), [many]))
    assert {q.question % 3 for q in best_batch(wide, 2, "total")} in ({0, 2}, {1, 2})


def test_demonstrations_are_boltzmann() -> None:
    values = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    plans = Plans(3, weights=[0.5, 0.25, 0.25])
    problem = ValueProblem(plans, Hypotheses(values), 0.0, [Demonstrations(rationality=2.0)])
    population, _ = problem.population(0)
    p = np.exp(problem.sources["demonstrations"].log_chances(population, np.array([0])))[:, 0]
    first = np.array([0.5 * math.exp(2), 0.25, 0.25])
    assert p[0] == pytest.approx(first / first.sum(), rel=1e-12)


def test_the_bound_is_a_binary_relative_entropy() -> None:
    assert binary_relative_entropy(0.95, 0.5) == pytest.approx(1 - entropy(0.95), abs=1e-12)
    assert binary_relative_entropy(1.0, 2**-20) == 20.0
