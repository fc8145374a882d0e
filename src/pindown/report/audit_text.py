"""What the sections of an audit say however the figures come out: how they were measured, what they leave open."""

from __future__ import annotations

__all__ = [
    "BITS_LIMITS",
    "BITS_METHOD",
    "COMPARISON_LIMITS",
    "COMPARISON_METHOD",
    "DIMENSIONS_LIMITS",
    "DIMENSIONS_METHOD",
    "TWO_SIDED_LIMITS",
    "TWO_SIDED_METHOD",
]

BITS_METHOD = (
    "Bits at tolerance t are −log2 of the probability that weights drawn from the prior have a loss of at most t. "
    "One bit more means solutions half as common.",
    "The figures come from independent runs, each with its own seed; the intervals are Student-t intervals over the "
    "runs. Where the search did not reach, the figure is a bound and is drawn as one.",
)
BITS_LIMITS = (
    "The bits are relative to the prior: the same network under another initialisation has other bits.",
    "They say how rare such weights are, not how hard they are to find and not how well they generalise.",
)
DIMENSIONS_METHOD = (
    "λ is the slope d ln V / d ln t of the prior volume V of solutions at tolerance t (Watanabe 2009, Algebraic "
    "Geometry and Statistical Learning Theory). 2λ dimensions count as pinned, the rest as free.",
)
DIMENSIONS_LIMITS = (
    "The free dimensions are an effective number at one tolerance. They do not name single weights that are free, and "
    "at a stricter tolerance fewer may stay free.",
)
COMPARISON_METHOD = (
    "Random solutions are drawn from the prior restricted to losses of at most the training loss that is named. "
    "SGD’s solutions are independent training runs. Both are tried on the same held-out examples.",
)
COMPARISON_LIMITS = (
    "It compares means over one held-out set. Where no difference is shown, the two need not be equal: the interval "
    "says how large a difference remains possible.",
)
TWO_SIDED_METHOD = (
    "Chains that start from the prior are cooled; chains that start from known solutions, such as trained weights, are "
    "warmed up. At equal inverse temperature β both must have the same mean loss, and the free-energy difference must "
    "be the same from both directions (Bennett 1976, Journal of Computational Physics 22; Grosse, Ghahramani and Adams "
    "2015, Sandwiching the marginal likelihood using bidirectional Monte Carlo).",
)
TWO_SIDED_LIMITS = (
    "Where the two sides meet, the basins of these known solutions were not missed. A basin that neither side has seen "
    "stays unseen.",
)
