"""Value problems: what is refused and how, and the pieces of a problem."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import pindown
from pindown import CheckpointError, InputError, Ledger, ValueProblem
from pindown.errors import DataError
from pindown.values.belief import Belief
from pindown.values.choice_sources import Comparisons, Corrections, Demonstrations, ProxyRewards, Slates
from pindown.values.elicitation import Elicitation
from pindown.values.plans import Plans
from pindown.values.priors import Hypotheses, LinearValues, SpaceValues
from pindown.values.problem import Answer
from pindown.values.problem_file import read_problem
from pindown.values.questions import best_batch
from pindown.values.reading_sources import Channel, Labels, Ratings

VALUES = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [0.0, 2.0, 1.0]])


def small(*sources: Any, **options: Any) -> ValueProblem:
    return ValueProblem(Plans(3, names=["a", "b", "c"]), Hypotheses(VALUES), 0.0, sources, **options)


def channel(*chances: float) -> Channel:
    """A source whose likelihood is a function, which nobody can look at beforehand."""
    return Channel(
        lambda points, questions: np.tile(chances, (len(points), len(questions), 1)), questions=1, outcomes=2
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Channel([[[0.7, 0.7]]]), "add up to 1.4"),
        (lambda: Channel([[1.2]]), "is 1.2; wanted a number from 0 to 1"),
        (lambda: pindown.ledger(small(channel(1.3, 0.0))), "under value 1 is 1.3; wanted a number from 0 to 1"),
        (lambda: pindown.ledger(small(channel(0.6, 0.6))), "under value 1 add up to 1.2; wanted 1"),
        (lambda: Hypotheses(VALUES, [0, 0, 0, 0]), "total mass 0"),
        (lambda: Hypotheses(VALUES, [1, -1, 1, 1]), "number 2 is -1"),
        (lambda: Hypotheses([[math.nan]]), "hypothesis 1 gives plan 1"),
        (lambda: Plans([[math.inf]]), "feature 1 of plan 1 is not finite"),
        (lambda: Plans(2, names=["a", "a"]), "1 different names for 2 plans"),
        (lambda: small(Comparisons(), Comparisons()), "two sources named 'comparisons'"),
        (lambda: small(Comparisons([["a", "z"]])), "names plan 'z'"),
        (lambda: small(Comparisons([["a", "a"]])), "has a plan twice"),
        (lambda: small(Comparisons([["a", "b", "c"]])), "row 1 of pairs has 3 plans"),
        (lambda: Comparisons(flip=1.5), "a probability"),
        (lambda: Comparisons(price=0), "a price of 0"),
        (lambda: Comparisons(rationality=-1), "rationality -1"),
        (lambda: Ratings(0.0, low=0, high=1), "standard deviation of 0"),
        (lambda: small(success=0.0), "success=0.0"),
        (lambda: ValueProblem(3, VALUES, -1.0), "regret tolerance of -1"),
        (lambda: ValueProblem(3, VALUES, np.ones((2, 2))), "table of acceptable plans of shape (2, 2)"),
        (lambda: ValueProblem(3, VALUES, "best"), "acceptable='best'"),
        (lambda: pindown.ledger(ValueProblem(3, VALUES, np.zeros((4, 3)))), "infinitely many bits"),
        (lambda: pindown.ledger(ValueProblem(3, 4, 0.0)), "hypotheses without values"),
        (lambda: pindown.ledger(ValueProblem(np.ones((3, 2)), LinearValues(3), 0.1)), "2 features of plans; wanted 3"),
        (lambda: LinearValues(2, "cube"), "measure 'cube'"),
        (lambda: pindown.ledger(small(), seed=-1), "seed -1"),
        (lambda: pindown.ledger(small(Labels()), [("who", 0, 0)]), "no source 'who'"),
        (lambda: pindown.ledger(small(Labels()), [("labels", 9, 0)]), "question of answer 1 is 9"),
        (lambda: pindown.ledger(small(Labels()), [("labels", 0, "maybe")]), "answer 1 is 'maybe'"),
        (lambda: pindown.ledger(small(Labels()), [("labels", 0)]), "wanted (source, question, answer)"),
        (lambda: best_batch(Belief(small(Comparisons())), 2, "luck"), "by='luck'"),
        (lambda: pindown.overoptimisation([1.0] * 20, [1.0] * 20), "every draw the same score"),
        (lambda: pindown.overoptimisation([1.0, math.nan] * 20, range(40)), "true: draw 2 is nan"),
        (lambda: pindown.overoptimisation(range(20), range(20), n=[64]), "n=[64] with 20 draws"),
        (lambda: pindown.values.best_of_n_bits(0), "n"),
        (lambda: pindown.values.quantiliser_bits(0.0), "q=0.0"),
    ],
)
def test_bad_input_says_what_is_wrong(make: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert words in str(caught.value)


def test_the_first_contradiction_is_named() -> None:
    problem = small(Comparisons([["a", "b"], ["b", "c"], ["a", "c"]]))
    with pytest.raises(DataError, match=r"answer 3 \(comparisons: Which is better: a or c\? c\) contradicts"):
        pindown.ledger(problem, [("comparisons", 0, "a"), ("comparisons", 1, "b"), ("comparisons", 2, "c")])


def test_a_ring_of_linear_comparisons_contradicts_itself_and_a_thin_cone_does_not() -> None:
    """Plans 0, 1, 2 in a ring cannot be; the same with the last answer turned round can, and is found."""
    problem = ValueProblem(
        [[1, 0], [0, 1], [0.5, 0.6]], LinearValues(2, particles=400), 0.1, [Comparisons([[0, 1], [1, 2], [0, 2]])]
    )
    with pytest.raises(DataError, match=r"answer 3 .* contradicts the answers before it"):
        pindown.ledger(problem, [("comparisons", 0, 0), ("comparisons", 1, 0), ("comparisons", 2, 1)])
    assert pindown.ledger(problem, [("comparisons", 0, 0), ("comparisons", 1, 0), ("comparisons", 2, 0)]).answers == 3


@given(
    st.sampled_from(["pairs", "slates", "demonstrations", "corrections", "proxies", "labels", "ratings"]),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.7, 30.0, math.inf]),
)
@settings(max_examples=60, deadline=None)
def test_chances_of_every_source_add_up_to_one(kind: str, flip: float, rationality: float) -> None:
    noise: dict[str, Any] = {"flip": flip, "rationality": rationality}
    source = {
        "pairs": lambda: Comparisons(**noise),
        "slates": lambda: Slates([[0, 1, 2], [2, 1, 0]], **noise),
        "demonstrations": lambda: Demonstrations(2, **noise),
        "corrections": lambda: Corrections([[0, 1, 2]], effort=0.5, **noise),
        "proxies": lambda: ProxyRewards([[1, 0, 0], [0, 1, 0], [0, 2, 1]], **noise),
        "labels": lambda: Labels(flip=flip),
        "ratings": lambda: Ratings(0.1 + flip, low=-1, high=3),
    }[kind]()
    problem = ValueProblem(Plans([[0.0], [1.0], [5.0]], weights=[1, 2, 1]), Hypotheses(VALUES), 0.5, [source])
    population, _ = problem.population(0)
    p = np.exp(source.log_chances(population, np.arange(source.questions)))
    assert p.shape == (4, source.questions, source.outcomes)
    assert p.sum(axis=-1) == pytest.approx(np.ones(p.shape[:2]), abs=1e-9)
    assert len(source.answer_texts(0, problem.plans)) == source.outcomes
    assert source.question_text(0, problem.plans).endswith("?")


def test_the_order_of_hypotheses_and_plans_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    values, p, h = rng.normal(size=(12, 5)), rng.permutation(5), rng.permutation(12)
    one = pindown.ledger(ValueProblem(5, values, 0.3, [Comparisons(flip=0.1)]))
    two = pindown.ledger(ValueProblem(5, values[np.ix_(h, p)], 0.3, [Comparisons(flip=0.1)]))
    for name in ("target", "needed", "required", "missing"):
        assert getattr(one, name).value == pytest.approx(getattr(two, name).value, abs=1e-6)


def test_dense_and_sparse_tables_say_the_same() -> None:
    table = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]])
    labels = Labels(flip=0.1)
    dense = pindown.ledger(ValueProblem(3, VALUES, table, [labels])).to_dict()
    thin = pindown.ledger(ValueProblem(3, VALUES, sparse.csr_matrix(table), [Labels(flip=0.1)])).to_dict()
    for record in (dense, thin):
        record.pop("seconds")
    assert dense == thin


def test_any_space_can_be_a_prior_and_plans_can_be_drawn() -> None:
    prior = SpaceValues(pindown.Box([0.0], [1.0]), lambda x, f: -np.abs(x - f.T), particles=500)
    plans = Plans.sampled(pindown.Box([0.0], [1.0]), 60, seed=1)
    found = pindown.ledger(ValueProblem(plans, prior, 0.1, [Ratings(0.1, low=-1, high=0, plans=[0, 1])]), seed=2)
    # An interval of ±0.1 around the best plan: a share of about 0.2, less at the ends.
    assert found.target.value == pytest.approx(-math.log2(0.2), abs=0.5)
    assert found.target.stderr > 0
    assert any("drawn" in note for note in found.notes)
    assert pindown.ledger(ValueProblem(plans, prior, 0.1, []), seed=2).next_question is None


def test_the_same_seed_gives_the_same_ledger() -> None:
    problem = ValueProblem(np.eye(4), LinearValues(4, particles=300), 0.2, [Comparisons(flip=0.1)])
    answers = [("comparisons", q % 6, 0) for q in range(12)]
    records = [pindown.ledger(problem, answers, seed=s).to_dict() for s in (3, 3, 4)]
    for record in records:
        record.pop("seconds")
    assert records[0] == records[1]
    assert records[0] != records[2]


def test_a_session_goes_on_from_its_file_and_ends_with_the_gap(own_folder: Path) -> None:
    def problem() -> ValueProblem:
        return small(Comparisons(flip=0.2, name="crowd"), Labels(flip=0.05, price=2.0))

    whole, halved = Elicitation(problem()), Elicitation(problem(), file="session.json")
    asked = []
    for k in range(40):
        question = whole.next()
        if question is None:
            break
        asked.append((question.source, question.question))
        reply = int(question.question == 2) if question.source == "labels" else 1  # c is best, then b
        whole.answer(question, reply)
        if k % 3 == 2:  # thrown away and taken up again
            halved = Elicitation(problem(), file="session.json")
        again = halved.next()
        assert again is not None
        assert (again.source, again.question) == asked[-1]
        halved.answer(again, reply)
    assert whole.missing.value == 0.0
    assert halved.answers == whole.answers
    assert whole.best_plan == "c"
    assert whole.ledger().closed
    with pytest.raises(CheckpointError, match="another session"):
        Elicitation(small(Comparisons(flip=0.1, name="crowd")), file="session.json")
    (own_folder / "session.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="damaged"):
        Elicitation(problem(), file="session.json")


def test_a_contradicting_answer_leaves_the_session_as_it_was() -> None:
    session = Elicitation(small(Comparisons([["a", "b"], ["b", "c"], ["a", "c"]])))
    session.answer(("comparisons", 0), "a")
    with pytest.raises(DataError, match="contradicts"):
        session.answer(("comparisons", 2), "c")
    assert session.answers == [Answer("comparisons", 0, 0)]
    assert session.best_plan == "a"


PROBLEM = """
name = "responses"
success = 0.9
acceptable = { regret = 0.2 }
[plans]
names = ["short", "long", "kind"]
features = [[1, 0], [0, 1], [0.6, 0.7]]
[prior]
kind = "linear"
measure = "sphere"
particles = 300
[[sources]]
kind = "comparisons"
name = "expert"
rationality = 6.0
price = 3
[[answers]]
source = "expert"
question = ["short", "long"]
answer = "long"
"""


def test_a_problem_is_read_from_its_file(own_folder: Path) -> None:
    Path("p.toml").write_text(PROBLEM, encoding="utf-8")
    problem, answers = read_problem("p.toml")
    assert answers == (Answer("expert", 0, 1),)
    assert problem.success == 0.9
    assert problem.sources["expert"].price == 3.0
    Path("plans.csv").write_text("name,x,y\nshort,1,0\nlong,0,1\nkind,0.6,0.7\n", encoding="utf-8")
    by_file = PROBLEM.replace(
        'names = ["short", "long", "kind"]\nfeatures = [[1, 0], [0, 1], [0.6, 0.7]]', 'file = "plans.csv"'
    )
    Path("q.toml").write_text(by_file, encoding="utf-8")
    other, _ = read_problem("q.toml")
    assert np.array_equal(other.plans.features, problem.plans.features)
    assert other.plans.names == problem.plans.names


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("success = 0.9", "succes = 0.9", "unknown key 'succes' in the file"),
        ("rationality = 6.0", "rational = 6.0", "unknown key 'rational' in [[sources]] number 1"),
        ('measure = "sphere"', 'shape = "sphere"', "unknown key 'shape' in [prior]"),
        ('kind = "comparisons"', 'kind = "guesses"', "of kind 'guesses'"),
        ('kind = "linear"', 'kind = "hypotheses"', "unknown key"),
        ('answer = "long"', 'answer = "longer"', "answer 1 is 'longer'"),
        ('question = ["short", "long"]', 'question = ["short", "tall"]', "number 1 asks ['short', 'tall']"),
        ("acceptable = { regret = 0.2 }", "", "without 'acceptable'"),
        ("acceptable = { regret = 0.2 }", "acceptable = {}", "other than one key"),
        ("features = [[1, 0]", "features = [[1, 0, 3]", "no table of numbers"),
        ("[plans]", "[plans", "is no TOML"),
    ],
)
def test_a_problem_file_is_refused_with_its_place(own_folder: Path, old: str, new: str, words: str) -> None:
    assert old in PROBLEM
    Path("p.toml").write_text(PROBLEM.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_problem("p.toml")
    assert words in str(caught.value)


def test_a_damaged_ledger_record_is_refused() -> None:
    record = json.loads(json.dumps(pindown.ledger(small(Labels(flip=0.1))).to_dict(), allow_nan=False))
    with pytest.raises(CheckpointError, match="schema"):
        Ledger.from_dict({**record, "schema": "pindown/ledger/2"})
    for key in ("target", "sources", "earned"):
        with pytest.raises(CheckpointError):
            Ledger.from_dict({**record, key: 5})
