"""One self-contained HTML page from sections: no network, no ``eval``, charts included.

The page carries a Content-Security-Policy that allows nothing but its own two scripts, each by its SHA-256 (W3C,
Content Security Policy Level 3, section 6.7.3), inline style, and images written out as data.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.report import notation
from pindown.report.blocks import Column, Figure, Section, Table, Value

__all__ = ["MARKS", "render_page"]

MARKS = "●■▲◆✚★"
"""One mark a series, the same in the charts, so that no reader depends on colour."""


Facts = Sequence[tuple[str, str]]


def render_page(
    title: str,
    sections: Sequence[Section],
    *,
    facts: Facts = (),
    subtitle: str = "",
    part_facts: Mapping[str, Facts] | None = None,
) -> str:
    """The whole page as one HTML document.

    Args:
        title: heading of the page.
        sections: what to show, in order; sections of one ``part`` stand together.
        facts: what identifies the page, such as the date and the seed, as (name, value).
        subtitle: one sentence under the title.
        part_facts: the same as ``facts`` for each part by its name. The n-th part that has a name can be led to by
            ``#pn``, from 1.

    Raises:
        InputError: where there is nothing to show.

    Example:
        >>> html = render_page("Two coins", [Section("Result", ["1 bit."])])
        >>> html.startswith("<!doctype html>") and "1 bit." in html
        True
    """
    if not sections:
        raise InputError("a report without sections", "at least one section")
    scripts = (_plotly(), _asset("page.js"))
    parts: dict[str, list[tuple[str, Section]]] = {}
    for i, section in enumerate(sections):
        parts.setdefault(section.part, []).append((f"s{i + 1}", section))
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            marks=MARKS,
            subtitle=subtitle,
            facts=facts,
            parts=parts,
            part_ids={part: f"p{i + 1}" for i, part in enumerate(p for p in parts if p)},
            part_facts=part_facts or {},
            policy=_policy(scripts),
            style=Markup(_asset("page.css")),
            scripts=[Markup(s) for s in scripts],
        )
    )
    return html.lstrip()


@dataclass(frozen=True)
class _Cell:
    """One table cell: what is shown, what it sorts by (numbers before text, nothing last), what CSV gets."""

    text: str
    detail: str
    sort: str
    csv: tuple[str, ...]
    status: str = ""
    status_text: str = ""
    bound: bool = False
    numeric: bool = True


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pindown.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "prose": _prose,
        "spec": _spec,
        "csv_header": _csv_header,
        "cell": _cell,
        "value_text": notation.value_text,
        "labelled_interval": notation.labelled_interval,
        "status_words": notation.status_words,
    }
    environment.filters.update(filters)
    return environment


@cache
def _asset(name: str) -> str:
    return files("pindown.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _policy(scripts: Sequence[str]) -> str:
    allowed = " ".join(f"'sha256-{_digest(s)}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


_NUMBER = r"[−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?"


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


_UNIT = "(?:bits|nats|dimensions)"
_FIGURE_TEXT = re.compile(
    rf"\({_NUMBER} ± {_NUMBER}\) × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+%?(?: {_UNIT})?"
    rf"|{_NUMBER} ± {_NUMBER}%?(?: {_UNIT})?|(?:[≥≤]|at least|at most) {_NUMBER} {_UNIT}"
    rf"|{_NUMBER}%?(?: {_UNIT}| points)?(?= \(95%:)"
)
_INTERVAL_TEXT = re.compile(rf"\(95%: {_NUMBER} to {_NUMBER}%?\)")


def _prose(text: str) -> Markup:
    """Escape a sentence, set its figures in weight, and keep each figure and interval on one line."""
    marked = _FIGURE_TEXT.sub(lambda m: f'<b class="figure">{m.group()}</b>', str(escape(text)))
    marked = _INTERVAL_TEXT.sub(lambda m: f'<span class="whole">{m.group()}</span>', marked)
    return Markup(re.sub("([≤≥=]) (?=[−\\d])", "\\1\u00a0", marked))


def _spec(figure: Figure) -> Markup:
    """The chart as JSON that can stand inside a script element."""
    text = json.dumps(_jsonable(figure.spec), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _jsonable(x: Any) -> Any:
    """Plain JSON values; numbers that are not finite become gaps."""
    if isinstance(x, Mapping):
        return {str(k): _jsonable(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_jsonable(v) for v in x]
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    return x


def _cell(value: Value, column: Column) -> _Cell:
    empty = ("",) * 6
    if value is None:
        return _Cell("–", "", "", empty if column.estimate else ("",))
    if isinstance(value, Estimate):
        return _estimate_cell(value, column)
    if isinstance(value, str):
        return _Cell(value, "", value.casefold(), (value, *empty[1:]) if column.estimate else (value,), numeric=False)
    x = float(value)
    csv = notation.full_precision(x)
    if math.isnan(x):
        return _Cell("–", "", "", (csv, *empty[1:]) if column.estimate else (csv,))
    if column.percent:
        text = notation.number(100.0 * x, column.digits) + "%"
    else:
        text = notation.number(x, column.digits) if column.digits else notation.count(x)
    return _Cell(text, "", repr(x), (csv, *empty[1:]) if column.estimate else (csv,))


def _estimate_cell(e: Estimate, column: Column) -> _Cell:
    low, high = e.interval()
    known = e.kind == "exact" or (e.kind == "estimate" and math.isfinite(e.stderr) and math.isfinite(e.value))
    csv = [
        notation.full_precision(e.value),
        notation.full_precision(e.stderr) if known else "",
        notation.full_precision(low) if known or e.kind == "lower_bound" else "",
        notation.full_precision(high) if known or e.kind == "upper_bound" else "",
        e.kind,
        e.status.value,
    ]
    return _Cell(
        text=notation.value_text(e, column.percent),
        detail=notation.interval_text(e, column.percent),
        sort="" if math.isnan(e.value) else repr(float(e.value)),
        csv=tuple(csv) if column.estimate else (csv[0],),
        status="" if e.status.ok else notation.status_words(e.status),
        status_text="" if e.status.ok else e.status.message,
        bound=e.kind in ("lower_bound", "upper_bound"),
    )


def _csv_header(table: Table) -> list[list[str]]:
    header: list[list[str]] = []
    for column in table.columns:
        title = f"{column.title} (share)" if column.percent else column.title
        more = ("standard error", "95% low", "95% high", "kind", "status")
        header.append([title, *(f"{title}: {m}" for m in more)] if column.estimate else [title])
    return header
