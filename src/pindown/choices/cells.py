"""Cells of tables of observed choices: numbers and names, each refused by its row and column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pindown.errors import DataError, InputError
from pindown.estimate import counted

__all__ = [
    "as_fraction",
    "different_names",
    "fractions_of",
    "name_of",
    "number_of",
    "positive_matrix",
    "refuse_cell",
    "whole_number_of",
]

Array = NDArray[np.float64]
_LONGEST = 40
_LARGEST, _SMALLEST = 1e100, 1e-100  # products of a few of these stay in the range of floating point


def refuse_cell(row: int, column: str, value: object, wanted: str, remedy: str = "") -> DataError:
    """The error for one cell; rows are counted from 1, as a person counts them."""
    text = repr(value)
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return DataError(f"row {row + 1}, column {column!r} is {text}", wanted, remedy)


def number_of(value: Any, row: int, column: str, wanted: str = "a finite number") -> float:
    """A cell as a finite number.

    Raises:
        DataError: for anything else; the row and the column are named.
    """
    if isinstance(value, bool) or value is None:
        raise refuse_cell(row, column, value, wanted)
    try:
        x = float(value)
    except (TypeError, ValueError, OverflowError):
        raise refuse_cell(row, column, value, wanted) from None
    if not math.isfinite(x):
        raise refuse_cell(row, column, value, wanted)
    if abs(x) > _LARGEST:
        raise refuse_cell(row, column, value, f"a number of at most {_LARGEST:g}", "give it in another unit")
    return x


def whole_number_of(value: Any, row: int, column: str) -> int:
    """A cell as a count: 0, 1, 2, …"""
    wanted = "a whole number of 0 or more"
    x = number_of(value, row, column, wanted)
    if x < 0 or x != int(x) or x > 2**53:
        raise refuse_cell(row, column, value, wanted)
    return int(x)


def name_of(value: Any, row: int, column: str) -> str:
    """A cell as a name: text, or a number as it prints; whole floats lose their point."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise refuse_cell(row, column, value, "a name")
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 2**53:
        value = int(value)
    text = str(value).strip()
    if not text:
        raise refuse_cell(row, column, value, "a name")
    return text


def different_names(names: Iterable[Any] | None, n: int, column: str) -> tuple[str, ...]:
    """A name for each of ``n`` things, all different; their numbers from 1 where none are given.

    Answers are told by name, so that two things of one name could not be told apart.

    Raises:
        InputError: for another number of names.
        DataError: for what is no name, or one that comes twice.
    """
    if names is None:
        return tuple(str(i + 1) for i in range(n))
    given = list(names)
    if len(given) != n:
        raise InputError(f"{counted(len(given), 'name')} for {counted(n, column)}", "one each")
    rows: dict[str, int] = {}
    for i, value in enumerate(given):
        name = name_of(value, i, column)
        if name in rows:
            raise refuse_cell(
                i, column, name, f"each name once; row {rows[name] + 1} has it",
                "tell subjects apart with by= (--by), or leave the column out with ignore= (--ignore)",
            )  # fmt: skip
        rows[name] = i
    return tuple(rows)


def positive_matrix(
    values: Any, what: str, columns: Sequence[str] | None = None, *, zero: bool = False
) -> Array:  # fmt: skip
    """A matrix of finite numbers, above 0 or (with ``zero``) of at least 0, with one row an observation.

    Raises:
        InputError: for another shape.
        DataError: for a cell that is not such a number; its row and column are named.
    """
    try:
        a = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        a = np.array([])
        rows = [list(r) if isinstance(r, Iterable) and not isinstance(r, str) else [r] for r in list(values)]
        for i, r in enumerate(rows):
            if len(r) != len(rows[0]):
                raise InputError(f"row {i + 1} of {what} has {len(r)} cells", f"{len(rows[0])} as in row 1") from None
            for j, v in enumerate(r):
                number_of(v, i, columns[j] if columns else f"{what} {j + 1}")
    if a.ndim != 2 or a.shape[1] < 1:
        raise InputError(f"{what} of shape {a.shape}", "(observations, goods)")
    if a.shape[0] == 0:
        raise DataError(f"an empty table of {what}", "at least one observation")
    bad = ~np.isfinite(a) | ((a < 0) if zero else (a <= 0))
    if bad.any():
        i, j = (int(k) for k in np.argwhere(bad)[0])
        raise refuse_cell(
            i, columns[j] if columns else f"{what} {j + 1}", float(a[i, j]),
            "a number of 0 or more" if zero else "a number above 0",
        )  # fmt: skip
    far = (a > _LARGEST) | ((a > 0) & (a < _SMALLEST))
    if far.any():
        i, j = (int(k) for k in np.argwhere(far)[0])
        raise refuse_cell(
            i, columns[j] if columns else f"{what} {j + 1}", float(a[i, j]),
            f"a number from {_SMALLEST:g} to {_LARGEST:g}", "give it in another unit",
        )  # fmt: skip
    return a


def as_fraction(x: float) -> Fraction:
    """The decimal that a float prints as, exactly: the number that was written, not its binary neighbour.

    >>> as_fraction(0.1)
    Fraction(1, 10)
    """
    return Fraction(repr(float(x)))


def fractions_of(values: Iterable[float]) -> list[Fraction]:
    """:func:`as_fraction` of each."""
    return [as_fraction(float(x)) for x in values]
