"""Fermi estimates beside squigglepy: draws a second, and the error of the 5%, 50% and 95% points at equal draws.

    python benchmarks/fermi.py --peers-python PATH [--draws 1024 4096 16384] [--seeds 100] [--out FOLDER] [--note TEXT]

The model is the built-in one of human values. squigglepy samples each of its inputs by plain Monte Carlo, and the same
formula runs on its draws, so that both packages estimate one thing. It runs under ``--peers-python``, which needs
squigglepy 0.30. The reference is pindown's own answer from 2^20 points at another seed, checked against plain draws by
numpy, as many. Seconds are CPU seconds inside each interpreter, imports left out. Pindown's are of ``fermi.estimate``
without sensitivity, which also gives standard errors, densities, swings, curves and the points of every quantity;
squigglepy's of its draws, the formula and the three percentiles.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = "pindown/benchmark-fermi/1"
POINTS = (5, 50, 95)
FEWER_DRAWS = 10.0
"""How many times fewer draws are asked for at equal error."""

PEER = """
import json, sys, time
import numpy as np
import squigglepy as sq
task = json.load(sys.stdin)
out = {}
for n in task["draws"]:
    for seed in range(task["seeds"]):
        sq.set_seed(seed)
        began = time.process_time()
        v = {k: np.asarray(sq.sample(sq.to(a, b), n=n)) for k, (a, b) in task["intervals"].items()}
        v = {**v, **task["constants"]}
        y = eval(task["formula"], {"minimum": lambda *a: np.minimum.reduce(np.broadcast_arrays(*a)), **v})
        points = np.percentile(y, [5, 50, 95])
        out.setdefault(str(n), []).append([time.process_time() - began, *map(float, points)])
json.dump(out, sys.stdout)
"""


def problem() -> dict[str, Any]:
    """The built-in model as intervals, constants and one formula in bits, for the peer."""
    from pindown import fermi
    from pindown.fermi.distributions import Constant
    from pindown.fermi.formula import formula, identifiers
    from pindown.fermi.model import nodes_of

    model = fermi.human_values()
    nodes = nodes_of([model.target])
    words = identifiers(model.names)
    intervals, constants, text = {}, {}, {}
    for q in nodes:
        if isinstance(q.distribution, Constant):
            constants[words[q]] = q.distribution.value
        elif q.distribution is not None:
            ends = q.distribution.quantile(np.array([0.05, 0.95]))
            intervals[words[q]] = [float(ends[0]), float(ends[1])]
    for q in nodes:  # parts come first, so that each formula only names what is written out already
        if q.step is None:
            continue
        if q.step.factors and any(f != 1.0 for f in q.step.factors):
            assert q.step.kind in ("same", "add", "minimum"), q.step.kind
        parts = {p: text.get(p, words[p]) for p in q.parts}
        factors = q.step.factors or (1.0,) * len(parts)
        scaled = {p: f"({parts[p]} * {f!r})" for p, f in zip(q.parts, factors, strict=True)}
        text[q] = f"({formula(q, scaled, lambda p: False)})"
    return {"intervals": intervals, "constants": constants, "formula": text[model.target]}


def own(draws: list[int], seeds: int) -> dict[str, list[list[float]]]:
    """Seconds and points of pindown, the same work as the peer's: the answer alone, no sensitivity, no comparison."""
    from pindown import fermi

    target = fermi.Model(fermi.human_values().target)
    out: dict[str, list[list[float]]] = {}
    for n in draws:
        for seed in range(seeds):
            began = time.process_time()
            found = fermi.estimate(target, seed, samples=n, sensitivity=0, percents=POINTS)
            spent = time.process_time() - began
            out.setdefault(str(n), []).append([spent, *(found.percentiles[p].value for p in POINTS)])
    return out


def reference() -> tuple[list[float], float]:
    """The points from 2^20 scrambled points, and how far plain draws of numpy lie from them, in their own errors."""
    from pindown import fermi
    from pindown.fermi.sampling import Sampler

    model = fermi.Model(fermi.human_values().target)
    found = fermi.estimate(model, 987_654, samples=1 << 20, sensitivity=0, percents=POINTS)
    sampler = Sampler(model)
    plain = []
    for seed in range(16):
        u = np.random.default_rng(seed).random((1 << 16, sampler.dim))
        plain.append(np.percentile(sampler.values(u, [model.target])[0], POINTS))
    exact = np.array([found.percentiles[p].value for p in POINTS])
    errors = np.std(plain, axis=0, ddof=1) / 4.0
    return list(map(float, exact)), float(np.max(np.abs(np.mean(plain, axis=0) - exact) / errors))


def summarise(found: dict[str, list[list[float]]], exact: list[float]) -> dict[str, dict[str, Any]]:
    """Draws a second, and the root mean square of the relative error of each point."""
    out: dict[str, dict[str, Any]] = {}
    for n, rows in found.items():
        a = np.array(rows)
        errors = np.sqrt(np.mean((a[:, 1:] / exact - 1.0) ** 2, axis=0))
        seconds = float(np.median(a[:, 0]))
        out[n] = {"seconds": seconds, "draws_a_second": int(n) / seconds, "errors": list(map(float, errors))}
    return out


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    lines = [
        "# Fermi estimates beside squigglepy",
        "",
        f"{record['machine']}, Python {record['python']}, {record['date']}. {record['note']}".strip(),
        "",
        f"The built-in model of human values, {record['seeds']} seeds. Errors are root mean squares relative to the",
        f"answer of 2^20 points, which 2^20 plain draws of numpy meet within {record['plain_apart']:.1f} of their own",
        "errors at worst. *Fewer draws* is (squigglepy's error / pindown's)², how many times as many plain draws the",
        "same error takes. *Cheaper* is the same in CPU seconds; pindown's second holds more work: standard errors,",
        "densities, swings, curves, and the points of every quantity.",
        "",
        "| draws | point | error, pindown | error, squigglepy | fewer draws | cheaper | draws a second, pindown "
        "| squigglepy |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in record["rows"]:
        for k, p in enumerate(POINTS):
            own, peer = r["pindown"], r["squigglepy"]
            lines.append(
                f"| {r['draws']:,} | {p}% | {own['errors'][k]:.2%} | {peer['errors'][k]:.2%} | "
                f"{r['fewer_draws'][k]:.1f} | {r['cheaper'][k]:.1f} | {own['draws_a_second']:,.0f} | "
                f"{peer['draws_a_second']:,.0f} |"
            )
    least = min(record["rows"][-1]["fewer_draws"])
    asked = f"Asked: {FEWER_DRAWS:g} times fewer draws at the most draws, at each of the three points"
    lines += ["", f"{asked}: {'met' if record['met'] else 'missed'} ({least:.1f} at the worst)."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run both, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", required=True, help="an interpreter with squigglepy 0.30")
    parser.add_argument("--draws", type=int, nargs="+", default=[1 << 10, 1 << 12, 1 << 14])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--note", default="", help="what to say of the machine, such as that it was shared")
    options = parser.parse_args()
    exact, apart = reference()
    print(f"reference {exact}, plain draws {apart:.1f} of their errors away")
    task = {**problem(), "draws": options.draws, "seeds": options.seeds}
    done = subprocess.run(
        [options.peers_python, "-c", PEER], input=json.dumps(task), capture_output=True, text=True, check=True
    )  # fmt: skip
    peer, ours = summarise(json.loads(done.stdout), exact), summarise(own(options.draws, options.seeds), exact)
    # Plain draws err by n^(-1/2): those with pindown's error would be (their error / pindown's)² times as many.
    rows = [
        {
            "draws": int(n),
            "pindown": ours[n],
            "squigglepy": peer[n],
            "fewer_draws": [float((b / a) ** 2) for a, b in zip(ours[n]["errors"], peer[n]["errors"], strict=True)],
            "speed": ours[n]["draws_a_second"] / peer[n]["draws_a_second"],
            "cheaper": [
                float((b / a) ** 2 * peer[n]["seconds"] / ours[n]["seconds"])
                for a, b in zip(ours[n]["errors"], peer[n]["errors"], strict=True)
            ],
        }
        for n in ours
    ]
    for r in rows:
        fewer = ", ".join(f"{x:.1f}" for x in r["fewer_draws"])
        print(f"{r['draws']:>7} draws: {fewer} times fewer draws at equal error (5, 50, 95%); speed {r['speed']:.2f}")
        print(f"        errors {r['pindown']['errors']} and {r['squigglepy']['errors']}")
    met = all(min(r["fewer_draws"]) >= FEWER_DRAWS for r in rows[-1:])
    print(f"{FEWER_DRAWS:g} times fewer at the most draws: {'met' if met else 'missed'}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        record = {
            "schema": SCHEMA, "date": date.today().isoformat(), "machine": platform.platform(),
            "note": options.note, "python": sys.version.split()[0], "seeds": options.seeds, "reference": exact,
            "plain_apart": apart, "rows": rows, "met": met,
        }  # fmt: skip
        (options.out / "fermi.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (options.out / "fermi.md").write_text(markdown(record), encoding="utf-8")


if __name__ == "__main__":
    main()
