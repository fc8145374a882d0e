"""The benchmark's cases, each written for torch, NumPy and JAX.

All of them have a standard normal prior, so that every peer sees the same problem; the exact answers come from the
references of the truth suite.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "truth"))

import references

HIDDEN_ROWS = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
PARITY, MAJORITY = 150, 232
ORBITS = {PARITY: (105, 150), MAJORITY: (23, 43, 77, 113, 142, 178, 212, 232)}


@dataclass(frozen=True)
class Problem:
    """One case.

    Attributes:
        name: as in the table.
        kind: ``"ball"``, ``"ellipsoid"``, ``"boolean"`` or ``"quadratic"``.
        dim: number of standard normal coordinates.
        bits: the known answer where it fixes the tolerance, else NaN.
        parameter: the tolerance, or the number of the Boolean function.
        rank: of the quadratic.
        target: the error in bits at which costs are compared.
    """

    name: str
    kind: str
    dim: int
    parameter: float
    rank: int = 0
    target: float = 1.0

    @cached_property
    def tolerance(self) -> float:
        """Largest loss that counts as a hit."""
        if self.kind == "ball":
            return references.ball_tolerance(self.dim, self.parameter)
        if self.kind == "quadratic":
            return references.ball_tolerance(self.rank, self.parameter)
        return 0.0 if self.kind == "boolean" else self.parameter

    @cached_property
    def exact(self) -> tuple[float, float]:
        """The exact bits, and the standard error of that reference (0 except for the brute force)."""
        if self.kind in ("ball", "quadratic"):
            return self.parameter, 0.0
        if self.kind == "ellipsoid":
            return references.ellipsoid(self.scales, self.tolerance).bits, 0.0
        counts, networks = references.boolean_counts("all-standard-normal")
        orbit = ORBITS[int(self.parameter)]
        hits = sum(counts[f] for f in orbit)
        share = hits / networks
        return float(-np.log2(share / len(orbit))), float(np.sqrt((1 - share) / hits) / np.log(2))

    @cached_property
    def scales(self) -> list[float]:
        """Axis weights of the ellipsoid, condition number 10⁴."""
        return np.logspace(0, 4, self.dim).tolist()

    @cached_property
    def signs(self) -> np.ndarray:
        """The wanted output signs of the Boolean function on the eight input rows."""
        return np.array([1.0 if int(self.parameter) >> i & 1 else -1.0 for i in range(8)])

    def numpy_loss(self) -> Callable[[np.ndarray], np.ndarray]:
        """The loss of points (N, dim)."""
        if self.kind == "ball":
            return lambda x: np.einsum("nd,nd->n", x, x)
        if self.kind == "ellipsoid":
            a = np.array(self.scales)
            return lambda x: (x * x) @ a
        if self.kind == "boolean":
            signs = self.signs

            def loss(x: np.ndarray) -> np.ndarray:
                hidden = np.tanh(x[:, :18].reshape(-1, 6, 3) @ HIDDEN_ROWS.T + x[:, 18:24, None])
                out = (x[:, 24:30, None] * hidden).sum(1) + x[:, 30:31]
                return (-signs * out).max(1)

            return loss
        raise NotImplementedError(f"{self.kind} has no NumPy form: no peer runs it")

    def torch_loss(self) -> Callable[[Any], Any]:
        """The same for torch tensors, differentiable and picklable."""
        import losses

        if self.kind == "ball":
            return losses.SquaredNorm()
        if self.kind == "ellipsoid":
            return losses.Quadratic(tuple(self.scales))
        if self.kind == "quadratic":
            return losses.LowRankQuadratic(self.dim, self.rank)
        return losses.BooleanNetwork(int(self.parameter))

    def jax_loss(self) -> Callable[[Any], Any]:
        """The loss of one point (dim,), for JAX."""
        import jax.numpy as jnp

        if self.kind == "ball":
            return lambda x: x @ x
        if self.kind == "ellipsoid":
            a = jnp.array(self.scales)
            return lambda x: a @ (x * x)
        if self.kind == "boolean":
            rows, signs = jnp.array(HIDDEN_ROWS), jnp.array(self.signs)

            def loss(x: Any) -> Any:
                hidden = jnp.tanh(x[:18].reshape(6, 3) @ rows.T + x[18:24, None])
                return jnp.max(-signs * (x[24:30] @ hidden + x[30]))

            return loss
        raise NotImplementedError(f"{self.kind} has no JAX form: no peer runs it")


PROBLEMS = {
    p.name: p
    for p in (
        Problem("ball d=10, 50 bits", "ball", 10, 50.0, target=0.5),
        Problem("ball d=100, 300 bits", "ball", 100, 300.0),
        Problem("ball d=1000, 2000 bits", "ball", 1000, 2000.0),
        Problem("ellipsoid d=50, condition 1e4", "ellipsoid", 50, 0.5),
        Problem("Boolean parity, 3-6-1", "boolean", 31, PARITY, target=0.25),
        Problem("Boolean majority, 3-6-1", "boolean", 31, MAJORITY, target=0.25),
        Problem("quadratic d=10000, rank 500, 1000 bits", "quadratic", 10_000, 1000.0, rank=500, target=2.0),
    )
}
