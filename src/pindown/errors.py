"""Errors that pindown raises, each with what was got, what was wanted and how to mend it."""

from __future__ import annotations

from typing import Any


class PindownError(Exception):
    """Base class of every error that pindown raises on purpose.

    Attributes:
        exit_code: what the command line exits with when this error ends it.
    """

    exit_code = 1


class InputError(PindownError, ValueError):
    """The input cannot be used. Raised before any sampling.

    Args:
        got: what was handed in, as a sentence without its full stop.
        wanted: what would have been accepted.
        remedy: what the caller can do about it.

    Example:
        >>> from pindown.errors import InputError
        >>> print(InputError("loss returned shape (8, 1)", "(8,) for 8 points", "squeeze the last axis"))
        loss returned shape (8, 1); wanted (8,) for 8 points. Squeeze the last axis.
    """

    exit_code = 2

    def __init__(self, got: str, wanted: str = "", remedy: str = "") -> None:
        self.got, self.wanted, self.remedy = got, wanted, remedy
        text = got + (f"; wanted {wanted}" if wanted else "") + "."
        if remedy:
            text += f" {remedy[0].upper()}{remedy[1:]}" + ("" if remedy.endswith((".", "?")) else ".")
        super().__init__(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.got, self.wanted, self.remedy)


class DataError(InputError):
    """The data are empty, of the wrong type, or do not fit the model."""

    exit_code = 3


class CheckpointError(InputError):
    """A checkpoint or result file is damaged, of another schema, or of another problem."""

    exit_code = 4


class OutputError(InputError):
    """A result cannot be written where it was asked for."""

    exit_code = 5


class EstimationError(PindownError):
    """An estimate failed statistically and ``strict=True`` was asked for, or a training did not get where it should.

    Attributes:
        partial: what had been measured when the failure was seen, or None.
    """

    exit_code = 6

    def __init__(self, message: str, partial: Any = None) -> None:
        self.partial = partial
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.partial)
