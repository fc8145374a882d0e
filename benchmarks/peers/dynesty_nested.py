"""dynesty: static nested sampling.

Settings, after the library's documentation: ``sample="auto"`` (random walks from 10 dimensions, random slices from
20), multi-ellipsoid bounds up to 20 dimensions and one ellipsoid above, 500 live points. The run ends where the
lowest live point passes the tolerance; −log₂ of the prior volume there is the answer.
"""

from __future__ import annotations

import math
from typing import Any

import dynesty
import numpy as np
from scipy.special import ndtri

VERSION = f"dynesty {dynesty.__version__}"
LIVE = 500


def supports(problem: Any) -> bool:
    """All cases but the 10,000-dimensional one."""
    return problem.kind != "quadratic"


def prepare(problem: Any) -> Any:
    """The log-likelihood of one point: the loss times a slope so steep that only the tolerance ends the run."""
    loss = problem.numpy_loss()
    slope = 1e3 * problem.dim / abs(problem.tolerance) if problem.tolerance else 1e5
    return lambda x: -slope * float(loss(x[None])[0]), -slope * problem.tolerance


def measure(problem: Any, seed: int, prepared: Any) -> dict[str, Any]:
    """One run."""
    log_likelihood, edge = prepared
    sampler = dynesty.NestedSampler(
        log_likelihood,
        ndtri,
        problem.dim,
        nlive=LIVE,
        bound="multi" if problem.dim <= 20 else "single",
        sample="auto",
        rstate=np.random.default_rng(seed),
    )
    sampler.run_nested(logl_max=edge, dlogz=1e-300, add_live=False, print_progress=False)
    results = sampler.results
    reached = results.logl[-1] >= edge
    first = int(np.searchsorted(results.logl, edge)) if reached else -1
    return {
        "bits": -float(results.logvol[first]) / math.log(2),
        "evaluations": int(np.sum(results.ncall)),
        "gradient_evaluations": 0,
        "status": "reached" if reached else "stopped",
        "note": f"{LIVE} live points, {len(results.logl)} iterations, sample=auto",
    }
