r"""Dutch books: accepted bets that together lose in every outcome, or probabilities under which none is expected to.

Exactly one of two exists (de Finetti 1937; a theorem of the alternative, Gale 1960): stakes :math:`y \ge 0` with
:math:`\sum_b y_b g_{bs} < 0` in every outcome :math:`s`, or probabilities :math:`\pi` with :math:`\sum_s \pi_s g_{bs}
\ge 0` for every bet. One linear programme has both: maximise the sure loss :math:`v` over :math:`0 \le y \le 1`; its
dual is :math:`\pi`. It is solved in fractions, for a few bets at first; those on which the probabilities so far expect
a loss join them until there are none left, and then the few decide for all (Gilmore and Gomory 1961).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from pindown.choices.bets import Bets
from pindown.choices.certificates import Certificate, Pump, Step
from pindown.choices.exact_lp import maximise

__all__ = ["book_or_probabilities"]

_JOIN, _MOST_TOLD = 2, 6


def book_or_probabilities(bets: Bets) -> tuple[Certificate, Pump | None]:
    """The Dutch book with its sure loss, or the probabilities.

    The book makes each bet at most once; its loss is the greatest that can be made sure.
    """
    gains = bets.gains()
    m, zero = len(bets.outcomes), Fraction(0)
    used: list[int] = []
    y, dual = _programme(gains, used, m)
    while True:
        total = sum(dual, zero)
        prices = [x / total for x in dual]
        expected = {b: _dot(prices, row) for b, row in enumerate(gains) if b not in set(used)}
        worst = sorted((e, b) for b, e in expected.items() if e < 0)[: _JOIN * m]
        if not worst:
            break
        used += [b for _, b in worst]
        y, dual = _programme(gains, used, m)
    stakes = [zero] * len(bets)
    for b, times in zip(used, y, strict=False):
        stakes[b] = times
    loss = y[-1]
    if loss > 0:
        return _book(bets, gains, _netted(gains, stakes), loss)
    verified = sum(prices, zero) == 1 and all(p >= 0 for p in prices) and all(_dot(prices, row) >= 0 for row in gains)
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


def _programme(gains: list[list[Fraction]], used: list[int], m: int) -> tuple[list[Fraction], list[Fraction]]:
    """How often to make each of these bets, with the loss that is then sure, and the dual of the outcomes."""
    zero, one, n = Fraction(0), Fraction(1), len(used)
    outcomes = [[*(gains[b][s] for b in used), one] for s in range(m)]
    at_most_once = [[*(one if i == b else zero for i in range(n)), zero] for b in range(n)]
    # y and v can be 0, so the start is feasible. Σ y_b g_bs + v ≤ 0 in each outcome; y_b ≤ 1.
    x, dual = maximise([*(zero for _ in range(n)), one], outcomes + at_most_once, [zero] * m + [one] * n)
    return x, dual[:m]


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
