"""How figures are written: the error has two digits, a printed bound is a bound, nothing breaks on odd numbers."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pindown.estimate import Estimate, Status
from pindown.report import notation

anything = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(-1e12, 1e12)
kinds = st.sampled_from(["exact", "estimate", "lower_bound", "upper_bound"])


def _back(text: str) -> float:
    """A printed number read back."""
    text = text.replace("\u2212", "-").replace(",", "").replace("∞", "inf")
    match = re.fullmatch(r"(\S+) × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text)
    if match is None:
        return float(text)
    power = match.group(2).translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(f"{match.group(1)}e{power}")


@given(value=anything, stderr=st.floats(0) | st.just(math.nan), kind=kinds, percent=st.booleans())
def test_every_estimate_can_be_written(value, stderr, kind, percent):
    e = Estimate(value, stderr, "bits", kind=kind, status=Status.REACHED)
    assert notation.with_error(e, percent)
    assert "nan" not in notation.with_error(e, percent) + notation.interval_text(e, percent)


@given(value=st.floats(1e-3, 1e8), up=st.booleans())
def test_a_printed_bound_is_still_a_bound(value, up):
    kind = "upper_bound" if up else "lower_bound"
    shown = _back(notation.value_text(Estimate(value, 0.0, "bits", kind=kind))[2:])
    slack = 1e-12 * value  # a value that is on the printed grid stays on it
    assert shown >= value - slack if up else shown <= value + slack
    assert shown == pytest.approx(value, rel=2e-3, abs=1e-6)


@given(value=st.floats(-1e8, 1e8), stderr=st.floats(1e-4, 1e7))
def test_the_error_has_two_digits_and_the_value_as_many_decimals(value, stderr):
    left, right = notation.value_text(Estimate(value, stderr, "bits")).split(" ± ")
    assert _back(right) == float(f"{stderr:.1e}")
    assert abs(_back(left) - value) <= 0.51 * 10.0 ** (math.floor(math.log10(_back(right))) - 1) + 1e-9 * abs(value)
    assert left.partition(".")[2] == "" or len(left.partition(".")[2]) == len(right.partition(".")[2])


@given(finite, st.integers(1, 8))
def test_a_number_keeps_its_significant_digits(x, digits):
    assert _back(notation.number(x, digits)) == pytest.approx(float(f"{x:.{digits - 1}e}"), rel=1e-9, abs=0)


@given(anything)
def test_csv_numbers_read_back_exactly(x):
    text = notation.full_precision(x)
    assert (text == "") if math.isnan(x) else float(text) == x


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(923.04, 0.0, "bits", kind="exact"), "923.04 bits"),
        (Estimate(9.96, 0.0996, "bits"), "9.96 ± 0.10 bits"),
        (Estimate(923.04, 31.0, "bits"), "923 ± 31 bits"),
        (Estimate(-0.04, 0.31, "bits"), "\u22120.04 ± 0.31 bits"),
        (Estimate(-0.001, 0.31, "bits"), "0.00 ± 0.31 bits"),
        (Estimate(13344.0, 210.0, "bits"), "13,340 ± 210 bits"),
        (Estimate(3.2e12, 4.1e10, "bits"), "(3.200 ± 0.041) × 10¹² bits"),
        (Estimate(5.0, math.nan, "bits"), "5 ± ? bits"),
        (Estimate(math.nan, math.nan, "bits"), "not available"),
        (Estimate(math.inf, 0.0, "bits", kind="lower_bound"), "≥ ∞ bits"),
    ],
)
def test_examples(estimate, text):
    assert notation.with_error(estimate) == text


def test_a_half_line_is_not_printed_as_an_interval():
    assert notation.labelled_interval(Estimate(3.0, 0.5, "bits", kind="lower_bound")) == "a lower bound"
    assert notation.labelled_interval(Estimate(3.0, math.nan, "bits")) == "error unknown"
