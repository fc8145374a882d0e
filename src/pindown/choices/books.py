r"""Dutch books: accepted bets that together lose in every outcome, or probabilities under which none is expected to.

Exactly one of two exists (de Finetti 1937; a theorem of the alternative, Gale 1960): stakes :math:`y \ge 0` with
:math:`\sum_b y_b g_{bs} < 0` in every outcome :math:`s`, or probabilities :math:`\pi` with :math:`\sum_s \pi_s g_{bs}
\ge 0` for every bet. One linear programme has both: maximise the sure loss :math:`v` over :math:`0 \le y \le 1`; its
dual is :math:`\pi`. It is solved in fractions.
"""

from __future__ import annotations

from fractions import Fraction

from pindown.choices.bets import Bets
from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.exact_lp import maximise

__all__ = ["book_or_probabilities"]


def book_or_probabilities(bets: Bets) -> tuple[Certificate, Pump | None]:
    """The Dutch book with its sure loss, or the probabilities.

    The book makes each bet at most once; its loss is the greatest that can be made sure.
    """
    gains = bets.gains()
    n, m = len(bets), len(bets.outcomes)
    zero, one = Fraction(0), Fraction(1)
    outcomes = [[*(gains[b][s] for b in range(n)), one] for s in range(m)]
    at_most_once = [[*(one if i == b else zero for i in range(n)), zero] for b in range(n)]
    # y and v can be 0, so the start is feasible. Σ y_b g_bs + v ≤ 0 in each outcome; y_b ≤ 1.
    x, dual = maximise([*(zero for _ in range(n)), one], outcomes + at_most_once, [zero] * m + [one] * n)
    loss = x[-1]
    if loss > 0:
        return _book(bets, gains, x[:n], loss)
    total = sum(dual[:m], zero)
    prices = [y / total for y in dual[:m]]
    verified = (
        sum(prices, zero) == 1
        and all(p >= 0 for p in prices)
        and all(sum((p * g for p, g in zip(prices, row, strict=True)), zero) >= 0 for row in gains)
    )
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
    steps = tuple(Step("before", f"bet {name}", None, True, f"bet {name}, {w} times") for name, w in used.items())
    share = float(loss / staked) if staked > 0 else None
    return certificate, Pump((), steps, float(loss), share, True, verified)
