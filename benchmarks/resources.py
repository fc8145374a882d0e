"""Warm starts against cold ones, and values of many rewards at once against a loop over states.

    python benchmarks/resources.py [--objectives N] [--out FOLDER] [--note TEXT]

CPU seconds of this process with one thread, both sides in the same run, so that ratios hold on a busy machine. Needs
highspy; Taxi needs gymnasium, and a deterministic table of the same shape stands in where it is absent.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from pindown import MDP, LinearProgram
from pindown.resources.highs import make_solver
from pindown.resources.planning import best_values

HERE = Path(__file__).parent
PROGRAMS = HERE.parents[1] / "shared" / "data" / "programs"
SCHEMA = "pindown/benchmark-resources/2"
FLOORS = {"warm starts": 10.0, "Taxi": 20.0}


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and the answer."""
    before = time.process_time()
    answer = call()
    return time.process_time() - before, answer


def programmes() -> list[LinearProgram]:
    """Netlib's programmes where they are at hand, and a random one."""
    there = [PROGRAMS / f"{name}.mps" for name in ("afiro", "adlittle", "israel")]
    rng = np.random.default_rng(0)
    table = rng.uniform(size=(100, 120)) * (rng.uniform(size=(100, 120)) < 0.1)
    random = LinearProgram(-rng.uniform(size=120), table, high=rng.uniform(1, 2, 100), upper=10.0, name="random")
    return [*(LinearProgram.from_mps(path) for path in there if path.is_file()), random]


def changed_costs(problem: LinearProgram, change: float | None, count: int) -> np.ndarray:
    """Costs ``(count, n)``: the own ones, each changed by up to so much; uniform rewards where ``change`` is None."""
    rng, n = np.random.default_rng(1), len(problem.costs)
    if change is None:
        return problem.costs_of(rng.uniform(size=(count, n)))
    return problem.costs * rng.uniform(1 - change, 1 + change, (count, n))


def cold_highspy(problem: LinearProgram, costs: np.ndarray) -> list[float]:
    """A new model of highspy for each, with its own settings: presolve, and the solver that it chooses."""
    found = []
    for c in costs:
        solver: Any = make_solver(problem, "highspy")
        solver.model.setOptionValue("presolve", "choose")
        solver.model.setOptionValue("solver", "choose")
        solver.model.changeColsCost(len(c), solver.every, c)
        solver.model.run()
        best = "kOptimal" in str(solver.model.getModelStatus())
        found.append(float(solver.model.getObjectiveValue()) if best else math.nan)
    return found


def cold_scipy(problem: LinearProgram, costs: np.ndarray) -> list[float]:
    """SciPy's linprog for each, its tables made once."""
    p, a = problem, problem.matrix
    equal = p.low == p.high
    above, below = ~equal & np.isfinite(p.high), ~equal & np.isfinite(p.low)
    sides: dict[str, Any] = {"A_ub": sparse.vstack([a[above], -a[below]]).tocsr()}
    sides |= {"b_ub": np.concatenate([p.high[above], -p.low[below]]), "bounds": np.stack([p.lower, p.upper], axis=1)}
    if equal.any():
        sides |= {"A_eq": a[equal], "b_eq": p.low[equal]}
    answers: list[Any] = [linprog(c, **sides) for c in costs]
    return [float(x.fun) if x.status == 0 else math.nan for x in answers]


def warm_starts(problem: LinearProgram, change: float | None, count: int) -> dict[str, Any]:
    """Many costs on one programme: from the last basis, from the start by highspy, from the start by SciPy."""
    costs = changed_costs(problem, change, count)
    solver: Any = make_solver(problem, "highspy")
    solver.solve(problem.costs)
    pivots: list[int] = []

    def solved(c: np.ndarray) -> float:
        answer = solver.solve(c)
        pivots.append(int(solver.model.getInfo().simplex_iteration_count))
        return answer.value if answer.outcome == "optimal" else math.nan

    warm, found = seconds(lambda: [solved(c) for c in costs])
    few = costs[: max(5, min(30, count // 20))]
    cold, again = seconds(lambda: cold_highspy(problem, few))
    scipy, third = seconds(lambda: cold_scipy(problem, few))
    for other in (again, third):
        if not np.allclose(found[: len(few)], other, rtol=1e-6, atol=1e-6, equal_nan=True):
            raise RuntimeError("the solvers do not agree")
    warm, cold, scipy = 1000 * warm / count, 1000 * cold / len(few), 1000 * scipy / len(few)
    m, n = problem.matrix.shape
    return {
        "programme": problem.name.partition(" ")[0].lower(), "rows": m, "columns": n,
        "costs": "uniform rewards" if change is None else f"own, ±{change:.0%}", "pivots": float(np.mean(pivots)),
        "unbounded": float(np.isnan(found).mean()),
        "pindown_ms": warm, "highspy_ms": cold, "scipy_ms": scipy, "ratio_highspy": cold / warm,
        "ratio_scipy": scipy / warm,
    }  # fmt: skip


def taxi() -> MDP:
    """Taxi's table, or a random one of the same shape."""
    if find_spec("gymnasium") is not None:
        import gymnasium

        return MDP.from_gymnasium(gymnasium.make("Taxi-v4"))
    return MDP(np.random.default_rng(0).integers(0, 501, (501, 6)))


def many_rewards(count: int) -> dict[str, Any]:
    """All rewards at once, against one at a time with a Python loop over states, sweep for sweep."""
    mdp = taxi()
    rewards = np.random.default_rng(2).uniform(size=(count, len(mdp.states)))
    if mdp.ended is not None:
        rewards[:, mdp.ended] = 0.0
    mine, values = seconds(lambda: best_values(mdp, rewards, 0.9, tolerance=1e-4))
    table = [list(map(int, row)) for row in mdp.successors]

    def loop() -> np.ndarray:
        r, v = rewards[0].tolist(), rewards[0].tolist()
        for _ in range(90):  # 0.9^90 < 1e-4
            v = [r[s] + 0.9 * max(v[t] for t in to) for s, to in enumerate(table)]
        return np.array(v)

    one, plain = seconds(loop)
    if np.abs(plain - values[0]).max() > 1e-2:
        raise RuntimeError("the values do not agree")
    return {
        "task": f"{count} rewards on {mdp.name or 'a table like Taxi'}", "pindown_ms": 1000 * mine,
        "peer_ms": 1000 * one * count, "ratio": one * count / mine, "floor": FLOORS["Taxi"],
    }  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objectives", type=int, default=1000)
    parser.add_argument("--note", default="", help="what to say of the machine, such as that it was shared")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    warm = [
        warm_starts(problem, change, args.objectives) for problem in programmes() for change in (0.01, 0.1, 0.5, None)
    ]
    values = many_rewards(args.objectives)
    record = {
        "schema": SCHEMA,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": date.today().isoformat(),
        "note": args.note,
        "floors": FLOORS,
        "warm_starts": warm,
        "many_rewards": values,
    }
    lines = [
        "# Resources", "", f"{record['machine']}, {record['date']}. CPU time, one thread. {args.note}", "",
        f"## {args.objectives} objectives on one programme, from the last basis", "",
        f"Asked for: {FLOORS['warm starts']:g} times faster than from the start.", "",
        "| programme | rows × columns | costs | pivots | pindown, ms | highspy, ms | SciPy, ms | highspy / pindown "
        "| SciPy / pindown |", "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {r['programme']} | {r['rows']} × {r['columns']} | {r['costs']} | {r['pivots']:.1f} | {r['pindown_ms']:.3g} "
        f"| {r['highspy_ms']:.3g} | {r['scipy_ms']:.3g} | {r['ratio_highspy']:.1f} | {r['ratio_scipy']:.1f} |"
        for r in warm
    ]
    r = values
    lines += [
        "", "highspy: a new model for each, with presolve. SciPy: `linprog` for each, its tables made once. Pivots are "
        "what a warm start has left to do: they are few where costs change little.", "",
        "## Values of many rewards", "", "| task | pindown, ms | loop over states, ms | ratio | asked for |",
        "|---|---|---|---|---|",
        f"| {r['task']} | {r['pindown_ms']:.4g} | {r['peer_ms']:.4g} | {r['ratio']:.3g} | {r['floor']:g} |",
    ]  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "resources.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (args.out / "resources.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
