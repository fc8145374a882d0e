"""BlackJAX: nested slice sampling, compiled, float64.

Settings, after the library's documentation of ``blackjax.nss``: directions from the covariance of the live points, 2d
slice steps a new point. 1000 live points, of which 100 are replaced at once. The whole run is one compiled loop that
ends when half of the live points are inside; then P(L ≤ t) = X · (share inside) with X the prior volume left.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_ENABLE_X64", "1")

import math
from typing import Any

import blackjax
import jax
import jax.numpy as jnp

VERSION = f"blackjax {blackjax.__version__}, jax {jax.__version__}"
LIVE = 1000
DELETE = 100
MOST_STEPS = 200_000


def supports(problem: Any) -> bool:
    """All cases but the 10,000-dimensional one."""
    return problem.kind != "quadratic"


def prepare(problem: Any) -> Any:
    """Compile, outside the timed part."""
    loss, t, dim = problem.jax_loss(), problem.tolerance, problem.dim
    sampler = blackjax.nss(
        logprior_fn=lambda x: -0.5 * x @ x,
        loglikelihood_fn=lambda x: -loss(x),
        num_inner_steps=max(5, 2 * dim),
        num_delete=DELETE,
    )

    def inside(state: Any) -> Any:
        return jnp.mean(-state.particles.loglikelihood <= t)

    def step(carry: Any) -> Any:
        key, state, steps, evaluations = carry
        key, k = jax.random.split(key)
        state, info = sampler.step(k, state)
        slices = info.update_info
        # Each slice also tries both ends of its first bracket.
        evaluations += jnp.sum(slices.num_expansions) + jnp.sum(slices.num_shrink) + 2 * slices.num_shrink.size
        return key, state, steps + 1, evaluations

    @jax.jit
    def run(key: Any) -> Any:
        key, first = jax.random.split(key)
        state = sampler.init(jax.random.normal(first, (LIVE, dim)))
        zero = jnp.zeros((), int)
        _, state, steps, evaluations = jax.lax.while_loop(
            lambda c: (inside(c[1]) < 0.5) & (c[2] < MOST_STEPS), step, (key, state, zero, zero)
        )
        return state.integrator.logX + jnp.log(inside(state)), steps, evaluations, inside(state)

    return run.lower(jax.random.key(0)).compile()


def measure(problem: Any, seed: int, prepared: Any) -> dict[str, Any]:
    """One run."""
    log_p, steps, evaluations, inside = jax.block_until_ready(prepared(jax.random.key(seed)))
    return {
        "bits": -float(log_p) / math.log(2) if float(inside) > 0 else math.nan,
        "evaluations": int(evaluations) + LIVE,
        "gradient_evaluations": 0,
        "status": "reached" if float(inside) >= 0.5 else "stopped",
        "note": f"{LIVE} live points, {DELETE} replaced at once, {2 * problem.dim} slice steps, {int(steps)} steps",
    }
