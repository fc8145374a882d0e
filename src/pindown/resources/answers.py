"""What the objectives of one family wanted, block by block, and kept where a run can be interrupted."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from pindown.engine.checkpoint import Checkpoint
from pindown.resources.wanted_constraints import Wanted

__all__ = ["BLOCK", "EVERY", "Answers", "Place", "in_blocks"]

Floats = NDArray[np.float64]
BLOCK = 125
"""Objectives that are solved, and kept, together."""
EVERY = 2.0
"""Least seconds between two saves."""


@dataclass(frozen=True)
class Answers:
    """What some objectives of one family wanted.

    Attributes:
        finite: whether each has a finite optimum, ``(N,)``.
        unbounded, infeasible: how many have none, and why.
        wanted: ``(N, k)``.
        value: ``(N, k)``.
        dropped: how many prices did not hold when they were tried.
    """

    finite: NDArray[np.bool_]
    unbounded: int
    infeasible: int
    wanted: NDArray[np.bool_]
    value: Floats
    dropped: int = 0

    @classmethod
    def of_pair(cls, found: tuple[NDArray[np.bool_], Floats]) -> Answers:
        """Those of a problem in which every objective has an optimum."""
        wanted, value = found
        return cls(np.ones(len(wanted), dtype=bool), 0, 0, wanted, value)

    @classmethod
    def of_wanted(cls, found: Wanted) -> Answers:
        """Those of a programme."""
        return cls(found.finite, found.unbounded, found.infeasible, found.wanted, found.value, found.dropped)

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """One after the other."""
        return cls(
            np.concatenate([p.finite for p in parts]), sum(p.unbounded for p in parts),
            sum(p.infeasible for p in parts), np.concatenate([p.wanted for p in parts]),
            np.concatenate([p.value for p in parts]), sum(p.dropped for p in parts),
        )  # fmt: skip

    def to_state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else int(v) for k, v in self.__dict__.items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Answers:
        """Read back what :meth:`to_state` gave."""
        parts: dict[str, Any] = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in state.items()}
        return cls(**parts)


@dataclass(frozen=True)
class Place:
    """Where unfinished work is kept, and what the answers depend on besides the objectives.

    Attributes:
        folder: of the checkpoint.
        settings: plain values and tables.
    """

    folder: Path
    settings: dict[str, Any]

    def checkpoint(self, name: str, rewards: Floats) -> Checkpoint:
        """One family's file: it belongs to these objectives, this problem and these settings."""
        digest = hashlib.sha256()
        plain = {k: v for k, v in self.settings.items() if not isinstance(v, np.ndarray)}
        digest.update(json.dumps(plain, sort_keys=True).encode())
        for table in (rewards, *(v for _, v in sorted(self.settings.items()) if isinstance(v, np.ndarray))):
            digest.update(f"{table.dtype} {table.shape}".encode())
            digest.update(np.ascontiguousarray(table).tobytes())
        return Checkpoint(self.folder, f"family-{zlib.crc32(name.encode()):08x}", digest.hexdigest(), EVERY)


def in_blocks(
    solve: Callable[[Floats], Answers],
    rewards: Floats,
    *,
    kept: Checkpoint | None,
    jobs: int | None,
    prefer: str,
    told: Callable[[float], None],
) -> Answers:
    """Solve for objectives ``(N, k)`` in blocks, going on behind those that ``kept`` holds.

    Args:
        solve: takes some of the objectives.
        rewards: all of them.
        kept: this family's file.
        jobs: blocks that are solved at once; None: as joblib is configured.
        prefer: ``"processes"`` or ``"threads"``.
        told: called with the share that is done.
    """
    blocks = [rewards[i : i + BLOCK] for i in range(0, len(rewards), BLOCK)]
    state = None if kept is None else kept.load()
    parts = [] if state is None else [Answers.from_state(s) for s in state["parts"]]
    work = (delayed(solve)(block) for block in blocks[len(parts) :])
    running: Any = Parallel(n_jobs=jobs, prefer=prefer, return_as="generator")(work)
    for part in running:
        parts.append(part)
        if kept is not None:
            kept.save({"parts": [p.to_state() for p in parts]}, final=len(parts) == len(blocks))
        told(len(parts) / len(blocks))
    if state is not None and len(state["parts"]) == len(blocks):
        told(1.0)
    return Answers.joined(parts)
