"""The whole curve of one measurement: bits at every tolerance, learning coefficient, solutions."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc
from torch import Tensor

from pindown.engine.record import Island
from pindown.engine.two_sided import TwoSided
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, Kind, Status, bits
from pindown.stats import mean_and_stderr

if TYPE_CHECKING:
    import pandas as pd

    from pindown.engine.solutions import Draws, Source

__all__ = ["Profile", "TwoSided"]

SCHEMA = "pindown/profile/1"
_WIDEST_BRACKET = 0.15
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    r"""What :func:`pindown.measure` found.

    With :math:`V(t) = P_\mathrm{prior}(L \le t)`, the bits pinned down are :math:`-\log_2 V(t)` and the learning
    coefficient is :math:`\lambda(t) = d \ln V / d \ln t` (Watanabe 2009, Algebraic Geometry and Statistical Learning
    Theory). Each independent run gives its own curve; figures are means over runs with t-intervals.

    Attributes:
        tolerance: the loss that was asked for.
        dim: dimensions of the space.
        reference: the prior.
        engine: ``"ladder"``, ``"splitting"`` or ``"enumeration"``.
        seed: the seed.
        status: how the measurement ended.
        islands: the independent runs.
        seconds: wall-clock time.
        diagnostics: plain values about the run, such as why the engine was chosen.
        two_sided: the check against known solutions, where there were any.
        plateau_tries: moves offered on a plateau without finding a lower loss.
    """

    tolerance: float
    dim: int
    reference: str
    engine: str
    seed: int
    status: Status
    islands: tuple[Island, ...]
    seconds: float
    diagnostics: dict[str, Any] = field(default_factory=dict)
    two_sided: TwoSided | None = None
    plateau_tries: int = 0
    source: Source | None = field(default=None, repr=False, compare=False)

    @property
    def repeats(self) -> int:
        """Number of independent runs."""
        return len(self.islands)

    @property
    def evaluations(self) -> int:
        """Loss evaluations of all runs."""
        further = ("pilot_evaluations", "other_engine_evaluations")
        return sum(i.evaluations for i in self.islands) + sum(int(self.diagnostics.get(k, 0)) for k in further)

    @property
    def gradient_evaluations(self) -> int:
        """How many of the loss evaluations came with a gradient."""
        return sum(i.gradient_evaluations for i in self.islands)

    @property
    def loss_floor(self) -> Estimate:
        """The lowest loss that any run saw: an upper bound on the lowest attainable."""
        lowest = min((i.lowest for i in self.islands), default=math.inf)
        kind: Kind = "exact" if self.engine == "enumeration" else "upper_bound"
        return Estimate(lowest, 0.0, "loss", kind, Status.REACHED, self.reference)

    @property
    def reach(self) -> float:
        """The lowest loss at which every run's curve rests on at least ten effective samples."""
        return max((i.reach for i in self.islands), default=math.inf)

    def bits(self, t: float | None = None) -> Estimate:
        """Bits pinned down at loss ``t``: ``−log2 P(L ≤ t)``.

        Args:
            t: loss; the tolerance by default.

        Returns:
            An estimate where every run reached ``t`` and the runs agree; its error holds what a two-sided check cannot
            exclude. Widened where second halves of the runs still differ from first halves, or where the two directions
            of the check differ by up to 15%, and then the middle between them. Below the reach a lower bound: the 95%
            lower end at the reach. Where the two directions lie further apart, an upper bound, the lowest of the runs':
            the chains from the prior, which lag behind, see too little volume. Where the runs disagree, or the chains
            from known solutions see far less volume than those from the prior, the mean with all that they differ by
            as its error, and the status.
        """
        t = self._loss(t)
        if self.engine == "enumeration":
            volume = self.islands[0].log_volume_at(t)
            return Estimate(-bits(volume) + 0.0, 0.0, "bits", "exact", Status.REACHED, self.reference)
        if t < self.reach or not self.islands:
            return self._beyond(t)
        values = [max(0.0, -bits(i.log_volume_at(t))) for i in self.islands]
        mean, stderr = mean_and_stderr(values)
        dof = max(1.0, self.repeats - 1.0)
        check = self._check()
        gap, unseen = check.gap * mean, check.unseen * mean
        if gap > _WIDEST_BRACKET * mean:
            return Estimate(min(values), stderr, "bits", "upper_bound", Status.NOT_CONVERGED, self.reference, dof)
        crossed = gap < -_WIDEST_BRACKET * mean
        if crossed or self.status is Status.NOT_CONVERGED or self._disagree(values):
            apart = max(stderr, max(values) - min(values), -gap if crossed else 0.0)
            return Estimate(mean, apart, "bits", "estimate", Status.NOT_CONVERGED, self.reference, dof)
        status = Status.REACHED
        if self._drifting():
            status, stderr = Status.WIDENED, math.hypot(stderr, 0.5 * self._mean_drift())
        if gap != 0.0:
            # The truth lies between the two sides.
            status, mean = Status.WIDENED, mean - 0.5 * gap
        # A lag of either side by half of what the check cannot exclude is taken as two standard errors.
        return Estimate(mean, math.hypot(stderr, 0.25 * unseen), "bits", "estimate", status, self.reference, dof)

    def learning_coefficient(self, t: float | None = None) -> Estimate:
        r"""λ at loss ``t``: :math:`d \ln V / d \ln t`.

        From a ladder each stage at inverse temperature β gives :math:`E[\beta\, h'(L)\, L]`, which by partial
        integration is the mean of :math:`1 + d \ln p / d \ln L` over the stage, p the prior density of the loss;
        see :func:`pindown.engine.reading.learning_coefficients`. From splitting, the slope of the curve over 1.5
        nats. The loss must be zero at its best, or λ refers to no singularity.
        """
        return self._slope(self._loss(t), 1.0, "1")

    def pinned_dimensions(self, t: float | None = None) -> Estimate:
        """Effective number of pinned dimensions at loss ``t``: ``2λ``, which a quadratic loss makes its rank."""
        return self._slope(self._loss(t), 2.0, "dimensions")

    def free_dimensions(self, t: float | None = None) -> Estimate:
        """Dimensions left free at loss ``t``: ``D − 2λ``.

        Unsupported where ``2λ`` is clearly more than ``D``: the loss is far from quadratic there, as near the lowest
        that the prior allows.
        """
        pinned = self.pinned_dimensions(t)
        if pinned.value - 2.0 * pinned.stderr > self.dim:
            return Estimate(math.nan, math.nan, "dimensions", "estimate", Status.UNSUPPORTED, self.reference)
        return replace(pinned, value=self.dim - pinned.value)

    def solutions(self, t: float | None = None, n: int | None = None, seed: int = 0) -> Tensor:
        """Points with loss at most ``t``, distributed as the prior is there, ``(n, dim)``.

        :meth:`draw` tells besides which run each came from and how many distinct ancestors they have.
        """
        return self.draw(t, n, seed).points

    def draw(self, t: float | None = None, n: int | None = None, seed: int = 0) -> Draws:
        """Solutions with their provenance; see :mod:`pindown.engine.solutions`.

        Raises:
            InputError: if no stored point has a loss of at most ``t``, or the profile was read from a file.
        """
        from pindown.engine.solutions import draw

        return draw(self.islands, self.source, self._loss(t), n, seed)

    def curve(self, n: int = 200) -> dict[str, list[float]]:
        """The curve from the prior's median down to the reach: loss, bits, stderr and the 95% ends, as lists."""
        out: dict[str, list[float]] = {"loss": [], "bits": [], "stderr": [], "low": [], "high": []}
        base = next((i for i in self.islands if i.loss.size), None)
        if base is None:
            return out
        top = math.log(0.5)
        usable = (base.log_volume <= top) & (base.loss >= self.reach)
        loss = base.loss[usable]
        if not loss.size:
            return out
        depth = base.log_volume[usable]
        pick = np.unique(np.searchsorted(depth, np.linspace(depth[0], depth[-1], n)).clip(0, loss.size - 1))
        for t in (self.tolerance, *loss[pick]) if self.reach <= self.tolerance < loss[-1] else loss[pick]:
            e = self.bits(float(t))
            if e.kind not in ("estimate", "exact"):
                continue
            low, high = e.interval(0.95)
            for name, v in zip(out, (float(t), e.value, e.stderr, low, high), strict=True):
                out[name].append(v)
        order = np.argsort(out["loss"])
        return {name: [v[i] for i in order] for name, v in out.items()}

    def to_dataframe(self) -> pd.DataFrame:
        """The curve as a table, one row a loss."""
        import pandas as pd

        return pd.DataFrame(self.curve())

    def summary(self) -> str:
        """The measurement in a few lines."""
        lines = [
            f"{self.reference}: {self.bits()} pinned down at loss ≤ {self.tolerance:g}",
            f"engine {self.engine}, {self.repeats} runs, {self.evaluations:,} loss evaluations "
            f"({self.gradient_evaluations:,} with gradient), {self.seconds:.1f} s, seed {self.seed}",
            f"{self.status}: {self.status.message}",
        ]
        lam = self.learning_coefficient()
        if lam.status.ok and math.isfinite(lam.value):
            lines.insert(1, f"λ = {lam}; {self.free_dimensions()} free out of {self.dim}")
        if self.two_sided is not None:
            lines.append(self.two_sided.statement)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """The profile as plain JSON values under a versioned schema; stored points are left out."""
        return {
            "schema": SCHEMA,
            "tolerance": self.tolerance,
            "dim": self.dim,
            "reference": self.reference,
            "engine": self.engine,
            "seed": self.seed,
            "repeats": self.repeats,
            "status": self.status.value,
            "seconds": self.seconds,
            "evaluations": self.evaluations,
            "gradient_evaluations": self.gradient_evaluations,
            "loss_floor": self.loss_floor.to_dict(),
            "bits": self.bits().to_dict(),
            "plateau_tries": self.plateau_tries,
            "diagnostics": self.diagnostics,
            "two_sided": None if self.two_sided is None else self.two_sided.to_dict(),
            "curve": self.curve(120),
            "islands": [i.to_plain() for i in self.islands],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Profile:
        """Read back what :meth:`to_dict` wrote; everything but :meth:`solutions` works.

        Raises:
            CheckpointError: where the record is of another schema or lacks a field.
        """
        if record.get("schema") != SCHEMA:
            raise CheckpointError(f"a profile record of schema {record.get('schema')!r}", SCHEMA)
        try:
            return cls(
                tolerance=float(record["tolerance"]),
                dim=int(record["dim"]),
                reference=str(record["reference"]),
                engine=str(record["engine"]),
                seed=int(record["seed"]),
                status=Status(record["status"]),
                islands=tuple(Island.from_plain(i) for i in record["islands"]),
                seconds=float(record["seconds"]),
                diagnostics=dict(record["diagnostics"]),
                two_sided=None if record["two_sided"] is None else TwoSided.from_dict(record["two_sided"]),
                plateau_tries=int(record["plateau_tries"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"a profile record that cannot be read ({error})", SCHEMA) from error

    def _loss(self, t: float | None) -> float:
        if t is None:
            return self.tolerance
        if not isinstance(t, int | float | np.floating | np.integer) or math.isnan(float(t)):
            raise InputError(f"a loss of {t!r}", "a number")
        return float(t)

    def _beyond(self, t: float) -> Estimate:
        """A lower bound at a loss that was not reached."""
        status = self.status if not self.status.ok else Status.BEYOND_REACH
        reach = self.reach
        if not math.isfinite(reach):
            tries = self.plateau_tries
            value = math.log2(tries / 3.0) if tries > 3 else 0.0
            return Estimate(max(0.0, value), 0.0, "bits", "lower_bound", status, self.reference)
        mean, stderr = mean_and_stderr([-bits(i.log_volume_at(reach)) for i in self.islands])
        low = mean
        if math.isfinite(stderr):
            low = Estimate(mean, stderr, "bits", dof=max(1.0, self.repeats - 1.0)).interval(0.9)[0]
        sides = self.two_sided
        if sides is not None and sides.meets is not True and t <= self.tolerance:
            # Chains from the prior lag behind, and the others may have seen more volume below the tolerance.
            other = sides.bits_from_known
            if math.isfinite(other.value) and math.isfinite(other.stderr):
                low = min(low, Estimate(other.value, other.stderr, "bits", dof=other.dof).interval(0.9)[0])
        # No lower loss in m tries bounds its conditional probability by 3/m at 95%.
        extra = math.log2(self.plateau_tries / 3.0) if self.plateau_tries > 3 else 0.0
        return Estimate(max(0.0, low + extra), 0.0, "bits", "lower_bound", status, self.reference)

    def _slope(self, t: float, factor: float, unit: str) -> Estimate:
        nothing = Estimate(math.nan, math.nan, unit, "estimate", Status.UNSUPPORTED, self.reference)
        if t <= 0 or self.engine == "enumeration" or t < self.reach or not self.islands:
            return nothing
        read = [_read_slope(i, t) for i in self.islands]
        if any(math.isnan(value) for value, _ in read):
            return nothing
        mean, stderr = mean_and_stderr([value for value, _ in read])
        stderr = math.hypot(stderr, float(np.mean([spread for _, spread in read])))
        status = self.bits(t).status
        return Estimate(
            factor * mean, factor * stderr, unit, "estimate", status, self.reference, max(1.0, self.repeats - 1.0)
        )

    def _check(self) -> _Check:
        """What the two directions say about each other at the tolerance; nothing where they were not compared."""
        sides = self.two_sided
        if sides is None or sides.meets is None or sides.bits_from_prior.value <= 0:
            return _Check(0.0, 0.0)
        prior, known = sides.bits_from_prior, sides.bits_from_known
        gap = prior.value - known.value
        if not math.isfinite(gap):
            return _Check(math.inf, math.inf)
        noise = math.hypot(prior.stderr, known.stderr)
        low, high = Estimate(gap, noise, "bits", dof=prior.dof).interval(0.95) if noise > 0.0 else (gap, gap)
        # A difference below 1% still counts as meeting, but not as none.
        real = not sides.meets or abs(gap) > 2.0 * noise
        return _Check(gap / prior.value if real else 0.0, max(abs(low), abs(high)) / prior.value)

    def _mean_drift(self) -> float:
        return abs(float(np.mean([i.drift for i in self.islands])))

    def _drifting(self) -> bool:
        """Whether second halves differ from first halves over the runs, at 1%."""
        if self.engine != "ladder" or self.repeats < 2:
            return False
        mean, stderr = mean_and_stderr([i.drift for i in self.islands])
        if stderr == 0.0:
            return False
        low, high = Estimate(mean, stderr, "bits", dof=self.repeats - 1.0).interval(0.99)
        return not low <= 0.0 <= high

    def _disagree(self, values: Sequence[float]) -> bool:
        """Whether the runs differ by more than their own errors: an F test at 0.1%, and by more than a bit."""
        within = [i.within for i in self.islands]
        if self.repeats < 2 or not np.isfinite(within).all() or max(values) - min(values) < 1.0:
            return False
        own = float(np.mean(np.square(within)))
        if own == 0.0:
            return True
        # Each run's own error comes from eight blocks; blocks of one run are not quite independent.
        ratio = float(np.var(values, ddof=1)) / own
        dof = self.repeats - 1, 6 * self.repeats
        return ratio > 4.0 and float(fdtrc(*dof, ratio / 4.0)) < 1e-3


@dataclass(frozen=True)
class _Check:
    """The two-sided check as shares of the bits.

    Attributes:
        gap: by how much the prior's side lies above the other; 0 where the difference may be noise.
        unseen: the largest difference, either way, that its 95% interval does not exclude.
    """

    gap: float
    unseen: float


def _read_slope(island: Island, t: float) -> tuple[float, float]:
    """λ at ``t`` and the error of its own kind that one run knows."""
    order = np.argsort(island.lambda_loss)
    x = island.lambda_loss[order]
    if x.size < 2 or not 0.5 * x[0] <= t <= x[-1]:
        return math.nan, math.nan
    value, spread = (
        float(np.interp(math.log(t), np.log(x), y[order])) for y in (island.lambda_value, island.lambda_spread)
    )
    return value, spread
