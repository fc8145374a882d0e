"""Arrangements tried on episodes: what each came to at each amount of information, kept on the way."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pindown.engine.checkpoint import Checkpoint
from pindown.estimate import bits
from pindown.values.arranging import Arrangement, decide
from pindown.values.bench import Bench, Settings, surprisal
from pindown.values.views import Human, View, Views

__all__ = ["Keep", "Outcomes", "keep_in", "named", "nowhere", "play", "trial_mark"]

Array = NDArray[np.float64]
Progress = Callable[[float, str], None]
Keep = Callable[[str], Checkpoint | None]
"""Gives the file in which the part of the work of a name is kept; None where nothing is."""
_CHUNK = 20
_LARGEST = 20.0  # nats: what stands for an infinite correction
_PROBED = 2  # episodes by which arrangements are told apart
_FIELDS = ("optimisation", "acceptable", "regret", "told", "capacity")


@dataclass(frozen=True)
class Outcomes:
    """What arrangements came to, ``(arrangements, levels, episodes)``.

    Attributes:
        optimisation: bits of the plan under the true value, on average over the arrangement's own draw.
        acceptable: probability that the plan is acceptable.
        regret: value lost against the best plan.
        told: bits that the person's pick told.
        capacity: log2 of how many plans the person was shown.
        information: bits of the transcript ``(levels, episodes)``.
        bias: nats by which particles may make them low ``(levels, episodes)``.
    """

    optimisation: Array
    acceptable: Array
    regret: Array
    told: Array
    capacity: Array
    information: Array
    bias: Array


def play(
    bench: Bench,
    arrangements: Sequence[Arrangement],
    settings: Settings,
    episodes: int,
    rationality: float,
    *,
    kept: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Outcomes:
    """Try arrangements on the same episodes.

    Args:
        bench: the problem.
        arrangements: what is tried.
        settings: levels, and what the members share and err by.
        episodes: how many values and transcripts; the first few of more are the same.
        rationality: of the person.
        kept: where unfinished work is kept.
        progress: called with the share done.
    """
    shape = (len(arrangements), len(settings.levels), episodes)
    tables = {name: np.zeros(shape) for name in _FIELDS}
    tables |= {name: np.zeros(shape[1:]) for name in ("information", "bias")}
    done = 0
    content = None if kept is None else kept.load()
    if content is not None:
        done = int(content["done"])
        for name, table in tables.items():
            table[...] = content[name].numpy()
    for start in range(done, episodes, _CHUNK):
        part = range(start, min(start + _CHUNK, episodes))
        _play(bench, arrangements, settings, part, rationality, tables)
        if progress is not None:
            progress(part.stop / episodes, f"episode {part.stop} of {episodes}")
        if kept is not None:
            state: dict[str, Any] = {name: torch.from_numpy(table.copy()) for name, table in tables.items()}
            kept.save({"done": part.stop, **state}, final=part.stop == episodes)
    return Outcomes(**tables)


def keep_in(folder: str | Path | None, mark: str) -> Keep:
    """Files in a checkpoint folder, one a part of the work."""
    return nowhere if folder is None else lambda name: Checkpoint(folder, name, mark)


def named(keep: Keep | None, part: str) -> Keep:
    """The files of one part, whose names begin with its name."""
    return nowhere if keep is None else lambda name: keep(f"{part}-{name}")


def nowhere(name: str) -> None:
    """Keep nothing."""
    return


def trial_mark(bench: Bench, arrangements: Sequence[Arrangement], settings: Settings, rationality: float) -> str:
    """What arrangements do in the first episodes: functions of one name are told apart by it."""
    found = play(bench, arrangements, settings, _PROBED, rationality)
    numbers = np.concatenate([getattr(found, name).ravel() for name in (*_FIELDS, "information")])
    return hashlib.sha256("".join(f"{x:.5g} " for x in numbers).encode()).hexdigest()


def _play(
    bench: Bench, arrangements: Sequence[Arrangement], settings: Settings, part: range, rationality: float,
    tables: dict[str, Array],
) -> None:  # fmt: skip
    rows = bench.rows(part)
    transcripts = bench.transcripts(part, rows, max(settings.levels))
    marks = [(surprisal(bench.values[r], bench.base), bench.accepted[r], bench.values[r]) for r in rows]
    errors = [bench.errors(e, settings) for e in part]
    shared = [bench.log_prior() for _ in part]
    split = [[bench.log_prior() for _ in range(settings.members)] for _ in part]
    before = 0
    for level, length in enumerate(settings.levels):
        for i, likelihoods in enumerate(bench.likelihoods(transcripts, before, length)):
            for at, one in enumerate(likelihoods, start=before):
                shared[i] = shared[i] + one
                for k in _reached(at, settings):
                    split[i][k] = split[i][k] + one
        before = length
        for i, e in enumerate(part):
            views = _views(bench, shared[i], list(split[i]), errors[i])
            known, bias = bench.information(shared[i], int(rows[i]))
            tables["information"][level, e], tables["bias"][level, e] = bits(known), min(bias, _LARGEST)
            surprise, accepted, values = marks[i]
            for a, arrangement in enumerate(arrangements):
                human = Human(values, accepted, views.shared, rationality)
                chosen = decide(arrangement, views, human)
                taken = chosen > 0.0
                tables["optimisation"][a, level, e] = float(chosen[taken] @ surprise[taken])
                tables["acceptable"][a, level, e] = float(chosen @ accepted)
                tables["regret"][a, level, e] = float(values.max() - chosen @ values)
                tables["told"][a, level, e] = human.told
                tables["capacity"][a, level, e] = sum(math.log2(k) for k in human.shown)


def _reached(at: int, settings: Settings) -> range | tuple[int, ...]:
    """The members that an answer reaches: all of them, or one after the other."""
    if math.floor((at + 1) * settings.sharing + 1e-9) > math.floor(at * settings.sharing + 1e-9):
        return range(settings.members)
    return (at % settings.members,)


def _views(bench: Bench, shared: Array, split: Sequence[Array], errors: Array | None) -> Views:
    whole = bench.view(shared)
    if errors is None:
        return Views(whole, (whole,) * len(split), lambda: tuple(bench.view(s) for s in split))
    own = tuple(_off(whole, e) for e in errors)
    return Views(own[0], own, lambda: tuple(_off(bench.view(s), e) for s, e in zip(split, errors, strict=True)))


def _off(view: View, error: Array) -> View:
    """A view that errs."""
    return replace(view, mean=view.mean + error, error=error)
