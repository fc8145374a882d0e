"""Dinh's rescaling: the same function at other weights."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import nn

from pindown.errors import EstimationError
from pindown.network.subject import Subject
from pindown.rng import child_seed, torch_generator
from pindown.studies import panel
from pindown.studies.study_subject import StudySubject

__all__ = ["rescaled", "rescaled_panel"]

_OCTAVES = 1.5  # standard deviation of the factors' logarithm


def rescaled(model: nn.Module, seed: int) -> nn.Sequential | None:
    """A perceptron whose hidden ReLU units are rescaled, each by its own factor, or None where it is none.

    Incoming weights and bias of a unit are multiplied by α > 0, outgoing weights divided: every output stays (Dinh et
    al. 2017, Sharp minima can generalize for deep nets, eq. 5). Factors are powers of two, so that nothing is rounded.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> other = rescaled(net, 0)
    >>> bool((net(torch.eye(2)) == other(torch.eye(2))).all()), bool((net[0].weight == other[0].weight).all())
    (True, False)
    """
    if not isinstance(model, nn.Sequential):
        return None
    parts = list(model)
    expected = [nn.Linear if i % 2 == 0 else nn.ReLU for i in range(len(parts))]
    if len(parts) < 3 or len(parts) % 2 == 0 or any(type(p) is not e for p, e in zip(parts, expected, strict=True)):
        return None
    twin = copy.deepcopy(model)
    linears = [p for p in twin if isinstance(p, nn.Linear)]
    rng = torch_generator(seed, 0xD1)
    with torch.no_grad():
        for below, above in itertools.pairwise(linears):
            octaves = (_OCTAVES * torch.randn(below.out_features, generator=rng)).round()
            factor = torch.exp2(octaves).to(below.weight)
            below.weight.mul_(factor[:, None])
            if below.bias is not None:
                below.bias.mul_(factor)
            above.weight.div_(factor)
    return twin


def rescaled_panel(
    *, family: StudySubject, width: int, run: int, treatment: str, seed: int, accuracy: float
) -> dict[str, Any]:
    """The panel of a trained network and of the same function rescaled; empty where it cannot be rescaled.

    Also the largest change of an output, relative to the largest output, and whether all labels stayed.
    """
    try:
        subject = family.trained(width, child_seed(seed, 0x32, run) % 2**31, treatment)
    except EstimationError:  # the run's own panel says so
        return {}
    other = rescaled(subject.module, child_seed(seed, 0x35, run) % 2**31)
    if other is None:
        return {}
    twin = subject.with_model(other)
    own = child_seed(seed, 0x33) % 2**31
    found = panel.measure_panel(twin, family.epsilon, seed=own, planes=False, accuracy=accuracy)
    point, moved = subject.solutions[0].point.unsqueeze(0), twin.solutions[0].point.unsqueeze(0)
    held_out = subject.held_out_size > 0
    change, same = 0.0, True
    for inputs, _ in subject.batches(held_out=held_out):
        a, b = subject.outputs(point, inputs)[0], twin.outputs(moved, inputs)[0]
        change = max(change, float((a - b).abs().max() / a.abs().max().clamp_min(1e-30)))
        same &= bool((_labels(a) == _labels(b)).all())
    return {
        "panel": {name: e.to_dict() for name, e in found.items()}, "change": change, "labels": same,
        "octaves": _spread(subject, twin),
    }  # fmt: skip


def _labels(outputs: torch.Tensor) -> torch.Tensor:
    return outputs[..., 0] > 0 if outputs.shape[-1] == 1 else outputs.argmax(-1)


def _spread(a: Subject, b: Subject) -> float:
    """How far the weights moved: the median change of their size, in octaves."""
    x, y = a.solutions[0].point.double().abs(), b.solutions[0].point.double().abs()
    kept = (x > 0) & (y > 0)
    return float((y[kept] / x[kept]).log2().abs().median()) if bool(kept.any()) else 0.0
