"""What a long search of choices is at, told to whoever watches.

Progress is named once, by the front door; searches deep below say what they search and between which bounds the answer
lies. Without a watcher nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["tell", "tell_bounds", "watched"]

Progress = Callable[[float, str], None]


@dataclass
class _Watcher:
    """Who watches, and what is searched."""

    progress: Progress
    text: str = ""


_WATCHER: ContextVar[_Watcher | None] = ContextVar("watched", default=None)


@contextmanager
def watched(progress: Progress | None) -> Generator[None]:
    """Let searches inside tell ``progress``, with a share of 0: nobody knows how long they take.

    >>> with watched(lambda share, text: print(share, text)):
    ...     tell("Varian’s index")
    ...     tell_bounds(0.25, 0.5)
    0.0 Varian’s index
    0.0 Varian’s index: between 0.25 and 0.5
    """
    token = _WATCHER.set(None if progress is None else _Watcher(progress))
    try:
        yield
    finally:
        _WATCHER.reset(token)


def tell(text: str) -> None:
    """Say what is searched."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher.text = text
        watcher.progress(0.0, text)


def tell_bounds(low: float, high: float) -> None:
    """Say between which bounds the answer is known to lie."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher.progress(0.0, f"{watcher.text}: between {low:.4g} and {high:.4g}")
