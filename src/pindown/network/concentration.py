"""How unevenly the squared weights of a network are spread: Gini's coefficient and the participation ratio."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.record import Record
from pindown.network.subject import Solution, Subject, solution_of
from pindown.rng import torch_generator
from pindown.spaces.weight_priors import matching_names
from pindown.stats import mean_and_stderr

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Concentration", "TensorConcentration", "concentration", "gini", "participation"]


def gini(x: Tensor) -> float:
    r"""Gini's coefficient of n values of zero or more: 0 where all are equal, :math:`1 - 1/n` where one holds all.

    .. math:: G = \frac{\sum_i (2i - n - 1)\, x_{(i)}}{n \sum_i x_i}

    over the values in ascending order, half the mean absolute difference relative to the mean (Gini 1912; Dorfman 1979,
    A formula for the Gini coefficient). NaN where all values are zero.

    >>> gini(torch.tensor([0.0, 0.0, 0.0, 1.0])), gini(torch.ones(7))
    (0.75, 0.0)
    """
    v = x.detach().flatten().double().sort().values
    n, total = len(v), float(v.sum())
    if total == 0.0 or not math.isfinite(total):
        return math.nan
    rank = torch.arange(1, n + 1, dtype=torch.float64, device=v.device)
    return float(((2.0 * rank - n - 1.0) * (v / total)).sum()) / n


def participation(x: Tensor) -> float:
    r"""How many of n values of zero or more count, :math:`(\sum_i x_i)^2 / \sum_i x_i^2`: from 1 to n.

    The inverse of Simpson's index, and of the inverse participation ratio of a wave function with density x (Bell and
    Dean 1970, Atomic vibrations in vitreous silica). NaN where all values are zero.

    >>> participation(torch.tensor([0.0, 0.0, 5.0])), participation(torch.ones(7))
    (1.0, 7.0)
    """
    v = x.detach().flatten().double()
    top = float(v.max())
    if top == 0.0 or not math.isfinite(top):
        return math.nan
    v = v / top  # squares of small values would be lost
    return float(v.sum() ** 2 / v.square().sum())


@dataclass(frozen=True)
class TensorConcentration:
    """The squared weights of one tensor, or of all of them.

    Attributes:
        name: fully qualified, or ``"all tensors"``.
        weights: how many, n.
        gini: Gini's coefficient of w².
        participation: how many of the weights count.
        share: participation over n.
        prior_gini, prior_share: the same of weights drawn from the prior.
    """

    name: str
    weights: int
    gini: Estimate
    participation: Estimate
    share: Estimate
    prior_gini: Estimate
    prior_share: Estimate


@dataclass(frozen=True)
class Concentration(Record, schema="pindown/concentration/1"):
    """How unevenly the squared weights of a network are spread.

    Attributes:
        subject, architecture: what was measured.
        whole: over all tensors.
        tensors: one at a time, in the module's order.
        draws: from the prior, behind the figures to compare with.
        seed, version: how it was made.
        notes: what the figures do not say.
    """

    subject: str
    architecture: str
    whole: TensorConcentration
    tensors: tuple[TensorConcentration, ...]
    draws: int
    seed: int
    version: str
    notes: tuple[str, ...]

    def summary(self) -> str:
        """The figures as plain text."""
        lines = [f"{self.subject} ({self.architecture}): how squared weights are spread, and at initialisation"]
        lines += [
            f"  {row.name:<24} Gini {row.gini} (prior {row.prior_gini}), {row.participation} of {row.weights:,} count"
            for row in (self.whole, *self.tensors)
        ]
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each tensor, the whole first."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "tensor": row.name, "weights": row.weights, "gini": row.gini.value,
                    "participation": row.participation.value, "share": row.share.value,
                    "prior_gini": row.prior_gini.value, "prior_share": row.prior_share.value,
                    "status": row.gini.status.value,
                }
                for row in (self.whole, *self.tensors)
            ]
        )  # fmt: skip

    def _repr_html_(self) -> str:
        title = html.escape(self.summary().split("\n", 1)[0])
        return f"<p>{title}</p>{self.to_dataframe().round(4).to_html(index=False)}"


def concentration(
    subject: Subject,
    *,
    solution: int | Solution = 0,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    draws: int = 16,
    seed: int = 0,
) -> Concentration:
    """Measure how unevenly the squared weights are spread, in each tensor and over all, beside draws from the prior.

    For independent normal weights Gini's coefficient of w² is 2/π = 0.637 and a third of them count; for uniform ones
    it is 1/2 and 5/9. What training has done is the difference to the prior's figures.

    These are figures of the weights, not of the function: rescaling the units of a ReLU layer keeps every output and
    moves them (Dinh et al. 2017, Sharp minima can generalize for deep nets).

    Args:
        subject: the network; its data are not used.
        solution: which of the subject's solutions, or another.
        include: globs over the names of the tensors; all that move by default.
        exclude: globs of tensors that are left out.
        draws: from the prior, 2 or more.
        seed: of these draws.

    Returns:
        Exact figures; those of the prior with their error over draws. A tensor of zeros is *unsupported*.

    Raises:
        InputError: for a bad argument.

    Example:
        >>> import torch
        >>> from pindown import Subject, concentration
        >>> line = torch.nn.Linear(3, 1, bias=False)
        >>> with torch.no_grad():
        ...     _ = line.weight.copy_(torch.tensor([[1.0, -1.0, 0.0]]))
        >>> whole = concentration(Subject(line, "mse", (torch.eye(3), torch.zeros(3, 1)))).whole
        >>> whole.participation.value, round(whole.gini.value, 4)
        (2.0, 0.3333)
    """
    if isinstance(draws, bool) or draws < 2:
        raise InputError(f"draws {draws!r}", "2 or more")
    space = subject.space()
    point = solution_of(subject, solution).point.to(subject.device)
    names = matching_names(space.names, include, exclude)
    prior = [space.sample(1, rng=torch_generator(seed, 0xC0C, k))[0] for k in range(draws)]
    indices = torch.arange(space.dim)

    def row(name: str, where: Tensor) -> TensorConcentration:
        own = point[where.to(point.device)].square()
        drawn = [draw[where].square() for draw in prior]
        at_prior = f"{draws} draws from {space.reference}"
        gini_mean, gini_error = mean_and_stderr([gini(v) for v in drawn])
        share_mean, share_error = mean_and_stderr([participation(v) / len(v) for v in drawn])
        count, spread = participation(own), gini(own)
        status = Status.REACHED if math.isfinite(count) else Status.UNSUPPORTED

        def exact(value: float, unit: str) -> Estimate:
            ok = status is Status.REACHED
            return Estimate(
                value, 0.0 if ok else math.nan, unit, "exact" if ok else "estimate", status, "weights as given"
            )

        dof = float(draws - 1)
        return TensorConcentration(
            name, len(own), exact(spread, "1"), exact(count, "weights"), exact(count / len(own), "1"),
            Estimate(gini_mean, gini_error, "1", reference=at_prior, dof=dof, support=(0.0, 1.0)),
            Estimate(share_mean, share_error, "1", reference=at_prior, dof=dof, support=(0.0, 1.0)),
        )  # fmt: skip

    return Concentration(
        subject=subject.name, architecture=subject.architecture,
        whole=row("all tensors", torch.cat([indices[space.slices[n]] for n in names])),
        tensors=tuple(row(n, indices[space.slices[n]]) for n in names), draws=draws, seed=seed,
        version=version("pindown"),
        notes=(
            "Figures of the weights, not of the function: rescaling the units of a ReLU layer keeps every output and "
            "moves them (Dinh et al. 2017).",
        ),
    )  # fmt: skip
