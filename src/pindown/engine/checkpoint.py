"""Checkpoints of a measurement: one folder, one file a run, written whole or not at all.

Files hold tensors, numbers, strings and lists of them; nothing that executes on loading.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pindown.errors import CheckpointError
from pindown.files import write_atomically

__all__ = ["Checkpoint", "fingerprint", "placed"]

SCHEMA = "pindown/checkpoint/1"


def fingerprint(parts: dict[str, Any], values: Tensor) -> str:
    """A digest of what a run depends on: named settings and the loss on a few fixed prior points."""
    rounded = [f"{v:.5g}" for v in values.double().tolist()]
    text = json.dumps({**parts, "values": rounded}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def placed(state: Any, device: torch.device) -> Any:
    """What a checkpoint held, which loads on the processor, with its tensors moved to ``device``."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {k: placed(v, device) for k, v in state.items()}
    return type(state)(placed(v, device) for v in state) if isinstance(state, list | tuple) else state


class Checkpoint:
    """The file of one run inside a checkpoint folder.

    Args:
        folder: where the files of the measurement live; made if missing.
        name: this run's file, without its ending.
        mark: the measurement's :func:`fingerprint`.
        every: least seconds between two saves of unfinished work.
    """

    def __init__(self, folder: str | Path, name: str, mark: str, every: float = 2.0) -> None:
        self.path = Path(folder) / f"{name}.pt"
        self.mark, self.every = mark, every
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """What was saved, or None where there is nothing yet.

        Raises:
            CheckpointError: if the file is damaged, of another schema, or of another measurement.
        """
        if not self.path.exists():
            return None
        remedy = "remove it to start anew, or give another checkpoint folder"
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise CheckpointError(
                f"checkpoint {self.path} is damaged ({type(error).__name__})", "a complete file", remedy
            ) from error
        if not isinstance(state, dict) or state.get("schema") != SCHEMA:
            found = state.get("schema") if isinstance(state, dict) else type(state).__name__
            raise CheckpointError(f"checkpoint {self.path} has schema {found!r}", SCHEMA, remedy)
        if state["mark"] != self.mark:
            raise CheckpointError(
                f"checkpoint {self.path} belongs to another measurement",
                "the same space, loss, tolerance, seed and settings",
                remedy,
            )
        return state["content"]

    def save(self, content: dict[str, Any], *, final: bool = False) -> None:
        """Save; unfinished work at most once in ``every`` seconds."""
        if not final and time.monotonic() - self._last < self.every:
            return
        buffer = io.BytesIO()
        torch.save({"schema": SCHEMA, "mark": self.mark, "content": content}, buffer)
        write_atomically(self.path, buffer.getvalue())
        self._last = time.monotonic()
