"""What a measurement of one network will take, said before it starts."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pindown.errors import InputError
from pindown.network.subject import Subject

__all__ = ["Cost", "ScaledCost", "cost_at_scale", "evaluation_cost"]

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


@dataclass(frozen=True)
class ScaledCost:
    """What chains over a large network will take.

    Attributes:
        flops: floating-point operations of all chains.
        hours: hours of one device for all of them together; divide by the devices.
        gigabytes: memory of one chain, activations left out.
    """

    flops: float
    hours: float
    gigabytes: float


def cost_at_scale(
    parameters: float, examples: float, chains: int, *, steps: int, flops_a_second: float, width: int = 4
) -> ScaledCost:
    r"""What chains take over a dense network that is too large to try, from a rate measured on a smaller one.

    A loss with its gradient takes :math:`6 D n` operations for D parameters and n examples: two for each weight and
    example forwards, four backwards (Kaplan et al. 2020, Scaling laws for neural language models, 2.1). A chain holds
    five vectors of the parameters: position, gradient, velocity and two in flight.

    Args:
        parameters: D, weights that take part in every example.
        examples: n, in each gradient; tokens for a language model.
        chains: independent chains.
        steps: gradients of each.
        flops_a_second: what one device was measured to reach, not its data sheet.
        width: bytes of a number.

    Example:
        >>> cost_at_scale(1e9, 4096, 4, steps=2000, flops_a_second=3.2e13)
        ScaledCost(flops=1.96608e+17, hours=1.7066..., gigabytes=20.0)
    """
    if min(parameters, examples, chains, steps, flops_a_second, width) <= 0:
        raise InputError("a size or a rate of 0 or less", "sizes and rates above 0")
    flops = 6.0 * parameters * examples * chains * steps
    return ScaledCost(flops, flops / flops_a_second / 3600.0, 5.0 * parameters * width / 1e9)
