"""How much of the machine's matrix-multiplication peak a measurement on a network's weights reaches."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import torch

WIDTH = 100
PEAK_SIZE = 1024
BUDGET = 30_000


def matmul_peak(size: int = PEAK_SIZE, seconds: float = 1.0) -> float:
    """Best GFLOP per CPU second of one thread on square float32 products over ``seconds``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.randn(size, size), torch.randn(size, size)
        out, best, end = torch.empty(size, size), 0.0, time.process_time() + seconds
        while time.process_time() < end:
            began = time.process_time()
            torch.mm(a, b, out=out)
            best = max(best, 2.0 * size**3 / (time.process_time() - began))
        return best / 1e9
    finally:
        torch.set_num_threads(threads)


def flops_of_value_and_gradient(widths: tuple[int, ...], examples: int) -> float:
    """Multiply-adds, times two, in the matrix products of one loss with gradient of a perceptron with biases.

    Every layer is one product forward and one for the gradient of its weights; all but the first also carry the
    gradient down to their inputs. Activations and the loss itself are not counted.
    """
    products = [(m + 1) * n for m, n in pairwise(widths)]
    return 2.0 * examples * (2 * sum(products) + sum(m * n for m, n in pairwise(widths[1:])))


def network_throughput(seed: int = 0) -> dict[str, Any]:
    """Measure a width-100 network on the digits for ``BUDGET`` losses and relate the work done to the peak."""
    import pindown
    from engine import cpu_seconds
    from pindown.network.digits import digits_data, digits_model

    before = matmul_peak()
    train, _ = digits_data()
    subject = pindown.Subject(digits_model(WIDTH), "cross_entropy", train)
    objective, space = subject.objective(), subject.space()
    began, started = cpu_seconds(), time.perf_counter()
    profile = pindown.measure(space, objective, tolerance=0.5, seed=seed, repeats=2, budget=BUDGET)
    cpu, wall = cpu_seconds() - began, time.perf_counter() - started
    widths = (train[0].shape[1], WIDTH, 10)
    work = flops_of_value_and_gradient(widths, subject.train_size)
    alone = _loss_alone(objective, space, work)
    peak = max(before, matmul_peak())
    gflops = work * profile.gradient_evaluations / cpu / 1e9
    return {
        "what": f"A {'-'.join(map(str, widths))} network on {subject.train_size} digits, stopped by its budget",
        "evaluations": profile.evaluations,
        "gradient_evaluations": profile.gradient_evaluations,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "gflops": gflops,
        "peak_gflops": peak,
        "peak_size": PEAK_SIZE,
        "dtype": "float32",
        "share": gflops / peak,
        "rows": objective.preferred_rows,
        "loss_share": alone / peak,
    }


def _loss_alone(objective: Any, space: Any, work: float, seconds: float = 2.0) -> float:
    """GFLOP per CPU second of the loss with gradient called back to back on one thread."""
    torch.set_num_threads(1)
    x = space.sample(objective.preferred_rows, rng=torch.Generator().manual_seed(0)).requires_grad_(True)
    calls, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        torch.autograd.grad(objective(x).sum(), x)
        calls += 1
    return work * calls * len(x) / (time.process_time() - began) / 1e9
