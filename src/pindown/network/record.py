"""Result values to plain JSON and back, by the types that their fields declare."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from pindown.errors import CheckpointError, InputError

__all__ = ["Part", "Record", "read_fields", "reading", "to_record"]


class Part:
    """Base class of dataclasses that are part of a record: their fields as plain JSON values, and back.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Span(Part, also=("width",)):
    ...     low: float
    ...     high: float
    ...
    ...     @property
    ...     def width(self) -> float:
    ...         return self.high - self.low
    >>> Span(0.0, math.inf).to_dict()
    {'low': 0.0, 'high': 'inf', 'width': 'inf'}
    >>> Span.from_dict({"low": 1, "high": "inf"})
    Span(low=1.0, high=inf)
    """

    _also: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, also: tuple[str, ...] = (), **given: Any) -> None:
        """Take the names of properties that records carry beside the fields; they are not read back."""
        super().__init_subclass__(**given)
        cls._also = also

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {name: to_record(getattr(self, name)) for name in (*_names(type(self)), *self._also)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what :meth:`to_dict` wrote."""
        return cls(**read_fields(cls, record))


class Record(Part):
    """Base class of results: a :class:`Part` under a schema of its own."""

    _schema: ClassVar[str] = ""

    def __init_subclass__(cls, *, schema: str, **given: Any) -> None:
        """Take the schema of the class's records."""
        super().__init_subclass__(**given)
        cls._schema = schema

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values under its schema."""
        return {"schema": self._schema, **super().to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        with reading(record, cls._schema, cls.__name__):
            return super().from_dict(record)


def to_record(value: Any) -> Any:
    """Dataclasses, tuples and mappings as plain JSON values; non-finite numbers as strings.

    >>> to_record((1.0, math.inf, {"a": None}))
    [1.0, 'inf', {'a': None}]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "to_dict", None)
        return {name: to_record(getattr(value, name)) for name in _names(type(value))} if own is None else own()
    if isinstance(value, Mapping):
        return {str(k): to_record(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_record(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def read_fields(kind: type[Any], record: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """The fields of ``kind``, or those named, out of a record, by the types that they declare."""
    hints = _hints(kind)
    return {name: _read(hints[name], record[name]) for name in (_names(kind) if names is None else names)}


@contextmanager
def reading(record: Any, schema: str, name: str) -> Generator[None]:
    """Refuse another schema, and whatever goes wrong while the record of a ``name`` is read.

    Raises:
        CheckpointError: where the record is of another schema, lacks a field or holds another type.
    """
    found = record.get("schema") if isinstance(record, Mapping) else None
    if found != schema:
        raise CheckpointError(f"a record of schema {found!r}", schema, f"hand over what {name}.to_dict() gave")
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        if isinstance(error, InputError):
            raise
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"a record of {name} that cannot be read ({what})", schema) from error


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


def _read(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        options = [k for k in inner if k is not type(None)]
        if value is None and len(options) < len(inner):
            return None
        return _read(next((k for k in options if isinstance(k, type) and isinstance(value, k)), options[0]), value)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{value!r} is none of {', '.join(map(str, inner))}")
        return value
    if origin is tuple:
        if inner[-1] is ...:
            return tuple(_read(inner[0], v) for v in value)
        return tuple(_read(k, v) for k, v in zip(inner, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {k: _read(inner[1], v) for k, v in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        own = getattr(kind, "from_dict", None)
        return kind(**read_fields(kind, value)) if own is None else own(value)
    if kind in (float, int, str, bool):
        if kind is str and not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")
        return kind(value)
    return value
