"""What is searched: a space with a loss, with constraints, or a Boolean formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.landscapes.cnf import CNF
from pindown.spaces.base import Space

__all__ = ["Constraint", "SearchProblem", "violations"]

Loss = Callable[[Any], Any]


@dataclass(frozen=True)
class Constraint:
    """One thing that a solution has to obey.

    Attributes:
        name: of it.
        function: maps points ``(N, dim)`` to how far each is from obeying, ``(N,)``: 0 or less where it obeys. Or to
            booleans: True where it obeys.
    """

    name: str
    function: Loss


class SearchProblem:
    """A space and what is searched for in it.

    Args:
        space: the prior. May be left out where a formula comes in its place.
        loss_or_constraints: a loss to bring down to ``tolerance``; or constraints that must all hold: a sequence or a
            mapping of functions as in :class:`Constraint`; or a :class:`~pindown.landscapes.cnf.CNF`.
        tolerance: of a loss; where every point can be looked at, the lowest loss by default.
        name: for reports.
        variable_names: of the coordinates.

    Raises:
        InputError: for anything else.

    Example:
        >>> from pindown import Box, SearchProblem
        >>> ball = SearchProblem(Box(-1, 1, dim=2), {"ball": lambda x: x.square().sum(-1) - 1})
        >>> ball.tolerance, [c.name for c in ball.constraints]
        (0.0, ['ball'])
    """

    def __init__(
        self,
        space: Space | CNF,
        loss_or_constraints: Loss | CNF | Sequence[Loss | Constraint] | Mapping[str, Loss] | None = None,
        *,
        tolerance: float | None = None,
        name: str = "",
        variable_names: Sequence[str] | None = None,
    ) -> None:
        what: Any = loss_or_constraints
        if isinstance(space, CNF):
            if what is not None:
                raise InputError(f"a formula and a {type(what).__name__}", "one of them")
            space, what = space.space, space
        if not isinstance(space, Space):
            raise InputError(f"a space of type {type(space).__name__}", "a space such as Box or BitString, or a CNF")
        self.space: Space = space
        self.cnf: CNF | None = what if isinstance(what, CNF) else None
        self.constraints: tuple[Constraint, ...] = ()
        self.loss: Loss
        if self.cnf is not None:
            if space.dim != self.cnf.variables:
                raise InputError(f"a formula of {self.cnf.variables} variables on {space.reference}", "as many bits")
            self.loss = self.cnf.losses
        elif isinstance(what, Mapping):
            self.constraints = tuple(Constraint(str(k), f) for k, f in what.items())
        elif isinstance(what, Sequence) and not isinstance(what, str):
            self.constraints = tuple(
                c if isinstance(c, Constraint) else Constraint(f"constraint {i}", c) for i, c in enumerate(what)
            )
        elif callable(what):
            self.loss = what
        else:
            raise InputError(f"a {type(what).__name__}", "a loss, constraints or a CNF")
        if self.cnf is None and not callable(what):
            self._check_constraints()
            self.loss = _AllHold(tuple(c.function for c in self.constraints))
        self.tolerance = self._tolerance(tolerance)
        self.name = name or (self.cnf.name if self.cnf is not None else "") or space.reference
        names = tuple(map(str, variable_names)) if variable_names is not None else self._names()
        if len(names) != space.dim:
            raise InputError(f"{len(names)} variable names", f"{space.dim}, one a coordinate")
        self.variable_names = names

    def only(self, constraints: Sequence[Constraint]) -> Loss:
        """The loss of some of the constraints."""
        return _AllHold(tuple(c.function for c in constraints))

    def _check_constraints(self) -> None:
        if not self.constraints:
            raise InputError("no constraints", "at least one")
        for c in self.constraints:
            if not callable(c.function):
                raise InputError(f"{c.name!r} is a {type(c.function).__name__}", "a function of points")
        if len({c.name for c in self.constraints}) < len(self.constraints):
            raise InputError("two constraints of one name", "a name for each")

    def _tolerance(self, tolerance: float | None) -> float | None:
        if self.cnf is not None or self.constraints:
            if tolerance not in (None, 0, 0.0):
                raise InputError(f"tolerance = {tolerance!r} with constraints", "none: all of them must hold")
            return 0.0
        if tolerance is None:
            return None
        if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or math.isnan(tolerance):
            raise InputError(f"tolerance = {tolerance!r}", "a number")
        return float(tolerance)

    def _names(self) -> tuple[str, ...]:
        first = 1 if self.cnf is not None else 0
        return tuple(f"x{i}" for i in range(first, first + self.space.dim))


def violations(functions: Sequence[Loss], x: Any) -> Tensor:
    """How far each point is from obeying each constraint, ``(N, m)``; 1 or 0 for those that answer with booleans.

    Raises:
        InputError: for an answer of another shape.
    """
    columns: list[Tensor] = []
    for function in functions:
        value = torch.as_tensor(function(x))
        if value.shape != (len(x),):
            raise InputError(
                f"a constraint returned shape {tuple(value.shape)}", f"({len(x)},) for {len(x)} points",
                "return one value a point, such as x.sum(-1) - 1",
            )  # fmt: skip
        columns.append((~value).double() if value.dtype == torch.bool else value)
    return torch.stack(columns, dim=-1)


class _AllHold:
    """At most 0 where all constraints hold: the sum of what is violated where something is, else the nearest to it."""

    def __init__(self, functions: tuple[Loss, ...]) -> None:
        self.functions = functions

    def __call__(self, x: Any) -> Tensor:
        v = violations(self.functions, x)
        worst = v.amax(-1)
        return torch.where(worst > 0, v.clamp_min(0).sum(-1), worst)
