"""Where a command writes, keeps unfinished work, and sends its record; tried before any work began."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from pindown.cli._console import show
from pindown.cli._output import check_folder, json_text, write_json
from pindown.errors import CheckpointError, OutputError

__all__ = ["STDOUT", "check_places", "deliver", "give_json", "what_is_kept"]

STDOUT = "-"


def check_places(out: Path, json: str | None, kept: Path, *, resume: bool, own: bool) -> None:
    """Refuse before any work what would fail after it.

    Args:
        out: folder for the results.
        json: file for the record, or ``-``.
        kept: folder for unfinished work.
        resume: whether to go on from what is there.
        own: whether ``kept`` lies inside ``out`` because nothing else was asked for.

    Raises:
        OutputError: where a place cannot be written to.
        CheckpointError: for unfinished work without ``resume``, or the other way round.
    """
    check_folder(out, "--out")
    if json is not None and json != STDOUT:
        if Path(json).is_dir():
            raise OutputError(f"{json} is a folder", "a file", "give --json a file name")
        check_folder(Path(json).parent, "--json")
    if not own:
        check_folder(kept, "--checkpoint")
    unfinished = kept.is_dir() and any(kept.iterdir())
    if unfinished and not resume:
        raise CheckpointError(
            f"unfinished work in {kept}", "an empty folder", "go on from it with --resume, or remove it to start anew"
        )
    if resume and not unfinished:
        raise CheckpointError(f"no unfinished work in {kept}", "what an interrupted run left", "leave out --resume")


def what_is_kept(kept: Path) -> str:
    """What to say after Ctrl-C."""
    if kept.is_dir() and any(kept.iterdir()):
        return f"Stopped. What was done is kept in {kept}: run the same command with --resume to go on from there."
    return "Stopped before there was anything to keep; nothing was written."


def give_json(record: Mapping[str, Any], json: str) -> None:
    """Write a record to a file, or to standard output for ``-``."""
    if json == STDOUT:
        typer.echo(json_text(record), nl=False)
    else:
        write_json(record, Path(json))


def deliver(
    result: Any, write_report: Callable[[dict[str, Any], Path], object], record_at: Path, report_at: Path, *,
    json: str | None, quiet: bool, also: str = "",
) -> None:  # fmt: skip
    """Write a result's record and report, give its JSON where it was asked for, and sum it up unless ``quiet``.

    ``also`` goes behind the report's place.
    """
    record = result.to_dict()
    write_json(record, record_at)
    write_report(record, report_at)
    if json is not None:
        give_json(record, json)
    if not quiet:
        show(result.summary(), error=json == STDOUT)
        show(f"Report: {report_at}{also}", error=json == STDOUT)
