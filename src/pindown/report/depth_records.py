"""What was asked of one trained network (``pindown/in-depth/1``), as typed views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pindown.estimate import Estimate
from pindown.report.reader import Reader, read_as
from pindown.report.weight_records import BitPlanes, Concentration, Noise, Pruning, WaterFilling

__all__ = ["Basin", "BasinPoint", "Coefficient", "CurveFit", "Depth", "LearningCurve", "SelfCheck", "Spectrum"]
__all__ += ["TemperaturePoint", "read_depth"]


@dataclass(frozen=True)
class TemperaturePoint:
    """λ at one inverse temperature, with what speaks against it."""

    nbeta: float
    estimate: Estimate
    acceptance: float | None
    r_hat: float | None
    effective_size: float | None
    step_size: float | None
    objections: tuple[str, ...]


@dataclass(frozen=True)
class CurveFit:
    """λ from the whole curve, and the probability of each multiplicity from 1."""

    value: float
    stderr: float
    multiplicity: tuple[float, ...]
    p_value: float | None


@dataclass(frozen=True)
class SelfCheck:
    """The same settings on a linear model whose λ is known."""

    truth: float
    estimate: Estimate
    error: float | None
    localised: float | None


@dataclass(frozen=True)
class Coefficient:
    """The local learning coefficient."""

    SCHEMA: ClassVar[str] = "pindown/learning-coefficient/1"
    estimate: Estimate
    name: str
    method: str
    dim: float | None
    loss_at_weights: float | None
    localisation: float | None
    chains: float | None
    sweeps: float | None
    points: tuple[TemperaturePoint, ...]
    fit: CurveFit | None
    self_check: SelfCheck | None
    groups: Mapping[str, Coefficient]
    choices: Mapping[str, str]
    notes: tuple[str, ...]
    evaluations: float | None
    seconds: float | None


@dataclass(frozen=True)
class LearningCurve:
    """λ at each checkpoint of a training run."""

    SCHEMA: ClassVar[str] = "pindown/learning-curve/1"
    names: tuple[str, ...]
    steps: tuple[float, ...]
    points: tuple[Coefficient, ...]


@dataclass(frozen=True)
class BasinPoint:
    """The basin at one cutoff: by the bridge, and as the bound from rays."""

    cutoff: float
    bits: Estimate | None
    radial: Estimate | None
    radial_spread: float | None
    radial_size: float | None


@dataclass(frozen=True)
class Basin:
    """How much of the prior lies around the weights below a loss."""

    SCHEMA: ClassVar[str] = "pindown/basin/1"
    loss: str
    reference: str
    parameters: float | None
    loss_at_weights: float | None
    cutoff: float
    curve: tuple[BasinPoint, ...]
    rays: float | None
    runs: float | None
    evaluations: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of the Hessian, or the Gauss–Newton matrix, of the loss."""

    SCHEMA: ClassVar[str] = "pindown/spectrum/1"
    loss: str
    matrix: str
    method: str
    parameters: float | None
    eigenvalues: tuple[Estimate, ...]
    lowest: Estimate | None
    trace: Estimate | None
    shift: float | None
    shift_reason: str
    log_determinant: Estimate | None
    effective: Estimate | None
    laplace: Estimate | None
    zero_directions: Estimate | None
    negative_directions: Estimate | None
    precision: float | None
    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    probes: float | None
    quadrature_probes: float | None
    steps: float | None
    products: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Depth:
    """Everything that was asked of one trained network; None for what was not asked or not measured."""

    SCHEMA: ClassVar[str] = "pindown/in-depth/1"
    solution: str
    epsilon: float | None
    unmeasured: Mapping[str, str]
    seconds: float | None
    learning_coefficient: Coefficient | None
    over_training: LearningCurve | None
    basin: Basin | None
    spectrum: Spectrum | None
    bitplanes: BitPlanes | None
    pruning: Pruning | None
    noise_tolerance: Noise | None
    concentration: Concentration | None
    water_filling: WaterFilling | None


def read_depth(r: Reader) -> Depth:
    """Read what was asked of one network.

    Raises:
        CheckpointError: where it is of another schema or damaged; the place is named.
    """
    return read_as(Depth, r)
