"""A quick version of everything that pindown measures, on built-in data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pindown.errors import CheckpointError, InputError
from pindown.files import ANEW, read_kept, write_atomically
from pindown.network.progress import Progress, rising, window
from pindown.rng import child_seed
from pindown.studies.tour_subjects import (
    LONGER,
    PLAIN,
    farm,
    rooms,
    shopping,
    small_digits,
    switches,
    toppings,
    writers,
)

__all__ = ["STOPS", "Stop", "Tour", "tour"]

SCHEMA, KEPT = "pindown/tour/1", "pindown/tour-stop/1"
Told = Progress | None


@dataclass(frozen=True)
class Stop:
    """One part of the tour.

    Attributes:
        name: of its record, such as ``"audit"`` for audit.json.
        words: what it does.
        weight: about how many seconds of one core it takes, for the progress.
        run: gives the result from a seed.
    """

    name: str
    words: str
    weight: float
    run: Callable[[int, int | None, Told], Any]


@dataclass(frozen=True)
class Tour:
    """What a tour found.

    Attributes:
        results: each stop's result by its name; of a stop that was kept only its record, behind ``.to_dict()``.
        seconds: wall-clock time of each.
        seed: everything random followed from it.
    """

    results: Mapping[str, Any]
    seconds: Mapping[str, float]
    seed: int
    version: str

    def records(self) -> dict[str, dict[str, Any]]:
        """Each result as plain JSON values."""
        return {name: result.to_dict() for name, result in self.results.items()}

    def to_dict(self) -> dict[str, Any]:
        """All results as plain JSON values under the schema ``pindown/tour/1``."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "seed": self.seed,
            "seconds": sum(self.seconds.values()),
            "results": self.records(),
        }


def _measurement(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.engine.measure import measure
    from pindown.spaces.gaussian import Gaussian

    return measure(Gaussian(50), _square, tolerance=2.0, seed=seed, jobs=jobs, progress=progress)


def _square(x: Any) -> Any:
    return (x**2).sum(1)


def _audit(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.network.audit import audit
    from pindown.network.plan import QUICK

    return audit(small_digits(seed), seed=seed, jobs=jobs, settings=QUICK, progress=progress)


def _compared(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.network.compare import compare

    networks = [small_digits(seed, PLAIN, name="stopped early"), small_digits(seed, LONGER, name="trained longer")]
    return compare(networks, seed=seed, progress=progress)


def _study(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.studies.compression import compression
    from pindown.studies.question_1 import OPTIMISERS, Sizes

    sizes = Sizes(
        count=300, draws=2**23, margin_draws=2**21, runs=80, splits=20, train=((24, 1),), pair_runs=60,
        optimisers=OPTIMISERS[:2], pair_widths=(2, 8), pairs=((0, 7), (1, 8)),
    )  # fmt: skip
    return compression(1, seed=seed, jobs=jobs, progress=progress, sizes={1: sizes})


def _coherence(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.choices.coherence import coherence

    return coherence(shopping(), seed=seed, subject="three days of shopping", progress=progress)


def _subagents(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.choices.subagents import subagents

    return subagents(toppings(), seed, subject="toppings", progress=progress)


def _ledger(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.values.ledger import ledger

    return ledger(writers(seed), (), seed, progress=progress)


def _proxy(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.values.overoptimisation import overoptimisation

    rng = np.random.default_rng(child_seed(seed, 0x9A7))
    value = rng.normal(size=4000)
    return overoptimisation(value, value + rng.standard_t(2, size=4000), seed=seed, name="a heavy-tailed proxy")


def _arrangements(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.values.arrangements import arrangements

    sizes: dict[str, Any] = {"levels": [0, 4, 16], "episodes": 60, "shortlists": [1, 3], "regions": False}
    return arrangements(writers(seed), **sizes, seed=seed, progress=progress)


def _landscape(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.landscapes.landscape import landscape

    return landscape(switches(), seed=seed, starts=8, progress=progress)


def _resources(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.resources.convergence import convergence

    return convergence(farm(), objectives=300, seed=seed, progress=progress)


def _power(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.resources.power import power

    return power(rooms(), objectives=500, seed=seed, progress=progress)


def _empowerment(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.resources.empowerment import empowerment

    return empowerment(rooms(), steps=2, progress=progress)


def _fermi(seed: int, jobs: int | None, progress: Told) -> Any:
    from pindown.fermi.estimate import estimate
    from pindown.fermi.human_values import human_values

    return estimate(human_values(), seed, samples=1 << 14, sensitivity=1 << 9, progress=progress)


@dataclass(frozen=True)
class _Kept:
    """A result of which only the record is left."""

    record: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.record


def _save(file: Path, seed: int, result: Any, seconds: float) -> None:
    state = {"schema": KEPT, "version": version("pindown"), "seed": seed, "seconds": seconds}
    write_atomically(file, json.dumps(state | {"record": result.to_dict()}, allow_nan=False))


def _load(file: Path, seed: int) -> tuple[_Kept, float] | None:
    state = read_kept(file, KEPT)
    if state is None:
        return None
    if (state.get("version"), state.get("seed")) != (version("pindown"), seed):
        raise CheckpointError(f"checkpoint {file} belongs to another tour", f"seed {seed} and this version", ANEW)
    return _Kept(state["record"]), float(state["seconds"])


STOPS: tuple[Stop, ...] = (
    Stop("measure", "a ball in fifty dimensions", 5.0, _measurement),
    Stop("audit", "a trained network, all questions", 30.0, _audit),
    Stop("compare", "two ways to train", 10.0, _compared),
    Stop("study", "is an optimiser’s solution a random one", 20.0, _study),
    Stop("coherence", "three days of shopping", 2.0, _coherence),
    Stop("subagents", "trades of toppings", 1.0, _subagents),
    Stop("values", "the account of values", 3.0, _ledger),
    Stop("overoptimisation", "a proxy with a heavy tail", 1.0, _proxy),
    Stop("arrangements", "the same answers, differently arranged", 4.0, _arrangements),
    Stop("resources", "what nearly all objectives want of a farm", 3.0, _resources),
    Stop("power", "what rooms leave open", 1.0, _power),
    Stop("empowerment", "what actions can put into rooms", 1.0, _empowerment),
    Stop("landscape", "twelve switches in three boxes", 2.0, _landscape),
    Stop("fermi", "how complex human values are", 3.0, _fermi),
)
"""In the order of the tour. A new part is a new line here."""


def tour(
    *,
    seed: int = 0,
    stops: Sequence[str] | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> Tour:
    """Run a quick version of every part on built-in data.

    Args:
        seed: everything random follows from it.
        stops: names of those to run; by default all.
        jobs: worker processes where a part has independent runs; by default one for each core.
        progress: called with the share done and a text.
        checkpoint: folder that keeps each stop's record as it is done. The same call with the same folder goes on with
            the first stop that is not.

    Raises:
        InputError: for a stop that there is not.
        CheckpointError: where the folder belongs to another seed or version, or is damaged.

    Example:
        >>> found = tour(stops=["overoptimisation"])
        >>> found.results["overoptimisation"].tail.heavy
        True
    """
    known = [s.name for s in STOPS]
    unknown = [name for name in stops or () if name not in known]
    if unknown or (stops is not None and not stops):
        raise InputError(f"the stops {', '.join(unknown) or 'none'}", f"some of {', '.join(known)}")
    chosen = [s for s in STOPS if stops is None or s.name in stops]
    whole = sum(s.weight for s in chosen)
    tell = None if progress is None else rising(progress)
    results: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    done = 0.0
    for stop in chosen:
        own = None if tell is None else window(tell, done / whole, stop.weight / whole, stop.name)
        if own is not None:
            own(0.0, stop.words)
        file = None if checkpoint is None else Path(checkpoint) / f"{stop.name}.json"
        done_before = None if file is None else _load(file, seed)
        if done_before is not None:
            results[stop.name], seconds[stop.name] = done_before
        else:
            began = time.perf_counter()
            results[stop.name] = stop.run(seed, jobs, own)
            seconds[stop.name] = time.perf_counter() - began
            if file is not None:
                _save(file, seed, results[stop.name], seconds[stop.name])
        done += stop.weight
    if tell is not None:
        tell(1.0, "done")
    return Tour(results, seconds, seed, version("pindown"))
