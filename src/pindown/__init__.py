"""pindown measures, in bits, how much a search has pinned down.

Given a space with a prior and a loss, ``measure`` tells how rare the points with a small loss are, how many
dimensions stay free, and draws such points; ``audit`` asks the same of a trained network. The public names are
loaded when they are first used, so that ``import pindown`` costs nothing.

Example:
    >>> import pindown
    >>> pindown.Estimate(812.31, 1.9, "bits").value
    812.31
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pindown.engine.measure import measure
    from pindown.engine.profile import Profile
    from pindown.engine.two_sided import TwoSided
    from pindown.errors import (
        CheckpointError,
        DataError,
        EstimationError,
        InputError,
        OutputError,
        PindownError,
    )
    from pindown.estimate import Estimate, Status
    from pindown.network.aoyagi import aoyagi
    from pindown.network.audit import audit
    from pindown.network.learning_coefficient import learning_coefficient
    from pindown.network.learning_coefficient_result import LearningCoefficient
    from pindown.network.over_training import LearningCurve, learning_coefficient_over_training
    from pindown.network.results import Audit
    from pindown.network.subject import Subject
    from pindown.spaces.bitstring import BitString
    from pindown.spaces.box import Box
    from pindown.spaces.gaussian import Gaussian
    from pindown.spaces.network import Weights
    from pindown.spaces.product import Product
    from pindown.spaces.simplex import Simplex
    from pindown.spaces.subset import Subset

    __version__: str

__all__ = [
    "Audit",
    "BitString",
    "Box",
    "CheckpointError",
    "DataError",
    "Estimate",
    "EstimationError",
    "Gaussian",
    "InputError",
    "LearningCoefficient",
    "LearningCurve",
    "OutputError",
    "PindownError",
    "Product",
    "Profile",
    "Simplex",
    "Status",
    "Subject",
    "Subset",
    "TwoSided",
    "Weights",
    "__version__",
    "aoyagi",
    "audit",
    "learning_coefficient",
    "learning_coefficient_over_training",
    "measure",
]

_HOME = {
    "Audit": "pindown.network.results",
    "BitString": "pindown.spaces.bitstring",
    "Box": "pindown.spaces.box",
    "CheckpointError": "pindown.errors",
    "DataError": "pindown.errors",
    "Estimate": "pindown.estimate",
    "EstimationError": "pindown.errors",
    "Gaussian": "pindown.spaces.gaussian",
    "InputError": "pindown.errors",
    "LearningCoefficient": "pindown.network.learning_coefficient_result",
    "LearningCurve": "pindown.network.over_training",
    "OutputError": "pindown.errors",
    "PindownError": "pindown.errors",
    "Product": "pindown.spaces.product",
    "Profile": "pindown.engine.profile",
    "Simplex": "pindown.spaces.simplex",
    "Status": "pindown.estimate",
    "Subject": "pindown.network.subject",
    "Subset": "pindown.spaces.subset",
    "TwoSided": "pindown.engine.two_sided",
    "Weights": "pindown.spaces.network",
    "aoyagi": "pindown.network.aoyagi",
    "audit": "pindown.network.audit",
    "learning_coefficient": "pindown.network.learning_coefficient",
    "learning_coefficient_over_training": "pindown.network.over_training",
    "measure": "pindown.engine.measure",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module at its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("pindown")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
