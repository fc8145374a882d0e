"""Every measure of one network, called as cheaply as it can be, for tests that want them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pindown
from pindown.estimate import Estimate
from pindown.network.bridge import BridgeSettings
from pindown.network.subject import Subject

ROUGH = BridgeSettings(particles=8, chains=1, moves=1, burn_in=9, sweeps=12, doublings=0, leaps=2)


def cutoff(subject: Subject) -> float:
    """A loss above that of the weights."""
    return 1.5 * float(subject.losses(subject.solutions[0].point.unsqueeze(0)))


MEASURES: dict[str, Callable[[Subject], Any]] = {
    "noise tolerance": lambda s: pindown.noise_tolerance(s, epsilon=0.05, accuracy=0.9, draws=4, tensors=False),
    "pruning": lambda s: pindown.pruning(s, epsilon=0.05, draws=2),
    "saliency": lambda s: pindown.pruning(s, epsilon=0.05, order="saliency", scope="tensor", draws=0),
    "concentration": lambda s: pindown.concentration(s, draws=2),
    "water-filling": lambda s: pindown.water_filling(s, epsilon=0.01, probes=8, accuracy=0.9, draws=4),
    "compare": lambda s: pindown.compare([s, s], measures=["training_loss", "held_out_error", "gini"]),
    "spectrum": lambda s: pindown.spectrum(s, dense=False, steps=4, eigenvalues=1, budget=100),
    "rays": lambda s: pindown.basin(s, cutoff=cutoff(s), cutoffs=[], rays=16, method="radial"),
    "bridge": lambda s: pindown.basin(
        s, cutoff=cutoff(s), cutoffs=[], repeats=2, budget=1000, method="bridge", settings=ROUGH
    ),
    "learning coefficient": lambda s: pindown.learning_coefficient(
        s, nbeta=4.0, localisation=100.0, budget=64, self_check=False
    ),
}


def figures(record: Any) -> list[Estimate]:
    """Every estimate in a record."""
    if isinstance(record, dict):
        if record.get("schema") == "pindown/estimate/1":
            return [Estimate.from_dict(record)]
        return [e for v in record.values() for e in figures(v)]
    return [e for v in record for e in figures(v)] if isinstance(record, list) else []
