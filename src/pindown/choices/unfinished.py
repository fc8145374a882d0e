"""Where a long search of choices keeps what it has found, so that the same call goes on from there.

The folder is named once, by the front door; searches deep below ask for their own file in it. Without a folder they get
none, and keep nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pindown.engine.checkpoint import Checkpoint

__all__ = ["digest", "keep_in", "kept", "kept_folder", "table_mark"]

_EVERY = 2.0


@dataclass
class _Place:
    """The folder of one call, the call's mark, and how many searches have asked for a file."""

    folder: Path
    mark: str
    asked: int = 0


_PLACE: ContextVar[_Place | None] = ContextVar("unfinished", default=None)


def digest(*parts: Any) -> str:
    """A digest of what a search depends on, by how it prints.

    >>> digest("a", 1) == digest("a", 1), digest("a", 1) == digest("a", 2)
    (True, False)
    """
    return hashlib.sha256("\x1f".join(map(repr, parts)).encode()).hexdigest()


def table_mark(table: Any, *settings: Any) -> str:
    """A digest of a table of choices and of what else its answer depends on."""
    return digest(table.kind, table.to_dataframe().to_csv(index=False), *settings)


@contextmanager
def keep_in(folder: str | Path | None, mark: str) -> Generator[None]:
    """Let searches inside keep their work in ``folder``, which belongs to the call with this ``mark``.

    Raises:
        CheckpointError: where the folder belongs to another call, or a file in it is damaged.
    """
    if folder is None:
        yield
        return
    from pindown.engine.checkpoint import Checkpoint

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    call = Checkpoint(place, "choices", mark)
    if call.load() is None:
        call.save({}, final=True)
    token = _PLACE.set(_Place(place, mark))
    try:
        yield
    finally:
        _PLACE.reset(token)


def kept_folder(name: str) -> Path | None:
    """A folder for a measurement that keeps files of its own; None where nothing is kept."""
    place = _PLACE.get()
    return None if place is None else place.folder / name


def kept(name: str, problem: str = "") -> Checkpoint | None:
    """The file of one search, or None where nothing is kept.

    Args:
        name: what searches.
        problem: a digest of what it searches. With it a number in the file's name tells searches apart that look alike:
            a call asks for them in the same order each time.
    """
    place = _PLACE.get()
    if place is None:
        return None
    from pindown.engine.checkpoint import Checkpoint

    if problem:
        place.asked += 1
        name = f"{name}-{place.asked}-{problem[:12]}"
    return Checkpoint(place.folder, name, place.mark, _EVERY)
