"""The rise of the loss that a question allows, at the weights that it is about."""

from __future__ import annotations

import math
import time
from importlib.metadata import version
from numbers import Real
from typing import Any

from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.network.examples import loss_unit
from pindown.network.progress import Progress, rising
from pindown.network.subject import Solution, Subject, solution_of

__all__ = ["RiseQuestion", "allowed_rise", "check_rise"]


def check_rise(epsilon: float) -> None:
    """Refuse an ε that allows no rise.

    Raises:
        InputError: where it is not a finite number above zero.
    """
    if isinstance(epsilon, bool) or not isinstance(epsilon, Real) or not 0.0 < epsilon < math.inf:
        raise InputError(f"epsilon {epsilon!r}", "a finite rise above zero")


def allowed_rise(baseline: float, epsilon: float, *, relative: bool) -> float:
    """The rise in the loss's own unit, of the loss ``baseline`` of the weights as given.

    Raises:
        InputError: for a loss that is not finite, or a share of a loss of zero.
    """
    if not math.isfinite(baseline):
        raise InputError(f"a loss of {baseline} at the weights as given", "a finite loss", "check the weights")
    limit = epsilon * abs(baseline) if relative else float(epsilon)
    if limit <= 0.0:
        raise InputError(
            f"epsilon {epsilon} of a loss of {baseline}", "a rise above zero", "give it as an absolute rise"
        )
    return limit


class RiseQuestion:
    """What noise tolerance, pruning and water-filling start from: the weights, their training loss, and ε.

    Args:
        subject: the network.
        solution: which weights.
        epsilon: the rise that is asked about.
        relative: whether it is a share of the loss.
        progress: called with the share done and a text.

    Attributes:
        point: the weights ``(D,)``, on the subject's device.
        base: the training loss there.
        epsilon: the rise in the loss's unit.
        unit: of the loss.
        tell: reports progress that does not fall; does nothing where nobody asked.

    Raises:
        InputError: for an ε that allows no rise, or a loss that is not finite.
    """

    def __init__(
        self, subject: Subject, solution: int | Solution, epsilon: float, relative: bool, progress: Progress | None
    ) -> None:
        check_rise(epsilon)
        self._began, self._subject = time.perf_counter(), subject
        self.tell: Progress = rising(progress) if progress is not None else lambda share, text: None
        self.point: Tensor = solution_of(subject, solution).point.to(subject.device)
        self.base = float(subject.losses(self.point.unsqueeze(0)))
        self.epsilon = allowed_rise(self.base, epsilon, relative=relative)
        self.unit = loss_unit(subject)
        self._relative = float(epsilon) if relative else None

    @property
    def baseline(self) -> Estimate:
        """The training loss of the weights as given."""
        return Estimate(self.base, 0.0, self.unit, "exact", reference="weights as given")

    def described(self) -> dict[str, Any]:
        """The fields by which a result says what was measured, and how long it took until now."""
        subject = self._subject
        return {
            "subject": subject.name, "architecture": subject.architecture, "loss": subject.head.name,
            "unit": self.unit, "examples": subject.train_size, "epsilon": self.epsilon, "relative": self._relative,
            "seconds": time.perf_counter() - self._began, "version": version("pindown"),
        }  # fmt: skip
