"""The pieces of a study: pure functions of their arguments, run by joblib, kept in a folder as they end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import torch
from joblib.parallel import get_active_backend

from pindown.errors import CheckpointError, InputError
from pindown.files import ANEW, read_kept, write_atomically

__all__ = ["Step", "Workshop"]

SCHEMA = "pindown/study-step/2"
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Attributes:
        key: its name in the folder of unfinished work.
        words: what it does, for progress.
        run: a function of a module's top level that returns plain JSON values.
        arguments: what it is called with; what is not plain JSON counts by its ``repr``.
        cost: about how long it takes, in any unit that all steps share.
    """

    key: str
    words: str
    run: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    cost: float = 1.0

    @property
    def mark(self) -> str:
        """A digest of what the result depends on."""
        text = json.dumps(dict(self.arguments), sort_keys=True, default=repr)
        return hashlib.sha256(f"{self.run.__module__}.{self.run.__qualname__} {text}".encode()).hexdigest()


class Workshop:
    """Runs steps, several at once where there are cores, and keeps what is done.

    Args:
        checkpoint: folder for finished steps; a call with it skips those that are there.
        progress: called with the share done and a text.
        jobs: worker processes; by default what ``joblib.parallel_config`` says, else one for each core.

    Attributes:
        seconds: processor time of the steps asked for so far, all workers together, with those that were kept before.
    """

    def __init__(self, checkpoint: str | Path | None, progress: Progress | None, jobs: int | None = None) -> None:
        if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
            raise InputError(f"jobs {jobs!r}", "a whole number of 1 or more")
        self.folder = None if checkpoint is None else Path(checkpoint)
        self.progress, self.jobs = progress, jobs
        self.seconds = 0.0
        self._window = (0.0, 1.0)

    def window(self, start: float, width: float) -> None:
        """Where the next steps stand in the whole study's progress."""
        self._window = (start, width)

    def run(self, steps: Sequence[Step]) -> dict[str, Any]:
        """Results by key, in the order of ``steps``.

        Raises:
            CheckpointError: for a kept step that is damaged or of another call.
        """
        if len({s.key for s in steps}) != len(steps):
            raise InputError("steps of one name", "a name of its own for each")
        kept = {s.key: r for s in steps if (r := self._load(s)) is not None}
        done = {key: result for key, (result, _) in kept.items()}
        self.seconds += sum(seconds for _, seconds in kept.values())
        todo = [s for s in steps if s.key not in done]
        total = sum(s.cost for s in steps)
        share = total - sum(s.cost for s in todo)
        self._tell(share / total if total else 1.0, todo[0].words if todo else "done")
        for step, (result, seconds) in zip(todo, self._results(todo), strict=True):
            self.seconds += seconds
            done[step.key] = result
            self._save(step, result, seconds)
            share += step.cost
            self._tell(share / total, step.words)
        return {s.key: done[s.key] for s in steps}

    def _results(self, todo: Sequence[Step]) -> Any:
        jobs = self.jobs
        if jobs is None:
            backend, configured = get_active_backend()
            plain = type(backend).__name__ == "LokyBackend" and (configured or 1) == 1
            jobs = min(joblib.cpu_count(), len(todo)) if plain else configured
        if jobs == 1 or len(todo) < 2:
            return (_timed(s.run, dict(s.arguments)) for s in todo)
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
        return parallel(joblib.delayed(_alone)(s.run, dict(s.arguments)) for s in todo)

    def _tell(self, share: float, text: str) -> None:
        if self.progress is not None:
            start, width = self._window
            self.progress(start + width * min(1.0, share), text)

    def _load(self, step: Step) -> tuple[Any, float] | None:
        """A kept result and the seconds that it took."""
        if self.folder is None:
            return None
        path = self.folder / f"{step.key}.json"
        state = read_kept(path, SCHEMA)
        if state is None:
            return None
        if state.get("mark") != step.mark:
            raise CheckpointError(
                f"checkpoint {path} belongs to another study", "the same questions, seed and sizes", ANEW
            )
        if "result" not in state or not isinstance(state.get("seconds"), int | float):
            raise CheckpointError(f"checkpoint {path} is damaged (no result or no time)", "a complete file", ANEW)
        return state["result"], float(state["seconds"])

    def _save(self, step: Step, result: Any, seconds: float) -> None:
        if self.folder is not None:
            record = {"schema": SCHEMA, "mark": step.mark, "seconds": seconds, "result": result}
            write_atomically(self.folder / f"{step.key}.json", json.dumps(record, allow_nan=False))


def _timed(run: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, float]:
    began = time.process_time()
    # What comes out is what a resumed run would read: plain JSON values.
    return json.loads(json.dumps(run(**arguments), allow_nan=False)), time.process_time() - began


def _alone(run: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, float]:
    """In a worker process: one thread, so that workers do not take each other's cores."""
    torch.set_num_threads(1)
    return _timed(run, arguments)
