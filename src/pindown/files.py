"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pindown.errors import OutputError

__all__ = ["write_atomically"]


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
