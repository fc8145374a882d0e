"""Tables of choices as the commands read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pindown.choices.reading import Observed

__all__ = ["read_table"]


def read_table(
    file: Path, kind: str | None, by: list[str] | None, ignore: list[str] | None, drop_missing: bool
) -> Observed | dict[str, Observed]:
    """One table, or one for each subject where columns tell them apart.

    Raises:
        InputError, DataError: where the file cannot be used.
    """
    from pindown.choices.reading import read_choices, read_panel

    missing = "drop" if drop_missing else "refuse"
    if by:
        return read_panel(file, by, kind=kind, ignore=ignore or (), missing=missing)
    return read_choices(file, kind=kind, ignore=ignore or (), missing=missing)
