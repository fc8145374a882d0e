"""Plain Monte Carlo, for the cases that are shallow enough to count: the share of prior draws that hit."""

from __future__ import annotations

import math
from typing import Any

import torch

VERSION = f"torch {torch.__version__}"
DRAWS = 4_000_000
BATCH = 20_000


def supports(problem: Any) -> bool:
    """The Boolean cases; elsewhere no draw would ever hit."""
    return problem.kind == "boolean"


def prepare(problem: Any) -> Any:
    """The loss."""
    return problem.torch_loss()


def measure(problem: Any, seed: int, prepared: Any) -> dict[str, Any]:
    """One run."""
    rng = torch.Generator().manual_seed(seed)
    hits = 0
    for _ in range(DRAWS // BATCH):
        x = torch.randn((BATCH, problem.dim), generator=rng)
        hits += int((prepared(x) <= problem.tolerance).sum())
    return {
        "bits": -math.log2(hits / DRAWS) if hits else math.nan,
        "stderr": math.sqrt((1 - hits / DRAWS) / hits) / math.log(2) if hits else math.nan,
        "evaluations": DRAWS,
        "gradient_evaluations": 0,
        "status": "reached" if hits else "no hit",
        "note": f"{hits} hits, float32",
    }
