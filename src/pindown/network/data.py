"""Training and held-out data as fixed batches of tensors, read once and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from pindown.errors import DataError
from pindown.spaces.initialisation import preserved_random_state

__all__ = ["Batches", "read_data"]

Inputs = Tensor | tuple[Tensor, ...]
_WANTED = "(inputs, targets) of tensors or arrays, a torch Dataset, or a DataLoader"


@dataclass(frozen=True, eq=False)
class Batches:
    """Examples in a fixed order, cut into batches.

    Attributes:
        items: ``(inputs, targets)`` pairs; inputs are a tensor or a tuple of tensors with one row an example.
        size: number of examples.
    """

    items: tuple[tuple[Inputs, Tensor], ...]
    size: int

    def __iter__(self) -> Iterator[tuple[Inputs, Tensor]]:
        return iter(self.items)

    @property
    def targets(self) -> Tensor:
        """All targets, in order."""
        return torch.cat([t for _, t in self.items])

    @property
    def bytes(self) -> int:
        """Memory that the examples take."""
        return sum(t.numel() * t.element_size() for x, y in self.items for t in (*_parts(x), y))

    def to(self, device: torch.device) -> Batches:
        """The same batches on a device."""
        moved = tuple((_map(x, lambda t: t.to(device)), y.to(device)) for x, y in self.items)
        return Batches(moved, self.size)

    def head(self, n: int) -> tuple[Inputs, Tensor]:
        """The first examples of the first batch, at most ``n``."""
        x, y = self.items[0]
        return _map(x, lambda t: t[:n]), y[:n]


def read_data(data: Any, *, batch_size: int | None, dtype: torch.dtype, what: str) -> Batches:
    """Read ``data`` into memory as batches.

    Floating-point inputs and targets are converted to ``dtype``; integers stay. A DataLoader keeps its own
    batches; anything else is cut into batches of ``batch_size``, by default one.

    Args:
        data: ``(inputs, targets)``, a Dataset of such pairs, or a DataLoader over them.
        batch_size: examples a batch.
        dtype: format of the model.
        what: what the data are, for messages, such as ``"training data"``.

    Raises:
        DataError: for data that are empty, not finite, of another type, whose parts differ in length, or that
            differ between two readings.
    """
    if batch_size is not None and (isinstance(batch_size, bool) or batch_size < 1):
        raise DataError(f"batch_size {batch_size!r}", "a whole number of 1 or more")
    if isinstance(data, DataLoader):
        pairs = _read_loader(data, what)
        whole = False
    else:
        pairs, whole = [_read_whole(data, what)], True
    checked = [_checked(x, y, dtype, what) for x, y in pairs]
    size = sum(len(y) for _, y in checked)
    if whole and batch_size is not None and batch_size < size:
        x, y = checked[0]
        cuts = [slice(i, i + batch_size) for i in range(0, size, batch_size)]
        checked = [(_map(x, lambda t, cut=cut: t[cut]), y[cut]) for cut in cuts]
    return Batches(tuple(checked), size)


def _read_loader(loader: DataLoader[Any], what: str) -> list[tuple[Any, Any]]:
    """All batches of a loader, read twice: the loss must be a function of the weights alone."""
    generator = loader.generator
    state = None if generator is None else generator.get_state()
    with preserved_random_state():
        first = [_pair(batch, what) for batch in loader]
        second = [_pair(batch, what) for batch in loader]
    if generator is not None and state is not None:
        generator.set_state(state)
    if not first:
        raise DataError(f"{what} without any batch", "at least one example")
    same = len(first) == len(second) and all(
        _equal(a[0], b[0]) and _equal(a[1], b[1]) for a, b in zip(first, second, strict=True)
    )
    if not same:
        raise DataError(
            f"{what} whose loader gives other batches on a second reading", "the same batches each time",
            "use shuffle=False and no random augmentation",
        )  # fmt: skip
    return first


def _read_whole(data: Any, what: str) -> tuple[Any, Any]:
    if isinstance(data, IterableDataset):
        raise DataError(f"{what} as an IterableDataset", "a DataLoader around it", "wrap it: DataLoader(dataset, 256)")
    if isinstance(data, Dataset):
        n = len(data)  # type: ignore[arg-type]
        if n == 0:
            raise DataError(f"{what} without any example", "at least one")
        with preserved_random_state():
            return _pair(default_collate([data[i] for i in range(n)]), what)
    return _pair(data, what)


def _pair(batch: Any, what: str) -> tuple[Any, Any]:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    kind = f"{type(batch).__name__} of length {len(batch)}" if isinstance(batch, Sequence) else type(batch).__name__
    raise DataError(f"{what} of type {kind}", _WANTED)


def _checked(x: Any, y: Any, dtype: torch.dtype, what: str) -> tuple[Inputs, Tensor]:
    # A list of tensors, as a loader makes it, is several inputs; a list of numbers or lists is one array.
    several = isinstance(x, tuple) or (isinstance(x, list) and all(isinstance(v, Tensor | np.ndarray) for v in x))
    name = f"{what}: inputs"
    inputs: Inputs = tuple(_tensor(v, dtype, name) for v in x) if several and x else _tensor(x, dtype, name)
    targets = _tensor(y, dtype, f"{what}: targets")
    if not targets.is_floating_point():
        targets = targets.long()
    if targets.ndim == 0 or any(t.ndim == 0 for t in _parts(inputs)):
        raise DataError(f"{what} with a single number in place of a batch", "one row an example")
    lengths = {len(t) for t in (*_parts(inputs), targets)}
    if lengths == {0}:
        raise DataError(f"{what} without any example", "at least one")
    if len(lengths) > 1:
        raise DataError(f"{what} with {_lengths(inputs)} inputs and {len(targets)} targets", "as many of each")
    return inputs, targets


def _tensor(value: Any, dtype: torch.dtype, what: str) -> Tensor:
    if not isinstance(value, Tensor):
        try:
            value = torch.as_tensor(np.asarray(value))
        except (TypeError, ValueError) as error:
            raise DataError(f"{what} of type {type(value).__name__} ({error})", _WANTED) from error
    value = value.detach()
    if value.is_complex() or value.layout != torch.strided:
        raise DataError(f"{what} of format {value.dtype}, {value.layout}", "dense real numbers")
    if value.is_floating_point():
        value = value.to(dtype)
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise DataError(f"{what} with {bad} values that are NaN or infinite in {dtype}", "finite numbers")
    return value.contiguous()


def _map(x: Inputs, f: Any) -> Inputs:
    return tuple(f(t) for t in x) if isinstance(x, tuple) else f(x)


def _parts(x: Inputs) -> tuple[Tensor, ...]:
    return x if isinstance(x, tuple) else (x,)


def _lengths(x: Inputs) -> str:
    return ", ".join(str(len(t)) for t in _parts(x))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Iterable) and not isinstance(a, Tensor | np.ndarray):
        return all(_equal(p, q) for p, q in zip(a, b, strict=True))
    return bool(torch.equal(torch.as_tensor(a), torch.as_tensor(b)))
