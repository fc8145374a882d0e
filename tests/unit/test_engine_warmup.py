"""The volume of the warmed side where its last sweeps just missed the tolerance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pindown.engine.reading import Reading
from pindown.engine.warmup import volume_from


def reading(lowest: float, shift: float = 0.0) -> Reading:
    """``ln V = 100 ln L + shift`` from ``lowest`` to 1."""
    loss = np.geomspace(lowest, 1.0, 2001)
    return Reading(loss, 100.0 * np.log(loss) + shift, np.full(loss.size, 50.0), lowest, True)


@pytest.mark.parametrize("lowest", [0.01, 0.02, 0.0202])
def test_the_difference_of_the_sides_is_kept_where_the_warmed_one_just_missed(lowest: float) -> None:
    found = volume_from(reading(lowest, shift=3.0), reading(0.01), 0.02)
    assert found == pytest.approx(100.0 * math.log(0.02) + 3.0, abs=1e-3)


def test_far_above_the_tolerance_there_is_none() -> None:
    # A hundredth of the depth, 3.9 nats, is 4% of the loss.
    assert volume_from(reading(0.03), reading(0.01), 0.02) == -math.inf
