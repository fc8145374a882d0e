"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from pindown.errors import CheckpointError, OutputError

__all__ = ["ANEW", "read_kept", "write_atomically"]

ANEW = "remove it to start anew, or give another checkpoint folder"


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write to a temporary file beside ``path`` and rename it, so that no half file is ever seen.

    Missing folders are made. Text is written as UTF-8, with the line ends it has.

    Raises:
        OutputError: where the file cannot be written there; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error})",
            "a file in a folder that can be written to",
            "choose another place",
        ) from error
    finally:
        # Gone already after the rename; never made where the folder cannot be written to.
        with suppress(OSError):
            temporary.unlink()


def read_kept(path: Path, schema: str) -> dict[str, Any] | None:
    """What a checkpoint in JSON holds; None where there is none.

    Raises:
        CheckpointError: where it is damaged or of another schema.
    """
    if not path.exists():
        return None
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged ({error})", "a complete file", ANEW) from error
    if not isinstance(state, dict) or state.get("schema") != schema:
        raise CheckpointError(f"checkpoint {path} of another schema", schema, ANEW)
    return state
