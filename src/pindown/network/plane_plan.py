"""What the bit planes of a network will cost, said before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pindown.errors import InputError
from pindown.network.number_formats import number_format
from pindown.network.plane_search import FIRST, Randomiser
from pindown.network.replaced import ReplacedLoss, weight_tensors
from pindown.network.subject import Subject

__all__ = ["PlanePlan", "plan_bitplanes"]

# Seen on perceptrons and small transformers: levels a tensor, draws a level.
_LEVELS, _DRAWS = 4.0, 10.0
_JOINT_LEVELS = 12.0  # the joint bracket, all answers at once, and the rounds of the allocation
_FORMATS = 3.0  # roundings of a single tensor


@dataclass(frozen=True)
class PlanePlan:
    """The cost of one measurement.

    Attributes:
        name, tensors, parameters: which; only what can be measured.
        unsupported: names of the tensors that cannot be.
        evaluations: losses over all the data.
        seconds: wall time, from a few evaluations made just now.
        memory: bytes at the peak, beside the model and the data.
    """

    name: str
    tensors: int
    parameters: int
    unsupported: tuple[str, ...]
    evaluations: float
    seconds: float
    memory: float

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return asdict(self) | {"unsupported": list(self.unsupported)}

    def __str__(self) -> str:
        left = f" Unsupported: {', '.join(self.unsupported)}." if self.unsupported else ""
        return (
            f"{self.name}: {self.tensors} tensors with {self.parameters:,} weights, about {self.evaluations:,.0f} "
            f"evaluations of the loss: {_time(self.seconds)}, {self.memory / 1e9:.2g} GB. An estimate: how many draws "
            f"a level takes is not known beforehand.{left}"
        )

    def __rich__(self) -> str:
        return str(self)


def plan_bitplanes(
    subject: Subject,
    *,
    format: str = "fp32",
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    held_out: bool = False,
) -> PlanePlan:
    """What :func:`pindown.bitplanes` will take with these arguments, from a few evaluations.

    Raises:
        InputError: as :func:`pindown.bitplanes`.
    """
    form = number_format(format)
    listed = weight_tensors(subject.module, include=include, exclude=exclude)
    tensors = [w for w in listed if w.value is not None and form.holds_in(w.value.dtype) and not form.problem(w.value)]
    if not tensors:
        raise InputError(f"no tensor that can be measured in {form.name}", "at least one", "choose another format")
    loss = ReplacedLoss(subject, held_out=held_out)
    codes = {w.name: form.encode(w.value) for w in tensors if w.value is not None}
    randomiser = Randomiser(loss, codes, frozenset(codes), 0)
    joint = _seconds(randomiser, dict.fromkeys(codes, 1), 1)
    # The time of a single tensor depends on how early it comes: three of them stand for all.
    some = [tensors[i].name for i in sorted({0, len(tensors) // 2, len(tensors) - 1})]
    single = sum(_seconds(randomiser, {name: 1}, FIRST) for name in some) / (len(some) * FIRST)
    alone = len(tensors) * (_LEVELS * _DRAWS + _FORMATS)
    together = _JOINT_LEVELS * _DRAWS + 20.0
    largest = max(w.size * w.value.element_size() for w in tensors if w.value is not None)
    whole = sum(w.size * w.value.element_size() for w in tensors if w.value is not None)
    rows = loss.rows({max(tensors, key=lambda w: w.size).name: codes[max(tensors, key=lambda w: w.size).name].words})
    return PlanePlan(
        subject.name,
        len(tensors),
        sum(w.size for w in tensors),
        tuple(w.name for w in listed if w not in tensors),
        alone + together,
        alone * single + together * joint,
        float(max(3 * whole, min(rows, FIRST) * 3 * largest) + min(rows, FIRST) * loss.activation_bytes),
    )


def _seconds(randomiser: Randomiser, planes: dict[str, int], count: int) -> float:
    """The faster of two tries: the first one pays for what is set up once."""
    best = math.inf
    for _ in range(2):
        start = time.perf_counter()
        randomiser.losses(planes, 0, count)
        best = min(best, time.perf_counter() - start)
    return best


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
