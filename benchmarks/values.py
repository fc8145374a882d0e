"""Choosing questions about values beside APReL, volume removal and Bradley-Terry (choix), in one run.

    python benchmarks/values.py [--aprel FOLDER] [--users N] [--out FOLDER] [--note TEXT]

Two tables. *Seconds a question*: eight features, 300 comparisons, 100 posterior samples; choosing the best by mutual
information and updating the belief by one answer. APReL is imported from ``--aprel``, a checkout of its repository;
the "plain" row is the same selection and update written as loops over comparisons and samples with a Metropolis chain
of the same length as APReL's default. Both sides run in this process, one after the other, so that their ratio stands
on a shared machine too. *Questions to close the gap*: the same simulated users, answered by the same coins, asked by
each rule until a plan is acceptable with the success rate; choix fits Bradley-Terry scores to random comparisons of
the plans and is stopped by the same posterior.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
import types
from collections.abc import Callable
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pindown.values.belief import Belief
from pindown.values.choice_sources import Comparisons
from pindown.values.ledger import posterior_gap
from pindown.values.priors import LinearValues
from pindown.values.problem import Answer, ValueProblem
from pindown.values.questions import best_question

HERE = Path(__file__).parent
SCHEMA = "pindown/benchmark-values/1"
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


Rule = Callable[[Belief, np.random.Generator], int]


def rules() -> dict[str, Rule]:
    """Ways to choose the next comparison, by number."""

    def volume_removal(belief: Belief, rng: np.random.Generator) -> int:
        """The least certain answer on average (Sadigh et al. 2017): the smaller of the two expected shares."""
        (source,) = belief.problem.sources.values()
        p = np.exp(source.log_chances(belief.population, np.arange(source.questions)))
        return int(np.argmax((belief.weights[:, None, None] * p).sum(axis=0).min(axis=1)))

    return {
        "random": lambda belief, rng: int(rng.integers(next(iter(belief.problem.sources.values())).questions)),
        "volume removal": volume_removal,
        "total information": lambda belief, rng: best_question(belief, "total").question,
        "decision information": lambda belief, rng: best_question(belief, "decision").question,
    }


def needed_questions(users: int, most: int = 60) -> list[dict[str, Any]]:
    """Questions until the gap is closed, and how often the plan is acceptable then."""
    out: list[dict[str, Any]] = []
    for name, rule in rules().items():
        counts, right = [], []
        for user in range(users):
            count, plan_ok = _one_user(rule, user, most)
            counts.append(count)
            right.append(plan_ok)
        n = np.array(counts, dtype=float)
        row = {
            "rule": name, "users": users, "questions": float(n.mean()),
            "stderr": float(n.std(ddof=1) / math.sqrt(users)) if users > 1 else None, "right": float(np.mean(right)),
        }  # fmt: skip
        out.append(row)
        print(json.dumps(row), flush=True)
    out.append(bradley_terry(users, most))
    print(json.dumps(out[-1]), flush=True)
    return out


def _user(user: int) -> tuple[ValueProblem, np.ndarray]:
    rng = np.random.default_rng(1000 + user)
    plans = rng.normal(size=(10, 3))
    problem = ValueProblem(
        plans, LinearValues(3, "sphere", particles=600), 0.2, [Comparisons(rationality=6.0)], success=0.95
    )
    w = rng.normal(size=3)
    return problem, plans @ (w / np.linalg.norm(w))


def _reply(worth: np.ndarray, pair: np.ndarray, coin: float) -> int:
    return int(coin < 1.0 / (1.0 + math.exp(-6.0 * float(worth[pair[1]] - worth[pair[0]]))))


def _one_user(rule: Rule, user: int, most: int) -> tuple[int, bool]:
    problem, worth = _user(user)
    belief, rng = Belief(problem, user), np.random.default_rng(user)
    (source,) = problem.sources.values()
    for count in range(most + 1):
        missing, _, plan = posterior_gap(belief)
        if missing.value == 0.0 or count == most:
            return count, bool(worth[plan] >= worth.max() - 0.2)
        question = rule(belief, rng)
        belief.update(Answer(source.name, question, _reply(worth, source.options[question], rng.random())))
    raise AssertionError


def bradley_terry(users: int, most: int) -> dict[str, Any]:
    """Random comparisons and choix's scores: how often the best-scored plan is right after each number of them."""
    try:
        import choix
    except ImportError as error:
        return {"rule": "Bradley-Terry (choix)", "why": str(error)}
    right = np.zeros((users, most))
    for user in range(users):
        problem, worth = _user(user)
        (source,) = problem.sources.values()
        rng, data = np.random.default_rng(user), []
        for k in range(most):
            pair = source.options[int(rng.integers(source.questions))]
            reply = _reply(worth, pair, rng.random())
            data.append((int(pair[reply]), int(pair[1 - reply])))
            scores = choix.ilsr_pairwise(len(worth), data, alpha=0.1)
            right[user, k] = worth[int(np.argmax(scores))] >= worth.max() - 0.2
    share = right.mean(axis=0)
    reached = np.flatnonzero(share >= 0.95)
    return {
        "rule": "Bradley-Terry (choix)", "users": users,
        "questions": float(reached[0] + 1) if reached.size else None, "right": float(share[-1]),
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
    lines += ["", "| rule | questions to close the gap | right |", "|---|---|---|"]
    for row in record["questions"]:
        count = row.get("questions")
        error = f" ± {row['stderr']:.2g}" if row.get("stderr") else ""
        told = row.get("why", "not within the limit") if count is None else f"{count:.3g}{error}"
        lines.append(f"| {row['rule']} | {told} | {'–' if 'right' not in row else format(row['right'], '.0%')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aprel", help="a checkout of APReL")
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--note", default="", help="what to say of the machine, such as that it was shared")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    speed = [own(100), own(1000), plain()]
    if args.aprel:
        speed.append(aprel(args.aprel))
    for row in speed:
        print(json.dumps(row), flush=True)
    record = {
        "schema": SCHEMA, "machine": f"{platform.machine()}, {os.cpu_count()} cores", "date": date.today().isoformat(),
        "note": args.note, "asked": {"seconds": FLOOR_SECONDS, "ratio": FLOOR_RATIO}, "speed": speed,
        "questions": needed_questions(args.users),
    }  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "values.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (args.out / "values.md").write_text(markdown(record), encoding="utf-8")
    print(markdown(record))


if __name__ == "__main__":
    main()
