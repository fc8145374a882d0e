"""Values: bits that choosing well takes, that sources supply, that are missing, and that optimising a proxy spends."""

from __future__ import annotations

from pindown.values.optimisation_bits import best_of_n_bits, best_of_n_value, quantiliser_bits, quantiliser_cost

__all__ = ["best_of_n_bits", "best_of_n_value", "quantiliser_bits", "quantiliser_cost"]
