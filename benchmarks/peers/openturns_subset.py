"""OpenTURNS: subset sampling (Au & Beck 2001).

Settings, after the library's documentation: conditional probability 0.1, proposal range 2, 10,000 points a level in
blocks of 1,000, vectorised function. The range is fixed for a run and does not follow the shrinking event: on the
50-bit ball ranges of 2, 0.5, 0.1 and 0.02 answered 24, 37, 52 and 103 bits, so no other range is better founded. The
probability is a double, so nothing below 2⁻¹⁰⁷⁴ can come out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import openturns as ot

VERSION = f"openturns {ot.__version__}"
LEVEL_SIZE = 10_000
BLOCK = 1_000


def supports(problem: Any) -> bool:
    """All cases but the 10,000-dimensional one."""
    return problem.kind != "quadratic"


def prepare(problem: Any) -> Any:
    """The limit-state function, and a list whose one entry counts its evaluations."""
    loss, calls = problem.numpy_loss(), [0]

    def counted(points: Any) -> Any:
        x = np.asarray(points)
        calls[0] += len(x)
        return loss(x)[:, None]

    return ot.PythonFunction(problem.dim, 1, func_sample=counted), calls


def measure(problem: Any, seed: int, prepared: Any) -> dict[str, Any]:
    """One run."""
    ot.RandomGenerator.SetSeed(seed)
    function, calls = prepared
    calls[0] = 0
    output = ot.CompositeRandomVector(function, ot.RandomVector(ot.Normal(problem.dim)))
    algorithm = ot.SubsetSampling(ot.ThresholdEvent(output, ot.Less(), problem.tolerance), 2.0, 0.1)
    algorithm.setMaximumOuterSampling(LEVEL_SIZE // BLOCK)
    algorithm.setBlockSize(BLOCK)
    algorithm.setMinimumProbability(1e-300)
    algorithm.run()
    p = algorithm.getResult().getProbabilityEstimate()
    return {
        "bits": -math.log2(p) if p > 0 else math.nan,
        "evaluations": calls[0],
        "gradient_evaluations": 0,
        "status": "reached" if p > 0 else "probability 0",
        "note": f"{LEVEL_SIZE} points a level, {algorithm.getStepsNumber()} levels",
    }
