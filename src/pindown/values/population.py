"""A population of value functions with what they think of the plans, computed once and only where it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pindown.errors import InputError
from pindown.values.plans import Plans
from pindown.values.priors import Hypotheses, Prior

__all__ = ["Acceptable", "Population", "table_of"]

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Acceptable = Callable[[Array, Array], Any] | float | str | Any
"""A regret tolerance, a function of features and points, a table, or ``"same"``."""


class Population:
    """Points of the prior and what follows from each.

    Args:
        prior: the prior that they are points of.
        plans: the plans.
        rule: what is acceptable; see :class:`~pindown.values.problem.ValueProblem`.
        points: ``(N, dim)``.
    """

    def __init__(self, prior: Prior, plans: Plans, rule: Acceptable, points: Array) -> None:
        self.prior, self.plans, self.rule, self.points = prior, plans, rule, points
        self._values: Array | None = None
        self._acceptable: Any = None
        self._decisions: IntArray | None = None

    def __len__(self) -> int:
        return len(self.points)

    def values(self, which: Any = None) -> Array:
        """Values of the plans numbered ``which``, of all by default."""
        if which is not None and self._values is None:
            return self.prior.values(self.points, self.plans, which)
        if self._values is None:
            self._values = self.prior.values(self.points, self.plans)
        return self._values if which is None else self._values[:, which]

    def acceptable(self) -> Any:
        """Whether each plan is acceptable under each value: boolean ``(N, plans)``, or a sparse matrix of them."""
        if self._acceptable is None:
            self._acceptable = self._judge()
        return self._acceptable

    def acceptable_of(self, which: IntArray) -> BoolArray:
        """The same for some plans, dense."""
        picked: Any = self.acceptable()[:, which]
        return picked if isinstance(picked, np.ndarray) else picked.toarray()

    def shares(self) -> Array:
        """The share of the plans' base measure that each value accepts."""
        return np.asarray(self.acceptable() @ self.plans.weights, dtype=np.float64).ravel()

    def chances(self, weights: Array) -> Array:
        """For each plan the total weight of the values that accept it."""
        return np.asarray(weights @ self.acceptable(), dtype=np.float64).ravel()

    def decisions(self) -> IntArray:
        """The best plan of each value; where plans have no numbers the first acceptable one."""
        found = self._decisions
        if found is None:
            if isinstance(self.prior, Hypotheses) and self.prior.table is None:
                found = _first(self.acceptable())
            else:
                found = np.asarray(self.values().argmax(axis=1), dtype=np.int64)
            self._decisions = found
        return found

    def labels(self) -> tuple[IntArray | None, IntArray | None]:
        """Labels of value and encoding of each point; None where all values differ, or the encoding is known."""
        if not isinstance(self.prior, Hypotheses):
            return None, None
        rows = self.points[:, 0].astype(np.int64)
        value, code = self.prior.value_labels, self.prior.encoding_labels
        return None if value is None else value[rows], None if code is None else code[rows]

    def at(self, points: Array) -> Population:
        """Other points of the same prior."""
        return Population(self.prior, self.plans, self.rule, points)

    def take(self, rows: IntArray) -> Population:
        """Some of the points, with what is known of them."""
        out = self.at(self.points[rows])
        out._values = None if self._values is None else self._values[rows]
        out._acceptable = None if self._acceptable is None else self._acceptable[rows]
        out._decisions = None if self._decisions is None else self._decisions[rows]
        return out

    def _judge(self) -> Any:
        rule: Any = self.rule
        shape = (len(self), len(self.plans))
        if isinstance(rule, float):
            values = self.values()
            return values >= values.max(axis=1, keepdims=True) - rule
        if callable(rule):
            table = np.asarray(rule(self.plans.features, self.points))
            if table.shape != shape:
                raise InputError(f"acceptable returned shape {table.shape}", f"{shape} for (points, plans)")
            return _boolean(table)
        return rule[self.points[:, 0].astype(np.int64)]


def table_of(rule: Any, prior: Prior, plans: Plans) -> Acceptable:
    """An acceptability as it is used: a number, a function, or a table of hypotheses and plans.

    Raises:
        InputError: where it is none of these.
    """
    if isinstance(rule, bool) or rule is None:
        raise InputError(f"acceptable={rule!r}", _WANTED)
    if isinstance(rule, int | float | np.floating | np.integer):
        if not 0.0 <= float(rule) < float("inf"):
            raise InputError(f"a regret tolerance of {rule}", "a finite number of 0 or more")
        return float(rule)
    if callable(rule):
        return rule
    if not isinstance(prior, Hypotheses):
        raise InputError(f"acceptable of type {type(rule).__name__} with a prior that is no table", _WANTED)
    n, p = len(prior), len(plans)
    if isinstance(rule, str):
        if rule != "same" or n != p:
            raise InputError(
                f"acceptable={rule!r} for {n} hypotheses and {p} plans",
                "'same' (plan i is acceptable to hypothesis i alone), as many plans as hypotheses",
            )
        return sparse.eye(n, dtype=np.float64, format="csr")
    table: Any = rule if sparse.issparse(rule) else np.asarray(rule)
    values = prior.value_labels
    if table.shape != (n, p) and values is not None and table.shape == (int(values.max()) + 1, p):
        table = table[values]
    if table.shape != (n, p):
        raise InputError(f"a table of acceptable plans of shape {table.shape}", f"({n}, {p}) for (hypotheses, plans)")
    return sparse.csr_matrix(table, dtype=np.float64) if sparse.issparse(rule) else _boolean(table)


def _first(table: Any) -> IntArray:
    """The first acceptable plan of each value; the first of all where there is none."""
    if isinstance(table, np.ndarray):
        return np.asarray(table.argmax(axis=1), dtype=np.int64)
    table.sort_indices()
    found, starts = np.zeros(table.shape[0], dtype=np.int64), table.indptr
    some = starts[1:] > starts[:-1]
    found[some] = table.indices[starts[:-1][some]]
    return found


def _boolean(table: NDArray[Any]) -> BoolArray:
    if table.dtype == np.bool_:
        return table
    if not np.isin(table, (0, 1)).all():
        raise InputError(f"acceptable with entries of type {table.dtype}", "true or false (1 or 0) for each plan")
    return table.astype(np.bool_)


_WANTED = (
    "a regret tolerance, a function of (features, points) to true or false of shape (points, plans), a table "
    "(hypotheses, plans), or 'same'"
)
