"""Count the Boolean functions of three bits that random 3-6-1 networks compute.

A plain Monte Carlo reference for the benchmark and the truth suite: draw networks from the prior, write down the
signs of the output on the eight inputs, count. All 256 functions come out of the same draws.

    python benchmarks/boolean_brute_force.py [--networks 30000000] [--convention NAME] [--jobs 2] [--seed 0]

The work is cut in chunks, each with its own generator seeded by (seed, chunk); the result file is rewritten after
every few chunks, and a run that is started again goes on where the file ends. Counts do not depend on the number of
jobs.

Every convention has inputs of ±1, one layer of six tanh units and a function value of 1 where the output is above 0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import torch

RESULT = Path(__file__).parent / "results" / "boolean_3_6_1.json"
SCHEMA = "pindown/boolean-brute-force/1"
CHUNK = 250_000
BATCH = 50_000


@dataclass(frozen=True)
class Convention:
    """Standard deviations of a centred normal prior on a 3-6-1 tanh network; 0 leaves the parameter out."""

    weight_1: float
    bias_1: float
    weight_2: float
    bias_2: float

    @property
    def parameters(self) -> int:
        """How many numbers the prior draws for one network."""
        return 18 + 6 + 6 * (self.bias_1 > 0) + (self.bias_2 > 0)


CONVENTIONS = {
    "all-standard-normal": Convention(1.0, 1.0, 1.0, 1.0),
    "no-output-bias": Convention(1.0, 1.0, 1.0, 0.0),
}


def input_rows() -> torch.Tensor:
    """The eight inputs as rows of ±1, the first column being the most significant bit."""
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)))


def function_number(values: Sequence[bool]) -> int:
    """The number of a truth table: bit i is the value on input row i."""
    return sum(int(v) << i for i, v in enumerate(values))


PARITY = function_number([bool(int((row > 0).sum()) % 2) for row in input_rows()])
MAJORITY = function_number([bool((row > 0).sum() >= 2) for row in input_rows()])


def orbit(function: int) -> frozenset[int]:
    """The functions that are as likely as ``function`` under any prior here, by symmetry of a centred normal.

    Permuting inputs, and flipping the sign of an input, permute or negate weights of the first layer; negating the
    second layer negates the output.
    """
    rows = [tuple(int(v) for v in row) for row in input_rows()]
    table = {row: (function >> i) & 1 for i, row in enumerate(rows)}
    found = set()
    for order in itertools.permutations(range(3)):
        for signs in itertools.product([1, -1], repeat=3):
            values = [table[tuple(signs[j] * row[order[j]] for j in range(3))] for row in rows]
            number = function_number([bool(v) for v in values])
            found |= {number, 255 - number}
    return frozenset(found)


def chunk_seed(seed: int, chunk: int) -> int:
    """A 32-bit seed for one chunk, mixed so that neighbours share nothing."""
    import numpy as np

    return int(np.random.SeedSequence(seed, spawn_key=(chunk,)).generate_state(1)[0])


def count_chunk(task: tuple[Convention, int, int, int]) -> tuple[int, list[int]]:
    """Counts of the 256 functions among the networks of one chunk."""
    convention, seed, chunk, size = task
    torch.set_num_threads(1)
    g = torch.Generator().manual_seed(chunk_seed(seed, chunk))
    rows = input_rows()
    design = torch.cat([convention.weight_1 * rows, torch.full((8, 1), convention.bias_1)], dim=1).T.contiguous()
    powers = 2.0 ** torch.arange(8)
    counts = torch.zeros(256, dtype=torch.int64)
    for start in range(0, size, BATCH):
        n = min(BATCH, size - start)
        hidden = (torch.randn(n * 6, 4, generator=g) @ design).tanh_().view(n, 6, 8)
        out = torch.bmm(torch.randn(n, 1, 6, generator=g), hidden).squeeze(1) * convention.weight_2
        out += convention.bias_2 * torch.randn(n, 1, generator=g)
        numbers = ((out > 0).to(torch.float32) @ powers).to(torch.int64)
        counts += torch.bincount(numbers, minlength=256)
    return chunk, counts.tolist()


def bits_of(counts: Sequence[int], networks: int, functions: frozenset[int]) -> tuple[float, float]:
    """−log2 of the probability of one function, pooled over its orbit, and its standard error."""
    hits = sum(counts[f] for f in functions)
    if hits == 0:
        return math.inf, math.inf
    share = hits / networks
    return -math.log2(share / len(functions)), math.sqrt((1 - share) / hits) / math.log(2)


def load(path: Path) -> dict:
    """The stored record, or a new one."""
    if not path.exists():
        return {"schema": SCHEMA, "conventions": {}}
    record = json.loads(path.read_text())
    if record.get("schema") != SCHEMA:
        sys.exit(f"{path} has schema {record.get('schema')!r}, wanted {SCHEMA!r}: move it away first.")
    return record


def save(path: Path, record: dict) -> None:
    """Write beside the file, then rename, so that a cut never leaves half a file."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(part, path)


def run(name: str, networks: int, seed: int, jobs: int, path: Path) -> dict:
    """Bring one convention up to ``networks`` draws and return its entry."""
    convention = CONVENTIONS[name]
    record = load(path)
    fresh = {"seed": seed, "chunk_size": CHUNK, "chunks": 0, "networks": 0, "counts": [0] * 256, "seconds": 0.0}
    entry = record["conventions"].get(name, fresh)
    if entry["seed"] != seed or entry["chunk_size"] != CHUNK:
        sys.exit(
            f"{path} holds {name} with seed {entry['seed']} and chunks of {entry['chunk_size']}: move it away first."
        )
    todo = range(entry["chunks"], math.ceil(networks / CHUNK))
    began, before, shown = time.monotonic(), entry["seconds"], 0.0
    with get_context("spawn").Pool(jobs) as pool:
        for chunk, counts in pool.imap(count_chunk, [(convention, seed, c, CHUNK) for c in todo]):
            entry["counts"] = [a + b for a, b in zip(entry["counts"], counts, strict=True)]
            entry["chunks"], entry["networks"] = chunk + 1, (chunk + 1) * CHUNK
            entry["seconds"] = round(before + time.monotonic() - began, 1)
            if time.monotonic() - shown > 5 or chunk == todo[-1]:
                shown = time.monotonic()
                record["conventions"][name] = _described(entry, convention)
                save(path, record)
                print(f"{name}: {entry['networks']:,} of {networks:,} networks, {entry['seconds']:.0f} s", flush=True)
    return entry


def _described(entry: dict, convention: Convention) -> dict:
    named = {}
    for label, function in (("parity", PARITY), ("majority", MAJORITY)):
        functions = orbit(function)
        bits, stderr = bits_of(entry["counts"], entry["networks"], functions)
        own, own_stderr = bits_of(entry["counts"], entry["networks"], frozenset({function}))
        named[label] = {
            "function": function,
            "orbit": sorted(functions),
            "bits": round(bits, 5),
            "stderr": round(stderr, 5),
            "bits_unpooled": round(own, 5),
            "stderr_unpooled": round(own_stderr, 5),
        }
    return {
        "network": "3-6-1, tanh, inputs ±1, value 1 where the output is above 0",
        "prior": "independent centred normals; standard deviations below, 0 leaves the parameter out",
        "standard_deviations": asdict(convention),
        "parameters": convention.parameters,
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "named": named,
        **entry,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=30_000_000)
    parser.add_argument("--convention", choices=[*CONVENTIONS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name in CONVENTIONS if args.convention == "all" else [args.convention]:
        entry = run(name, args.networks, args.seed, args.jobs, args.out)
        for label, function in (("parity", PARITY), ("majority", MAJORITY)):
            bits, stderr = bits_of(entry["counts"], entry["networks"], orbit(function))
            print(f"{name}: {label} {bits:.4f} ± {stderr:.4f} bits")


if __name__ == "__main__":
    main()
