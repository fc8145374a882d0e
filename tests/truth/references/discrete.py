"""Counting on bit strings and subsets, and the stored brute force of Boolean networks."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import mpmath as mp

from .value import Exact

BOOLEAN_FILE = Path(__file__).parents[3] / "benchmarks" / "results" / "boolean_3_6_1.json"


def _from_fraction(p: Fraction) -> Exact:
    with mp.workdps(40):
        return Exact(float(-mp.log(mp.mpf(p.numerator) / mp.mpf(p.denominator), 2)))


def overlap_at_least(n: int, k: int, overlap: int) -> Exact:
    """A uniform k-subset of n shares at least ``overlap`` items with a given k-subset: the hypergeometric tail.

    Σ_{j ≥ overlap} C(k, j) C(n − k, k − j) / C(n, k), in exact integers.
    """
    hits = sum(math.comb(k, j) * math.comb(n - k, k - j) for j in range(overlap, k + 1))
    return _from_fraction(Fraction(hits, math.comb(n, k)))


def zeros_at_most(n: int, most: int = 0) -> Exact:
    """A uniform bit string of length n has at most ``most`` zeros: Σ_{j ≤ most} C(n, j) / 2^n."""
    return _from_fraction(Fraction(sum(math.comb(n, j) for j in range(most + 1)), 2**n))


def boolean_counts(convention: str) -> tuple[list[int], int]:
    """Counts of the 256 functions of three bits among random 3-6-1 networks, and how many networks were drawn.

    Written by ``benchmarks/boolean_brute_force.py``; entry f counts networks whose output on input row i has the
    sign of bit i of f.
    """
    record = json.loads(BOOLEAN_FILE.read_text())["conventions"][convention]
    return record["counts"], record["networks"]
