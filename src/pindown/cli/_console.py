"""What goes to the terminal: messages on stderr, results on stdout, progress only where a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pindown.errors import PindownError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["INTERRUPTED", "Interrupted", "ProgressReport", "complain", "progress_bar", "show", "unkept_progress"]

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""

ProgressReport = Callable[[float, str], None]
"""Takes the share done, from 0 to 1, and what is being done."""


class Interrupted(PindownError):
    """The user stopped a command; the message says what was kept."""

    exit_code = INTERRUPTED


def show(what: RenderableType, *, error: bool = False) -> None:
    """Print to stdout, or to stderr where stdout carries data. Brackets in a text are no markup.

    Lines are broken to fit a terminal only: what goes to a file or another program keeps its lines.
    """
    from rich.console import Console

    console = Console(stderr=error, highlight=False, markup=False)
    console.print(what, soft_wrap=isinstance(what, str) and not console.is_terminal)


def complain(message: str) -> None:
    """Print an error as one paragraph on stderr."""
    from rich.console import Console
    from rich.text import Text

    text = Text.assemble(("error: ", "bold red"), message)
    console = Console(stderr=True)
    console.print(text, soft_wrap=not console.is_terminal, highlight=False)


@contextmanager
def progress_bar(*, quiet: bool) -> Generator[ProgressReport | None]:
    """A bar with the time left on stderr; nothing where stderr is no terminal or ``quiet`` is asked for."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=1.0)

        def report(fraction: float, text: str) -> None:
            bar.update(task, completed=min(max(fraction, 0.0), 1.0), description=text)

        yield report


@contextmanager
def unkept_progress(*, quiet: bool) -> Generator[ProgressReport | None]:
    """The bar of a run that keeps nothing on the way: Ctrl-C ends it without a trace."""
    try:
        with progress_bar(quiet=quiet) as progress:
            yield progress
    except KeyboardInterrupt:
        raise Interrupted("Stopped before there was a result; nothing was written.") from None
