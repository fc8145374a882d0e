"""Volumes of basins that are known exactly, beside basin-volume (tyche 0.1.0): bits and evaluations in one run.

The loss is Σ aᵢwᵢ² under w ~ N(0, I); the mass of {loss ≤ c} is known to double precision. Both get the same number of
rays from the minimum; the peer once without and once with its preconditioner, which is handed the exact curvature (its
``diag_preconditioner`` at its defaults), while pindown finds its own from products with the Hessian. The bridge is
pindown's estimate by chains. The peer gives one figure an ensemble and no interval; pindown's rays give a bound that
holds with 95% confidence.

    python benchmarks/network.py basin --peers-python PATH

PATH is a Python with the package of EleutherAI's repository basin-volume, which is not on the package index.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.record import described, machine, now
from torch import nn

import pindown
from pindown.spaces.network import Normal

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "truth"))

import references

SCHEMA = "pindown/basin-benchmark/1"
SCRIPT = Path(__file__).with_name("basin_peer.py")
RAYS = 64
CASES = ((20, 1e2, 0.5), (200, 1.0, 0.1), (200, 1e4, 0.1), (2000, 1e4, 0.001), (2000, 1e4, 0.1))
"""Dimensions, largest over smallest aᵢ, and the cutoff as a share of the mean loss under the prior."""
BRIDGED = 200
"""Most dimensions in which the bridge is run as well."""
LIMIT = 300


def subject(scales: np.ndarray) -> pindown.Subject:
    """A linear regression with that loss, at its minimum."""
    model = nn.Linear(scales.size, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    x = torch.diag(torch.as_tensor(np.sqrt(scales.size * scales)))
    return pindown.Subject(model, "mse", (x, torch.zeros(scales.size, 1)), prior=Normal(0.0, 1.0))


def own(scales: np.ndarray, cutoff: float, method: Any, seed: int) -> dict[str, Any]:
    """What pindown answers."""
    began, cpu = time.perf_counter(), time.process_time()
    found = pindown.basin(subject(scales), cutoff=cutoff, cutoffs=[], method=method, rays=RAYS, repeats=4, seed=seed)
    point = found.at_cutoff
    row: dict[str, Any] = {
        "method": f"pindown, {'rays' if method == 'radial' else 'bridge'}", "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu, "evaluations": found.evaluations, "seed": seed,
    }  # fmt: skip
    if method == "radial":
        assert point.radial is not None
        return row | {"bits": point.radial_mean, "bound": point.radial.value}
    assert point.bits is not None
    low, high = point.bits.interval()
    return row | {"bits": point.bits.value, "low": low, "high": high, "status": point.bits.status.value}


def peer(python: str, scales: np.ndarray, cutoff: float, preconditioned: bool, seed: int) -> dict[str, Any]:
    """What the peer answers, from a process of its own."""
    row: dict[str, Any] = {"method": f"basin-volume, {'preconditioned' if preconditioned else 'plain'}", "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, scales=scales, cutoff=cutoff)
        given = json.dumps({"rays": RAYS, "seed": seed, "preconditioned": preconditioned})
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
        try:
            done = subprocess.run(
                [python, str(SCRIPT), str(path), given],
                capture_output=True, text=True, timeout=LIMIT, check=False, env=environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return row | {"failed": f"no answer in {LIMIT} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("RECORD ")]
    if not lines:
        return row | {"failed": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    return row | json.loads(lines[-1].removeprefix("RECORD "))


def run(*, peers_python: str | None = None, seed: int = 0) -> dict[str, Any]:
    """All of it.

    Raises:
        SystemExit: without an interpreter that has the peer.
    """
    if not peers_python:
        raise SystemExit("Give --peers-python: an interpreter with basin-volume (tyche 0.1.0).")
    torch.set_num_threads(1)
    where = machine()
    rows: list[dict[str, Any]] = []
    for dim, condition, share in CASES:
        scales = np.geomspace(1.0, condition, dim)
        cutoff = share * float(scales.sum())
        case = {
            "dim": dim, "condition": condition, "share": share,
            "exact": references.displaced_ellipsoid(scales, np.zeros(dim), cutoff),
        }  # fmt: skip
        found = [peer(peers_python, scales, cutoff, p, seed) for p in (False, True)]
        found.append(own(scales, cutoff, "radial", seed))
        if dim <= BRIDGED:
            found.append(own(scales, cutoff, "bridge", seed))
        rows += [case | f for f in found]
        print(*rows[-len(found) :], sep="\n", flush=True)
    return {
        "schema": SCHEMA, "date": now(), "rays": RAYS, "seed": seed, "machine": where, "rows": rows,
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    lines = [
        "# Basins beside basin-volume", "",
        f"{record['date']}, {described(record['machine'])}; {record['rays']} rays, seed {record['seed']}.", "",
        (__doc__ or "").split("\n\n")[1], "",
        "| dimensions | condition | cutoff / mean loss | exact bits | method | bits | error | 95% | evaluations | "
        "seconds |",
        "|" + " ---: |" * 10,
    ]  # fmt: skip
    for r in record["rows"]:
        case = f"| {r['dim']} | {r['condition']:g} | {r['share']:g} | {r['exact']:,.2f} | {r['method']} |"
        if "failed" in r:
            lines.append(f"{case} {r['failed']} | | | | |")
            continue
        span = f"≤ {r['bound']:,.2f}" if "bound" in r else "none given"
        if "low" in r:
            span = f"{r['low']:,.2f} to {r['high']:,.2f}" + ("" if r["status"] == "reached" else f" ({r['status']})")
        lines.append(
            f"{case} {r['bits']:,.2f} | {r['bits'] - r['exact']:+,.2f} | {span} | {r['evaluations']:,} | "
            f"{r['seconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"
