"""Value problems as TOML files."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pindown.errors import DataError, InputError
from pindown.values.choice_sources import Comparisons, Corrections, Demonstrations, ProxyRewards, Slates
from pindown.values.plans import Plans
from pindown.values.priors import Hypotheses, LinearValues
from pindown.values.problem import Answer, ValueProblem
from pindown.values.reading_sources import Channel, Labels, Ratings
from pindown.values.source import Source

__all__ = ["read_arrangement_options", "read_problem"]

_TOP = {"name", "success", "plans", "prior", "acceptable", "sources", "answers", "arrangements"}
_PLANS = {"features", "names", "weights", "file"}
_PRIORS = {
    "linear": {"measure", "scale", "particles"},
    "hypotheses": {"values", "weights", "names"},
}
_NOISE = {"rationality", "flip"}
_SOURCES: dict[str, tuple[Callable[..., Source], set[str]]] = {
    "comparisons": (Comparisons, {"pairs", *_NOISE}),
    "slates": (Slates, {"slates", *_NOISE}),
    "demonstrations": (Demonstrations, {"times", *_NOISE}),
    "corrections": (Corrections, {"shown", "effort", *_NOISE}),
    "proxy rewards": (ProxyRewards, {"proxies", "names", *_NOISE}),
    "labels": (Labels, {"plans", "flip"}),
    "ratings": (Ratings, {"sd", "low", "high", "levels", "plans"}),
    "channel": (Channel, {"chances", "question_names", "answer_names"}),
}
_NEEDED = {
    "slates": {"slates"}, "corrections": {"shown"}, "proxy rewards": {"proxies"}, "ratings": {"sd", "low", "high"},
    "channel": {"chances"},
}  # fmt: skip

_ARRANGEMENTS = {
    "levels", "episodes", "members", "rationality", "sharing", "tails", "shortlists", "margin", "level", "regions",
    "transcript", "choices", "owners", "coupling", "minding",
}  # fmt: skip


def read_problem(path: str | Path) -> tuple[ValueProblem, tuple[Answer, ...]]:
    """A value problem and the answers recorded with it, from a TOML file.

    Args:
        path: the file; files that it names lie beside it.

    Raises:
        DataError: where the file is no TOML, or a table in it cannot be read.
        InputError: for an unknown or missing key, which is named, or parts that do not fit.
    """
    path = Path(path)
    content = _content(path)
    _keys(content, _TOP, {"plans", "prior", "acceptable"}, "the file")
    _arrangements(content)
    plans = _plans(_table(content, "plans"), path.parent)
    prior = _prior(_table(content, "prior"), plans)
    sources = [_source(s, i) for i, s in enumerate(_tables(content, "sources"))]
    problem = ValueProblem(
        plans, prior, _acceptable(content["acceptable"]), sources, content.get("success", 0.95),
        name=str(content.get("name", "")),
    )  # fmt: skip
    return problem, problem.answers([_answer(problem, a, i) for i, a in enumerate(_tables(content, "answers"))])


def read_arrangement_options(path: str | Path) -> dict[str, Any]:
    """What the table ``[arrangements]`` of a problem's file asks for, as it stands there; empty without one.

    Raises:
        DataError, InputError: as for :func:`read_problem`.
    """
    return dict(_arrangements(_content(Path(path))))


def _content(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})", "a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no TOML ({error})", "a file as in the guide on values") from error


def _arrangements(content: Mapping[str, Any]) -> Mapping[str, Any]:
    if "arrangements" not in content:
        return {}
    table = _table(content, "arrangements")
    _keys(table, _ARRANGEMENTS, set(), "[arrangements]")
    if table.get("transcript", "recorded") not in ("recorded", "drawn"):
        raise InputError(f"transcript = {table['transcript']!r} in [arrangements]", "'recorded' or 'drawn'")
    return table


def _plans(table: Mapping[str, Any], folder: Path) -> Plans:
    _keys(table, _PLANS, set(), "[plans]")
    if "file" in table:
        if set(table) - {"file"}:
            raise InputError("[plans] with a file and other keys", "the file alone, or features= and names=")
        return _plans_file(folder / str(table["file"]))
    if "features" not in table and "names" not in table:
        raise InputError("[plans] without features, names or a file", "one of them")
    features = table.get("features", len(table.get("names", ())))
    return Plans(features, names=table.get("names"), weights=table.get("weights"))


def _plans_file(path: Path) -> Plans:
    """A CSV file with a column ``name``, maybe ``weight``, and one column a feature."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})", "a CSV file of plans") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV ({error})", "a CSV file in UTF-8") from error
    if not rows or "name" not in rows[0]:
        raise DataError(f"{path} without plans or without a column 'name'", "a column 'name' and a column a feature")
    columns = [c for c in rows[0] if c not in ("name", "weight")]
    try:
        features = [[float(row[c]) for c in columns] for row in rows]
        weights = [float(row["weight"]) for row in rows] if "weight" in rows[0] else None
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path} has a cell that is no number ({error})", "numbers in every column but 'name'"
        ) from error
    return Plans(features, names=[row["name"] for row in rows], weights=weights)


def _prior(table: Mapping[str, Any], plans: Plans) -> Any:
    kind = table.get("kind")
    if kind not in _PRIORS:
        raise InputError(f"[prior] of kind {kind!r}", f"one of {', '.join(_PRIORS)}")
    _keys(table, {"kind", *_PRIORS[kind]}, {"values"} if kind == "hypotheses" else set(), "[prior]")
    options = {k: v for k, v in table.items() if k != "kind"}
    if kind == "linear":
        return LinearValues(plans.features.shape[1], **options)
    return Hypotheses(options.pop("values"), **options)


def _acceptable(given: Any) -> Any:
    if isinstance(given, Mapping):
        _keys(given, {"regret", "table"}, set(), "[acceptable]")
        if len(given) != 1:
            raise InputError("[acceptable] with other than one key", "regret= or table=")
        return next(iter(given.values()))
    return given


def _source(table: Mapping[str, Any], i: int) -> Source:
    where = f"[[sources]] number {i + 1}"
    kind = table.get("kind")
    if kind not in _SOURCES:
        raise InputError(f"{where} of kind {kind!r}", f"one of {', '.join(_SOURCES)}")
    make, known = _SOURCES[kind]
    _keys(table, {"kind", "name", "price", *known}, _NEEDED.get(kind, set()), where)
    options = {k: v for k, v in table.items() if k != "kind"}
    if options.get("rationality") == "inf":
        options["rationality"] = math.inf
    return make(**options)


def _answer(problem: ValueProblem, table: Mapping[str, Any], i: int) -> Mapping[str, Any]:
    """An answer whose question is a number, its text, or the plans that it is about."""
    where = f"[[answers]] number {i + 1}"
    _keys(table, {"source", "question", "answer"}, {"source", "question", "answer"}, where)
    source, question = problem.source(table["source"]), table["question"]
    if isinstance(question, int):
        return table
    texts = [source.question_text(q, problem.plans) for q in range(source.questions)]
    about = [tuple(source.answer_texts(q, problem.plans)) for q in range(source.questions)]
    if isinstance(question, str) and question in texts:
        return {**table, "question": texts.index(question)}
    if isinstance(question, list) and tuple(map(str, question)) in about:
        return {**table, "question": about.index(tuple(map(str, question)))}
    raise InputError(f"{where} asks {question!r}", f"a question of source {source.name!r}, such as {texts[0]!r} or 0")


def _keys(table: Mapping[str, Any], known: set[str], needed: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise InputError(f"unknown key {unknown[0]!r} in {where}", f"one of {', '.join(sorted(known))}")
    missing = sorted(needed - set(table))
    if missing:
        raise InputError(f"{where} without {missing[0]!r}", f"the keys {', '.join(sorted(needed))}")


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if not isinstance(content[key], Mapping):
        raise InputError(f"{key} = {content[key]!r}", f"a table [{key}]")
    return content[key]


def _tables(content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = content.get(key, [])
    if not isinstance(found, list) or not all(isinstance(t, Mapping) for t in found):
        raise InputError(f"{key} = {found!r}", f"tables [[{key}]]")
    return found
