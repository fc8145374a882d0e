"""Revealed preference beside prefgraph, on the same data in the same run.

    python benchmarks/choices.py --peers-python PATH [--sizes quick|full] [--tasks TASK …] [--out FOLDER]

Ten goods, budget shares with log-normal noise. CPU seconds of each call are taken inside each package's own
interpreter, data having been made and given to it before; prefgraph runs under ``--peers-python``, which needs
prefgraph 0.6.2. Peak memory is that of a fresh process. Ratios are prefgraph's time over pindown's: above 1 pindown is
faster. A certificate is beside the test alone (``certificate`` on choices that violate GARP, ``ranks`` on coherent
ones), the batch beside two milliseconds a subject. A call of the peer that is stopped at ``--limit`` has a least
ratio: the CPU time that it had taken by then.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SCHEMA = "pindown/benchmark-choices/1"
GOODS = 10
SIZES = {
    "quick": {"garp": 2000, "ccei": 500, "mpi": 200, "hm": 40, "batch": 100},
    "full": {"garp": 20_000, "ccei": 5000, "mpi": 1000, "hm": 100, "batch": 1000},
}
TASKS = ("garp", "certificate", "coherent", "ranks", "ccei", "mpi", "hm", "batch")
FLOORS = {"garp": 1 / 1.2, "certificate": 0.5, "ranks": 0.5, "ccei": 30.0, "mpi": 80.0, "hm": 1000.0, "batch": 1.0}
"""Least ratios that are asked for: of prefgraph's time to pindown's, of the test's to the certificate's, of the time
that a batch may take to what it took."""
ALONE = {"certificate": "garp", "coherent": "", "ranks": "coherent", "batch": ""}
"""Tasks that run on one side only, and the task that each is compared with."""
NOISE = {"hm": 0.5, "coherent": 0.0, "ranks": 0.0}
EACH = 2e-3


def budgets(n: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prices, and quantities that spend 100 on noisy fixed shares."""
    rng = np.random.default_rng(seed)
    prices, shares = rng.uniform(0.5, 2.0, (n, GOODS)), rng.dirichlet(np.ones(GOODS))
    shares = shares * np.exp(noise * rng.standard_normal((n, GOODS)))
    return prices, 100.0 * shares / shares.sum(axis=1, keepdims=True) / prices


def own(task: str, n: int) -> tuple[Callable[[], Any], str]:
    """Pindown's call, and what it gives in words."""
    from pindown.choices.axioms import Relation, harp
    from pindown.choices.budget_coherence import budget_certificate
    from pindown.choices.budget_indices import budget_indices, ccei, houtman_maks, money_pump
    from pindown.choices.budgets import Budgets

    if task == "batch":
        tables = [Budgets(*budgets(25, 0.3, seed)) for seed in range(n)]

        def batch() -> str:
            for table in tables:
                relation = Relation(table)
                relation.warp(), relation.sarp(), relation.garp(), harp(relation.spending), budget_indices(relation)
            return f"{n} subjects"

        return batch, ""
    table = Budgets(*budgets(n, NOISE.get(task, 0.3), 0))

    def certificate() -> str:
        relation = Relation(table)
        return budget_certificate(relation, relation.violating_cycle()).kind

    def proved() -> float:
        found = houtman_maks(Relation(table), 600.0)
        if not found.optimal:
            raise RuntimeError("the Houtman–Maks index was not proved")
        return found.value

    def pump() -> dict[str, Any]:
        found = money_pump(Relation(table))
        return {"value": found.value, "cycle": found.cycle}

    calls: dict[str, Callable[[], Any]] = {
        "garp": lambda: bool(Relation(table).garp()),
        "certificate": certificate,
        "coherent": lambda: bool(Relation(table).garp()),
        "ranks": certificate,
        "ccei": lambda: ccei(Relation(table)).value,
        "mpi": pump,
        "hm": proved,
    }
    return calls[task], ""


def peer(task: str, n: int) -> tuple[Callable[[], Any], str]:
    """Prefgraph's call."""
    from prefgraph import Engine

    prices, quantities = budgets(n, NOISE.get(task, 0.3), 0)
    metrics = ["garp"] if task == "garp" else ["garp", task]

    def engine() -> Any:
        found = Engine(metrics=metrics).analyze_arrays([(prices, quantities)])[0]
        answers = {"garp": "is_garp", "ccei": "ccei", "mpi": "mpi", "hm": "hm_consistent"}
        return getattr(found, answers[task])

    return engine, f"Engine({metrics})"


def measure(side: str, task: str, n: int) -> dict[str, Any]:
    """One call in this process: CPU seconds, the answer, peak memory."""
    call, what = (own if side == "pindown" else peer)(task, n)
    before = time.process_time()
    answer = call()
    seconds = time.process_time() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "answer": answer, "peak_bytes": memory, "call": what}


def in_a_process(python: str, side: str, task: str, n: int, limit: float) -> dict[str, Any]:
    """The same in a fresh interpreter, with one thread."""
    command = [python, str(Path(__file__)), "--one", side, task, str(n)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "seconds": None,
            "at_least": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "answer": None,
            "peak_bytes": None,
            "call": f"stopped after {limit:.0f} s of wall time",
        }
    if done.returncode:
        return {"seconds": None, "answer": None, "peak_bytes": None, "call": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def rows(peers: str | None, tasks: dict[str, int], limit: float) -> list[dict[str, Any]]:
    """These tasks, each with its size, on both sides."""
    out: list[dict[str, Any]] = []
    for task, n in tasks.items():
        row: dict[str, Any] = {"task": task, "n": n, "pindown": in_a_process(sys.executable, "pindown", task, n, limit)}
        if task not in ALONE:
            row["floor"] = FLOORS[task]
        if peers and task not in ALONE:
            row["prefgraph"] = in_a_process(peers, "prefgraph", task, n, limit)
            a, b = row["pindown"]["seconds"], row["prefgraph"]["seconds"]
            row["ratio"] = b / a if a and b else None
            stopped = row["prefgraph"].get("at_least")
            row["ratio_at_least"] = stopped / a if a and stopped else None
        out.append(row)
        print(json.dumps(row), flush=True)
    return out


def beside(task: str, found: dict[str, dict[str, Any]]) -> None:
    """What a task that runs alone is compared with."""
    other = found.get(ALONE.get(task, ""))
    seconds = found[task]["pindown"]["seconds"]
    if task == "batch" and seconds:
        found[task] |= {"ratio": EACH * found[task]["n"] / seconds, "floor": FLOORS[task]}
    elif other is not None and seconds:
        found[task] |= {"ratio": other["pindown"]["seconds"] / seconds, "floor": FLOORS[task]}


def markdown(record: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# Choices beside prefgraph 0.6.2",
        "",
        f"{record['machine']}, {record['date']}. Ten goods; CPU seconds, one thread. {record['note']}",
        "",
        "Ratios: prefgraph's time over pindown's; for `certificate` and `ranks` (of coherent choices) that of the test "
        "alone (`garp`, `coherent`) over that with the certificate; for `batch` 2 ms a subject over what it took.",
        "",
        "| task | n | pindown, s | MiB | prefgraph, s | MiB | ratio | asked for |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        mine, other = row["pindown"], row.get("prefgraph", {})
        cells = [
            row["task"],
            row["n"],
            _number(mine["seconds"]),
            _mib(mine),
            _number(other.get("seconds"), other.get("at_least")),
            _mib(other),
        ]
        cells += [_number(row.get("ratio"), row.get("ratio_at_least")), _number(row.get("floor"))]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def _number(x: float | None, at_least: float | None = None) -> str:
    if x is None:
        return "–" if at_least is None else f"> {at_least:.4g}"
    return f"{x:.4g}"


def _mib(side: dict[str, Any]) -> str:
    return "–" if not side.get("peak_bytes") else f"{side['peak_bytes'] / 2**20:.0f}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=3, metavar=("SIDE", "TASK", "N"), help=argparse.SUPPRESS)
    parser.add_argument("--peers-python", default=os.environ.get("PINDOWN_PEERS_PYTHON"))
    parser.add_argument("--sizes", choices=list(SIZES), default="full")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="only these; the other rows stay as they were")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds of wall time that each call may take")
    parser.add_argument("--note", default="", help="what to say of the machine, such as that it was shared")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    if args.one:
        side, task, n = args.one
        print(json.dumps(measure(side, task, int(n))))
        return
    sizes = SIZES[args.sizes]
    chosen = {task: sizes.get(task, sizes["garp"]) for task in args.tasks or TASKS}
    found = {row["task"]: row for row in rows(args.peers_python, chosen, args.limit)}
    before = args.out / "choices.json"
    if args.tasks and before.is_file():
        kept = {row["task"]: row for row in json.loads(before.read_text(encoding="utf-8"))["rows"]}
        found = {task: found.get(task, kept.get(task)) for task in TASKS if task in found or task in kept}
    for task in found:
        beside(task, found)
    record = {
        "schema": SCHEMA,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": date.today().isoformat(),
        "note": args.note,
        "rows": list(found.values()),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "choices.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (args.out / "choices.md").write_text(markdown(record), encoding="utf-8")
    print(markdown(record))


if __name__ == "__main__":
    main()
