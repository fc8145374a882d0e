r"""Dutch books: accepted bets that together lose in every outcome, or probabilities under which none is expected to.

Exactly one of two exists (de Finetti 1937; a theorem of the alternative, Gale 1960): stakes :math:`y \ge 0` with
:math:`\sum_b y_b g_{bs} < 0` in every outcome :math:`s`, or probabilities :math:`\pi` with :math:`\sum_s \pi_s g_{bs}
\ge 0` for every bet. One linear programme has both: maximise the sure loss :math:`v` over :math:`0 \le y \le 1`; its
dual is :math:`\pi`. Floating point says which bets are made not at all and which in full; only the few in between are
solved for in fractions. Bets that the probabilities found do not confirm in their place join the few until there are
none left, and then the few decide for all (Gilmore and Gomory 1961).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linprog

from pindown.choices.bets import Bets
from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.exact_lp import maximise

__all__ = ["book_or_probabilities"]

_JOIN, _MOST_TOLD = 2, 6
_FEW, _SURE = 8, 1e-9


def book_or_probabilities(bets: Bets) -> tuple[Certificate, Pump | None]:
    """The Dutch book with its sure loss, or the probabilities.

    The book makes each bet at most once; its loss is the greatest that can be made sure.
    """
    gains = bets.gains()
    m, zero, one = len(bets.outcomes), Fraction(0), Fraction(1)
    stakes = _guessed(gains)
    few = [b for b, y in enumerate(stakes) if y is None]
    while True:
        whole = [b for b, y in enumerate(stakes) if y == 1]
        base = [sum((gains[b][s] for b in whole), zero) for s in range(m)]
        y, loss, dual = _programme([gains[b] for b in few], base)
        total = sum(dual, zero)
        prices = [x / total for x in dual]
        expected = [_dot(prices, row) for row in gains]
        # Made in full though a gain is expected, or not at all though a loss is.
        wrong = [(e if stakes[b] == 0 else -e, b) for b, e in enumerate(expected) if stakes[b] is not None]
        worst = sorted((e, b) for e, b in wrong if e < 0)[: _JOIN * m]
        if not worst:
            break
        for _, b in worst:
            stakes[b] = None
            few.append(b)
    for b, times in zip(few, y, strict=True):
        stakes[b] = times
    book = [zero if x is None else Fraction(x) for x in stakes]
    if loss > 0:
        return _book(bets, gains, _netted(gains, book), loss)
    verified = sum(prices, zero) == one and all(p >= 0 for p in prices) and all(e >= 0 for e in expected)
    names = dict(zip(bets.outcomes, prices, strict=True))
    return (
        Certificate(
            "probabilities",
            "Under these probabilities no accepted bet is expected to lose.",
            {k: float(v) for k, v in names.items()},
            {k: str(v) for k, v in names.items()},
            (),
            verified,
        ),
        None,
    )


def _guessed(gains: list[list[Fraction]]) -> list[Fraction | None]:
    """How often each bet is made, as floating point has it: not at all, in full, or None for what is in between.

    Nothing rests on it: whatever is guessed wrong is put right in fractions.
    """
    table = np.array([[float(g) for g in row] for row in gains])
    n, m = table.shape
    largest = float(np.abs(table).max())
    if n <= max(m, _FEW) or largest == 0.0:
        return [None] * n
    table /= largest
    # The loss is the last variable. The fields of results are not known to the annotations of linprog.
    found: Any = linprog(
        np.append(np.zeros(n), -1.0), A_ub=np.column_stack([table.T, np.ones(m)]), b_ub=np.zeros(m),
        bounds=[*((0.0, 1.0) for _ in range(n)), (0.0, None)], method="highs",
    )  # fmt: skip
    if found.x is None:
        return [Fraction(0)] * n
    y = found.x[:n]
    return [Fraction(0) if v < _SURE else Fraction(1) if v > 1.0 - _SURE else None for v in y.tolist()]


def _programme(
    gains: list[list[Fraction]], base: list[Fraction]
) -> tuple[list[Fraction], Fraction, list[Fraction]]:  # fmt: skip
    """How often to make each of these bets beside others that gain ``base``, the sure loss, the dual of the outcomes.

    The loss may be below 0 here: a gain in some outcome.
    """
    zero, one, n, m = Fraction(0), Fraction(1), len(gains), len(base)
    outcomes = [[*(row[s] for row in gains), one] for s in range(m)]
    at_most_once = [[*(one if i == b else zero for i in range(n)), zero] for b in range(n)]
    # Σ y_b g_bs + v ≤ −base_s in each outcome; y_b ≤ 1. With v counted from where y = 0 has it, the start is feasible.
    least = max(base)
    room = [least - g for g in base]
    x, dual = maximise([*(zero for _ in range(n)), one], outcomes + at_most_once, room + [one] * n)
    return x[:n], x[n] - least, dual[:m]


def _netted(gains: list[list[Fraction]], stakes: list[Fraction]) -> list[Fraction]:
    """The same book without bets that are made and laid at once, such as both sides of one quote."""
    place: dict[tuple[Fraction, ...], int] = {}
    out = list(stakes)
    for b, row in enumerate(gains):
        other = place.get(tuple(-g for g in row))
        if other is not None:
            both = min(out[b], out[other])
            out[b], out[other] = out[b] - both, out[other] - both
        place[tuple(row)] = b
    return out


def _dot(prices: Sequence[Fraction], row: Sequence[Fraction]) -> Fraction:
    return sum((p * g for p, g in zip(prices, row, strict=True)), Fraction(0))


def _book(
    bets: Bets, gains: list[list[Fraction]], y: list[Fraction], loss: Fraction
) -> tuple[Certificate, Pump]:  # fmt: skip
    zero = Fraction(0)
    results = [sum((w * row[s] for w, row in zip(y, gains, strict=True)), zero) for s in range(len(bets.outcomes))]
    verified = all(w >= 0 for w in y) and all(r <= -loss for r in results) and loss > 0
    used = {name: w for name, w in zip(bets.names, y, strict=True) if w > 0}
    certificate = Certificate(
        "book",
        f"Making each bet as often as stated loses at least {float(loss):.6g} in every outcome.",
        {k: float(v) for k, v in used.items()},
        {k: str(v) for k, v in used.items()},
        (),
        verified,
    )
    staked = sum((w * -min(row) for w, row in zip(y, gains, strict=True) if w > 0), zero)
    rows = dict(zip(bets.names, gains, strict=True))
    steps = tuple(Step("", f"bet {name}", None, True, _pays(bets, rows[name])) for name in used)
    share = float(loss / staked) if staked > 0 else None
    return certificate, Pump((), steps, float(loss), share, True, verified)


def _pays(bets: Bets, row: list[Fraction]) -> str:
    """What a bet pays, outcome by outcome."""
    paid: dict[Fraction, list[str]] = {}
    for outcome, gain in zip(bets.outcomes, row, strict=True):
        paid.setdefault(gain, []).append(outcome)
    if len(bets.outcomes) > _MOST_TOLD:
        told = f"nets {float(max(row)):.6g} at best and {float(min(row)):.6g} at worst"
    else:
        told = "nets " + ", ".join(f"{float(g):.6g} if {' or '.join(names)}" for g, names in paid.items())
    return told.replace("-", "−")
