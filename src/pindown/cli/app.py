"""The application: it finds the commands, and it is the one place where an error becomes a message and an exit code.

A command is a module of this folder without a leading underscore, holding a function of the module's own name: a new
command is a new file. What is heavy is imported inside that function, so that ``pindown --help`` stays quick.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import pindown.cli as package
from pindown.cli._console import INTERRUPTED, complain
from pindown.errors import PindownError

__all__ = ["app", "main"]

_HELP = "Measure, in bits, how much a search has pinned down."


class _Commands(TyperGroup):
    """The commands, with the one handler for what they raise."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PindownError as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            complain("Stopped.")
            raise typer.Exit(INTERRUPTED) from error


def command_names() -> list[str]:
    """The commands that this folder holds, in alphabetical order."""
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_") and m.name != "app"]


def _show_version(wanted: bool) -> None:
    if wanted:
        from pindown import __version__

        typer.echo(f"pindown {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Take the options that stand before the command."""


def _application() -> typer.Typer:
    application = typer.Typer(
        name="pindown",
        cls=_Commands,
        help=_HELP,
        callback=_options,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # a defect shows its plain traceback; every expected error is handled above
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in command_names():
        application.command(name)(getattr(import_module(f"{package.__name__}.{name}"), name))
    return application


app = _application()


def main() -> None:
    """Run the command line."""
    app(prog_name="pindown")
