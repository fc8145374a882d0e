"""Small linear programmes in fractions: a solution and its dual, so that either can be checked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

__all__ = ["maximise"]

Row = list[Fraction]
_STEEPEST = 40


def maximise(c: Sequence[Fraction], a: Sequence[Sequence[Fraction]], b: Sequence[Fraction]) -> tuple[Row, Row]:
    r"""Maximise :math:`c x` over :math:`A x \le b, x \ge 0` with :math:`b \ge 0`, exactly.

    The simplex method on a full tableau of whole numbers over one common denominator, which each pivot divides out
    (Edmonds 1967; Bareiss 1968). The steepest column enters in the first steps; then Bland's rule (1977), which cannot
    cycle.

    Returns:
        The solution, and the dual solution :math:`y \ge 0` with :math:`y A \ge c` and :math:`y b = c x`.

    Raises:
        ArithmeticError: where the objective has no bound.

    Example:
        >>> one = Fraction(1)
        >>> maximise([one, one], [[one, 2 * one], [3 * one, one]], [4 * one, 6 * one])
        ([Fraction(8, 5), Fraction(6, 5)], [Fraction(2, 5), Fraction(1, 5)])
    """
    m, n = len(a), len(c)
    # A row in whole numbers is its constraint times a scale; its slack is that many times the slack.
    scales = [math.lcm(*(x.denominator for x in row), bound.denominator) for row, bound in zip(a, b, strict=True)]
    table = [
        [*(int(x * scale) for x in row), *(int(i == k) for k in range(m)), int(bound * scale)]
        for i, (row, bound, scale) in enumerate(zip(a, b, scales, strict=True))
    ]
    scale = math.lcm(*(x.denominator for x in c))
    reduced = [*(int(x * scale) for x in c), *(0 for _ in range(m + 1))]
    basis = list(range(n, n + m))
    denominator, steps = 1, 0
    while True:
        steps += 1
        enter = max(range(n + m), key=reduced.__getitem__) if steps <= _STEEPEST else -1
        if enter < 0:
            enter = next((j for j in range(n + m) if reduced[j] > 0), 0)
        if reduced[enter] <= 0:
            break
        rows = [(Fraction(row[-1], row[enter]), basis[i], i) for i, row in enumerate(table) if row[enter] > 0]
        if not rows:
            raise ArithmeticError("the objective has no bound")
        leave = min(rows)[2]
        pivot_row = table[leave]
        pivot = pivot_row[enter]
        for i, row in enumerate(table):
            if i != leave:
                table[i] = _pivoted(row, pivot_row, pivot, row[enter], denominator)
        reduced = _pivoted(reduced, pivot_row, pivot, reduced[enter], denominator)
        denominator = pivot
        basis[leave] = enter
    x = [Fraction(0)] * (n + m)
    for i, j in enumerate(basis):
        x[j] = Fraction(table[i][-1], denominator)
    dual = [Fraction(-reduced[n + i] * scales[i], denominator * scale) for i in range(m)]
    return x[:n], dual


def _pivoted(row: list[int], pivot_row: list[int], pivot: int, factor: int, denominator: int) -> list[int]:
    if not factor:
        return row if pivot == denominator else [x * pivot // denominator for x in row]
    return [(x * pivot - factor * y) // denominator for x, y in zip(row, pivot_row, strict=True)]
