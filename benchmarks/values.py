"""Choosing questions about values beside APReL, volume removal and Bradley-Terry (choix), in one run.

    python benchmarks/values.py [--aprel FOLDER] [--users N] [--choices FILE] [--out FOLDER] [--note TEXT]

Two tables. *Seconds a question*: eight features, 300 comparisons, 100 posterior samples; choosing the best by mutual
information and updating the belief by one answer. APReL is imported from ``--aprel``, a checkout of its repository;
the "plain" row is the same selection and update written as loops over comparisons and samples with a Metropolis chain
of the same length as APReL's default. Both sides run in this process, one after the other, so that their ratio stands
on a shared machine too. *Questions to close the gap*: the same simulated users, answered by the same coins, asked by
each rule until a plan is acceptable with the success rate; choix fits Bradley-Terry scores to random comparisons of
the plans. With ``--choices`` the same for real comparisons: the choices of a language model from all pairs of five
actions (PrefGraph's example data).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import sys
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np

from pindown.values.belief import Belief
from pindown.values.choice_sources import Comparisons
from pindown.values.ledger import posterior_gap
from pindown.values.priors import Hypotheses, LinearValues
from pindown.values.problem import Answer, ValueProblem
from pindown.values.questions import Criterion, best_question

HERE = Path(__file__).parent
SCHEMA = "pindown/benchmark-values/2"
FEATURES, PLANS, SAMPLES, RATIONALITY = 8, 25, 100, 3.0  # 25 plans have 300 pairs
BURN_IN, THIN = 200, 20  # APReL's defaults
FLOOR_SECONDS, FLOOR_RATIO = 0.020, 500.0


def own(particles: int, questions: int = 8) -> dict[str, Any]:
    """Pindown's seconds a question, the median after one that warms up."""
    rng = np.random.default_rng(0)
    plans = rng.normal(size=(PLANS, FEATURES))
    source = Comparisons(rationality=RATIONALITY)
    problem = ValueProblem(plans, LinearValues(FEATURES, "sphere", particles=particles), 0.1, [source])
    belief, w = Belief(problem), rng.normal(size=FEATURES)
    w /= np.linalg.norm(w)
    taken: list[float] = []
    for _ in range(questions + 1):
        began = time.process_time()
        question = best_question(belief, "total")
        a, b = source.options[question.question]
        p = 1.0 / (1.0 + math.exp(-RATIONALITY * float((plans[b] - plans[a]) @ w)))
        belief.update(Answer(source.name, question.question, int(rng.random() < p)))
        taken.append(time.process_time() - began)
    cosine = float(belief.weights @ problem.prior.weights_of(belief.population.points) @ w)  # type: ignore[attr-defined]
    return {"who": f"pindown, {particles} particles", "seconds": float(np.median(taken[1:])), "cosine": cosine}


def plain() -> dict[str, Any]:
    """The same selection in loops, and a Metropolis chain for the belief."""
    rng = np.random.default_rng(0)
    plans = rng.normal(size=(PLANS, FEATURES))
    cuts = [plans[a] - plans[b] for a, b in combinations(range(PLANS), 2)]
    began = time.process_time()
    w, chain = np.zeros(FEATURES), []
    now = 0.0
    answered = [(cuts[0], 1.0)]
    for k in range(BURN_IN + SAMPLES * THIN):
        other = w + 0.2 * rng.normal(size=FEATURES)
        other /= max(1.0, float(np.linalg.norm(other)))
        there = sum(-math.log1p(math.exp(-RATIONALITY * s * float(c @ other))) for c, s in answered)
        if rng.random() < math.exp(min(0.0, there - now)):
            w, now = other, there
        if k >= BURN_IN and (k - BURN_IN) % THIN == 0:
            chain.append(w)
    best = -1.0
    for c in cuts:
        chances = [1.0 / (1.0 + math.exp(-RATIONALITY * float(c @ x))) for x in chain]
        mean = sum(chances) / len(chances)
        best = max(best, _entropy(mean) - sum(_entropy(p) for p in chances) / len(chances))
    return {"who": "plain loops", "seconds": time.process_time() - began, "bits": best}


def aprel(folder: str) -> dict[str, Any]:
    """APReL's seconds a question, or why there are none: an exhaustive search over its pairs, one answer taken in.

    It imports packages for films and games, which nothing here uses: empty modules stand in for those that are missing.
    """
    sys.path.insert(0, folder)
    for name, attributes in (("gym", ()), ("moviepy", ()), ("moviepy.editor", ("VideoFileClip", "ImageSequenceClip"))):
        module = types.ModuleType(name)
        for attribute in attributes:
            setattr(module, attribute, object)
        sys.modules.setdefault(name, module)
    if not hasattr(sys.modules["gym"], "Env"):
        sys.modules["gym"].Env = object  # type: ignore[attr-defined]
    try:
        import aprel as package
    except ImportError as error:
        return {"who": "APReL", "seconds": None, "why": f"{type(error).__name__}: {error}"}
    np.random.seed(0)  # noqa: NPY002 - APReL draws from NumPy's global state
    world = types.SimpleNamespace(features=lambda trajectory: trajectory[0][0])
    plans = np.random.default_rng(0).normal(size=(PLANS, FEATURES))
    trajectories = package.TrajectorySet([package.Trajectory(world, [(f, None)]) for f in plans])
    w = np.ones(FEATURES) / math.sqrt(FEATURES)
    user = package.SoftmaxUser({"weights": w, "beta": RATIONALITY})
    belief = package.SamplingBasedBelief(user, [], {"weights": w}, num_samples=SAMPLES)
    query = package.PreferenceQuery(trajectories[[0, 1]])
    optimiser = package.QueryOptimizerDiscreteTrajectorySet(trajectories)
    began = time.process_time()
    found, _ = optimiser.optimize("mutual_information", belief, query, batch_size=1)
    belief.update(package.Preference(found[0], 0))
    return {"who": "APReL", "seconds": time.process_time() - began}


def _entropy(p: float) -> float:
    return 0.0 if p <= 0.0 or p >= 1.0 else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


Asked = set[tuple[str, int]]
Rule = Callable[[Belief, np.random.Generator, Asked], int | None]
"""Chooses the next comparison by number, from those that are not in the set; None where no other tells anything."""


@dataclass(frozen=True)
class Person:
    """Somebody who answers comparisons.

    Attributes:
        problem: what is to be decided for them.
        reply: the answer to a comparison, by its number, with a coin that all rules share.
        right: whether a plan, by its number, will do.
        once: whether a comparison that has been answered is not asked again.
    """

    problem: ValueProblem
    reply: Callable[[int, float], int]
    right: Callable[[int], bool]
    once: bool


def rules() -> dict[str, Rule]:
    """Ways to choose the next comparison."""

    def left(belief: Belief, asked: Asked) -> np.ndarray:
        (source,) = belief.problem.sources.values()
        return np.array([q for q in range(source.questions) if (source.name, q) not in asked])

    def random(belief: Belief, rng: np.random.Generator, asked: Asked) -> int:
        return int(rng.choice(left(belief, asked)))

    def volume_removal(belief: Belief, rng: np.random.Generator, asked: Asked) -> int:
        """The least certain answer on average (Sadigh et al. 2017): the smaller of the two expected shares."""
        (source,) = belief.problem.sources.values()
        some = left(belief, asked)
        p = np.exp(source.log_chances(belief.population, some))
        return int(some[np.argmax((belief.weights[:, None, None] * p).sum(axis=0).min(axis=1))])

    def informed(by: Criterion) -> Rule:
        def choose(belief: Belief, rng: np.random.Generator, asked: Asked) -> int | None:
            found = best_question(belief, by, asked)
            return None if found is None else found.question

        return choose

    return {
        "random": random,
        "volume removal": volume_removal,
        "total information": informed("total"),
        "decision information": informed("decision"),
    }


def needed_questions(who: str, people: Sequence[Person], most: int) -> list[dict[str, Any]]:
    """Questions until the gap is closed, and how often the plan is acceptable then."""
    out: list[dict[str, Any]] = []
    for name, rule in rules().items():
        began = time.process_time()
        done = np.array([_ask(rule, person, i, most) for i, person in enumerate(people)], dtype=float)
        n = len(people)
        row = {
            "who": who, "rule": name, "users": n, "questions": float(done[:, 0].mean()),
            "stderr": float(done[:, 0].std(ddof=1) / math.sqrt(n)) if n > 1 else None,
            "right": float(done[:, 1].mean()), "closed": float(done[:, 2].mean()), "most": most,
            "seconds": time.process_time() - began,
        }  # fmt: skip
        out.append(row)
        print(json.dumps(row), flush=True)
    out.append({"who": who, **bradley_terry(people, most)})
    print(json.dumps(out[-1]), flush=True)
    return out


def _ask(rule: Rule, person: Person, seed: int, most: int) -> tuple[int, bool, bool]:
    """How many questions, whether the plan is right then, and whether the gap was closed."""
    belief, rng = Belief(person.problem, seed), np.random.default_rng(seed)
    (source,) = person.problem.sources.values()
    coins = np.random.default_rng(5000 + seed).random(most)
    asked: Asked = set()
    count = 0
    while True:
        missing, _, plan = posterior_gap(belief)
        if missing.value == 0.0 or count == most:
            break
        question = rule(belief, rng, asked)
        if question is None:
            break
        belief.update(Answer(source.name, question, person.reply(question, float(coins[count]))))
        if person.once:
            asked.add((source.name, question))
        count += 1
    return count, person.right(plan), missing.value == 0.0


def simulated(user: int) -> Person:
    """Linear values uniform on the sphere in three dimensions, ten plans, Bradley-Terry answers."""
    rng = np.random.default_rng(1000 + user)
    plans = rng.normal(size=(10, 3))
    source = Comparisons(rationality=6.0)
    problem = ValueProblem(plans, LinearValues(3, "sphere", particles=600), 0.2, [source], success=0.95)
    w = rng.normal(size=3)
    worth = plans @ (w / np.linalg.norm(w))

    def reply(question: int, coin: float) -> int:
        a, b = source.options[question]
        return int(coin < 1.0 / (1.0 + math.exp(-6.0 * float(worth[b] - worth[a]))))

    return Person(problem, reply, lambda plan: bool(worth[plan] >= worth.max() - 0.2), once=False)


def recorded(file: Path, learnt: bool) -> list[Person]:
    """Real comparisons: a language model's choices from all ten pairs of five actions, in 250 situations.

    Who has one action that beats all others wants that one. The hypotheses are the 120 rankings: uniform, or by how
    often each was seen in *other* vignettes of the scenario, one uniform pseudo-subject added. Answers are those on
    record, each pair being asked once.
    """
    seen: dict[tuple[str, str, str], dict[tuple[int, int], int]] = {}
    with file.open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            menu = tuple(map(int, row["menu"].split()))
            if len(menu) == 2 and row["choice"]:
                key = row["scenario"], row["vignette"], row["prompt"]
                seen.setdefault(key, {})[menu[0], menu[1]] = int(row["choice"])
    pairs = list(combinations(range(5), 2))
    whole = {key: told for key, told in seen.items() if len(told) == len(pairs)}
    wins = {key: np.bincount(list(told.values()), minlength=5) for key, told in whole.items()}
    orders = list(permutations(range(5)))  # the number of actions that each beats
    place = {order: i for i, order in enumerate(orders)}
    people: list[Person] = []
    for key, told in whole.items():
        if wins[key].max() < 4:
            continue
        weights = np.full(len(orders), 1.0 / len(orders))
        if learnt:
            for other, count in wins.items():
                if other[0] == key[0] and other[1] != key[1] and tuple(count) in place:
                    weights[place[tuple(count)]] += 1.0
        prior = Hypotheses(np.array(orders, dtype=float), weights)
        problem = ValueProblem(5, prior, 0.0, [Comparisons(pairs, flip=0.02)], success=0.95)
        best = int(wins[key].argmax())
        answers = [pairs[q].index(told[pairs[q]]) for q in range(len(pairs))]
        people.append(
            Person(problem, lambda q, coin, a=answers: a[q], lambda plan, b=best: plan == b, once=True)  # type: ignore[misc]
        )
    return people


def bradley_terry(people: Sequence[Person], most: int) -> dict[str, Any]:
    """Random comparisons and choix's scores: how often the best-scored plan is right after each number of them."""
    try:
        import choix
    except ImportError as error:
        return {"rule": "Bradley-Terry (choix)", "why": str(error)}
    right = np.zeros((len(people), most))
    for i, person in enumerate(people):
        (source,) = person.problem.sources.values()
        rng, data = np.random.default_rng(i), []
        coins = np.random.default_rng(5000 + i).random(most)
        order = rng.permutation(source.questions) if person.once else rng.integers(source.questions, size=most)
        for k in range(most):
            q = int(order[k])
            reply = person.reply(q, float(coins[k]))
            data.append((int(source.options[q][reply]), int(source.options[q][1 - reply])))
            scores = choix.ilsr_pairwise(len(person.problem.plans), data, alpha=0.1)
            right[i, k] = person.right(int(np.argmax(scores)))
    share = right.mean(axis=0)
    reached = np.flatnonzero(share >= 0.95)
    return {
        "rule": "Bradley-Terry (choix)", "users": len(people),
        "questions": float(reached[0] + 1) if reached.size else None, "right": float(share[-1]), "most": most,
        "shares": [round(float(x), 4) for x in share],
        "note": f"questions until 95% of users are served; share right after {most}",
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """Both tables."""
    lines = ["# Questions about values", "", f"{record['machine']}, {record['date']}. {record['note']}".strip(), ""]
    lines += ["| who | CPU seconds a question | times pindown's |", "|---|---|---|"]
    first = record["speed"][0]["seconds"]
    for row in record["speed"]:
        seconds = row["seconds"]
        told = row.get("why", "–") if seconds is None else f"{seconds:.4g}"
        lines.append(f"| {row['who']} | {told} | {'–' if seconds is None else f'{seconds / first:.4g}'} |")
    who = None
    for row in record["questions"]:
        if row["who"] != who:
            who = row["who"]
            lines += ["", f"**{who}**, {row['users']} of them, at most {row['most']} questions each", ""]
            lines += ["| rule | questions to close the gap | closed | right |", "|---|---|---|---|"]
        count = row.get("questions")
        error = f" ± {row['stderr']:.2g}" if row.get("stderr") else ""
        told = row.get("why", "not within the limit") if count is None else f"{count:.3g}{error}"
        closed, right = (format(row[k], ".0%") if k in row else "–" for k in ("closed", "right"))
        lines.append(f"| {row['rule']} | {told} | {closed} | {right} |")
    lines += [
        "",
        "Bradley-Terry has no stopping rule of its own: its figure is the number of random comparisons after which 95% "
        "of users are served, and the share right at the most questions.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aprel", help="a checkout of APReL")
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--choices", type=Path, help="the table llm_menus.csv of recorded choices from menus")
    parser.add_argument("--note", default="", help="what to say of the machine, such as that it was shared")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    speed = [own(100), own(1000), plain()]
    if args.aprel:
        speed.append(aprel(args.aprel))
    for row in speed:
        print(json.dumps(row), flush=True)
    questions = needed_questions("simulated users", [simulated(u) for u in range(args.users)], 60)
    if args.choices is not None:
        for learnt, name in ((False, "all rankings alike"), (True, "rankings as in other vignettes")):
            who = f"recorded choices of a language model, prior: {name}"
            questions += needed_questions(who, recorded(args.choices, learnt), 10)
    record = {
        "schema": SCHEMA, "machine": f"{platform.machine()}, {os.cpu_count()} cores", "date": date.today().isoformat(),
        "note": args.note, "asked": {"seconds": FLOOR_SECONDS, "ratio": FLOOR_RATIO}, "speed": speed,
        "questions": questions,
    }  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "values.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (args.out / "values.md").write_text(markdown(record), encoding="utf-8")
    print(markdown(record))


if __name__ == "__main__":
    main()
