"""Errors say what was got, what was wanted and how to mend it, survive pickling, and differ in exit code."""

from __future__ import annotations

import pickle

import pytest

from pindown import errors
from pindown.errors import (
    CheckpointError,
    DataError,
    EstimationError,
    InputError,
    OutputError,
    PindownError,
)

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PindownError)]


def test_the_message_has_three_parts() -> None:
    error = InputError("loss returned shape (8, 1)", "(8,) for 8 points", "squeeze the last axis")
    assert str(error) == "loss returned shape (8, 1); wanted (8,) for 8 points. Squeeze the last axis."


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("no data",), "no data."),
        (("no data", "some"), "no data; wanted some."),
        (("no data", "", "pass some."), "no data. Pass some."),
        (("no data", "", "is the file empty?"), "no data. Is the file empty?"),
    ],
)
def test_parts_may_be_left_out(parts: tuple[str, ...], text: str) -> None:
    assert str(InputError(*parts)) == text


@pytest.mark.parametrize("kind", [InputError, DataError, CheckpointError, OutputError])
def test_input_errors_are_value_errors_and_survive_pickling(kind: type[InputError]) -> None:
    error = kind("got", "wanted", "remedy")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ValueError)
    assert type(again) is kind
    assert (again.got, again.wanted, again.remedy, str(again)) == ("got", "wanted", "remedy", str(error))


def test_an_estimation_error_carries_what_was_measured() -> None:
    again = pickle.loads(pickle.dumps(EstimationError("the runs disagree", partial={"bits": 3.0})))
    assert again.partial == {"bits": 3.0}
    assert str(again) == "the runs disagree"
    assert not isinstance(again, ValueError)


def test_exit_codes_are_distinct_and_none_means_success() -> None:
    codes = [kind.exit_code for kind in ALL]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes
