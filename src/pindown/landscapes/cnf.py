"""A Boolean formula in conjunctive normal form as a search problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pindown.errors import DataError, InputError
from pindown.landscapes.dimacs import read_dimacs
from pindown.spaces.bitstring import BitString

__all__ = ["CNF"]

Clause = tuple[int, ...]


class CNF:
    """A conjunction of clauses. Those over the same variables, such as the ones of a parity, are one constraint.

    Args:
        clauses: each a sequence of literals, ``v`` or ``-v`` for variable ``v`` from 1.
        variables: how many; by default the largest that a clause names.
        name: for reports.

    Attributes:
        clauses: each once, its literals sorted; those that always hold are left out.
        constraints: numbers of the clauses of each constraint, in the order in which they first come.
        space: the strings of as many fair bits.

    Raises:
        InputError: for no clauses, an empty one, or a literal out of range.

    Example:
        >>> from pindown import CNF
        >>> formula = CNF([[1, 2], [-1, -2], [2, 3]])
        >>> formula.constraint_names, formula.losses(formula.space.points(0, 4)).tolist()
        (('[1 2]', '2 3'), [2.0, 1.0, 0.0, 0.0])
    """

    def __init__(self, clauses: Iterable[Sequence[int]], variables: int | None = None, *, name: str = "") -> None:
        found: list[Clause] = []
        for i, clause in enumerate(clauses):
            literals = tuple(clause)
            if not literals or not all(isinstance(v, (int, np.integer)) and v != 0 for v in literals):
                raise InputError(f"clause {i} is {list(literals)}", "literals: whole numbers other than 0")
            found.append(tuple(sorted({int(v) for v in literals}, key=lambda v: (abs(v), v))))
        if not found:
            raise InputError("a formula without clauses", "at least one")
        most = max(abs(v) for clause in found for v in clause)
        self.variables = most if variables is None else int(variables)
        if most > self.variables:
            raise InputError(f"variable {most}", f"1 to {self.variables}")
        kept = (c for c in found if not any(-v in c for v in c))
        self.clauses: tuple[Clause, ...] = tuple(dict.fromkeys(kept))
        groups: dict[Clause, list[int]] = {}
        for i, clause in enumerate(self.clauses):
            groups.setdefault(tuple(abs(v) for v in clause), []).append(i)
        self.scopes: tuple[Clause, ...] = tuple(groups)
        self.constraints: tuple[tuple[int, ...], ...] = tuple(tuple(g) for g in groups.values())
        self.name = name
        self.space = BitString(self.variables)
        self._signs, self._negative = _table(self.clauses, self.variables)

    @classmethod
    def from_dimacs(cls, path: str | Path) -> CNF:
        """Read a DIMACS file.

        Raises:
            DataError: for a file that cannot be read, with the line.
        """
        variables, clauses = read_dimacs(path)
        if not clauses:
            raise DataError(f"{path} has no clauses", "at least one")
        return cls(clauses, variables, name=Path(path).stem)

    @property
    def constraint_names(self) -> tuple[str, ...]:
        """A lone clause as its literals; several over the same variables by those, in brackets."""
        return tuple(
            " ".join(map(str, self.clauses[group[0]])) if len(group) == 1 else f"[{' '.join(map(str, scope))}]"
            for scope, group in zip(self.scopes, self.constraints, strict=True)
        )

    def without(self, constraint: int) -> list[Clause]:
        """The clauses of all other constraints."""
        left_out = set(self.constraints[constraint])
        return [c for i, c in enumerate(self.clauses) if i not in left_out]

    def violated(self, x: Tensor) -> Tensor:
        """Which clauses do not hold, ``(N, clauses)``."""
        true = x.to(self._signs.dtype) @ self._signs.T + self._negative
        return true < 0.5

    def losses(self, x: Tensor) -> Tensor:
        """How many clauses do not hold, ``(N,)``."""
        return self.violated(x).sum(-1, dtype=torch.float64)

    def __repr__(self) -> str:
        return f"CNF({self.variables} variables, {len(self.clauses)} clauses)"


def _table(clauses: Sequence[Clause], variables: int) -> tuple[Tensor, Tensor]:
    """Signs of the literals and how many are negative: their product with 0/1 strings counts the true literals."""
    signs = torch.zeros((len(clauses), variables), dtype=torch.float32)
    for i, clause in enumerate(clauses):
        for v in clause:
            signs[i, abs(v) - 1] = 1.0 if v > 0 else -1.0
    return signs, (signs < 0).sum(-1).to(signs.dtype)
