"""Exact answers for the known cases: −log2 P(loss ≤ t), λ(t) = d ln V / d ln t, and where they come from.

Nothing here samples and nothing here imports pindown: the values follow from closed forms, convergent series
and quadratures in multi-precision arithmetic. ``test_references.py`` checks each against a second method.
"""

from .boxes import (
    corner_max,
    corner_sum,
    crossings,
    crossings_phase_type,
    power_sum,
    simplex_centre,
    simplex_vertex,
)
from .discrete import boolean_counts, overlap_at_least, zeros_at_most
from .gaussians import (
    ball,
    ball_tolerance,
    displaced_ball,
    displaced_ball_by_slices,
    double_basin,
    funnel,
    half_space,
    product_of_norms,
    shell,
)
from .quadratics import displaced_ellipsoid, ellipsoid, ellipsoid_by_mixture
from .reduced_rank import reduced_rank_by_scaling, reduced_rank_coefficient
from .value import Exact

__all__ = [
    "Exact",
    "ball",
    "ball_tolerance",
    "boolean_counts",
    "corner_max",
    "corner_sum",
    "crossings",
    "crossings_phase_type",
    "displaced_ball",
    "displaced_ball_by_slices",
    "displaced_ellipsoid",
    "double_basin",
    "ellipsoid",
    "ellipsoid_by_mixture",
    "funnel",
    "half_space",
    "overlap_at_least",
    "power_sum",
    "product_of_norms",
    "reduced_rank_by_scaling",
    "reduced_rank_coefficient",
    "shell",
    "simplex_centre",
    "simplex_vertex",
    "zeros_at_most",
]
