"""``pindown version``: what to state in a question or a paper."""

from __future__ import annotations

import platform
from importlib.metadata import version as version_of

import typer

__all__ = ["version"]


def version() -> None:
    """Show the versions of pindown, Python and torch."""
    typer.echo(f"pindown {version_of('pindown')}")
    typer.echo(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    typer.echo(f"torch {version_of('torch')}")
