"""pindown with its defaults."""

from __future__ import annotations

import math
from typing import Any

import torch

import pindown

VERSION = f"pindown {pindown.__version__}, torch {torch.__version__}"


def supports(problem: Any) -> bool:
    """Every case."""
    return True


def prepare(problem: Any) -> Any:
    """Start the workers with a small measurement, so that their start is not charged to the first run."""
    pindown.measure(pindown.Gaussian(2), Problem2(), tolerance=0.1, seed=0)
    return problem.torch_loss()


class Problem2:
    """A quadratic in two dimensions."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x.square().sum(-1)


def measure(problem: Any, seed: int, prepared: Any) -> dict[str, Any]:
    """One run."""
    dtype = torch.float32 if problem.kind == "quadratic" else torch.float64
    profile = pindown.measure(
        pindown.Gaussian(problem.dim, dtype=dtype), prepared, tolerance=problem.tolerance, seed=seed
    )
    bits = profile.bits()
    low, high = bits.interval(0.95)
    return {
        "bits": bits.value if bits.kind == "estimate" else math.nan,
        "stderr": bits.stderr,
        "low": low,
        "high": high,
        "evaluations": profile.evaluations,
        "gradient_evaluations": profile.gradient_evaluations,
        "status": str(profile.status),
        "note": f"{profile.engine}, {profile.repeats} runs, {bits}",
    }
