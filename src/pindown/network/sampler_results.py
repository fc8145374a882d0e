"""Two samplers of functions compared, as values: one :class:`SamplerComparison`, to and from plain JSON."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pindown.estimate import Estimate
from pindown.network.record import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BothSamplers", "FunctionCount", "SamplerComparison"]


@dataclass(frozen=True)
class BothSamplers:
    """One figure for each sampler."""

    optimiser: Estimate
    random: Estimate


@dataclass(frozen=True)
class FunctionCount:
    """How often each sampler found one function.

    Attributes:
        function: its labels on the inputs, as hexadecimal digits of one bit each where there are two classes.
        optimiser, random: counts.
    """

    function: str
    optimiser: int
    random: int


@dataclass(frozen=True)
class SamplerComparison(Record, schema="pindown/sampler-comparison/1"):
    """The functions that an optimiser finds against those of random solutions.

    Attributes:
        inputs: on how many inputs functions are told apart.
        draws, attempted: fitting runs of the optimiser, and how many were started.
        random_draws, random_groups: random solutions, and how many independent groups they come from.
        reached: share of the optimiser's runs that fitted.
        functions: distinct functions each sampler has shown.
        total_variation: half the sum of absolute differences of the shares; high where much was not seen.
        null: the same figure for two disjoint parts of the random solutions, at the same sizes.
        excess: total variation minus its null.
        p_value: share of splits in which the null is at least as large.
        corrected_total_variation: with functions that one sampler has not shown merged at their Good–Turing mass.
        held_out_total_variation: measured on draws that had no part in choosing where the samplers differ; no more
            than the total variation in the mean, and 0 in the mean for one sampler against itself.
        relative_entropy: bits of the optimiser's distribution relative to the random solutions', over merged cells; a
            lower bound where the optimiser shows what random solutions do not.
        entropy_bits: entropy of each distribution (Chao and Shen).
        unseen: mass that each sampler has not shown (Good and Turing).
        rank_correlation: Spearman's, over functions that both have shown.
        log_correlation: Pearson's of log counts over those.
        counts: the functions shown most often.
        seed: of the splits.
    """

    inputs: int
    draws: int
    attempted: int
    random_draws: int
    random_groups: int
    reached: Estimate
    functions: tuple[int, int]
    total_variation: Estimate
    null: Estimate
    excess: Estimate
    p_value: float
    corrected_total_variation: Estimate
    held_out_total_variation: Estimate
    relative_entropy: Estimate
    entropy_bits: BothSamplers
    unseen: BothSamplers
    rank_correlation: Estimate
    log_correlation: Estimate
    counts: tuple[FunctionCount, ...]
    seed: int

    def summary(self) -> str:
        """The figures as plain text."""
        return "\n".join(
            [
                f"{self.draws:,} of {self.attempted:,} runs fitted; {self.random_draws:,} random solutions from "
                f"{self.random_groups:,} groups; {self.inputs} inputs",
                f"  total variation {self.total_variation}, one sampler against itself {self.null}, "
                f"excess {self.excess} (p = {self.p_value:.3g})",
                f"  with unseen mass merged {self.corrected_total_variation}, on held-out draws "
                f"{self.held_out_total_variation}",
                f"  relative entropy {self.relative_entropy}",
                f"  entropy {self.entropy_bits.optimiser} against {self.entropy_bits.random}",
                f"  not seen {self.unseen.optimiser} against {self.unseen.random}",
                f"  rank correlation {self.rank_correlation}, of log counts {self.log_correlation}",
            ]
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each function that was shown often."""
        import pandas as pd

        rows = [(c.function, c.optimiser / self.draws, c.random / self.random_draws) for c in self.counts]
        return pd.DataFrame(rows, columns=["function", "optimiser", "random"])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>{self.to_dataframe().head(20).to_html(index=False)}"
