"""Networks of few weight bits: what a descent finds against random settings, without any error."""

from __future__ import annotations

import math

import numpy as np
import torch

from pindown.estimate import Estimate
from pindown.network.perceptrons import PerceptronPrior
from pindown.rng import torch_generator
from pindown.studies.exhaustive import exhaust
from pindown.studies.results import Curve, Figure, Point, Verdict

__all__ = ["exact_networks"]


def exact_networks() -> tuple[list[Figure], list[Curve], Verdict]:
    """Networks of up to 20 weight bits, where nothing is sampled."""
    x = torch.randn((8, 3), generator=torch_generator(0, 0xE0))
    cases = [
        ("perceptron, 4 weights of 4 bits", PerceptronPrior((3, 1)), 4, x),
        ("2-2-1 ReLU, 9 weights of 2 bits", PerceptronPrior((2, 2, 1)), 2, x[:, :2]),
        ("3-3-1 tanh, 16 weights of 1 bit", PerceptronPrior((3, 3, 1), activation="tanh"), 1, x),
    ]
    figures: list[Figure] = []
    curves: list[Curve] = []
    totals: list[tuple[str, float]] = []
    for name, prior, bits, inputs in cases:
        y = (inputs[:, 0] + 0.3 * inputs[:, 1] > 0).long()
        found = exhaust(prior, bits, inputs, torch.arange(3), y)
        totals.append((name, found.total_variation))
        for what, value, unit in (
            ("−log2 P(S)", -math.log2(found.solution_probability), "bits"),
            ("share of descents that fit", found.reached, "1"),
            ("total variation", found.total_variation, "1"),
            ("relative entropy", found.relative_entropy, "bits"),
            ("entropy, descent", found.entropies[0], "bits"),
            ("entropy, random", found.entropies[1], "bits"),
        ):
            figures.append(Figure(f"exact: {name}", what, Estimate(value, 0.0, unit, "exact", reference="grid")))
        order = np.argsort(-found.random)
        points = tuple(
            Point(float(found.random[j]), Estimate(float(found.optimiser[j]), 0.0, "1", "exact")) for j in order[::-1]
        )
        curves.append(Curve("Exact distributions over functions", name, "random settings", "descent", points))
    rule = "Supported where the total variation is exactly 0 in every case, refuted where it is not in some."
    worst = max(totals, key=lambda t: t[1])
    return figures, curves, Verdict(
        "Descent on a grid of weights draws functions as random settings do.",
        "refuted" if worst[1] > 1e-9 else "supported", rule, f"Largest: {worst[0]}, {worst[1]:.4g} exactly.",
    )  # fmt: skip
