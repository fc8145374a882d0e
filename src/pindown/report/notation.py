"""How figures are written for people: two digits of the error, intervals, bounds that stay bounds."""

from __future__ import annotations

import math

from pindown.estimate import Estimate, Status

__all__ = [
    "count",
    "duration",
    "full_precision",
    "interval_text",
    "labelled_interval",
    "number",
    "scaled",
    "status_words",
    "value_text",
    "with_error",
]

_MINUS = "\u2212"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGEST_PLAIN, _MOST_DECIMALS = 1e9, 6


def number(x: float, digits: int = 4) -> str:
    """A plain number to ``digits`` significant digits, with thousands set apart.

    >>> number(0.0521), number(7510.0), number(13344.2), number(float("inf")), number(3.2e-9)
    ('0.0521', '7,510', '13,340', '∞', '3.2 × 10⁻⁹')
    """
    if math.isnan(x):
        return "not available"
    if math.isinf(x):
        return "∞" if x > 0 else f"{_MINUS}∞"
    if x == 0:
        return "0"
    exponent = _exponent(x, digits)
    if exponent >= 9 or exponent < -_MOST_DECIMALS + 1:
        mantissa = float(f"{x:.{digits - 1}e}".partition("e")[0])  # a division would underflow for the smallest
        return f"{_trim(_fixed(mantissa, digits - 1))} × 10{str(exponent).translate(_SUPERSCRIPT)}"
    return _trim(_fixed(x, digits - 1 - exponent))


def count(n: float | None) -> str:
    """A whole number in full.

    >>> count(1234567), count(None)
    ('1,234,567', 'not recorded')
    """
    return "not recorded" if n is None or not math.isfinite(n) else f"{round(n):,}".replace("-", _MINUS)


def duration(seconds: float | None) -> str:
    """A span of time.

    >>> duration(0.25), duration(8.26), duration(143.0), duration(7260.0)
    ('0.25 s', '8.3 s', '2 min 23 s', '2 h 1 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return "not recorded"
    if seconds < 60:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def value_text(e: Estimate, percent: bool = False) -> str:
    """The figure without its unit: value ± standard error to two digits of the error, or a bound with its sign.

    Bounds are rounded away from what they exclude, so that what is printed is still a bound.

    >>> value_text(Estimate(923.04, 2.13, "bits"))
    '923.0 ± 2.1'
    >>> value_text(Estimate(0.0661, 0.0031, "1"), percent=True)
    '6.61 ± 0.31%'
    >>> value_text(Estimate(923.456, 0.0, "bits", kind="lower_bound"))
    '≥ 923.4'
    >>> value_text(Estimate(923.4, 0.0, "bits", kind="upper_bound"))
    '≤ 923.4'
    """
    scale, sign = (100.0, "%") if percent else (1.0, "")
    value, stderr = e.value * scale, e.stderr * scale
    if math.isnan(value):
        return "not available"
    if e.kind in ("lower_bound", "upper_bound"):
        return f"{'≥' if e.kind == 'lower_bound' else '≤'} {_bound(value, e.kind == 'lower_bound')}{sign}"
    if e.kind == "exact" or _negligible(stderr, value):
        return number(value, 6) + sign
    if not math.isfinite(stderr) or not math.isfinite(value):
        return f"{number(value)} ± {'?' if math.isnan(stderr) else number(stderr)}{sign}"
    decimals = 1 - _exponent(stderr, 2)
    if decimals > _MOST_DECIMALS or max(abs(value), stderr) >= _LARGEST_PLAIN:
        top = _exponent(max(abs(value), stderr), 3)
        shift = 10.0**top
        digits = max(0, decimals + top)
        text = f"({_fixed(value / shift, digits)} ± {_fixed(stderr / shift, digits)})"
        return f"{text} × 10{str(top).translate(_SUPERSCRIPT)}{sign}"
    return f"{_fixed(value, decimals)} ± {_fixed(stderr, decimals)}{sign}"


def with_error(e: Estimate, percent: bool = False) -> str:
    """The figure with its unit, such as ``923.0 ± 2.1 bits``.

    >>> with_error(Estimate(923.04, 2.13, "bits"))
    '923.0 ± 2.1 bits'
    """
    unit = "" if percent or e.unit in ("", "1") or math.isnan(e.value) else f" {e.unit}"
    return value_text(e, percent) + unit


def interval_text(e: Estimate, percent: bool = False) -> str:
    """The 95% interval in words, in the figure's own digits.

    >>> interval_text(Estimate(923.04, 2.13, "bits"))
    '918.9 to 927.2'
    >>> interval_text(Estimate(3.0, 0.0, "bits", kind="lower_bound"))
    'a lower bound'
    """
    if math.isnan(e.value):
        return ""
    if e.kind != "estimate":
        return {"exact": "exact", "lower_bound": "a lower bound", "upper_bound": "an upper bound"}[e.kind]
    scale, sign = (100.0, "%") if percent else (1.0, "")
    low, high = (scale * x for x in e.interval())
    if not math.isfinite(low) or not math.isfinite(high):
        return "error unknown"
    stderr = e.stderr * scale
    if _negligible(stderr, e.value * scale):
        return f"{number(low)} to {number(high)}{sign}"
    digits = 2 + max(0, _exponent(max(abs(low), abs(high), stderr), 2) - _exponent(stderr, 2))
    if stderr > 0 and max(abs(low), abs(high)) < _LARGEST_PLAIN and 1 - _exponent(stderr, 2) <= _MOST_DECIMALS:
        decimals = 1 - _exponent(stderr, 2)
        return f"{_fixed(low, decimals)} to {_fixed(high, decimals)}{sign}"
    return f"{number(low, digits)} to {number(high, digits)}{sign}"


def labelled_interval(e: Estimate, percent: bool = False) -> str:
    """The 95% interval with its level, or what stands in its place.

    >>> labelled_interval(Estimate(923.04, 2.13, "bits")), labelled_interval(Estimate(3.0, 0.0, "bits", kind="exact"))
    ('95%: 918.9 to 927.2', 'exact')
    """
    text = interval_text(e, percent)
    return f"95%: {text}" if " to " in text else text


def scaled(e: Estimate, factor: float, unit: str) -> Estimate:
    """The figure times an exact positive factor, in another unit.

    >>> value_text(scaled(Estimate(1828.0, 5.3, "dimensions"), 1 / 2260, "1"), percent=True)
    '80.88 ± 0.23%'
    """
    return Estimate(e.value * factor, e.stderr * factor, unit, e.kind, e.status, e.reference, e.dof)


_STATUS_WORDS = {
    Status.REACHED: "reached, runs agree",
    Status.WIDENED: "reached, interval widened",
    Status.BUDGET_SPENT: "budget spent",
    Status.PLATEAU: "stuck where the loss is flat",
    Status.EXTINCT: "no point below the tolerance",
    Status.NON_FINITE: "loss not finite",
    Status.NOT_CONVERGED: "not converged",
    Status.BEYOND_REACH: "rarer than the runs reached",
    Status.UNSUPPORTED: "cannot be measured",
    Status.OUT_OF_RANGE: "outside the range searched",
}


def status_words(status: Status) -> str:
    """How a measurement ended, for readers who do not know the names of the statuses.

    >>> status_words(Status.NOT_CONVERGED)
    'not converged'
    """
    return _STATUS_WORDS[status]


def full_precision(x: float | None) -> str:
    """A number for CSV: the shortest text that reads back as the same number; empty where there is none.

    >>> full_precision(0.1), full_precision(None), full_precision(float("inf"))
    ('0.1', '', 'inf')
    """
    return "" if x is None or math.isnan(x) else repr(float(x)).removesuffix(".0")


def _negligible(stderr: float, value: float) -> bool:
    """Whether an error is zero but for the rounding of the arithmetic."""
    return stderr <= 1e-12 * abs(value) if math.isfinite(stderr) and math.isfinite(value) else stderr == 0


def _exponent(x: float, digits: int) -> int:
    """Power of ten of the leading digit once ``x`` is rounded to ``digits`` digits."""
    return int(f"{abs(x):.{max(digits - 1, 0)}e}".partition("e")[2])


def _fixed(x: float, decimals: int) -> str:
    text = f"{round(x, decimals):,.{max(decimals, 0)}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _bound(x: float, lower: bool) -> str:
    if not math.isfinite(x) or x == 0 or abs(x) >= _LARGEST_PLAIN:
        return number(x)
    decimals = max(0, 3 - _exponent(x, 1))
    if decimals > _MOST_DECIMALS:
        return number(x)
    shifted = x * 10.0**decimals
    nearest = round(shifted)
    # A value that is already on the grid must not move a whole step because of its binary rounding.
    on_grid = math.isclose(shifted, nearest, rel_tol=1e-12, abs_tol=0.0)
    whole = nearest if on_grid else (math.floor(shifted) if lower else math.ceil(shifted))
    return _trim(_fixed(whole / 10.0**decimals, decimals))
