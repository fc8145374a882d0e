"""Estimates as TOML: one table a quantity, written and read back to the same figures."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pindown.errors import DataError, InputError
from pindown.fermi import build
from pindown.fermi import distributions as of
from pindown.fermi.formula import formula, identifiers, named_in, read_formula, written_out
from pindown.fermi.model import Model
from pindown.fermi.quantity import Quantity, leaf

__all__ = ["from_toml", "read_toml", "to_toml"]

_KINDS: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "normal": (of.Normal, ("mean", "sd")),
    "lognormal": (of.LogNormal, ("median", "sigma")),
    "uniform": (of.Uniform, ("low", "high")),
    "beta": (of.Beta, ("a", "b")),
    "discrete": (of.Discrete, ("values", "probabilities")),
    "empirical": (of.Empirical, ("values",)),
}
_HOW = ("value", "interval", *_KINDS, "formula", "mixture")
_MORE = ("name", "unit", "bound", "source", "truncate", "weights", "mass", "shape")
_TOP = ("title", "target", "routes", "beside", "notes", "quantity", "correlation")


def to_toml(model: Model) -> str:
    """The model as TOML, which :func:`from_toml` reads back to the same figures.

    Example:
        >>> from pindown import fermi
        >>> share = fermi.interval(0.1, 0.15, name="functional share")
        >>> genome = fermi.constant(3e9, unit="base pair", name="genome", bound="upper")
        >>> print(fermi.to_toml(fermi.Model((genome * share).named("functional genome"))).splitlines()[2])
        [quantity.genome]
    """
    names = model.names
    words = identifiers(names)
    lines = [f"title = {_text(model.title)}"] if model.title else []
    lines.append(f"target = {_text(words[model.target])}")
    for key, several in (("routes", model.routes), ("beside", model.beside)):
        if several:
            lines.append(f"{key} = [{', '.join(_text(words[q]) for q in several)}]")
    if model.notes:
        lines += ["notes = [", *(f"  {_text(note)}," for note in model.notes), "]"]
    asked = {model.target, *model.routes, *model.beside}
    for q in model.nodes:
        if q in asked or not written_out(q):
            lines += ["", f"[quantity.{words[q]}]", *_table(q, names[q], words)]
    by_name = {names[q]: words[q] for q in names}
    for a, b, rank in model.correlations:
        between = f"between = [{_text(by_name[a])}, {_text(by_name[b])}]"
        lines += ["", "[[correlation]]", between, f"rank = {rank!r}"]
    return "\n".join(lines) + "\n"


def read_toml(path: str | Path) -> Model:
    """Read an estimate from a TOML file.

    Raises:
        InputError: where there is no such file.
        DataError: where it is no TOML, or does not describe an estimate; the place is named.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file at {path}", "a TOML file with an estimate", "check the path")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error})", "a TOML file") from error
    return from_toml(text, path.name)


def from_toml(text: str, where: str = "the text") -> Model:
    """Read an estimate from TOML.

    Raises:
        DataError: where it is no TOML, or does not describe an estimate; the place is named.
    """
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{where} is no TOML ({error})", "a TOML file") from error
    try:
        return _Reader(record, where).model()
    except DataError:
        raise
    except InputError as error:
        got = error.got if error.got.startswith(where) else f"{where}: {error.got}"
        raise DataError(got, error.wanted, error.remedy) from error


def _table(q: Quantity, name: str, words: Mapping[Quantity, str]) -> list[str]:
    lines = [] if name == words[q] else [f"name = {_text(name)}"]
    derived = "exact"
    if q.distribution is not None:
        lines += _distribution(q.distribution)
        derived = "exact" if isinstance(q.distribution, of.Constant) else "guess"
    elif q.step is not None and q.step.kind == "mixture":
        lines.append(f"mixture = [{', '.join(_text(_part(p, words)) for p in q.parts)}]")
        lines.append(f"weights = {list(q.step.weights)!r}")
        derived = ""
    else:
        lines.append(f"formula = {_text(formula(q, words, written_out))}")
        derived = ""
    lines += [f"unit = {_text(q.unit)}"] if q.unit != "1" or q.distribution is None else []
    lines += [f"bound = {_text(q.bound)}"] if q.bound not in (derived, "neither") else []
    lines += [f"source = {_text(q.source)}"] if q.source else []
    return lines


def _part(q: Quantity, words: Mapping[Quantity, str]) -> str:
    """A part of a mixture: its name, or its formula."""
    if not written_out(q):
        return words[q]
    return repr(q.distribution.value) if isinstance(q.distribution, of.Constant) else formula(q, words, written_out)


def _distribution(d: of.Distribution) -> list[str]:
    if isinstance(d, of.Truncated):
        ends = {"low": d.low, "high": d.high}
        inner = ", ".join(f"{k} = {v!r}" for k, v in ends.items() if math.isfinite(v))
        return [*_distribution(d.inner), f"truncate = {{ {inner} }}"]
    if isinstance(d, of.Constant):
        return [f"value = {d.value!r}"]
    if isinstance(d, (of.LogNormal, of.Normal)):
        written = _interval(d)
        if written is not None:
            return written
    inner = ", ".join(f"{k} = {v!r}" for k, v in d.record().items())
    return [f"{d.kind} = {{ {inner} }}"]


def _interval(d: of.LogNormal | of.Normal) -> list[str] | None:
    """The 90% interval in round numbers, where it gives back the same distribution to the last digit."""
    q = float(of.special.ndtri(0.95))
    shape = "lognormal" if isinstance(d, of.LogNormal) else "normal"
    if isinstance(d, of.LogNormal):
        ends = d.median * math.exp(-q * d.sigma), d.median * math.exp(q * d.sigma)
    else:
        ends = d.mean - q * d.sd, d.mean + q * d.sd
    low, high = (float(f"{x:.10g}") for x in ends)
    if not low < high or (shape == "lognormal" and low <= 0) or of.from_interval(low, high, 0.9, shape) != d:
        return None
    plain = (shape == "lognormal") == (low > 0)
    return [f"interval = [{low!r}, {high!r}]", *([] if plain else [f'shape = "{shape}"'])]


def _text(value: str) -> str:
    """A TOML basic string: JSON's, whose escapes TOML shares."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class _Reader:
    """One file: its quantities are made when they are first asked for."""

    def __init__(self, record: Mapping[str, Any], where: str) -> None:
        self.where, self.record = where, record
        unknown = sorted(set(record) - set(_TOP))
        if unknown:
            raise DataError(f"{where}: unknown key {unknown[0]!r}", f"one of {', '.join(_TOP)}")
        tables = record.get("quantity")
        if not isinstance(tables, Mapping) or not tables:
            raise DataError(f"{where} without quantities", "a table [quantity.NAME] for each")
        self.tables: Mapping[str, Any] = tables
        self.made: dict[str, Quantity] = {}
        self.open: list[str] = []

    def model(self) -> Model:
        if "target" not in self.record:
            raise DataError(f"{self.where} without a target", 'target = "NAME" of the quantity that is asked for')
        target = self.quantity(self._string(self.record["target"], "target"))
        routes, beside = (tuple(self.quantity(n) for n in self._strings(k)) for k in ("routes", "beside"))
        for word in self.tables:  # what nothing uses is read too, so that a mistake in it is told
            self.quantity(word)
        pairs = self.record.get("correlation", [])
        if not isinstance(pairs, list):
            raise DataError(f"{self.where}: correlation", "[[correlation]] tables")
        correlations = tuple(self._correlation(p) for p in pairs)
        title = self._string(self.record.get("title", ""), "title")
        return Model(target, routes, beside, correlations, title, tuple(self._strings("notes")))

    def quantity(self, word: str) -> Quantity:
        if word in self.made:
            return self.made[word]
        if word not in self.tables:
            asked = f", quantity {self.open[-1]!r}" if self.open else ""
            raise DataError(f"{self.where}{asked}: no quantity {word!r}", f"one of {', '.join(self.tables)}")
        if not self.open:
            self._parts_first(word)
            if word in self.made:
                return self.made[word]
        self.made[word] = self._told(word)
        return self.made[word]

    def _told(self, word: str) -> Quantity:
        """A quantity, or what is wrong with it and where."""
        self.open.append(word)
        try:
            return self._make(word, self.tables[word])
        except InputError as error:
            place = f"{self.where}, quantity {word!r}"
            if isinstance(error, DataError):
                raise
            got = error.got if error.got.startswith(place) else f"{place}: {error.got}"
            raise DataError(got, error.wanted, error.remedy) from error
        finally:
            self.open.pop()

    def _parts_first(self, word: str) -> None:
        """Make what a quantity is computed from, the deepest parts first: Python would not follow a long chain."""
        stack = [word]
        while stack:
            last = stack[-1]
            parts = [p for p in self._named(last) if p in self.tables and p not in self.made]
            closed = next((p for p in parts if p in stack), None)
            if closed is not None:
                ring = " → ".join([*stack[stack.index(closed) :], closed])
                raise DataError(f"{self.where}, quantity {closed!r} is defined through itself ({ring})", "no ring")
            if parts:
                stack.append(parts[0])
                continue
            stack.pop()
            if stack:
                self.made[last] = self._told(last)

    def _named(self, word: str) -> list[str]:
        table = self.tables[word]
        if not isinstance(table, Mapping):
            return []
        texts = [table.get("formula"), *(table["mixture"] if isinstance(table.get("mixture"), list) else [])]
        return [name for text in texts if isinstance(text, str) for name in named_in(text)]

    def _make(self, word: str, table: Any) -> Quantity:
        place = f"{self.where}, quantity {word!r}"
        if not isinstance(table, Mapping):
            raise DataError(f"{place} is no table", "keys such as interval and unit")
        unknown = sorted(set(table) - {*_HOW, *_MORE})
        if unknown:
            raise DataError(f"{place}: unknown key {unknown[0]!r}", f"one of {', '.join((*_HOW, *_MORE))}")
        how = [key for key in _HOW if key in table]
        if len(how) != 1:
            raise DataError(
                f"{place} with {' and '.join(how) or 'nothing'} to tell its value", f"one of {', '.join(_HOW)}"
            )
        name, unit, source = (
            self._string(table.get(k, d), k) for k, d in (("name", word), ("unit", ""), ("source", ""))
        )
        bound = self._string(table["bound"], "bound") if "bound" in table else None
        allowed = {
            "interval": {"mass", "shape", "truncate"},
            "mixture": {"weights"},
            "formula": set[str](),
            "value": set[str](),
        }
        stray = sorted({"mass", "shape", "truncate", "weights"} & set(table) - allowed.get(how[0], {"truncate"}))
        if stray:
            raise DataError(f"{place}: {stray[0]} beside {how[0]}", "a key that belongs to it")
        if how[0] in ("formula", "mixture"):
            made = self._computed(how[0], table, place)
            return made.named(name, bound=bound, source=source, unit=unit)
        d = self._distribution(how[0], table, place)
        default = "exact" if isinstance(d, of.Constant) else "guess"
        q = leaf(d, unit, name, bound or default, source)
        cut = table.get("truncate")
        if cut is None:
            return q
        ends = self._fields(cut, ("low", "high"), f"{place}, truncate", optional=True)
        return q.truncated(ends.get("low", -math.inf), ends.get("high", math.inf))

    def _computed(self, how: str, table: Mapping[str, Any], place: str) -> Quantity:
        if how == "formula":
            return read_formula(self._string(table["formula"], "formula"), self.quantity, place)
        parts = table["mixture"]
        if not isinstance(parts, list):
            raise DataError(f"{place}: mixture = {parts!r}", "a list of names or formulas")
        made = [read_formula(self._string(p, "mixture"), self.quantity, place) for p in parts]
        weights = table.get("weights")
        if weights is not None and not isinstance(weights, list):
            raise DataError(f"{place}: weights = {weights!r}", "a list of numbers")
        return build.mixture(made, weights)

    def _distribution(self, how: str, table: Mapping[str, Any], place: str) -> of.Distribution:
        given = table[how]
        if how == "value":
            return of.Constant(given)
        if how == "interval":
            if not isinstance(given, list) or len(given) != 2:
                raise DataError(f"{place}: interval = {given!r}", "[low, high]")
            return of.from_interval(given[0], given[1], table.get("mass", 0.9), table.get("shape", "auto"))
        made, fields = _KINDS[how]
        values = self._fields(given, fields, f"{place}, {how}")
        return made(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def _fields(self, given: Any, fields: Sequence[str], place: str, optional: bool = False) -> dict[str, Any]:
        if not isinstance(given, Mapping) or set(given) - set(fields) or (not optional and set(given) != set(fields)):
            raise DataError(f"{place}: {given!r}", f"{{ {', '.join(f'{f} = …' for f in fields)} }}")
        lists = ("values", "probabilities")
        for key, value in given.items():
            several = value if isinstance(value, list) else [value]
            numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in several)
            if isinstance(value, list) is not (key in lists) or not numbers:
                raise DataError(f"{place}: {key} = {value!r}", "a list of numbers" if key in lists else "a number")
        return dict(given)

    def _correlation(self, table: Any) -> tuple[str, str, float]:
        wanted = 'between = ["a", "b"] and rank = 0.5'
        if not isinstance(table, Mapping) or set(table) != {"between", "rank"}:
            raise DataError(f"{self.where}: correlation {table!r}", wanted)
        between, rank = table["between"], table["rank"]
        if (
            not isinstance(between, list)
            or len(between) != 2
            or isinstance(rank, bool)
            or not isinstance(rank, (int, float))
        ):
            raise DataError(f"{self.where}: correlation {table!r}", wanted)
        a, b = (self.quantity(self._string(w, "between")).name for w in between)
        return a, b, float(rank)

    def _strings(self, key: str) -> list[str]:
        value = self.record.get(key, [])
        if not isinstance(value, list):
            raise DataError(f"{self.where}: {key} = {value!r}", "a list of texts")
        return [self._string(v, key) for v in value]

    def _string(self, value: Any, key: str) -> str:
        if not isinstance(value, str):
            raise DataError(f"{self.where}: {key} = {value!r}", "a text")
        return value
