"""Small linear programmes in fractions: a solution and its dual, so that either can be checked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["maximise"]

Row = list[Fraction]


def maximise(c: Sequence[Fraction], a: Sequence[Sequence[Fraction]], b: Sequence[Fraction]) -> tuple[Row, Row]:
    r"""Maximise :math:`c x` over :math:`A x \le b, x \ge 0` with :math:`b \ge 0`, exactly.

    The simplex method on a full tableau of fractions with Bland's rule (1977), which cannot cycle.

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
    zero, one = Fraction(0), Fraction(1)
    table = [[*row, *(one if i == k else zero for k in range(m)), b[i]] for i, row in enumerate(a)]
    reduced = [*c, *(zero for _ in range(m + 1))]
    basis = list(range(n, n + m))
    while True:
        enter = next((j for j in range(n + m) if reduced[j] > 0), None)
        if enter is None:
            break
        rows = [(row[-1] / row[enter], basis[i], i) for i, row in enumerate(table) if row[enter] > 0]
        if not rows:
            raise ArithmeticError("the objective has no bound")
        leave = min(rows)[2]
        pivot = table[leave][enter]
        table[leave] = [x / pivot for x in table[leave]]
        pivot_row = table[leave]
        for i, row in enumerate(table):
            if i != leave and row[enter]:
                factor = row[enter]
                table[i] = [x - factor * y if y else x for x, y in zip(row, pivot_row, strict=True)]
        factor = reduced[enter]
        reduced = [x - factor * y if y else x for x, y in zip(reduced, pivot_row, strict=True)]
        basis[leave] = enter
    x = [zero] * (n + m)
    for i, j in enumerate(basis):
        x[j] = table[i][-1]
    return x[:n], [-reduced[n + i] for i in range(m)]
