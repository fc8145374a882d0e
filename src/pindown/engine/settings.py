"""The engine's own numbers, with their defaults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from pindown.errors import InputError

__all__ = ["Settings"]

_THOUSANDS = 4096  # dimensions


@dataclass(frozen=True)
class Settings:
    """Sizes and thresholds of the engine. The defaults are meant to be left alone.

    Attributes:
        particles: particles of the ladder; by default 128 in few dimensions, 32 in many.
        chains: chains at each stage of the replica exchange; by default 64 in few dimensions, 4 in many.
        burn_in: sweeps before the first production block, in which step sizes adapt.
        sweeps: sweeps of the first production block; blocks double until the free energies stop drifting.
        doublings: how often the block may double; in thousands of dimensions once at most, where sweeps are dear.
        leaps: most leapfrog steps of a trajectory.
        spacing: distance of neighbouring stages in standard deviations of the depth.
        width: variance of the depth deep down, as a share of the final depth in nats.
        ladder_size: effective sample size, as a share of the particles, kept from stage to stage.
        ladder_moves: most trajectories a stage of the ladder takes.
        ladder_growth: variance of the depth on the way down, as a share of the depth reached.
        rank_correlation: the ladder's moves go on until the losses' rank correlation is below this.
        reached_share: share of particles below the tolerance at which the ladder has arrived.
        stages: most stages before the ladder gives up.
        pilot_particles: particles of the splitting pilot.
        splitting_particles: particles of one splitting run.
        splitting_moves: most moves a level of splitting takes.
        warm_moves: trajectories a stage takes when chains are warmed up from known solutions.
        warm_sweeps: sweeps of replica exchange that follow, of which the second half counts.
        keep_bytes: most memory for stored solutions of one run.
        threads: threads of the tensor library in one run.
    """

    particles: int | None = None
    chains: int | None = None
    burn_in: int = 24
    sweeps: int = 32
    doublings: int = 3
    leaps: int = 16
    spacing: float = 1.0
    width: float = 0.36
    ladder_size: float = 0.5
    ladder_moves: int = 8
    ladder_growth: float = 0.36
    rank_correlation: float = 0.4
    reached_share: float = 0.3
    stages: int = 2000
    pilot_particles: int = 200
    splitting_particles: int = 1000
    splitting_moves: int = 64
    warm_moves: int = 8
    warm_sweeps: int = 32
    keep_bytes: int = 128 * 2**20
    threads: int = 1

    def __post_init__(self) -> None:
        least = {
            "particles": 8,
            "chains": 1,
            "burn_in": 1,
            "sweeps": 8,
            "warm_moves": 1,
            "warm_sweeps": 2,
            "stages": 1,
            "splitting_moves": 1,
            "threads": 1,
        }
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError(f"settings.{name} = {value}", f"{low} or more")

    def resolved(self, dim: int) -> Settings:
        """The settings with the sizes that depend on the dimension filled in.

        Few dimensions leave the time of a step to fixed costs, so more chains come almost free.
        """
        return replace(
            self,
            particles=self.particles or max(32, min(128, 2**15 // dim)),
            chains=self.chains or max(4, min(64, 2**11 // dim)),
            doublings=self.doublings if dim < _THOUSANDS else min(self.doublings, 1),
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)
