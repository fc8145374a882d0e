"""What a measurement of one network will take, said before it starts."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pindown.network.subject import Subject

__all__ = ["Cost", "evaluation_cost"]

_INTERPRETER = 3e8
_LEAST_SECONDS = 0.05


@dataclass(frozen=True)
class Cost:
    """The cost of one measurement, an estimate.

    Attributes:
        measurement, subject, parameters: of what.
        evaluations: passes over all examples.
        seconds: wall time at the rate of a few evaluations made just now.
        memory: bytes at the peak, the interpreter and the data included.
    """

    measurement: str
    subject: str
    parameters: int
    evaluations: float
    seconds: float
    memory: float

    def to_dict(self) -> dict[str, Any]:
        """The cost as plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        minutes = self.seconds / 60.0
        wall = (
            f"{self.seconds:.0f} s"
            if minutes < 1.5
            else f"{minutes:.0f} min"
            if minutes < 90
            else f"{minutes / 60:.1f} h"
        )
        return (
            f"{self.measurement} of {self.subject}: {self.parameters:,} parameters, about {self.evaluations:,.0f} "
            f"evaluations, {wall}, {self.memory / 1e9:.2g} GB"
        )

    def __rich__(self) -> str:
        return str(self)


def evaluation_cost(
    subject: Subject, measurement: str, evaluations: float, *, vectors: float, gradients: float = 0.0
) -> Cost:
    """The cost of so many evaluations of the loss, and passes with a gradient, timed now.

    Args:
        subject: the network.
        measurement: what it is called.
        evaluations: passes without gradient.
        vectors: weight vectors held at once.
        gradients: passes with gradient, counted as three.
    """
    point = subject.solutions[0].point.to(subject.device)
    width = point.numel() * point.element_size()
    rows = int(max(1, min(16, 2e8 // max(1, width))))
    x = point.expand(rows, -1)
    subject.losses(x[:1])  # sets memory up
    done, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < _LEAST_SECONDS or done == 0:
        subject.losses(x)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        done += rows
    passes = evaluations + 3.0 * gradients
    memory = _INTERPRETER + subject.data_bytes + vectors * width + subject.activation_bytes
    return Cost(measurement, subject.name, subject.space().dim, passes, passes * seconds / done, memory)
