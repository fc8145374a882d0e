r"""One description length in bits decides between explanations: each has to pay for itself.

All explanations describe the same choices to somebody who knows the menus, budgets or offers. Random choices cost
:math:`\log_2` of the number of patterns. One agent costs the pattern of a coherent agent, which is the cost of random
choices less the surprise of coherence, and then its errors: how many, which, and what was chosen instead. Several
agents cost a pattern each, and who chose when: named menu by menu (subagents), drawn with fixed chances (a mixture), or
in stretches (a hidden state that changes). Codes are those of Rissanen (1983) for whole numbers and uniform ones for
the rest (Grünwald 2007, The Minimum Description Length Principle).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

__all__ = ["EXPLANATIONS", "best_of", "explain", "log2_choose", "said_of", "stretches", "whole_number_bits"]

EXPLANATIONS = {
    "random": "random choices",
    "one agent with errors": "one agent that errs",
    "subagents": "several agents, each for its own menus",
    "mixture": "several agents, one drawn for each choice",
    "hidden state": "one agent whose order changes at times",
}
"""The explanations, and what each says."""

_EXACT = 1000

Saved = Callable[[Sequence[int]], float]


def whole_number_bits(n: int) -> float:
    """Bits of a whole number from 1 up: :math:`\\log_2 2.865 + \\log_2 n + \\log_2 \\log_2 n + …` (Rissanen 1983).

    >>> round(whole_number_bits(1), 3)
    1.519
    """
    out, term = math.log2(2.865064), math.log2(n)
    while term > 0:
        out += term
        term = math.log2(term)
    return out


def log2_choose(n: int, k: int) -> float:
    """``log2`` of the binomial coefficient.

    >>> log2_choose(4, 2) == math.log2(6)
    True
    """
    if n <= _EXACT:
        return math.log2(math.comb(n, k))
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


def explain(
    n: int,
    baseline: float,
    saved: Saved,
    kept: Sequence[int],
    error_bits: Callable[[int], float],
    groups: Sequence[Sequence[int]],
    parts: Sequence[Sequence[int]],
    labels: Sequence[Hashable],
) -> dict[str, float]:
    """Bits of each explanation.

    Args:
        n: how many choices there are.
        baseline: bits of random choices.
        saved: bits that coherence of these choices saves against random ones.
        kept: the choices that one agent explains; the others are its errors.
        error_bits: what it takes to say an erroneous choice, for its number.
        groups: the choices of each subagent.
        parts: the stretches of a hidden state.
        labels: what a subagent is chosen by: equal menus have equal labels.
    """
    errors = sorted(set(range(n)) - set(kept))
    out = {"random": baseline}
    single = baseline - saved(kept) + math.log2(n + 1) + log2_choose(n, len(errors))
    # Random choices of the erroneous rows are in the baseline already; knowing that they err spares a little.
    out["one agent with errors"] = single + sum(error_bits(i) for i in errors)
    k = len(groups)
    if k > 1:
        patterns = baseline - sum(saved(g) for g in groups) + whole_number_bits(k) - math.log2(math.factorial(k))
        who = {i: m for m, g in enumerate(groups) for i in g}
        named: dict[Hashable, set[int]] = {}
        for i, label in enumerate(labels):
            named.setdefault(label, set()).add(who[i])
        one_each = all(len(m) == 1 for m in named.values())
        out["subagents"] = patterns + (len(named) if one_each else n) * math.log2(k)
        sizes = [len(g) for g in groups]
        shuffles = math.lgamma(n + 1) - sum(math.lgamma(s + 1) for s in sizes)
        out["mixture"] = patterns + shuffles / math.log(2) + log2_choose(n + k - 1, k - 1)
    if len(parts) > 1:
        s = len(parts)
        out["hidden state"] = (
            baseline - sum(saved(p) for p in parts) + whole_number_bits(s) + log2_choose(n - 1, s - 1)
        )  # fmt: skip
    return out


def said_of(explanation: str, kind: str) -> str:
    """An explanation in words, for choices of a kind.

    >>> said_of("subagents", "trades")
    'a committee in which each member has a veto'
    """
    if kind == "trades" and explanation == "subagents":
        return "a committee in which each member has a veto"
    if kind == "budgets" and explanation == "subagents":
        return "several agents, each for its own budgets"
    if kind == "pairs" and explanation == "subagents":
        return "several agents, each for its own comparisons"
    return EXPLANATIONS[explanation]


def best_of(bits: dict[str, float]) -> str:
    """The explanation of fewest bits; the earlier one where two are equal.

    >>> best_of({"random": 3.0, "one agent with errors": 2.0})
    'one agent with errors'
    """
    return min(bits, key=lambda name: bits[name])


def stretches(n: int, coherent: Callable[[Sequence[int]], bool]) -> list[list[int]]:
    """The fewest stretches of choices, in order, each coherent; each is made as long as it can be, which is optimal.

    >>> stretches(4, lambda part: len(part) <= 3)
    [[0, 1, 2], [3]]
    """
    out: list[list[int]] = []
    start = 0
    while start < n:
        # Coherence is inherited by parts, so the longest stretch is found by doubling and bisection.
        low, high = 1, 2
        while start + high <= n and coherent(range(start, start + high)):
            low, high = high, 2 * high
        high = min(high, n - start + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if coherent(range(start, start + middle)) else (low, middle)
        out.append(list(range(start, start + low)))
        start += low
    return out
