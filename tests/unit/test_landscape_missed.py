"""Where the engine misses what a search finds, its bits are not shown as a bound."""

from __future__ import annotations

import json

import pytest
import torch

from pindown import Box, Landscape, landscape
from pindown.estimate import Status


def two_valleys(x: torch.Tensor) -> torch.Tensor:
    """A wide valley that ends at 1 and, in each coordinate, a narrow one near 3 that goes down to 0."""
    wide, narrow = 0.5 + 0.01 * x.square(), 100.0 * (x - 3.0).square()
    return torch.minimum(wide, narrow).sum(-1)


@pytest.fixture(scope="module")
def missed() -> Landscape:
    box = Box(-5, 5, dim=2)
    return landscape(box, two_valleys, tolerance=1e-3, budget=2000, starts=6, repeats=2, particles=16)


def test_a_bound_that_does_not_hold_is_not_given_as_one(missed: Landscape) -> None:
    assert missed.mode("decomposed").solved >= 3
    assert missed.target.status is Status.NOT_CONVERGED
    assert "That is no bound" in missed.verdict
    assert "needs more tries than" not in missed.verdict
    assert any("particles=" in note for note in missed.notes)
    record = json.loads(json.dumps(missed.to_dict(), allow_nan=False))
    assert Landscape.from_dict(record).to_dict() == record
