"""How many random networks a second are tried against their labels: last layers reused, and one network at a time.

    python benchmarks/samplers.py [--draws N] [--out FOLDER]

The Boolean task of the compression study, 7-40-40-1 on 64 inputs. Rates are of one core, by processor time, so that
others who use the machine change them little. Both ways draw the same event; their probabilities of an easier one,
8 of the labels, are compared in the same run. Writes ``samplers.json`` and ``samplers.md``.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pindown.network.perceptrons import PerceptronPrior
from pindown.network.random_solutions import random_solutions
from pindown.rng import torch_generator
from pindown.studies.tasks import boolean_task
from record import described, keep, machine, now

HERE = Path(__file__).parent
SCHEMA = "pindown/benchmark-samplers/1"
PRIOR = PerceptronPrior((7, 40, 40, 1))
FLOOR = 3.3e5
"""Networks a second on two cores that a prototype reached: the floor."""
PLAIN = 4096  # networks of one batch of the plain way


def plainly(x: Tensor, y: Tensor, draws: int, rng: torch.Generator) -> int:
    """Solutions among so many draws of the prior, each a whole new network."""
    hits = 0
    for _ in range(draws // PLAIN):
        hits += int((PRIOR.margins(PRIOR.sample(PLAIN, rng=rng), x, y).amin(1) > 0).sum())
    return hits


def row(name: str, draws: int, hits: int, cpu: float, wall: float) -> dict[str, Any]:
    """One line of the record."""
    return {
        "name": name, "draws": draws, "solutions": hits, "cpu_seconds": cpu, "wall_seconds": wall,
        "networks_per_cpu_second": draws / cpu,
    }  # fmt: skip


def measured(draws: int) -> dict[str, Any]:
    """Rates of both ways, and whether they find the easier event equally often."""
    task, easy = boolean_task(64), boolean_task(8)
    rows: list[dict[str, Any]] = []
    began, cpu = time.perf_counter(), time.process_time()
    found = random_solutions(PRIOR, task.train_x, task.train_y, count=10**9, draws=draws, engine="rejection")
    rows.append(row("last layers reused", found.draws, len(found), time.process_time() - cpu,
                    time.perf_counter() - began))  # fmt: skip
    plain = max(PLAIN, draws // 1024)
    began, cpu = time.perf_counter(), time.process_time()
    hits = plainly(task.train_x, task.train_y, plain, torch_generator(0, 1))
    rows.append(row("one network at a time", plain // PLAIN * PLAIN, hits, time.process_time() - cpu,
                    time.perf_counter() - began))  # fmt: skip
    first = random_solutions(PRIOR, easy.train_x, easy.train_y, count=10**9, draws=2**22, engine="rejection")
    n = 2**18
    share = plainly(easy.train_x, easy.train_y, n, torch_generator(0, 2)) / n
    error = math.sqrt((1 - share) / share / n) / math.log(2)
    gap = first.bits.value + math.log2(share)
    return {
        "rows": rows,
        "easier": {"reused": first.bits.to_dict(), "plain_bits": -math.log2(share), "plain_stderr": error,
                   "standard_errors_apart": abs(gap) / math.hypot(error, first.bits.stderr)},
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """The page."""
    e = record["easier"]
    lines = [
        "# Random networks against their labels",
        "",
        f"{record['date']}, {described(record['machine'])}. 7-40-40-1 on 64 Boolean inputs. Rates are of one core, by "
        f"processor time. The floor is {FLOOR:,.0f} networks a second on two cores.",
        "",
        "| way | networks tried | solutions | processor seconds | networks a second of one core |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['name']} | {r['draws']:,} | {r['solutions']} | {r['cpu_seconds']:.1f} | "
        f"{r['networks_per_cpu_second']:,.0f} |"
        for r in record["rows"]
    ]
    a, b = (r["networks_per_cpu_second"] for r in record["rows"])
    lines += [
        "",
        f"Reuse is {a / b:,.0f} times as quick, and on one core {a / FLOOR:.0f} times the floor. On 8 labels "
        f"they find {e['reused']['value']:.3f} ± {e['reused']['stderr']:.3f} and {e['plain_bits']:.3f} ± "
        f"{e['plain_stderr']:.3f} bits, {e['standard_errors_apart']:.1f} standard errors apart.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2**26)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = {"schema": SCHEMA, "date": now(), "machine": machine(), **measured(options.draws)}
    keep(options.out, "samplers", record, markdown(record))


if __name__ == "__main__":
    main()
