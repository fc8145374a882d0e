"""UltraNest: reactive nested sampling with a slice step sampler.

Settings, after the library's documentation: 400 live points; region sampling up to 10 dimensions, above it a slice
sampler with 2d steps along mixed directions. The likelihood is exp(−β max(L, t)) with β so large that all of the
evidence lies on the plateau L ≤ t; then ln Z + βt = ln P(L ≤ t), and the run ends by itself once its live points are
on it.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import ultranest
import ultranest.stepsampler
from scipy.special import ndtri

VERSION = f"ultranest {ultranest.__version__}"
LIVE = 400


def supports(problem: Any) -> bool:
    """All cases but the 10,000-dimensional one."""
    return problem.kind != "quadratic"


def prepare(problem: Any) -> Any:
    """The vectorised log-likelihood and its value on the plateau."""
    loss, t = problem.numpy_loss(), problem.tolerance
    slope = 1e4 * problem.dim / abs(t) if t else 1e6
    return lambda x: -slope * np.maximum(loss(x), t), -slope * t


def measure(problem: Any, seed: int, prepared: Any) -> dict[str, Any]:
    """One run."""
    np.random.seed(seed)  # noqa: NPY002 - the library draws from NumPy's global state
    logging.getLogger("ultranest").setLevel(logging.ERROR)
    log_likelihood, plateau = prepared
    sampler = ultranest.ReactiveNestedSampler(
        [f"x{i}" for i in range(problem.dim)], log_likelihood, ndtri, vectorized=True, draw_multiple=True
    )
    if problem.dim > 10:
        sampler.stepsampler = ultranest.stepsampler.SliceSampler(
            nsteps=2 * problem.dim, generate_direction=ultranest.stepsampler.generate_mixture_random_direction
        )
    result = sampler.run(
        min_num_live_points=LIVE,
        max_num_improvement_loops=0,
        min_ess=0,
        dKL=np.inf,
        show_status=False,
        viz_callback=False,
    )
    return {
        "bits": -(float(result["logz"]) - plateau) / math.log(2),
        "evaluations": int(result["ncall"]),
        "gradient_evaluations": 0,
        "status": "reached",
        "note": f"{LIVE} live points, {'region' if problem.dim <= 10 else 'slice steps'}",
    }
