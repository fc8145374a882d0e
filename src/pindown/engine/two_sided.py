"""The two-sided check as a result: chains cooled from the prior against chains warmed up from solutions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pindown.engine.record import Island
from pindown.errors import CheckpointError
from pindown.estimate import Estimate, Status, bits
from pindown.stats import mean_and_stderr

__all__ = ["TwoSided", "compare_sides"]

SCHEMA = "pindown/two-sided/1"
_SHARE_THAT_MEETS = 0.01


@dataclass(frozen=True)
class TwoSided:
    """What the two directions found.

    Attributes:
        meets: whether they agree: the 95% interval of their difference in bits holds 0, or the difference is below
            1% of the bits. None where the difference is too uncertain to tell, or some runs' chains from known
            solutions ended above the tolerance.
        statement: the same in words.
        inverse_temperature: of the stages, increasing.
        loss_from_prior, loss_from_prior_stderr: mean loss at each stage of chains cooled from the prior.
        loss_from_known, loss_from_known_stderr: the same of chains warmed up from known solutions.
        bits_from_prior: bits at the tolerance from the cooled chains; an upper bound where the sides do not meet and
            these are the more.
        bits_from_known: bits at the tolerance from the warmed chains; there a lower bound. NaN where some runs have
            none.
    """

    meets: bool | None
    statement: str
    inverse_temperature: tuple[float, ...]
    loss_from_prior: tuple[float, ...]
    loss_from_prior_stderr: tuple[float, ...]
    loss_from_known: tuple[float, ...]
    loss_from_known_stderr: tuple[float, ...]
    bits_from_prior: Estimate
    bits_from_known: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The check as plain JSON values under a named schema."""
        out: dict[str, Any] = {"schema": SCHEMA, "meets": self.meets, "statement": self.statement}
        for name in _LISTS:
            out[name] = [v if math.isfinite(v) else str(v) for v in getattr(self, name)]
        return out | {
            "bits_from_prior": self.bits_from_prior.to_dict(),
            "bits_from_known": self.bits_from_known.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> TwoSided:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema.
        """
        if record.get("schema") != SCHEMA:
            raise CheckpointError(f"a two-sided record of schema {record.get('schema')!r}", SCHEMA)
        return cls(
            meets=record["meets"],
            statement=str(record["statement"]),
            bits_from_prior=Estimate.from_dict(record["bits_from_prior"]),
            bits_from_known=Estimate.from_dict(record["bits_from_known"]),
            **{name: tuple(float(v) for v in record[name]) for name in _LISTS},
        )


_LISTS = (
    "inverse_temperature",
    "loss_from_prior",
    "loss_from_prior_stderr",
    "loss_from_known",
    "loss_from_known_stderr",
)


def compare_sides(islands: Sequence[Island], tolerance: float, reference: str) -> TwoSided | None:
    """Put the runs' two directions together; None where no run went both ways."""
    both = [i for i in islands if i.warm_loss.size and math.isfinite(i.log_volume_at(tolerance))]
    if not both:
        return None
    dof = len(both) - 1.0
    cold = np.array([-bits(i.log_volume_at(tolerance)) for i in both])
    warm = np.array([-bits(i.warm_log_volume) for i in both])
    gap = Estimate(*_mean(cold - warm), "bits", dof=dof, reference=reference)
    low, high = gap.interval(0.95)
    close = _SHARE_THAT_MEETS * float(cold.mean())
    lost = int((~np.isfinite(warm)).sum())
    if lost:
        meets: bool | None = False if lost == len(warm) else None
    elif abs(gap.value) <= close:
        meets = True
    elif low <= 0.0 <= high:
        meets = True if high - low <= max(4.0, 0.2 * float(cold.mean())) else None
    else:
        meets = False
    apart = meets is False
    # Chains that lag give the prior's side too many bits and the other too few. Crossed, they bound nothing.
    bounds = apart and not gap.value < 0.0
    status = Status.NOT_CONVERGED if apart else Status.REACHED
    from_prior = Estimate(*_mean(cold), "bits", "upper_bound" if bounds else "estimate", status, reference, dof)
    ending = (math.nan, math.nan) if lost else _mean(warm)
    if lost:
        status = Status.NOT_CONVERGED
    from_known = Estimate(*ending, "bits", "lower_bound" if bounds else "estimate", status, reference, dof)
    if lost:
        words = f"{'They do not meet' if apart else 'Undecided'}: in {lost} of {len(warm)} runs "
        words += "the chains that began at known solutions ended above the tolerance."
    elif meets:
        words = "They meet: chains cooled from the prior and chains warmed up from the known solutions agree."
    elif meets is None:
        words = "Undecided: the difference between the two directions is too uncertain."
    elif bounds:
        words = "They do not meet: the two directions bound the bits from both sides."
    else:
        words = "They do not meet, and neither bounds the other: chains from the known solutions have not settled."
    statement = f"{words} From the prior {_plain(from_prior)}"
    if lost:
        statement += " bits."
    else:
        statement += f", from known solutions {_plain(from_known)} bits; "
        statement += f"difference {gap.value:.1f} [{low:.1f}, {high:.1f}] (95%)."
    # Stages differ between runs; each run is read at the stages of the first, in log inverse temperature of the loss.
    grid = np.asarray(both[0].stage_beta)
    cold_at, warm_at = ([_at(grid, i, v) for i in both] for v in ("cold_loss", "warm_loss"))
    (cold_mean, cold_error), (warm_mean, warm_error) = (_columns(v) for v in (cold_at, warm_at))
    return TwoSided(
        meets, statement, tuple(grid.tolist()), cold_mean, cold_error, warm_mean, warm_error, from_prior, from_known
    )  # fmt: skip


def _mean(x: Any) -> tuple[float, float]:
    return mean_and_stderr(x) if np.isfinite(x).all() else (float(np.mean(x)), math.nan)


def _plain(e: Estimate) -> str:
    return f"{e.value:.1f} ± {e.stderr:.1f}"


def _at(grid: Any, island: Island, name: str) -> Any:
    return np.interp(np.log(grid), np.log(island.stage_beta), getattr(island, name))


def _columns(rows: list[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    pairs = [_mean(column) for column in np.asarray(rows).T]
    return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
