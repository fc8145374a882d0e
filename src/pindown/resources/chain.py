"""Layers in a row, each seen only through the next: what of the first is left for objectives on the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pindown.errors import InputError, PindownError
from pindown.estimate import Estimate
from pindown.resources.capacity import capacity, mutual_information, relative_entropy

__all__ = ["Chain", "LayerRecord"]

Floats = NDArray[np.float64]
_SUM = 1e-9


@dataclass(frozen=True)
class LayerRecord:
    """One layer of a chain.

    Attributes:
        layer: its number, 0 for the start.
        states: how many it has.
        information: bits about the start that are left in it; as they are the relative entropy of what is known of the
            layer from the start to what is known without it, on average over starts, they never rise.
        visible: the most bits about the layer that any objective on the last one can depend on.
        alike: states that no objective on the last layer can tell from another one.
    """

    layer: int
    states: int
    information: Estimate
    visible: Estimate
    alike: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "information": self.information.to_dict(), "visible": self.visible.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> LayerRecord:
        """Read back what :meth:`to_dict` wrote."""
        return cls(
            int(record["layer"]), int(record["states"]), Estimate.from_dict(record["information"]),
            Estimate.from_dict(record["visible"]), int(record["alike"]),
        )  # fmt: skip


class Chain:
    r"""A Markov chain of layers :math:`X_0 \to X_1 \to \dots \to X_k`.

    Args:
        layers: transition tables, the j-th of shape ``(n_j, n_{j+1})``, rows that sum to 1; or for a step without
            chance whole numbers ``(n_j,)``, where each state goes.
        start: chances of the first layer's states; by default all alike.
        name: for tables.

    Raises:
        InputError: for tables that do not fit together, or rows that do not sum to 1; the row is named.

    Example:
        >>> from pindown import Chain
        >>> marble = Chain([[i // 4 for i in range(16)]])  # sixteen slots that lead to four cups
        >>> marble.information()[-1].value, marble.visible().value
        (2.0, 2.0)
    """

    def __init__(self, layers: Sequence[ArrayLike], *, start: ArrayLike | None = None, name: str = "") -> None:
        if not len(layers):
            raise InputError("no layers", "at least one table")
        self.tables: list[Floats] = []
        for k, layer in enumerate(layers):
            table = _table(np.asarray(layer), k)
            if self.tables and self.tables[-1].shape[1] != len(table):
                raise InputError(
                    f"layer {k} of {len(table)} rows", f"{self.tables[-1].shape[1]}, as the one before leads to"
                )
            self.tables.append(table)
        n = len(self.tables[0])
        self.start: Floats = np.full(n, 1.0 / n) if start is None else np.asarray(start, dtype=np.float64)
        if self.start.shape != (n,) or (self.start < 0).any() or abs(float(self.start.sum()) - 1.0) > _SUM:
            raise InputError(f"start of shape {self.start.shape}", f"{n} chances that sum to 1")
        self.name = name

    def reach(self, layer: int) -> Floats:
        """The chances of the last layer's states from each state of ``layer``, ``(n_layer, n_last)``."""
        if not 0 <= layer <= len(self.tables):
            raise InputError(f"layer {layer}", f"0 to {len(self.tables)}")
        out = np.eye(self.tables[-1].shape[1])
        for table in reversed(self.tables[layer:]):
            out = table @ out
        return out

    def survives(self, p: ArrayLike, q: ArrayLike) -> tuple[Estimate, ...]:
        r"""Relative entropy between two ways to start, at each layer.

        .. math:: D(p M_1 \cdots M_j \,\|\, q M_1 \cdots M_j)

        By the data processing inequality (Cover and Thomas 2006, section 2.8) it never rises.

        Raises:
            InputError: for starts that are no chances of the first layer's states.
        """
        one, two = (_chances(x, len(self.tables[0])) for x in (p, q))
        found = [relative_entropy(one, two)]
        for table in self.tables:
            one, two = one @ table, two @ table
            found.append(relative_entropy(one, two))
        _check_falls(found)
        return tuple(Estimate(x, 0.0, "bits", "exact", reference="relative entropy of two starts") for x in found)

    def information(self) -> tuple[Estimate, ...]:
        """Mutual information between the start and each layer, from the start itself on: it never rises."""
        channel = np.eye(len(self.start))
        found = [mutual_information(channel, self.start)]
        for table in self.tables:
            channel = channel @ table
            found.append(mutual_information(channel, self.start))
        _check_falls(found)
        return tuple(Estimate(x, 0.0, "bits", "exact", reference="start as given") for x in found)

    def visible(self, layer: int = 0) -> Estimate:
        """The most bits about ``layer`` that any objective on the last layer can depend on: the channel's capacity."""
        return capacity(self.reach(layer))

    def indistinguishable(self, layer: int = 0) -> list[tuple[int, ...]]:
        """States of a layer between which no objective on the last layer can tell, in groups of two or more."""
        _, label = np.unique(np.round(self.reach(layer), 12), axis=0, return_inverse=True)
        groups = [tuple(int(i) for i in np.flatnonzero(label.ravel() == g)) for g in range(int(label.max()) + 1)]
        return sorted(g for g in groups if len(g) > 1)

    def layers(self) -> tuple[LayerRecord, ...]:
        """Every layer, from the start to the last.

        Example:
            >>> marble = Chain([[i // 4 for i in range(16)]])
            >>> [(x.states, x.information.value, x.visible.value, x.alike) for x in marble.layers()]
            [(16, 4.0, 2.0, 16), (4, 2.0, 2.0, 0)]
        """
        sizes = [len(self.tables[0]), *(t.shape[1] for t in self.tables)]
        left = self.information()
        return tuple(
            LayerRecord(k, n, left[k], self.visible(k), sum(map(len, self.indistinguishable(k))))
            for k, n in enumerate(sizes)
        )

    def __repr__(self) -> str:
        return f"Chain({' → '.join(str(n) for n in [len(self.tables[0]), *(t.shape[1] for t in self.tables)])})"


def _check_falls(found: list[float]) -> None:
    for k, (before, after) in enumerate(pairwise(found)):
        if after > before + 1e-9 * max(1.0, abs(before)):
            raise PindownError(f"information rose from {before} to {after} bits at layer {k + 1}: this is a defect")


def _table(layer: NDArray[np.generic], k: int) -> Floats:
    if layer.ndim == 1 and np.issubdtype(layer.dtype, np.integer) and layer.size:
        to = layer.astype(np.int64)
        if (to < 0).any():
            raise InputError(f"layer {k} leads to state {int(to.min())}", "numbers from 0")
        return np.eye(int(to.max()) + 1)[to]
    table = np.asarray(layer, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise InputError(f"layer {k} of shape {table.shape}", "a table (n, m), or whole numbers (n,)")
    bad = np.flatnonzero((table < 0).any(axis=1) | ~(np.abs(table.sum(axis=1) - 1.0) <= _SUM))
    if bad.size:
        row = int(bad[0])
        raise InputError(f"layer {k}, row {row} sums to {float(table[row].sum()):.9g}", "chances that sum to 1")
    return table


def _chances(x: ArrayLike, n: int) -> Floats:
    p = np.asarray(x, dtype=np.float64)
    if p.shape != (n,) or (p < 0).any() or abs(float(p.sum()) - 1.0) > _SUM:
        raise InputError(f"a start of shape {p.shape}", f"{n} chances that sum to 1")
    return p
