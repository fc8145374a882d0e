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
    import pindown.fermi as fermi
    from pindown.choices.bets import Bets
    from pindown.choices.budgets import Budgets
    from pindown.choices.coherence import coherence
    from pindown.choices.coherence_result import Coherence
    from pindown.choices.committee import Committee
    from pindown.choices.lotteries import Lotteries
    from pindown.choices.menus import Menus
    from pindown.choices.pairs import Pairs
    from pindown.choices.policy import Policy
    from pindown.choices.subagents import subagents
    from pindown.choices.trades import Trades
    from pindown.choices.value_cache import ValueCache
    from pindown.engine.cluster import Cluster, cluster
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
    from pindown.landscapes.cnf import CNF
    from pindown.landscapes.landscape import landscape
    from pindown.landscapes.landscape_result import Landscape
    from pindown.landscapes.problem import SearchProblem
    from pindown.network.aoyagi import aoyagi
    from pindown.network.audit import audit
    from pindown.network.basin import basin
    from pindown.network.basin_result import Basin
    from pindown.network.bitplanes import bitplanes
    from pindown.network.compare import compare
    from pindown.network.compare_results import NetworkComparison
    from pindown.network.compare_samplers import compare_samplers
    from pindown.network.concentration import Concentration, concentration
    from pindown.network.learning_coefficient import learning_coefficient
    from pindown.network.learning_coefficient_result import LearningCoefficient
    from pindown.network.noise_results import NoiseTolerance
    from pindown.network.noise_tolerance import noise_tolerance
    from pindown.network.over_training import LearningCurve, learning_coefficient_over_training
    from pindown.network.plane_results import BitPlanes
    from pindown.network.pretrained import pretrained
    from pindown.network.pruning import pruning
    from pindown.network.pruning_results import Pruning
    from pindown.network.results import Audit
    from pindown.network.sampler_results import SamplerComparison
    from pindown.network.spectrum import spectrum
    from pindown.network.spectrum_result import Spectrum
    from pindown.network.subject import Subject
    from pindown.network.water_filling import water_filling
    from pindown.network.water_results import WaterFilling
    from pindown.resources.chain import Chain
    from pindown.resources.convergence import convergence
    from pindown.resources.convergence_result import Convergence
    from pindown.resources.convex_program import ConvexProgram
    from pindown.resources.economy import Economy
    from pindown.resources.empowerment import empowerment
    from pindown.resources.linear_program import LinearProgram
    from pindown.resources.mdp import MDP
    from pindown.resources.power import power
    from pindown.spaces.bitstring import BitString
    from pindown.spaces.box import Box
    from pindown.spaces.gaussian import Gaussian
    from pindown.spaces.network import Weights
    from pindown.spaces.product import Product
    from pindown.spaces.simplex import Simplex
    from pindown.spaces.subset import Subset
    from pindown.studies.study_subject import StudySubject
    from pindown.values.arrangement_result import Arrangements
    from pindown.values.arrangements import arrangements
    from pindown.values.ledger import ledger
    from pindown.values.ledger_result import Ledger
    from pindown.values.overoptimisation import overoptimisation
    from pindown.values.overoptimisation_result import Overoptimisation
    from pindown.values.problem import ValueProblem

    __version__: str

__all__ = [
    "CNF",
    "MDP",
    "Arrangements",
    "Audit",
    "Basin",
    "Bets",
    "BitPlanes",
    "BitString",
    "Box",
    "Budgets",
    "Chain",
    "CheckpointError",
    "Cluster",
    "Coherence",
    "Committee",
    "Concentration",
    "Convergence",
    "ConvexProgram",
    "DataError",
    "Economy",
    "Estimate",
    "EstimationError",
    "Gaussian",
    "InputError",
    "Landscape",
    "LearningCoefficient",
    "LearningCurve",
    "Ledger",
    "LinearProgram",
    "Lotteries",
    "Menus",
    "NetworkComparison",
    "NoiseTolerance",
    "OutputError",
    "Overoptimisation",
    "Pairs",
    "PindownError",
    "Policy",
    "Product",
    "Profile",
    "Pruning",
    "SamplerComparison",
    "SearchProblem",
    "Simplex",
    "Spectrum",
    "Status",
    "StudySubject",
    "Subject",
    "Subset",
    "Trades",
    "TwoSided",
    "ValueCache",
    "ValueProblem",
    "WaterFilling",
    "Weights",
    "__version__",
    "aoyagi",
    "arrangements",
    "audit",
    "basin",
    "bitplanes",
    "cluster",
    "coherence",
    "compare",
    "compare_samplers",
    "concentration",
    "convergence",
    "empowerment",
    "fermi",
    "landscape",
    "learning_coefficient",
    "learning_coefficient_over_training",
    "ledger",
    "measure",
    "noise_tolerance",
    "overoptimisation",
    "power",
    "pretrained",
    "pruning",
    "spectrum",
    "subagents",
    "water_filling",
]

_HOME = {
    "Bets": "pindown.choices.bets",
    "Budgets": "pindown.choices.budgets",
    "Coherence": "pindown.choices.coherence_result",
    "Committee": "pindown.choices.committee",
    "Lotteries": "pindown.choices.lotteries",
    "Menus": "pindown.choices.menus",
    "Pairs": "pindown.choices.pairs",
    "Policy": "pindown.choices.policy",
    "Trades": "pindown.choices.trades",
    "ValueCache": "pindown.choices.value_cache",
    "coherence": "pindown.choices.coherence",
    "subagents": "pindown.choices.subagents",
    "Audit": "pindown.network.results",
    "BitPlanes": "pindown.network.plane_results",
    "Basin": "pindown.network.basin_result",
    "BitString": "pindown.spaces.bitstring",
    "Box": "pindown.spaces.box",
    "Cluster": "pindown.engine.cluster",
    "CheckpointError": "pindown.errors",
    "Concentration": "pindown.network.concentration",
    "DataError": "pindown.errors",
    "Estimate": "pindown.estimate",
    "EstimationError": "pindown.errors",
    "Gaussian": "pindown.spaces.gaussian",
    "InputError": "pindown.errors",
    "NetworkComparison": "pindown.network.compare_results",
    "NoiseTolerance": "pindown.network.noise_results",
    "LearningCoefficient": "pindown.network.learning_coefficient_result",
    "LearningCurve": "pindown.network.over_training",
    "OutputError": "pindown.errors",
    "PindownError": "pindown.errors",
    "Product": "pindown.spaces.product",
    "Profile": "pindown.engine.profile",
    "Pruning": "pindown.network.pruning_results",
    "SamplerComparison": "pindown.network.sampler_results",
    "Simplex": "pindown.spaces.simplex",
    "Spectrum": "pindown.network.spectrum_result",
    "Status": "pindown.estimate",
    "StudySubject": "pindown.studies.study_subject",
    "Subject": "pindown.network.subject",
    "Subset": "pindown.spaces.subset",
    "TwoSided": "pindown.engine.two_sided",
    "WaterFilling": "pindown.network.water_results",
    "Weights": "pindown.spaces.network",
    "aoyagi": "pindown.network.aoyagi",
    "audit": "pindown.network.audit",
    "bitplanes": "pindown.network.bitplanes",
    "cluster": "pindown.engine.cluster",
    "compare": "pindown.network.compare",
    "compare_samplers": "pindown.network.compare_samplers",
    "concentration": "pindown.network.concentration",
    "learning_coefficient": "pindown.network.learning_coefficient",
    "learning_coefficient_over_training": "pindown.network.over_training",
    "measure": "pindown.engine.measure",
    "noise_tolerance": "pindown.network.noise_tolerance",
    "pretrained": "pindown.network.pretrained",
    "pruning": "pindown.network.pruning",
    "water_filling": "pindown.network.water_filling",
    "CNF": "pindown.landscapes.cnf",
    "Landscape": "pindown.landscapes.landscape_result",
    "SearchProblem": "pindown.landscapes.problem",
    "landscape": "pindown.landscapes.landscape",
    "Arrangements": "pindown.values.arrangement_result",
    "Ledger": "pindown.values.ledger_result",
    "Overoptimisation": "pindown.values.overoptimisation_result",
    "ValueProblem": "pindown.values.problem",
    "arrangements": "pindown.values.arrangements",
    "ledger": "pindown.values.ledger",
    "overoptimisation": "pindown.values.overoptimisation",
    "basin": "pindown.network.basin",
    "spectrum": "pindown.network.spectrum",
    "Chain": "pindown.resources.chain",
    "Convergence": "pindown.resources.convergence_result",
    "ConvexProgram": "pindown.resources.convex_program",
    "Economy": "pindown.resources.economy",
    "LinearProgram": "pindown.resources.linear_program",
    "MDP": "pindown.resources.mdp",
    "convergence": "pindown.resources.convergence",
    "empowerment": "pindown.resources.empowerment",
    "power": "pindown.resources.power",
}

_DOORS = ("fermi",)
"""Packages that are public as a whole."""


def __getattr__(name: str) -> Any:
    """Load a public name from its module at its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("pindown")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _DOORS:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
