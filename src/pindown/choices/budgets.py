"""Choices from budgets: at these prices, this bundle was bought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pindown.choices.cells import different_names, positive_matrix, refuse_cell
from pindown.errors import InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Budgets"]

Array = NDArray[np.float64]
PRICE, QUANTITY = "price_", "quantity_"


class Budgets:
    """Bundles bought at prices, one row an observation.

    Args:
        prices: ``(observations, goods)``, above 0.
        quantities: the same shape, 0 or more, and something bought in each row.
        goods: names of the goods; by default their numbers.
        names: names of the observations, all different; by default their numbers, from 1.

    Raises:
        InputError: for shapes that differ.
        DataError: for a price of 0 or below, a negative quantity, an empty bundle, or NaN; row and column are named.

    Example:
        >>> from pindown import Budgets
        >>> Budgets([[1, 1], [2, 1]], [[2, 2], [3, 0]])
        Budgets(2 observations, 2 goods)
    """

    kind: ClassVar[str] = "budgets"

    def __init__(
        self, prices: Any, quantities: Any, *, goods: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> None:
        p_names = None if goods is None else [PRICE + g for g in goods]
        q_names = None if goods is None else [QUANTITY + g for g in goods]
        self.prices: Array = positive_matrix(prices, "prices", p_names)
        self.quantities: Array = positive_matrix(quantities, "quantities", q_names, zero=True)
        if self.prices.shape != self.quantities.shape:
            raise InputError(
                f"prices of shape {self.prices.shape} and quantities of shape {self.quantities.shape}", "the same shape"
            )
        n, g = self.prices.shape
        self.goods = different_names(goods, g, "good")
        self.names = different_names(names, n, "observation")
        empty = np.flatnonzero(~(self.quantities > 0).any(axis=1))
        if empty.size:
            raise refuse_cell(
                int(empty[0]), "quantities", self.quantities[empty[0]].tolist(), "something bought", "leave the row out"
            )

    def __len__(self) -> int:
        return len(self.prices)

    def __repr__(self) -> str:
        n, g = self.prices.shape
        return f"Budgets({counted(n, 'observation')}, {counted(g, 'good')})"

    def take(self, rows: Sequence[int]) -> Budgets:
        """The observations of these rows."""
        pick = list(rows)
        return Budgets(
            self.prices[pick], self.quantities[pick], goods=self.goods, names=[self.names[i] for i in pick]
        )  # fmt: skip

    def to_dataframe(self) -> pd.DataFrame:
        """One row an observation: ``observation``, ``price_…``, ``quantity_…``."""
        import pandas as pd

        columns: dict[str, Any] = {"observation": list(self.names)}
        columns |= {PRICE + g: self.prices[:, j] for j, g in enumerate(self.goods)}
        columns |= {QUANTITY + g: self.quantities[:, j] for j, g in enumerate(self.goods)}
        return pd.DataFrame(columns)
