"""Plain records read with care: every value has its place in the record, and damage is refused by that place."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pindown.errors import CheckpointError
from pindown.estimate import Estimate

__all__ = ["Reader", "read_as"]

T = TypeVar("T")
_DAMAGED = "the record is damaged: run it again"


class Reader:
    """A mapping inside a record, with the place where it stands for error messages."""

    def __init__(self, record: Any, where: str) -> None:
        if not isinstance(record, Mapping):
            raise CheckpointError(f"{where} is {_kind(record)}", "a mapping", _DAMAGED)
        self.record: Mapping[str, Any] = record
        self.where = where

    def refuse(self, key: str, value: object, wanted: str) -> CheckpointError:
        return CheckpointError(f"{self.where}.{key} is {_kind(value)}", wanted, _DAMAGED)

    def text(self, key: str) -> str:
        value = self.record.get(key)
        return "" if value is None else str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(str(item) for item in self._items(key))

    def number(self, key: str) -> float | None:
        value = self.record.get(key)
        if value is None:
            return None
        return self._as_number(key, value)

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(math.nan if x is None else self._as_number(key, x) for x in self._items(key))

    def estimate(self, key: str) -> Estimate | None:
        value = self.record.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.refuse(key, value, "an estimate record")
        return Estimate.from_dict(value)

    def child(self, key: str) -> Reader:
        value = self.record.get(key)
        return Reader({} if value is None else value, f"{self.where}.{key}")

    def children(self, key: str) -> list[Reader]:
        return [Reader(item, f"{self.where}.{key}[{i}]") for i, item in enumerate(self._items(key))]

    def _items(self, key: str) -> Sequence[Any]:
        value = self.record.get(key)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.refuse(key, value, "a list")
        return value

    def _as_number(self, key: str, value: Any) -> float:
        """Finite numbers stand as they are; infinities and NaN as the strings that JSON can hold."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self.refuse(key, value, "a number")
        try:
            return float(value)
        except ValueError as error:
            raise self.refuse(key, value, "a number") from error


def read_as(cls: type[T], r: Reader) -> T:
    """A dataclass whose fields are keys of the record, by the types that they declare.

    What may be missing is declared as ``X | None``, a tuple, a mapping or a text, and is then None or empty. A class
    with a ``SCHEMA`` is read only from a record of that schema, which the command ``MADE_BY`` writes; numbers that a
    class names in ``POSITIVE`` are above 0.

    Raises:
        CheckpointError: where a value is missing or of another type; its place is named.
    """
    schema = getattr(cls, "SCHEMA", None)
    if schema is not None and r.record.get("schema") != schema:
        made_by = getattr(cls, "MADE_BY", "")
        remedy = f"hand over what `{made_by} --json` wrote" if made_by else ""
        where = "a record" if r.where == "record" else r.where
        raise CheckpointError(f"{where} of schema {r.record.get('schema')!r}", repr(schema), remedy)
    hints = get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cast("Any", cls))]
    for name in getattr(cls, "POSITIVE", ()):
        number = r.number(name)
        if number is None or not 0.0 < number < math.inf:
            raise r.refuse(name, r.record.get(name), "a number above 0")
    return cls(**{name: _read(hints[name], r, name) for name in names})


def _read(kind: Any, r: Reader, key: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    value = r.record.get(key)
    if origin in (Union, types.UnionType):
        one = next(k for k in inner if k is not type(None))
        return None if value is None else _read(one, r, key)
    if origin is tuple:
        if inner[0] is float:
            return r.numbers(key)
        if inner[0] is str:
            return r.texts(key)
        children = r.children(key)
        if inner[0] is Estimate:
            return tuple(Estimate.from_dict(child.record) for child in children)
        return tuple(read_as(inner[0], child) for child in children)
    if origin is not None and issubclass(origin, Mapping):
        child = r.child(key)
        return {str(name): _read(inner[1], child, name) for name in child.record}
    if kind is str:
        return r.text(key)
    if kind is bool:
        return bool(value)
    if value is None:
        raise r.refuse(key, value, "a value")
    if kind is float:
        return r.number(key)
    if kind is int:
        number = r.number(key)
        if number is None or not math.isfinite(number) or number != int(number):
            raise r.refuse(key, value, "a whole number")
        return int(number)
    return r.estimate(key) if kind is Estimate else read_as(kind, r.child(key))


def _kind(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
