"""The engine beside its peers on problems with known answers: error in bits, evaluations, CPU seconds.

    python benchmarks/engine.py [--peer NAME ...] [--case TEXT ...] [--seeds 3] [--limit 300] [--out FOLDER]

Needs ``pip install -e .[bench]``. Every (peer, case) runs in a process of its own under a wall and a CPU limit, so
that one that hangs costs only its own row; rows that failed or ran out of time say so. Writes ``engine.json`` (every
run) and ``engine.md`` (the table) into the output folder.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

from peers import PEERS  # noqa: E402
from problems import PROBLEMS, Problem  # noqa: E402
from record import keep, machine, now  # noqa: E402
from table import markdown  # noqa: E402

SCHEMA = "pindown/engine-benchmark/1"
CPU_LIMIT = "PINDOWN_BENCHMARK_CPU_SECONDS"


def cpu_seconds() -> float:
    """User and system time of this process, its live descendants and its finished ones."""
    import psutil

    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            t = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += t.user + t.system + t.children_user + t.children_system
    return total


def run_here(peer: str, problem: Problem, seeds: int, out: Path) -> None:
    """Run one peer on one case in this process; one JSON line a seed is appended to ``out`` as soon as it is there."""
    began_cpu, began = cpu_seconds(), time.monotonic()
    runner = importlib.import_module(f"peers.{PEERS[peer]}")
    write(out, {"version": runner.VERSION, "import_seconds": time.monotonic() - began})
    if not runner.supports(problem):
        write(out, {"status": "not applicable"})
        return
    tolerance, began_cpu, began = problem.tolerance, cpu_seconds(), time.monotonic()
    assert tolerance is not None
    prepared = runner.prepare(problem)
    write(out, {"setup_cpu_seconds": cpu_seconds() - began_cpu, "setup_wall_seconds": time.monotonic() - began})
    for seed in range(seeds):
        began_cpu, began = cpu_seconds(), time.monotonic()
        record = runner.measure(problem, seed, prepared)
        record |= {"seed": seed, "cpu_seconds": cpu_seconds() - began_cpu, "wall_seconds": time.monotonic() - began}
        write(out, record)


def write(out: Path, record: dict[str, Any]) -> None:
    """Append one line."""
    with out.open("a") as file:
        file.write(json.dumps(record) + "\n")


def run_apart(peer: str, problem: Problem, seeds: int, limit: float) -> dict[str, Any]:
    """Run one peer on one case in a process group of its own; collect what it wrote before it ended or was ended."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "records.jsonl"
        log = Path(folder) / "log.txt"
        command = [sys.executable, __file__, "--one", peer, problem.name, str(out), "--seeds", str(seeds)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", CPU_LIMIT: str(int(2 * limit) + 60)}
        began = time.monotonic()
        with log.open("w") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment, start_new_session=True)
            try:
                code = process.wait(timeout=limit)
                ending = "" if code == 0 else f"exit {code}"
            except subprocess.TimeoutExpired:
                ending = "timed out"
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            # Also after a good end: worker processes may be waiting for more.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        merged: dict[str, Any] = {"peer": peer, "case": problem.name, "runs": [r for r in lines if "seed" in r]}
        for line in lines:
            if "seed" not in line:
                merged |= line
        merged["ended"] = ending
        merged["limit_seconds"] = limit
        merged["elapsed_seconds"] = time.monotonic() - began
        if ending and ending != "timed out":
            merged["error"] = log.read_text()[-600:]
        return merged


def rows(peers: list[str], problems: list[Problem], seeds: int, limit: float) -> Iterator[dict[str, Any]]:
    """Case by case, so that the peers of one case run close together in time."""
    for problem in problems:
        for peer in peers:
            print(f"{problem.name}: {peer} …", flush=True)
            row = run_apart(peer, problem, seeds, limit)
            row["exact_bits"], row["exact_stderr"] = problem.exact
            row["date"], row["load_average"] = now(), os.getloadavg()[0]
            row["target_bits"] = problem.target
            done = ", ".join(f"{r['bits'] - problem.exact[0]:+.2f}" for r in row["runs"])
            cost = sum(r["cpu_seconds"] for r in row["runs"])
            print(f"    {row.get('status', '')} {row['ended']} errors [{done}] bits, {cost:.1f} CPU s", flush=True)
            yield row


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="default: all")
    parser.add_argument("--case", action="append", help="part of a case's name; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300.0, help="wall seconds for one peer on one case")
    parser.add_argument("--no-network", action="store_true", help="leave out the throughput of the network space")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--add", action="store_true", help="put the rows into the record that is in the folder already")
    parser.add_argument("--one", nargs=3, metavar=("PEER", "CASE", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        peer, case, out = args.one
        seconds = int(os.environ[CPU_LIMIT])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        try:
            run_here(peer, PROBLEMS[case], args.seeds, Path(out))
        except Exception:
            write(Path(out), {"status": "failed", "message": traceback.format_exc(limit=1).splitlines()[-1]})
            raise
        return
    problems = [p for p in PROBLEMS.values() if not args.case or any(text in p.name for text in args.case)]
    record = {"schema": SCHEMA, "date": now(), "machine": machine()}
    record["seeds"], record["rows"] = args.seeds, []
    args.out.mkdir(parents=True, exist_ok=True)
    if args.add:
        earlier = json.loads((args.out / "engine.json").read_text())
        record |= {key: earlier[key] for key in ("rows", "network") if key in earlier}
    for row in rows(args.peer or list(PEERS), problems, args.seeds, args.limit):
        kept = [r for r in record["rows"] if (r["peer"], r["case"]) != (row["peer"], row["case"])]
        order = [(case, peer) for case in PROBLEMS for peer in PEERS]
        record["rows"] = sorted([*kept, row], key=lambda r: order.index((r["case"], r["peer"])))
        keep(args.out, "engine", record, markdown(record))
    if not args.no_network:
        from throughput import network_throughput

        record["network"] = network_throughput()
    keep(args.out, "engine", record, markdown(record))


if __name__ == "__main__":
    main()
