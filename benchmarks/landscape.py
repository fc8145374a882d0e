"""Exact counts of formulas beside ApproxMC's approximate ones.

    python benchmarks/landscape.py --peer PYTHON [--out FOLDER] [--note TEXT]

PYTHON is an interpreter that has pyapproxmc (Soos and Meel's ApproxMC); it runs the peer's part in a process of its
own. CPU seconds of counting alone, both sides in the same run. ApproxMC promises a factor of 1.8 with probability 0.8;
pindown's counts are exact or given up.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import subprocess
import time
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

from pindown.landscapes.model_count import ModelCounter

HERE = Path(__file__).parent
SCHEMA = "pindown/benchmark-landscape/1"
Clauses = list[tuple[int, ...]]
PEER = """
import json, sys, time
import pyapproxmc
clauses = json.load(sys.stdin)
counter = pyapproxmc.Counter(seed=1)
counter.add_clauses(clauses)
before = time.process_time()
cells, hashes = counter.count()
print(json.dumps({"seconds": time.process_time() - before, "count": cells * 2**hashes}))
"""


def parity_chain(length: int) -> Clauses:
    """Parities of three neighbours each: of length + 2 variables 4 settings are left."""
    out: Clauses = []
    for i in range(1, length + 1):
        names = (i, i + 1, i + 2)
        for setting in product((0, 1), repeat=3):
            if sum(setting) % 2 != i % 2:
                out.append(tuple(-v if value else v for v, value in zip(names, setting, strict=True)))
    return out


def random_formula(variables: int, clauses: int, seed: int) -> Clauses:
    """Three literals a clause."""
    rng = random.Random(seed)
    names = range(1, variables + 1)
    return [tuple(rng.choice((1, -1)) * v for v in rng.sample(names, 3)) for _ in range(clauses)]


PROBLEMS: dict[str, tuple[int, Clauses]] = {
    "chain of 10 parities": (12, parity_chain(10)),
    "chain of 20 parities": (22, parity_chain(20)),
    "chain of 200 parities": (202, parity_chain(200)),
    "3-CNF, 30 variables, 100 clauses": (30, random_formula(30, 100, 1)),
    "3-CNF, 50 variables, 180 clauses": (50, random_formula(50, 180, 1)),
    "3-CNF, 60 variables, 180 clauses": (60, random_formula(60, 180, 1)),
}


def row(name: str, variables: int, clauses: Clauses, peer: str) -> dict[str, Any]:
    """Both counts of one formula, as bits, and their times."""
    # The peer leaves out variables that no clause names and that are above the last one that is named.
    counter = ModelCounter(variables, most_steps=200_000)
    before = time.process_time()
    models = counter.count(clauses)
    seconds = time.process_time() - before
    done = subprocess.run([peer, "-c", PEER], input=json.dumps(clauses), capture_output=True, text=True, check=True)
    other = json.loads(done.stdout)
    missing = variables - max(abs(v) for c in clauses for v in c)
    theirs = variables - math.log2(other["count"]) - missing
    mine = None if not models else variables - math.log2(models)
    return {
        "task": name, "pindown_bits": mine, "peer_bits": theirs, "pindown_seconds": seconds,
        "peer_seconds": other["seconds"], "steps": counter.steps,
    }  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="an interpreter with pyapproxmc")
    parser.add_argument("--note", default="", help="what to say of the machine, such as that it was shared")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    rows = [row(name, n, clauses, args.peer) for name, (n, clauses) in PROBLEMS.items()]
    for r in rows:
        if r["pindown_bits"] is not None and abs(r["pindown_bits"] - r["peer_bits"]) > math.log2(1.8):
            print(f"{r['task']}: further apart than ApproxMC promises")
    record = {
        "schema": SCHEMA,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": date.today().isoformat(),
        "note": args.note,
        "rows": rows,
    }
    lines = [
        "# Counting formulas", "", f"{record['machine']}, {record['date']}. CPU time, one thread. {args.note}", "",
        "| formula | pindown, bits (exact) | ApproxMC, bits | pindown, s | ApproxMC, s |", "|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {r['task']} | {'given up' if r['pindown_bits'] is None else format(r['pindown_bits'], '.6g')} | "
        f"{r['peer_bits']:.6g} | {r['pindown_seconds']:.3g} | {r['peer_seconds']:.3g} |"
        for r in rows
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "landscape.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (args.out / "landscape.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
