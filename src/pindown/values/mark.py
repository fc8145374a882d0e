"""Telling one value problem from another, so that kept work is not taken up for a problem that it is not of."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from pindown.values.problem import ValueProblem

__all__ = ["problem_mark"]

_MOST_CELLS = 1_000_000


def problem_mark(problem: ValueProblem, seed: int, *more: Any) -> str:
    """A digest of what figures of a problem depend on; ``more`` holds plain values that they depend on as well."""
    population, weights = problem.population(seed)
    found = hashlib.sha256()
    parts = [problem.plans.features, problem.plans.weights, population.points[:50], weights[:50]]
    parts += [population.chances(weights)]
    for source in problem.sources.values():
        head = population.take(np.arange(min(20, len(population))))
        most = max(20, _MOST_CELLS // (len(head) * source.outcomes))
        first = np.arange(min(most, source.questions))
        parts.append(np.maximum(source.log_chances(head, first), -1e9))
    for part in parts:
        found.update(np.round(np.asarray(part, dtype=np.float64), 6).tobytes())
    names = [(s.name, s.kind, s.questions, s.outcomes, s.price) for s in problem.sources.values()]
    found.update(json.dumps([names, list(problem.plans.names), problem.success, seed, *more]).encode())
    return found.hexdigest()
