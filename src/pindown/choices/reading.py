"""Tables of observed choices from CSV or Parquet files and data frames; the kind is seen from the columns, or named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pindown.choices.bets import Bets
from pindown.choices.budgets import PRICE, QUANTITY, Budgets
from pindown.choices.cells import name_of, refuse_cell
from pindown.choices.lotteries import Lotteries
from pindown.choices.menus import Menus
from pindown.choices.pairs import Pairs
from pindown.choices.policy import Policy
from pindown.choices.trades import Trades
from pindown.choices.value_cache import ValueCache
from pindown.errors import DataError, InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Observed", "read_choices", "read_panel"]

Observed = Budgets | Menus | Pairs | Bets | Lotteries | Trades | Policy | ValueCache

KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "budgets": (("price_…", "quantity_…"), ("observation",)),
    "menus": (("menu", "choice"), ("observation",)),
    "pairs": (("first", "second"), ("wins", "losses", "winner")),
    "bets": (("bet", "outcome", "stake", "odds"), ()),
    "quotes": (("quote", "outcome", "probability"), ()),
    "lotteries": (("observation", "lottery", "outcome", "probability", "chosen"), ("strict",)),
    "trades": (("have", "offered", "accepted"), ()),
    "policy": (("state", "action", "next", "taken"), ()),
    "value cache": (("state", "value", "next"), ("weight", "reward", "action")),
}
"""Columns of each kind: those that must be there, and those that may. Quotes are read as bets."""

_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_SEPARATORS = re.compile(r"[|;,\s]+")


def read_choices(
    source: str | Path | pd.DataFrame,
    *,
    kind: str | None = None,
    ignore: Sequence[str] = (),
    missing: str = "refuse",
) -> Observed:
    """One table of observed choices.

    Args:
        source: a CSV or Parquet file, or a data frame; :data:`KINDS` lists the columns of each kind. Items of a menu
            are set apart by ``|``, or else by ``;``, commas or spaces; in Parquet and data frames they may be a list.
        kind: what the table holds; seen from its columns by default.
        ignore: columns to leave out, which must be there. Other columns that no kind has are refused.
        missing: ``"refuse"`` or ``"drop"``: what becomes of rows with an empty cell.

    Raises:
        InputError: where there is no such file, or the columns are of no kind.
        DataError: for an empty table, or a cell that does not fit; its row and column are named.

    Example:
        >>> import pandas as pd
        >>> from pindown.choices.reading import read_choices
        >>> read_choices(pd.DataFrame({"menu": ["a|b", "b|c"], "choice": ["a", "b"]}))
        Menus(2 observations, 3 items)
    """
    frame = _frame(source, ignore)
    chosen = _kind(frame, kind, ())
    return _table(frame, chosen, missing)


def read_panel(
    source: str | Path | pd.DataFrame,
    by: Sequence[str],
    *,
    kind: str | None = None,
    ignore: Sequence[str] = (),
    missing: str = "refuse",
) -> dict[str, Observed]:
    """A table of choices for each subject: one for each combination of the columns ``by``, in order of appearance.

    Raises:
        InputError, DataError: as :func:`read_choices`, and where a column of ``by`` is not there.
    """
    frame = _frame(source, ignore)
    for column in by:
        if column not in frame.columns:
            raise InputError(f"no column {column!r}", f"one of {', '.join(map(str, frame.columns))}")
    chosen = _kind(frame, kind, by)
    keys = frame[by[0]].astype(str)
    for column in by[1:]:
        keys = keys + " / " + frame[column].astype(str)
    panel: dict[str, Observed] = {}
    for name, part in frame.groupby(keys.to_numpy(), sort=False):
        try:
            panel[str(name)] = _table(part, chosen, missing)
        except InputError as error:
            raise type(error)(f"{', '.join(by)} {name}: {error.got}", error.wanted, error.remedy) from error
    return panel


def _frame(source: Any, ignore: Sequence[str]) -> pd.DataFrame:
    """The table with its columns named in text, without those to leave out."""
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        frame = source.reset_index(drop=True)
        frame.columns = [str(c).strip() for c in frame.columns]
    else:
        path = Path(source)
        if not path.is_file():
            raise InputError(f"no file at {path}", "a .csv or .parquet file", "check the path")
        frame = _read(path)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(f"column {repeated[0]!r} twice", "each column once")
    unknown = [c for c in ignore if c not in frame.columns]
    if unknown:
        raise InputError(f"no column {unknown[0]!r} to leave out", f"one of {', '.join(frame.columns)}")
    if not len(frame):
        raise DataError("an empty table", "at least one row")
    return frame.drop(columns=list(ignore))


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() in _SPREADSHEETS:
        raise InputError(f"{path} is a spreadsheet", "a .csv or .parquet file", "save the table as CSV")
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            frame.columns = [str(c).strip() for c in frame.columns]
            return frame.reset_index(drop=True)
        # Items named NA or None are names; only an empty cell is missing.
        text = {"menu": str, "choice": str, "first": str, "second": str, "winner": str}
        options: dict[str, Any] = {"keep_default_na": False, "na_values": [""], "skipinitialspace": True}
        first = pd.read_csv(path, header=None, nrows=1, dtype=str, **options)
        header = [str(c).strip() for c in first.iloc[0].dropna()]  # pandas would rename a column that comes twice
        _check_header(path, header)
        frame = pd.read_csv(path, dtype=text, **options)
    except ImportError as error:
        raise InputError(
            f"{path} needs a reader for Parquet", "pyarrow", "pip install pyarrow, or write CSV"
        ) from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty", "a table with a line of column names") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} cannot be read ({error})", "a table in UTF-8", "save it as CSV with the encoding UTF-8"
        ) from error
    except pd.errors.ParserError as error:
        told = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path} cannot be read ({told})", "as many cells in each row, and quotes in pairs") from error
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read ({str(error).strip()})", "a CSV or Parquet table") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path} has rows with more cells than there are columns", "one cell a column")
    frame.columns = [str(c).strip() for c in frame.columns]
    return frame


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse a line of column names with one of them twice, or with none but another mark than the comma between them.

    Raises:
        InputError, DataError: for either.
    """
    twice = next((c for c in header if header.count(c) > 1), None)
    if twice is not None:
        raise InputError(f"column {twice!r} twice", "each column once")
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise DataError(
                f"{path} has its cells set apart by {name}", "commas", "save it as CSV with commas and decimal points"
            )


def _kind(frame: pd.DataFrame, kind: str | None, by: Sequence[str]) -> str:
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind {kind!r}", f"one of {', '.join(KINDS)}")
    columns = [c for c in frame.columns if c not in by]
    fitting = [k for k in ([kind] if kind else KINDS) if not _missing(k, columns)]
    if not fitting:
        wanted = [kind] if kind else list(KINDS)
        known = "; ".join(f"{k}: {', '.join(KINDS[k][0])}" for k in wanted)
        lower = [str(c).lower() for c in columns]
        small = lower != [str(c) for c in columns] and any(not _missing(k, lower) for k in wanted)
        raise InputError(
            f"columns {', '.join(map(str, columns))}", f"those of {known}",
            "write the names of columns in small letters" if small else "",
        )  # fmt: skip
    found = fitting[0]
    needed, optional = KINDS[found]
    left = [c for c in columns if c not in needed and c not in optional]
    if found == "budgets":
        left = [c for c in left if not (c.startswith(PRICE) or c.startswith(QUANTITY))]
    if left:
        raise InputError(
            f"unknown column{'s' * (len(left) > 1)} {', '.join(map(repr, left))} in a table of {found}",
            ", ".join((*needed, *optional)),
            "name those that tell subjects apart with by= (--by), and the others with ignore= (--ignore)",
        )
    return found


def _missing(kind: str, columns: Sequence[str]) -> bool:
    if kind == "budgets":
        goods = [c.removeprefix(PRICE) for c in columns if c.startswith(PRICE)]
        return not goods or not any(c.startswith(QUANTITY) for c in columns)
    return any(c not in columns for c in KINDS[kind][0])


def _table(frame: pd.DataFrame, kind: str, missing: str) -> Observed:
    if missing not in ("refuse", "drop"):
        raise InputError(f"missing = {missing!r}", "'refuse' or 'drop'")
    if kind == "budgets":
        return _budgets(frame, missing)
    needed = [c for c in KINDS[kind][0] if not (kind == "value cache" and c == "next")]
    frame = _whole(frame, needed, missing)
    if kind == "menus":
        memory: dict[str, list[str]] = {}
        menus = [_items(m, memory) for m in frame["menu"]]
        names = list(frame["observation"]) if "observation" in frame.columns else None
        return Menus(menus, list(frame["choice"]), names=names)
    if kind == "pairs":
        return _pairs(frame)
    if kind == "trades":
        return Trades(list(frame["have"]), list(frame["offered"]), list(frame["accepted"]))
    rows = cast("list[Mapping[str, Any]]", frame.to_dict("records"))
    if kind == "bets":
        return Bets.from_rows(rows)
    if kind == "quotes":
        return Bets.from_quotes(rows)
    if kind == "lotteries":
        return Lotteries.from_rows(rows)
    return Policy.from_rows(rows) if kind == "policy" else ValueCache.from_rows(rows)


def _whole(frame: pd.DataFrame, columns: Sequence[str], missing: str) -> pd.DataFrame:
    """The rows without an empty cell."""
    from pandas.api.types import is_numeric_dtype

    empty = frame[list(columns)].isna()
    for column in columns:
        if not is_numeric_dtype(frame[column]):
            empty[column] |= frame[column].map(lambda cell: isinstance(cell, str) and not cell.strip())
    if not bool(empty.to_numpy().any()):
        return frame
    if missing == "drop":
        kept = frame[~empty.any(axis=1)]
        if not len(kept):
            raise DataError("a table in which every row has an empty cell", "at least one whole row")
        return kept
    row = int(empty.any(axis=1).to_numpy().argmax())
    column = next(c for c in columns if bool(empty[c].iloc[row]))
    count = int(empty.any(axis=1).sum())
    raise DataError(
        f"row {row + 1}, column {column!r} is empty ({count} row{'s' * (count > 1)} with an empty cell)", "a value",
        'leave such rows out with missing="drop" (--drop-missing)',
    )  # fmt: skip


def _budgets(frame: pd.DataFrame, missing: str) -> Budgets:
    goods = [str(c).removeprefix(PRICE) for c in frame.columns if str(c).startswith(PRICE)]
    bought = [str(c).removeprefix(QUANTITY) for c in frame.columns if str(c).startswith(QUANTITY)]
    if set(goods) != set(bought):
        odd = sorted(set(goods) ^ set(bought))[0]
        what = QUANTITY if odd in goods else PRICE
        raise InputError(f"good {odd!r} without its column {what + odd!r}", "a price and a quantity for each good")
    frame = _whole(frame, [PRICE + g for g in goods] + [QUANTITY + g for g in goods], missing)
    names = list(frame["observation"]) if "observation" in frame.columns else None
    prices, quantities = frame[[PRICE + g for g in goods]], frame[[QUANTITY + g for g in goods]]
    return Budgets(prices.to_numpy(), quantities.to_numpy(), goods=goods, names=names)


def _pairs(frame: pd.DataFrame) -> Pairs:
    first, second = list(frame["first"]), list(frame["second"])
    if "winner" not in frame.columns:
        wins = list(frame["wins"]) if "wins" in frame.columns else None
        losses = list(frame["losses"]) if "losses" in frame.columns else None
        return Pairs(first, second, wins, losses)
    if "wins" in frame.columns or "losses" in frame.columns:
        raise InputError("columns 'winner' and 'wins' or 'losses'", "one or the other")
    wins = []
    for i, (a, b, w) in enumerate(zip(first, second, frame["winner"], strict=True)):
        if name_of(w, i, "winner") not in (name_of(a, i, "first"), name_of(b, i, "second")):
            raise refuse_cell(i, "winner", w, f"{a} or {b}")
        wins.append(int(name_of(w, i, "winner") == name_of(a, i, "first")))
    return Pairs(first, second, wins, [1 - w for w in wins])


def _items(menu: Any, memory: dict[str, list[str]]) -> Sequence[Any]:
    """The items of a menu's cell, a list of them or a text; the same text is split once."""
    if hasattr(menu, "tolist"):  # Parquet and NumPy hold lists as arrays
        menu = menu.tolist()
    if isinstance(menu, list | tuple):
        return cast("Sequence[Any]", menu)
    text = str(menu).strip()
    found = memory.get(text)
    if found is None:
        parts = text.split("|") if "|" in text else _SEPARATORS.split(text)
        found = memory[text] = [p.strip() for p in parts if p.strip()]
    return found
