"""Bets that were accepted: stakes at odds on outcomes of which exactly one comes true; quoted probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pindown.choices.cells import as_fraction, different_names, name_of, number_of, positive_matrix, refuse_cell
from pindown.errors import DataError, InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bets"]

Array = NDArray[np.float64]


class Bets:
    r"""Accepted bets on outcomes of which exactly one comes true.

    Bet :math:`b` pays, net, :math:`g_{bs} = x_{bs} o_{bs} - \sum_r x_{br}` where outcome :math:`s` comes true, with
    stakes :math:`x` and decimal odds :math:`o` (what comes back for a stake of 1).

    Args:
        stakes: ``(bets, outcomes)``, 0 or more, and something staked in each row.
        odds: decimal odds, 1 or more where something is staked; the same shape.
        outcomes: names of the outcomes, all different; by default their numbers.
        names: names of the bets, all different; by default their numbers, from 1.

    Raises:
        InputError: for shapes that differ.
        DataError: for a negative stake, odds below 1 or NaN; row and column are named.

    Example:
        >>> from pindown import Bets
        >>> Bets([[1, 0], [0, 1]], [[1.5, 1], [1, 1.5]], outcomes=["rain", "sun"])
        Bets(2 bets, 2 outcomes)
    """

    kind: ClassVar[str] = "bets"

    def __init__(
        self, stakes: Any, odds: Any, *, outcomes: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> None:
        self.stakes: Array = positive_matrix(stakes, "stakes", zero=True)
        self.odds: Array = positive_matrix(odds, "odds", zero=True)
        if self.stakes.shape != self.odds.shape:
            raise InputError(f"stakes of shape {self.stakes.shape} and odds of shape {self.odds.shape}", "the same")
        bad = np.argwhere((self.stakes > 0) & (self.odds < 1))
        if len(bad):
            i, j = (int(k) for k in bad[0])
            raise refuse_cell(i, f"odds {j + 1}", float(self.odds[i, j]), "decimal odds of 1 or more")
        n, m = self.stakes.shape
        self.outcomes = different_names(outcomes, m, "outcome")
        self.names = different_names(names, n, "bet")
        empty = np.flatnonzero(~(self.stakes > 0).any(axis=1))
        if empty.size:
            raise refuse_cell(int(empty[0]), "stakes", self.stakes[empty[0]].tolist(), "something staked")

    @classmethod
    def quotes(
        cls, events: Iterable[Iterable[str]], probabilities: Iterable[Any], outcomes: Sequence[str], *,
        names: Sequence[str] | None = None,
    ) -> Bets:  # fmt: skip
        """Quoted probabilities as bets: who says ``q`` buys and sells a unit on the event at ``q``.

        Each quote is two bets of total stake 1: on the event at odds ``1/q``, and on its complement at ``1/(1 − q)``.

        Args:
            events: for each quote the outcomes in which its event comes true.
            probabilities: what was quoted, between 0 and 1.
            outcomes: all outcomes, of which exactly one comes true.
            names: names of the quotes, all different; by default their numbers, from 1.

        Raises:
            DataError: for a probability outside 0 to 1, or an event that holds no or every outcome.

        Example:
            >>> from pindown import Bets
            >>> len(Bets.quotes([["rain"], ["sun"]], [0.6, 0.6], ["rain", "sun"]))
            4
        """
        places = {name: j for j, name in enumerate(different_names(outcomes, len(outcomes), "outcome"))}
        events, probabilities = [list(e) for e in events], list(probabilities)
        if len(events) != len(probabilities) or not events:
            raise InputError(f"{len(events)} events and {len(probabilities)} probabilities", "one of each a quote")
        quotes = different_names(names, len(events), "quote")
        stakes: list[list[float]] = []
        odds: list[list[float]] = []
        sides: list[str] = []
        for i, (event, quoted) in enumerate(zip(events, probabilities, strict=True)):
            q = number_of(quoted, i, "probability", "a probability")
            if not 0.0 < q < 1.0:
                raise refuse_cell(i, "probability", quoted, "a number above 0 and below 1")
            inside = {places[name_of(e, i, "event")] for e in event if str(e) in places}
            if not inside or len(inside) == len(places):
                raise refuse_cell(i, "event", list(event), "some of the outcomes, not all")
            for members, price, side in ((inside, q, "for"), (set(places.values()) - inside, 1.0 - q, "against")):
                # One unit comes back in each outcome of the event: the stakes add up to the price.
                row, at = [0.0] * len(places), [1.0] * len(places)
                for j in members:
                    row[j], at[j] = price / len(members), len(members) / price
                stakes.append(row)
                odds.append(at)
                sides.append(f"{quotes[i]} {side}")
        bets = cls(stakes, odds, outcomes=list(places), names=sides)
        quoted = [as_fraction(float(q)) for q in probabilities]
        gains: list[list[Fraction]] = []
        for i, event in enumerate(events):
            inside = {places[str(e)] for e in event}
            q = quoted[i]
            gains.append([(1 - q) if j in inside else -q for j in range(len(places))])
            gains.append([-g for g in gains[-1]])
        bets._gains = gains
        return bets

    _gains: list[list[Fraction]] | None = None

    def gains(self) -> list[list[Fraction]]:
        """Net gain of each bet in each outcome, exactly."""
        if self._gains is not None:
            return self._gains
        out: list[list[Fraction]] = []
        for x, o in zip(self.stakes.tolist(), self.odds.tolist(), strict=True):
            stakes = [as_fraction(v) for v in x]
            total = sum(stakes, Fraction(0))
            out.append([s * as_fraction(v) - total for s, v in zip(stakes, o, strict=True)])
        return out

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Bets:
        """From one row for each bet and outcome: ``bet``, ``outcome``, ``stake``, ``odds``.

        Raises:
            DataError: for an empty table, or a bet that names an outcome twice.
        """
        bets: dict[str, int] = {}
        outcomes: dict[str, int] = {}
        cells: dict[tuple[int, int], tuple[float, float]] = {}
        for i, row in enumerate(rows):
            b = bets.setdefault(name_of(row["bet"], i, "bet"), len(bets))
            s = outcomes.setdefault(name_of(row["outcome"], i, "outcome"), len(outcomes))
            if (b, s) in cells:
                raise refuse_cell(i, "outcome", row["outcome"], "each outcome of a bet once")
            stake, odds = number_of(row["stake"], i, "stake"), number_of(row["odds"], i, "odds")
            if stake < 0:
                raise refuse_cell(i, "stake", stake, "a number of 0 or more")
            if odds < 1:
                raise refuse_cell(i, "odds", odds, "decimal odds of 1 or more")
            cells[b, s] = stake, odds
        if not cells:
            raise DataError("an empty table of bets", "at least one bet")
        shape = len(bets), len(outcomes)
        stakes, odds = np.zeros(shape), np.ones(shape)
        for (b, s), (x, o) in cells.items():
            stakes[b, s], odds[b, s] = x, o
        return cls(stakes, odds, outcomes=list(outcomes), names=list(bets))

    @classmethod
    def from_quotes(cls, rows: Iterable[Mapping[str, Any]]) -> Bets:
        """From quoted probabilities, one row for each quote and outcome of its event: ``quote``, ``outcome``,
        ``probability``. The outcomes named anywhere are all that there are, and exactly one comes true.

        Raises:
            DataError: for an outcome twice in a quote, a quote with two probabilities, or one on every outcome.
        """
        events: dict[str, list[str]] = {}
        quoted: dict[str, float] = {}
        outcomes: dict[str, None] = {}
        for i, row in enumerate(rows):
            quote, outcome = name_of(row["quote"], i, "quote"), name_of(row["outcome"], i, "outcome")
            q = number_of(row["probability"], i, "probability", "a probability")
            if not 0.0 < q < 1.0:
                raise refuse_cell(i, "probability", q, "a number above 0 and below 1")
            if quoted.setdefault(quote, q) != q:
                raise refuse_cell(i, "probability", q, f"the {quoted[quote]} that quote {quote!r} has above")
            if outcome in events.setdefault(quote, []):
                raise refuse_cell(i, "outcome", outcome, "each outcome of a quote once")
            events[quote].append(outcome)
            outcomes[outcome] = None
        if not events:
            raise DataError("an empty table of quotes", "at least one quote")
        for quote, event in events.items():
            if len(event) == len(outcomes):
                raise DataError(
                    f"quote {quote!r} on every outcome of the table",
                    "some of the outcomes",
                    "name the others in a quote of their own",
                )
        return cls.quotes(events.values(), quoted.values(), list(outcomes), names=list(events))

    def __len__(self) -> int:
        return len(self.stakes)

    def __repr__(self) -> str:
        n, m = self.stakes.shape
        return f"Bets({counted(n, 'bet')}, {counted(m, 'outcome')})"

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each bet and outcome: ``bet``, ``outcome``, ``stake``, ``odds``."""
        import pandas as pd

        rows = [
            (name, outcome, self.stakes[i, j], self.odds[i, j])
            for i, name in enumerate(self.names)
            for j, outcome in enumerate(self.outcomes)
        ]
        return pd.DataFrame(rows, columns=["bet", "outcome", "stake", "odds"])
