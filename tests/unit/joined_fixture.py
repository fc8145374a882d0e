"""One record of every kind that the report knows: from small real runs where those take a second, else as values."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import depth_fixture as deep
import numpy as np
import report_fixture as fixture

import pindown
from pindown.choices.panel import coherence_panel
from pindown.estimate import Estimate, Status
from pindown.network.compare_results import ComparedMeasure, ComparedNetwork, Difference, NetworkComparison
from pindown.network.sampler_results import BothSamplers, FunctionCount, SamplerComparison
from pindown.studies.results import Answer, CompressionStudy, Curve, Figure, Lane, NamedComparison, Point, Verdict
from pindown.studies.tour_subjects import farm, rooms, shopping, switches, toppings, writers


def every_record() -> dict[str, dict[str, Any]]:
    """A fresh copy of one record of each kind, by the name of its schema."""
    return copy.deepcopy(_records())


@cache
def _records() -> dict[str, dict[str, Any]]:
    ball = pindown.measure(pindown.Gaussian(3), lambda x: (x**2).sum(1), tolerance=0.1, seed=0, repeats=3)
    rng = np.random.default_rng(0)
    value = rng.normal(size=600)
    people = {"<b>Ann</b>": shopping(), "Bob": pindown.Budgets([[1, 2], [2, 1]], [[2, 1], [1, 2]])}
    made = [
        ball,
        networks(),
        samplers(0.3),
        study(),
        pindown.coherence(shopping(), particles=50, repeats=2, subject="a <i>shopper</i>"),
        coherence_panel(people),
        pindown.subagents(toppings()),
        pindown.ledger(writers()),
        pindown.overoptimisation(value, value + rng.standard_t(2, size=600)),
        pindown.arrangements(writers(), levels=[0, 4], episodes=20, shortlists=[1, 3], regions=False),
        pindown.convergence(farm(), objectives=30),
        pindown.power(rooms(), objectives=30),
        pindown.empowerment(rooms(), steps=1),
        pindown.landscape(switches(), starts=6, budget=64),
        pindown.fermi.estimate(pindown.fermi.human_values(), samples=1024, sensitivity=64),
    ]
    written = [
        fixture.digits_record(), deep.depth(), deep.bitplanes("width 30"), deep.pruning(), deep.noise(),
        deep.concentration(), deep.water_filling(), deep.coefficient(12.0), deep.learning_curve(), deep.spectrum(),
        deep.basin(),
    ]  # fmt: skip
    records = [json.loads(json.dumps(r, allow_nan=False)) for r in (*(m.to_dict() for m in made), *written)]
    return {r["schema"].split("/")[1]: r for r in records}


def networks() -> NetworkComparison:
    """Two networks: one measure resolved, one not, one not converged."""

    def row(name: str, a: float, b: float, stderr: float, outcome: str, status: Status = Status.REACHED) -> Any:
        figures = tuple(Estimate(v, stderr, "nats", status=status) for v in (a, b))
        difference = Estimate(b - a, stderr, "nats", status=status)
        return ComparedMeasure(
            name, f"measure <{name}>", "function", figures, tuple((e,) for e in figures),
            (Difference("late", "early", difference, "examples", outcome),),
        )  # fmt: skip

    measures = (
        row("loss", 0.5, 0.1, 0.01, "below"),
        row("noise", 0.5, 0.51, 0.1, "not resolved"),
        row("planes", 0.5, 0.51, 0.1, "not resolved", Status.NOT_CONVERGED),
    )
    two = tuple(ComparedNetwork(name, "4-3-2", 23, ("one",)) for name in ("early", "late"))
    return NetworkComparison(two, measures, ("basin_bits: left out",), 0.1, 1 - 0.05 / 3, 4, 2.5, "0.1", ("Small.",))


def samplers(held: float) -> SamplerComparison:
    """An optimiser that shows some functions more often than random solutions do."""

    def one(value: float, stderr: float = 0.01, unit: str = "1") -> Estimate:
        return Estimate(value, stderr, unit)

    both = BothSamplers(one(3.0, 0.1, "bits"), one(4.0, 0.1, "bits"))
    counts = (FunctionCount("0f", 30, 20), FunctionCount("1f", 3, 9))
    return SamplerComparison(
        8, 400, 400, 900, 50, one(1.0, 0.002), (9, 20), one(held + 0.1), one(0.1), one(held), 0.01, one(held),
        one(held), one(0.5, 0.1, "bits"), both, BothSamplers(one(0.1), one(0.1)), one(0.7, 0.05), one(0.6, 0.05),
        counts, 0,
    )  # fmt: skip


def study() -> CompressionStudy:
    """One question with one claim refuted."""
    figures = (Figure("SGD", "bits", Estimate(14.1, 0.1, "bits")),)
    curve = Curve("Bits", "normal", "width", "bits", (Point(3.0, figures[0].value), Point(30.0, figures[0].value)))
    answer = Answer(
        1, "Is it?", (Verdict("It is.", "refuted", "Refuted where it is not.", "It is not."),), figures, (curve,),
        (NamedComparison("SGD", "task", "all", samplers(0.3)),), ("A note.",), 12.0,
        (Lane("On one axis", "width 30", "noise", "bits", figures[0].value),),
    )  # fmt: skip
    made = "2026-01-01T00:00:00+00:00"
    return CompressionStudy("built-in tasks", (answer,), 3, False, 60.0, made, "0.1", {"python": "3"})
