"""Result values to plain JSON and back, by the types that their fields declare."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate

__all__ = ["read_record", "to_record"]

T = TypeVar("T")


def to_record(value: Any) -> Any:
    """Estimates, dataclasses, tuples and mappings as plain JSON values; non-finite numbers as strings.

    >>> to_record((1.0, math.inf, {"a": None}))
    [1.0, 'inf', {'a': None}]
    """
    if isinstance(value, Estimate):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_record(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_record(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_record(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def read_record(kind: type[T], record: Any, schema: str) -> T:
    """Read back what :func:`to_record` made of a ``kind`` under ``schema``.

    Raises:
        CheckpointError: where the record is of another schema, lacks a field or holds another type.
    """
    found = record.get("schema") if isinstance(record, Mapping) else None
    if found != schema:
        raise CheckpointError(f"a record of schema {found!r}", schema, f"hand over what {kind.__name__}.to_dict() gave")
    try:
        return _read(kind, record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        what = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"a record that cannot be read ({what})", schema) from error


def _read(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        options = [k for k in get_args(kind) if k is not type(None)]
        return None if value is None else _read(options[0], value)
    if origin is tuple:
        inner = get_args(kind)
        return tuple(_read(inner[0], v) for v in value) if inner[-1] is ... else tuple(map(_read, inner, value))
    if origin is not None and issubclass(origin, Mapping):
        inner = get_args(kind)[1]
        return {k: _read(inner, v) for k, v in value.items()}
    if kind is Estimate:
        return Estimate.from_dict(value)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        names = [f.name for f in dataclasses.fields(kind)]
        return kind(**{n: _read(hints[n], value[n]) for n in names})  # type: ignore[operator]
    if kind in (float, int, str, bool):
        if kind is str and not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")
        return kind(value)
    return value
