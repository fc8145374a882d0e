"""Records as files, written whole or not at all, in places that were tried before any work began."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pindown.errors import OutputError
from pindown.files import write_atomically

__all__ = ["check_folder", "json_text", "write_json"]


def check_folder(folder: Path, option: str) -> None:
    """Make sure that ``folder`` can be written to, so that no run ends in vain; where it is yet to be made, its parent.

    Raises:
        OutputError: where it cannot; ``option`` is what the user can change.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written to ({there}: {error.strerror or error})",
            "a folder that can be written to",
            f"choose another one with {option}",
        ) from error


def json_text(record: Mapping[str, Any]) -> str:
    """A record as JSON that every reader accepts: no NaN, no infinities."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def write_json(record: Mapping[str, Any], path: Path) -> None:
    """Write a record as one file.

    Raises:
        OutputError: where that fails; nothing is left behind.
    """
    write_atomically(path, json_text(record))
