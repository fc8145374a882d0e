"""What one run found, as a record that can be stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.estimate import Status

__all__ = ["Island", "value_at"]

Array = NDArray[np.float64]


def value_at(loss: Array, values: Array, t: float, *, smooth: bool, below: float) -> float:
    """What belongs to loss ``t`` on a curve: interpolated where it is smooth, else of the last point up to ``t``.

    Below the curve it is ``below``.
    """
    if loss.size == 0 or t < loss[0]:
        return below
    if smooth:
        return float(np.interp(t, loss, values))
    return float(values[int(np.searchsorted(loss, t, side="right")) - 1])


@dataclass(frozen=True)
class Island:
    """What one run found.

    Attributes:
        index: number of the run.
        status: how it ended.
        loss, log_volume: the curve, losses increasing, ``ln P(L ≤ loss)``.
        reach: lowest loss at which the curve rests on at least five effective samples, and five lie below; +inf if
            there is none.
        lambda_loss, lambda_value, lambda_spread: loss at which each stage sits, the learning coefficient there, and the
            error of the latter that comes from the stage's width.
        drift: second minus first half of the run, bits.
        within: the run's own standard error, bits, from its blocks.
        lowest: lowest loss seen.
        points, point_loss, point_log_weight, ancestor: stored points with their weights under the prior.
        warm_loss, cold_loss, warm_log_volume: the run's two-sided check, or empty and NaN.
        stage_beta: inverse temperatures of the stages, 1 to K.
        evaluations, gradient_evaluations, non_finite, seconds: cost.
        diagnostics: plain values.
        smooth: whether the curve goes on between its points, or jumps at them.
    """

    index: int
    status: Status
    loss: Array
    log_volume: Array
    reach: float
    lambda_loss: Array
    lambda_value: Array
    lambda_spread: Array
    drift: float
    within: float
    lowest: float
    points: Tensor
    point_loss: Array
    point_log_weight: Array
    ancestor: NDArray[np.int64]
    warm_loss: Array
    cold_loss: Array
    warm_log_volume: float
    stage_beta: Array
    evaluations: int
    gradient_evaluations: int
    non_finite: int
    seconds: float
    diagnostics: dict[str, Any] = field(default_factory=dict)
    smooth: bool = False

    def log_volume_at(self, t: float) -> float:
        """``ln P(L ≤ t)``; −inf below the curve's lowest point."""
        return value_at(self.loss, self.log_volume, t, smooth=self.smooth, below=-math.inf)

    def to_state(self) -> dict[str, Any]:
        """The record as tensors and plain values."""
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            out[f.name] = torch.as_tensor(value) if isinstance(value, np.ndarray) else value
        return out | {"status": self.status.value}

    def to_plain(self) -> dict[str, Any]:
        """The record as JSON values, without the stored points."""
        out: dict[str, Any] = {"status": self.status.value}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in _POINT_FIELDS or f.name == "status":
                continue
            if isinstance(value, np.ndarray):
                out[f.name] = [_json_number(v) for v in value.tolist()]
            else:
                out[f.name] = _json_number(value) if isinstance(value, float) else value
        return out

    @classmethod
    def from_plain(cls, record: dict[str, Any]) -> Island:
        """Read back what :meth:`to_plain` made; there are no stored points."""
        values: dict[str, Any] = {"status": Status(record["status"])}
        for f in fields(cls):
            if f.name == "points":
                values[f.name] = torch.empty(0)
            elif f.name in _POINT_FIELDS:
                values[f.name] = np.empty(0)
            elif f.name == "status":
                continue
            elif f.type == "Array":
                values[f.name] = np.asarray([float(v) for v in record[f.name]])
            else:
                values[f.name] = float(record[f.name]) if f.type == "float" else record[f.name]
        return cls(**values)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Island:
        """Read back what :meth:`to_state` made."""
        values: dict[str, Any] = {}
        for name, v in state.items():
            values[name] = v.numpy() if isinstance(v, Tensor) and name != "points" else v
        values["status"] = Status(state["status"])
        return cls(**values)


_POINT_FIELDS = ("points", "point_loss", "point_log_weight", "ancestor")


def _json_number(v: float) -> float | str:
    return v if math.isfinite(v) else str(v)
