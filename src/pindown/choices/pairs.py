"""Comparisons of two items: how often each was preferred."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pindown.choices.cells import name_of, refuse_cell, whole_number_of
from pindown.errors import DataError, InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Pairs"]

_MOST_ITEMS = 5000  # the counts take 200 MB


class Pairs:
    """Counts of comparisons; rows about the same two items are added up, and pairs never compared stay missing.

    Args:
        first: one item of each row.
        second: the other.
        wins: how often ``first`` was preferred in it; by default once.
        losses: how often ``second`` was; by default never.

    Attributes:
        items: all items, in the order of their first appearance.
        counts: ``(items, items)``: how often the row's item was preferred to the column's.

    Raises:
        InputError: where the lengths differ, or for more than 5000 items.
        DataError: for an empty table, an item against itself, a count that is negative or not whole, or no comparison.

    Example:
        >>> from pindown import Pairs
        >>> Pairs(["a", "b"], ["b", "c"], wins=[3, 2], losses=[1, 0])
        Pairs(3 items, 2 pairs, 6 comparisons)
    """

    kind: ClassVar[str] = "pairs"

    def __init__(
        self,
        first: Iterable[Any],
        second: Iterable[Any],
        wins: Iterable[Any] | None = None,
        losses: Iterable[Any] | None = None,
    ) -> None:
        a, b = list(first), list(second)
        w = [1] * len(a) if wins is None else list(wins)
        v = [0] * len(a) if losses is None else list(losses)
        if len({len(a), len(b), len(w), len(v)}) != 1:
            raise InputError(
                f"{len(a)} first items, {len(b)} second items, {len(w)} wins and {len(v)} losses", "one of each a row"
            )
        if not a:
            raise DataError("an empty table of pairs", "at least one comparison")
        numbers: dict[str, int] = {}
        rows: list[tuple[int, int, int, int]] = []
        for i, (x, y, won, lost) in enumerate(zip(a, b, w, v, strict=True)):
            left = numbers.setdefault(name_of(x, i, "first"), len(numbers))
            right = numbers.setdefault(name_of(y, i, "second"), len(numbers))
            if left == right:
                raise refuse_cell(i, "second", y, "another item than in column 'first'")
            rows.append((left, right, whole_number_of(won, i, "wins"), whole_number_of(lost, i, "losses")))
        self.items = tuple(numbers)
        if len(numbers) > _MOST_ITEMS:
            raise InputError(
                f"{len(numbers):,} items",
                f"at most {_MOST_ITEMS:,}",
                "hand in the items that hang together by themselves",
            )
        self.counts: NDArray[np.int64] = np.zeros((len(numbers), len(numbers)), dtype=np.int64)
        for left, right, won, lost in rows:
            self.counts[left, right] += won
            self.counts[right, left] += lost
        if not self.counts.any():
            raise DataError("a table of pairs in which nothing was compared", "wins or losses above 0")

    @property
    def compared(self) -> list[tuple[int, int]]:
        """The pairs that were compared at least once, smaller number first."""
        total = self.counts + self.counts.T
        return [(int(i), int(j)) for i, j in np.argwhere(np.triu(total) > 0)]

    def __len__(self) -> int:
        return len(self.compared)

    def __repr__(self) -> str:
        made = counted(int(self.counts.sum()), "comparison")
        return f"Pairs({counted(len(self.items), 'item')}, {counted(len(self), 'pair')}, {made})"

    def take(self, rows: Sequence[int]) -> Pairs:
        """The comparisons of these pairs, as :attr:`compared` numbers them."""
        kept = [self.compared[k] for k in rows]
        return Pairs(
            [self.items[i] for i, _ in kept],
            [self.items[j] for _, j in kept],
            [int(self.counts[i, j]) for i, j in kept],
            [int(self.counts[j, i]) for i, j in kept],
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a pair: ``first``, ``second``, ``wins``, ``losses``."""
        import pandas as pd

        rows = [(self.items[i], self.items[j], self.counts[i, j], self.counts[j, i]) for i, j in self.compared]
        return pd.DataFrame(rows, columns=["first", "second", "wins", "losses"])
