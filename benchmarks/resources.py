"""Warm starts against cold ones, and values of many rewards at once against a loop over states.

    python benchmarks/resources.py [--objectives N] [--out FOLDER] [--note TEXT]

CPU seconds of this process with one thread, both sides in the same run, so that ratios hold on a busy machine. Needs
highspy; Taxi needs gymnasium, and a deterministic table of the same shape stands in where it is absent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pindown import MDP, LinearProgram
from pindown.resources.highs import make_solver
from pindown.resources.planning import best_values

HERE = Path(__file__).parent
PROGRAMS = HERE.parents[1] / "shared" / "data" / "programs"
SCHEMA = "pindown/benchmark-resources/1"
FLOORS = {"warm starts": 10.0, "Taxi": 20.0}


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and the answer."""
    before = time.process_time()
    answer = call()
    return time.process_time() - before, answer


def programme() -> LinearProgram:
    """Netlib's israel where it is at hand, else a random programme of its size."""
    if (PROGRAMS / "israel.mps").is_file():
        return LinearProgram.from_mps(PROGRAMS / "israel.mps")
    rng = np.random.default_rng(0)
    table = rng.uniform(size=(174, 142)) * (rng.uniform(size=(174, 142)) < 0.1)
    return LinearProgram(-rng.uniform(size=142), table, high=rng.uniform(1, 2, 174), upper=10.0, name="random")


def warm_starts(count: int) -> dict[str, Any]:
    """Perturbed costs on one programme: warm by highspy, cold by a fresh highspy model, cold by SciPy."""
    problem = programme()
    rng = np.random.default_rng(1)
    costs = problem.costs * rng.uniform(0.5, 1.5, (count, len(problem.costs)))
    solver = make_solver(problem, "highspy")
    solver.solve(problem.costs)
    warm, found = seconds(lambda: [solver.solve(c).value for c in costs])
    few = costs[: max(5, count // 20)]
    cold, again = seconds(lambda: [make_solver(problem, "highspy").solve(c).value for c in few])
    scipy, third = seconds(lambda: [make_solver(problem, "scipy").solve(c).value for c in few])
    for other in (again, third):
        if not np.allclose(found[: len(few)], other, rtol=1e-7):
            raise RuntimeError("the solvers do not agree")
    warm, cold, scipy = 1000 * warm / count, 1000 * cold / len(few), 1000 * scipy / len(few)
    return {
        "task": f"warm starts, {problem.name}", "pindown_ms": warm, "cold_highspy_ms": cold, "peer_ms": scipy,
        "ratio": scipy / warm, "floor": FLOORS["warm starts"],
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
    rows = [warm_starts(args.objectives), many_rewards(args.objectives)]
    record = {
        "schema": SCHEMA,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": date.today().isoformat(),
        "note": args.note,
        "rows": rows,
    }
    lines = [
        "# Resources", "", f"{record['machine']}, {record['date']}. CPU time, one thread. {args.note}", "",
        "| task | pindown, ms | other, ms | ratio | asked for |", "|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {r['task']} | {r['pindown_ms']:.4g} | {r['peer_ms']:.4g} | {r['ratio']:.3g} | {r['floor']:g} |"
        for r in rows
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "resources.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (args.out / "resources.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
