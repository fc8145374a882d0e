"""A log of trades: what was held, what was offered for it, and whether it was accepted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pindown.choices.cells import name_of, refuse_cell
from pindown.errors import DataError, InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Trades", "truth_of"]

_TRUE = {"1", "true", "yes", "y", "accepted", "accept"}
_FALSE = {"0", "false", "no", "n", "refused", "refuse", "rejected", "reject"}


def truth_of(value: Any, row: int, column: str) -> bool:
    """A cell as yes or no."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    text = str(value).strip().lower().removesuffix(".0")
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise refuse_cell(row, column, value, "yes or no, true or false, 1 or 0")


class Trades:
    """Trades that were offered, in order, each accepted or refused.

    Args:
        have: the item held at each offer.
        offered: the item offered for it.
        accepted: whether the trade was made.

    Attributes:
        items: all items, in the order of their first appearance.
        have, offered: item numbers.
        accepted: one truth value a trade.

    Raises:
        InputError: where the lengths differ.
        DataError: for an empty table, an item offered for itself, or an answer that is neither yes nor no.

    Example:
        >>> from pindown import Trades
        >>> Trades(["A", "B"], ["B", "C"], [True, False])
        Trades(2 offers, 3 items, 1 accepted)
    """

    kind: ClassVar[str] = "trades"

    def __init__(self, have: Iterable[Any], offered: Iterable[Any], accepted: Iterable[Any]) -> None:
        a, b, yes = list(have), list(offered), list(accepted)
        if len({len(a), len(b), len(yes)}) != 1:
            raise InputError(f"{len(a)} items held, {len(b)} offered, {len(yes)} answers", "one of each a row")
        if not a:
            raise DataError("an empty table of trades", "at least one offer")
        numbers: dict[str, int] = {}
        self.have: list[int] = []
        self.offered: list[int] = []
        self.accepted: list[bool] = []
        for i, (x, y, answer) in enumerate(zip(a, b, yes, strict=True)):
            left = numbers.setdefault(name_of(x, i, "have"), len(numbers))
            right = numbers.setdefault(name_of(y, i, "offered"), len(numbers))
            if left == right:
                raise refuse_cell(i, "offered", y, "another item than in column 'have'")
            self.have.append(left)
            self.offered.append(right)
            self.accepted.append(truth_of(answer, i, "accepted"))
        self.items = tuple(numbers)

    @property
    def accepted_pairs(self) -> set[tuple[int, int]]:
        """(from, to) of the trades that were accepted."""
        return {(a, b) for a, b, yes in zip(self.have, self.offered, self.accepted, strict=True) if yes}

    @property
    def refused_pairs(self) -> set[tuple[int, int]]:
        """(from, to) of the trades that were refused."""
        return {(a, b) for a, b, yes in zip(self.have, self.offered, self.accepted, strict=True) if not yes}

    def __len__(self) -> int:
        return len(self.have)

    def __repr__(self) -> str:
        return (
            f"Trades({counted(len(self), 'offer')}, {counted(len(self.items), 'item')}, {sum(self.accepted)} accepted)"
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row an offer: ``have``, ``offered``, ``accepted``."""
        import pandas as pd

        rows = zip(self.have, self.offered, self.accepted, strict=True)
        return pd.DataFrame(
            [(self.items[a], self.items[b], yes) for a, b, yes in rows], columns=["have", "offered", "accepted"]
        )
