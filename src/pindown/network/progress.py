"""Progress of a job as a share of a larger one."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "part", "rising", "window"]

Progress = Callable[[float, str], None]


def part(progress: Progress, i: int, n: int, name: str) -> Progress:
    """Progress of the i-th of n equal parts, its name before the text."""
    return lambda share, text: progress((i + share) / n, f"{name}: {text}")


def window(progress: Progress, start: float, width: float, name: str) -> Progress:
    """Progress of a piece that begins at share ``start`` and takes the share ``width``."""
    return lambda share, text: progress(start + width * share, f"{name}, {text}")


def rising(progress: Progress) -> Progress:
    """Progress that never falls: the engine may find that it needs more sweeps than it had announced."""
    most = 0.0

    def report(share: float, text: str) -> None:
        nonlocal most
        most = max(most, min(share, 1.0))
        progress(most, text)

    return report
