"""The curve that a warp is made of."""

from __future__ import annotations

import numpy as np

from pindown.engine.warp import Curve


def line() -> Curve:
    """Ten nats of depth a unit of loss."""
    loss = np.linspace(1.0, 0.0, 11)
    return Curve.through(loss, 10.0 * (1.0 - loss))


def test_no_points_make_no_curve() -> None:
    """A stage so narrow that none of its ranks is a step further has none to hand over."""
    assert line().upon(np.empty(0), np.empty(0)) is None


def test_points_take_the_place_of_what_was_further_down() -> None:
    curve = line().upon(np.array([0.45, 0.4, 0.35]), np.array([6.0, 7.0, 8.0]))
    assert curve is not None
    assert curve.loss.tolist() == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35]
    np.testing.assert_allclose(curve.depth, [0, 1, 2, 3, 4, 5, 6, 7, 8], atol=1e-9)
