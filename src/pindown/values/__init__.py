"""Values: bits that choosing well takes, that sources supply, that are missing, and that optimising a proxy spends;
and what different arrangements make of them.
"""

from __future__ import annotations

from pindown.values.optimisation_bits import best_of_n_bits, best_of_n_value, quantiliser_bits, quantiliser_cost
from pindown.values.overoptimisation_forms import fit_overoptimisation
from pindown.values.steering import lock_and_key, steering_bits

__all__ = [
    "best_of_n_bits",
    "best_of_n_value",
    "fit_overoptimisation",
    "lock_and_key",
    "quantiliser_bits",
    "quantiliser_cost",
    "steering_bits",
]
