"""An estimate keeps its error, unit, kind and status together, and every record reads back as it was written."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pindown.errors import CheckpointError, InputError
from pindown.estimate import KINDS, Estimate, Status, bits, nats

numbers = st.floats(allow_nan=True, allow_infinity=True)
estimates = st.builds(
    Estimate,
    value=numbers,
    stderr=st.floats(min_value=0.0, allow_nan=False, allow_infinity=True) | st.just(math.nan),
    unit=st.sampled_from(["bits", "nats", "dimensions", "1", ""]),
    kind=st.sampled_from(KINDS),
    status=st.sampled_from(Status),
    reference=st.text(max_size=20),
    dof=st.none() | st.floats(min_value=1.0, max_value=1e6),
)


def same(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


@given(estimates)
def test_a_record_reads_back_as_it_was_written(estimate: Estimate) -> None:
    text = json.dumps(estimate.to_dict(), allow_nan=False)
    again = Estimate.from_dict(json.loads(text))
    assert same(again.value, estimate.value)
    assert same(again.stderr, estimate.stderr)
    for field in ("unit", "kind", "status", "reference", "dof"):
        assert getattr(again, field) == getattr(estimate, field)


@given(estimates)
def test_every_estimate_can_be_shown(estimate: Estimate) -> None:
    assert str(estimate)
    assert str(estimate) in estimate._repr_html_()


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(1.0, 200.0), st.floats(0.01, 0.99))
def test_the_interval_is_students_t(value: float, stderr: float, dof: float, level: float) -> None:
    low, high = Estimate(value, stderr, "bits", dof=dof).interval(level)
    q = stats.t.ppf(0.5 + level / 2, dof)
    assert low == pytest.approx(value - q * stderr, rel=1e-9, abs=1e-9)
    assert high == pytest.approx(value + q * stderr, rel=1e-9, abs=1e-9)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(0.01, 0.99))
def test_without_degrees_of_freedom_the_interval_is_normal(value: float, stderr: float, level: float) -> None:
    low, high = Estimate(value, stderr, "bits").interval(level)
    q = stats.norm.ppf(0.5 + level / 2)
    assert (low, high) == pytest.approx((value - q * stderr, value + q * stderr), rel=1e-9, abs=1e-9)


def test_few_runs_widen_the_interval() -> None:
    narrow = Estimate(10.0, 1.0, "bits").interval()
    wide = Estimate(10.0, 1.0, "bits", dof=3).interval()
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_bound_leaves_its_other_side_open() -> None:
    assert Estimate(40.0, 0.0, "bits", kind="lower_bound").interval() == (40.0, math.inf)
    assert Estimate(40.0, 0.0, "bits", kind="upper_bound").interval() == (-math.inf, 40.0)


def test_an_exact_figure_has_no_width() -> None:
    assert Estimate(3.0, 0.0, "bits", kind="exact").interval() == (3.0, 3.0)


@pytest.mark.parametrize(("value", "stderr"), [(math.nan, 1.0), (1.0, math.nan)])
def test_what_is_unknown_can_be_anything(value: float, stderr: float) -> None:
    assert Estimate(value, stderr, "bits").interval() == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(812.31, 1.9, "bits"), "812.3 ± 1.9 bits"),
        (Estimate(812.31, 19.0, "bits"), "812 ± 19 bits"),
        (Estimate(0.04321, 0.00123, "1"), "0.0432 ± 0.0012"),
        (Estimate(40.0, 0.0, "bits", kind="exact"), "40 bits"),
        (Estimate(40.0, 0.0, "bits", kind="lower_bound"), "≥ 40 bits"),
        (Estimate(40.0, 0.0, "bits", kind="upper_bound"), "≤ 40 bits"),
        (Estimate(40.0, math.nan, "bits"), "40 ± ? bits"),
        (Estimate(40.0, 1.0, "bits", status=Status.NOT_CONVERGED), "40.0 ± 1.0 bits (not converged)"),
    ],
)
def test_how_a_figure_is_printed(estimate: Estimate, text: str) -> None:
    assert str(estimate) == text


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 95.0, math.nan])
def test_an_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(InputError, match="interval level"):
        Estimate(1.0, 1.0, "bits").interval(level)


def test_an_impossible_estimate_is_refused() -> None:
    with pytest.raises(InputError, match="standard error"):
        Estimate(1.0, -1.0, "bits")
    with pytest.raises(InputError, match="kind 'guess'"):
        Estimate(1.0, 1.0, "bits", kind="guess")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": "pindown/estimate/0"},
        {"schema": None},
        {"value": "many"},
        {"kind": "guess"},
        {"status": "fine"},
        {"stderr": -1.0},
        {"dof": []},
    ],
)
def test_a_damaged_record_is_refused(damage: dict[str, Any]) -> None:
    record = Estimate(1.0, 1.0, "bits").to_dict() | damage
    with pytest.raises(CheckpointError):
        Estimate.from_dict(record)


@pytest.mark.parametrize("field", ["schema", "value", "stderr", "unit", "kind", "status", "reference", "dof"])
def test_a_record_that_lacks_a_field_is_refused(field: str) -> None:
    record = Estimate(1.0, 1.0, "bits").to_dict()
    del record[field]
    with pytest.raises(CheckpointError):
        Estimate.from_dict(record)


@given(st.floats(-1e300, 1e300))
def test_bits_and_nats_are_inverse(x: float) -> None:
    assert nats(bits(x)) == pytest.approx(x, rel=1e-15)


def test_a_fair_coin_is_one_bit() -> None:
    assert bits(-math.log(0.5)) == 1.0


def test_every_status_says_what_to_do() -> None:
    for status in Status:
        assert status.message.endswith(".")
        assert Status(str(status)) is status
    assert [status for status in Status if status.ok] == [Status.REACHED, Status.WIDENED]


def test_intervals_end_where_the_quantity_does() -> None:
    """A share near 1: the interval is cut at 1 and at no other end; one inside its support is left alone."""
    share = Estimate(0.98, 0.05, "1", support=(0.0, 1.0))
    free = Estimate(0.98, 0.05, "1")
    assert share.interval()[1] == 1.0 < free.interval()[1]
    assert share.interval()[0] == free.interval()[0]
    assert Estimate(0.5, 0.05, "1", support=(0.0, 1.0)).interval() == Estimate(0.5, 0.05, "1").interval()
    assert "support" not in free.to_dict()
    again = Estimate.from_dict(json.loads(json.dumps(share.to_dict(), allow_nan=False)))
    assert again == share
    assert Estimate(0.9, 0.0, "1", "lower_bound", support=(0.0, 1.0)).interval() == (0.9, math.inf)
    with pytest.raises(InputError, match="support"):
        Estimate(0.5, 0.1, "1", support=(1.0, 1.0))
    for damage in ([0.0], "x", [1.0, 0.0], 3):
        with pytest.raises(CheckpointError):
            Estimate.from_dict(share.to_dict() | {"support": damage})
