"""Evaluations by name, kept in a checkpoint: a resumed call takes the same path from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint, fingerprint
from pindown.network.subject import Subject

__all__ = ["Kept"]


class Kept:
    """What was evaluated so far.

    Args:
        checkpoint: folder of the checkpoint, or None to keep it in memory only.
        name: of the file, such as ``"noise-tolerance"``.
        subject: what is measured.
        point: at which weights; another subject or point has another mark.
        settings: what else the evaluations depend on.
    """

    def __init__(
        self, checkpoint: str | Path | None, name: str, subject: Subject, point: Tensor, settings: Mapping[str, Any]
    ) -> None:
        self._file: Checkpoint | None = None
        self._values: dict[str, Tensor] = {}
        if checkpoint is not None:
            mark = fingerprint({"what": name, "dim": len(point), **settings}, subject.losses(point.unsqueeze(0)))
            self._file = Checkpoint(checkpoint, name, mark)
            self._values = dict(self._file.load() or {})

    def rows(self, key: str, count: int, compute: Callable[[int, int], Tensor]) -> Tensor:
        """The first ``count`` rows under ``key``; those that are missing come from ``compute(start, stop)``."""
        known = self._values.get(key)
        have = 0 if known is None else len(known)
        if have < count:
            more = compute(have, count)
            known = more if known is None else torch.cat([known, more])
            self._values[key] = known
            if self._file is not None:
                self._file.save(self._values)
        assert known is not None
        return known[:count]

    def find(self, key: str) -> Tensor | None:
        """What is under ``key``, or None."""
        return self._values.get(key)

    def put(self, key: str, value: Tensor) -> None:
        """Keep ``value`` under ``key``."""
        self._values[key] = value
        if self._file is not None:
            self._file.save(self._values)

    def close(self) -> None:
        """Write everything."""
        if self._file is not None:
            self._file.save(self._values, final=True)
