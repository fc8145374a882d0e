"""Choices from menus: of these items, this one was taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pindown.choices.cells import different_names, name_of, refuse_cell
from pindown.errors import DataError, InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Menus"]


class Menus:
    """Items chosen from menus, one an observation.

    Args:
        menus: for each observation the items that were on offer, each once.
        choices: for each observation the item that was taken.
        names: names of the observations, all different; by default their numbers, from 1.

    Attributes:
        items: all items, in the order of their first appearance.
        offered: for each observation the numbers of its items.
        taken: for each observation the number of the item taken.

    Raises:
        InputError: where the lengths differ.
        DataError: for an empty table or menu, an item twice in a menu, or a choice that is not in its menu.

    Example:
        >>> from pindown import Menus
        >>> Menus([["tea", "milk"], ["milk", "water"]], ["tea", "milk"])
        Menus(2 observations, 3 items)
    """

    kind: ClassVar[str] = "menus"

    def __init__(
        self, menus: Iterable[Iterable[Any]], choices: Iterable[Any], *, names: Sequence[str] | None = None
    ) -> None:
        rows, picked = [tuple(m) for m in menus], list(choices)
        if len(rows) != len(picked):
            raise InputError(f"{len(rows)} menus and {len(picked)} choices", "one choice a menu")
        if not rows:
            raise DataError("an empty table of menus", "at least one observation")
        numbers: dict[str, int] = {}
        known: dict[Any, int] = {}  # cells repeat: each is read once
        self.offered: list[tuple[int, ...]] = []
        self.taken: list[int] = []
        seen: dict[tuple[Any, ...], tuple[int, ...]] = {}
        for i, (menu, choice) in enumerate(zip(rows, picked, strict=True)):
            key = tuple((type(item), item) for item in menu)
            try:
                offered = seen.get(key)
            except TypeError:
                raise refuse_cell(i, "menu", list(menu), "items that are texts or numbers") from None
            if offered is None:
                offered = tuple(_number(item, i, "menu", numbers, known) for item in menu)
                if not offered:
                    raise refuse_cell(i, "menu", "", "at least one item")
                if len(set(offered)) != len(offered):
                    raise refuse_cell(i, "menu", list(menu), "each item once")
                seen[key] = offered
            taken = numbers.get(choice, -1) if isinstance(choice, str) else -1
            if taken < 0:
                taken = numbers.get(name_of(choice, i, "choice"), -1)
            if taken not in offered:
                raise refuse_cell(i, "choice", choice, f"an item of its menu, {', '.join(map(str, menu))}")
            self.offered.append(offered)
            self.taken.append(taken)
        self.items = tuple(numbers)
        self.names = different_names(names, len(rows), "observation")

    def __len__(self) -> int:
        return len(self.taken)

    def __repr__(self) -> str:
        n, k = len(self), len(self.items)
        return f"Menus({counted(n, 'observation')}, {counted(k, 'item')})"

    def take(self, rows: Sequence[int]) -> Menus:
        """The observations of these rows."""
        return Menus(
            [[self.items[k] for k in self.offered[i]] for i in rows],
            [self.items[self.taken[i]] for i in rows],
            names=[self.names[i] for i in rows],
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row an observation: ``observation``, ``menu`` (items set apart by ``|``), ``choice``."""
        import pandas as pd

        return pd.DataFrame(
            {
                "observation": list(self.names),
                "menu": ["|".join(self.items[k] for k in m) for m in self.offered],
                "choice": [self.items[k] for k in self.taken],
            }
        )


def _number(item: Any, row: int, column: str, numbers: dict[str, int], known: dict[Any, int]) -> int:
    """The number of an item; a new one gets the next."""
    key = (type(item), item)
    found = known.get(key)
    if found is None:
        found = known[key] = numbers.setdefault(name_of(item, row, column), len(numbers))
    return found
