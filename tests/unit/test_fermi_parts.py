"""Quantities, units, bounds, TOML, records, and the command."""

from __future__ import annotations

import json
import math
import re
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from pindown import CheckpointError, DataError, InputError, Status, fermi
from pindown.cli.app import app
from pindown.fermi.bounds import follows
from pindown.report.fermi import fermi_sections, write_fermi_report

QUICK: dict[str, Any] = {"samples": 256, "sensitivity": 0}


def small() -> fermi.Model:
    a = fermi.interval(1, 10, unit="bit", name="a quantity", source="a book")
    b = fermi.beta(2, 3, name="share", source="a count").truncated(high=0.9)
    c = fermi.discrete([1, 2], [0.25, 0.75], name="c", unit="byte")
    d = fermi.empirical([1, 2, 5], name="d")
    e = fermi.normal(3, 0.2, name="e")
    mixed = fermi.mixture([a * b, c, fermi.constant(7.0, unit="bit")], [1, 2, 1], name="mixed")
    first = (mixed + a / 2 - b * a).named("first", bound="upper")
    second = (fermi.maximum(c, a) * d**0.5 / (e - fermi.constant(1)) ** 2).named("second", unit="bit")
    target = fermi.minimum(first, second, name="target")
    return fermi.Model(
        target, (first, second), (fermi.uniform(1, 2, unit="kilobyte", name="beside"),), (("d", "e", -0.4),),
        'A "title" with \\ and é', ("one note", "two"),
    )  # fmt: skip


@settings(max_examples=12)
@given(st.permutations(range(4)))
def test_the_order_of_factors_changes_nothing(order: list[int]) -> None:
    q = [fermi.interval(1, 2 + i, name=n) for i, n in enumerate("abcd")]
    made, swapped = q[0], q[order[0]]
    for i in range(1, 4):
        made, swapped = made * q[i], swapped * q[order[i]]
    first, second = fermi.estimate(made, **QUICK), fermi.estimate(swapped, **QUICK)
    for p, e in first.percentiles.items():
        assert second.percentiles[p].value == pytest.approx(e.value, rel=1e-12)


def test_neither_does_the_order_in_which_they_were_made() -> None:
    values = set()
    for order in permutations(range(3)):
        q = {i: fermi.interval(1, 2 + i, name="abc"[i]) for i in order}
        values.add(fermi.estimate(q[0] * q[1] + q[2], **QUICK).percentiles[50].value)
    assert len(values) == 1


UNITS = ["bit", "second", "base_pair", "synapse", "meter", "1", "gene"]


@given(st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_unit_errors_name_both_units(a: str, b: str) -> None:
    x, y = fermi.constant(1.0, unit=a), fermi.constant(2.0, unit=b)
    if a == b:
        assert (x + y).unit == a
        return
    for clash in (lambda: x + y, lambda: x - y, lambda: fermi.minimum(x, y), lambda: x.named("x", unit=b)):
        with pytest.raises(InputError) as caught:
            clash()
        for unit in (a, b):
            assert ("a pure number" if unit == "1" else unit) in str(caught.value)


def test_units_convert_and_multiply() -> None:
    total = fermi.constant(1, unit="byte") + fermi.constant(4, unit="bit")
    assert total.unit == "byte"
    assert fermi.estimate(total, **QUICK).percentiles[50].value == 1.5
    speed = fermi.constant(10, unit="bits / second") * fermi.constant(1, unit="minute")
    assert fermi.estimate(speed.named("x", unit="bit"), **QUICK).percentiles[5].value == pytest.approx(600)
    half = fermi.constant(50, unit="percent") + 0.25
    assert fermi.estimate(half.named("h", unit="1"), **QUICK).percentiles[5].value == pytest.approx(0.75)
    with pytest.raises(InputError, match="furlongish"):
        fermi.constant(1, unit="furlongish")
    with pytest.raises(InputError, match="degC"):
        fermi.constant(1, unit="degC")
    with pytest.raises(InputError, match=r"log2 of a quantity in bit"):
        fermi.log2(fermi.constant(3, unit="bit"))


BAD = [
    lambda: fermi.interval(3, 1),
    lambda: fermi.interval(2, 2),
    lambda: fermi.interval(1, math.inf),
    lambda: fermi.interval(-1, 2, shape="lognormal"),
    lambda: fermi.interval(1, 2, mass=1.0),
    lambda: fermi.normal(3, 0),
    lambda: fermi.normal(math.nan, 1),
    lambda: fermi.beta(0, 1),
    lambda: fermi.uniform(2, 1),
    lambda: fermi.discrete([1, 2], [0.5, 0.6]),
    lambda: fermi.discrete([]),
    lambda: fermi.empirical([1]),
    lambda: fermi.mixture([]),
    lambda: fermi.mixture([fermi.constant(1)], [-1]),
    lambda: fermi.normal(0, 1).truncated(50, 60),
    lambda: (fermi.normal(0, 1) * 2).truncated(0),
    lambda: fermi.interval(1, 2, bound="certain"),
    lambda: fermi.interval(1, 2, bound="exact"),
    lambda: fermi.interval(1, 2, name=" x"),
    lambda: fermi.sqrt(fermi.normal(0, 1)),
    lambda: fermi.normal(0, 1) ** 0.5,
    lambda: fermi.interval(1, 2) ** fermi.interval(1, 2),  # type: ignore[operator]
    lambda: fermi.interval(1, 2) * "two",  # type: ignore[operator]
    lambda: fermi.binary_entropy(fermi.interval(0.1, 0.2)),
    lambda: fermi.estimate(fermi.interval(1, 2), -1),
    lambda: fermi.estimate(fermi.interval(1, 2), samples=1000),
    lambda: fermi.estimate(fermi.interval(1, 2), percents=[0]),
    lambda: fermi.estimate(fermi.interval(1, 2), percents=[0.1], samples=256),
    lambda: fermi.estimate(3.0),  # type: ignore[arg-type]
    lambda: fermi.estimate(fermi.interval(1, 2), sensitivity=100),
    lambda: fermi.estimate(fermi.interval(1, 2, name="x") * fermi.interval(1, 2, name="x")),
    lambda: fermi.estimate(fermi.interval(1, 2, name="x") * 2, correlations=[("x", "y", 0.5)]),
]


@pytest.mark.parametrize("wrong", BAD)
def test_what_cannot_be_used_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        wrong()


def test_a_quantity_used_before_and_after_it_was_named_is_refused() -> None:
    x = fermi.interval(1, 2)
    with pytest.raises(InputError, match="before and after"):
        fermi.estimate(x - x.named("x"))
    y = fermi.interval(1, 2, name="y")
    assert fermi.estimate(y - y.named("z"), **QUICK).percentiles[95].value == 0.0


def test_correlations_that_contradict_each_other_are_refused() -> None:
    a, b, c = (fermi.interval(1, 2, name=n) for n in "abc")
    with pytest.raises(InputError, match="contradict"):
        fermi.estimate(a * b * c, correlations=[(a, b, 0.9), (b, c, 0.9), (a, c, -0.9)], **QUICK)


def quantity(bound: str, low: float = 1.0) -> fermi.Quantity:
    return fermi.interval(low, 2, bound=bound, shape="normal" if low < 0 else "auto")


def test_bounds_follow_from_the_parts() -> None:
    upper, lower, guess = (quantity(b) for b in ("upper", "lower", "guess"))
    around = quantity("guess", -1.0)
    cases = {
        upper * guess: "upper", upper + 3: "upper", 3 - upper: "lower", 1 / upper: "lower", guess / lower: "upper",
        upper / lower: "upper", upper * lower: "neither", upper - upper: "neither", upper * around: "neither",
        guess * 2: "guess", fermi.constant(2) * 3: "exact", lower**-2: "upper", -lower: "upper",
        fermi.minimum(upper, guess): "upper", fermi.mixture([1, 2]): "guess", fermi.log2(upper): "upper",
        fermi.sin(upper): "neither", guess / around: "guess", upper / around: "neither",
        fermi.absolute(-upper): "upper",
    }  # fmt: skip
    assert {q: q.bound for q in cases} == cases
    assert follows([], []) == "exact"
    with pytest.raises(InputError, match="computed from upper bounds only"):
        (upper * guess).named("x", bound="guess")
    assert (guess * 2).named("x", bound="upper").bound == "upper"


def test_one_sided_estimates_refuse_the_other_side() -> None:
    upper = fermi.estimate(quantity("upper") * 2, **QUICK)
    lower = fermi.estimate(quantity("lower") * 2, **QUICK)
    both = fermi.estimate(quantity("upper") * quantity("lower"), **QUICK)
    guess = fermi.estimate(quantity("guess") * 2, **QUICK)
    assert upper.at_most().interval()[0] == -math.inf
    assert lower.at_least().interval()[1] == math.inf
    assert guess.interval(0.9)[0].value < guess.interval(0.5)[0].value
    for one_sided in (upper, lower, both):
        with pytest.raises(InputError, match="interval of"):
            one_sided.interval()
        assert "two-sided" in one_sided.verdict or one_sided is both
    with pytest.raises(InputError, match="percents="):
        guess.interval(0.8)
    assert both.status is Status.UNSUPPORTED
    assert math.isnan(both.percentiles[50].value)
    with pytest.raises(InputError, match="no upper bound"):
        lower.at_most()


def test_routes_are_combined_by_what_they_are() -> None:
    routes = [
        fermi.interval(lo, hi, unit="bit", name=n, bound=b)
        for n, b, lo, hi in [("u", "upper", 10, 20), ("v", "upper", 15, 30), ("l", "lower", 5, 12),
                             ("m", "lower", 1, 2), ("g", "guess", 8, 9), ("h", "guess", 9, 30)]
    ]  # fmt: skip
    found = fermi.estimate(fermi.Model(routes[4] * 1, tuple(routes)), samples=4096, sensitivity=0)
    least, largest, pool = found.combined
    assert least.bound, largest.bound == ("upper", "lower")
    assert least.percentiles[50].value < found.routes[0].percentiles[50].value
    assert largest.percentiles[50].value >= found.routes[2].percentiles[50].value
    assert pool.percentiles[5].value == pytest.approx(8.1, abs=0.1)
    assert found.contradiction is not None
    assert 0.0 < found.contradiction.value < 0.2


def test_what_is_not_finite_is_told() -> None:
    found = fermi.estimate(fermi.constant(1) / fermi.discrete([0, 1]), **QUICK)
    assert found.status is Status.NON_FINITE
    assert "not every draw is finite" in found.verdict
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert fermi_sections(record)


def test_toml_gives_back_the_same_figures(own_folder: Path) -> None:
    model = small()
    text = fermi.to_toml(model)
    Path("model.toml").write_text(text, encoding="utf-8")
    again = fermi.read_toml("model.toml")
    assert fermi.to_toml(again) == text
    first, second = (fermi.estimate(m, 3, samples=256, sensitivity=32) for m in (model, again))
    blank = {"seconds": 0.0}
    assert {**first.to_dict(), **blank} == {**second.to_dict(), **blank}
    human = fermi.to_toml(fermi.human_values())
    assert fermi.to_toml(fermi.from_toml(human)) == human
    assert "interval = [0.1, 0.15]" in human


TOML = 'target = "y"\n[quantity.x]\ninterval = [1, 2]\nunit = "bit"\n[quantity.y]\nformula = "{}"\n'


@pytest.mark.parametrize(
    "text", ["x.__class__", "x + ", "open('f')", "x ** x", "[x]", "z", "x + 1", "sin()", "1j * x", "y"]
)
def test_formulas_are_not_evaluated(text: str) -> None:
    with pytest.raises(DataError, match="'y'"):
        fermi.from_toml(TOML.format(text))
    assert fermi.from_toml(TOML.format("-2 * x / (x + x) ** 2")).target.unit == "1 / bit"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("target = ", "no TOML"),
        ('target = "x"', "without quantities"),
        ("[quantity.x]\nvalue = 1", "without a target"),
        ('target = "x"\n[quantity.x]\nvalue = 1\nsauce = 2', "unknown key 'sauce'"),
        ('target = "x"\nhint = 3\n[quantity.x]\nvalue = 1', "unknown key 'hint'"),
        ('target = "x"\n[quantity.x]\ninterval = [3, 1]', "from 3 to 1"),
        ('target = "x"\n[quantity.x]\ninterval = [1, 3]\nvalue = 2', "value and interval"),
        ('target = "x"\n[quantity.x]\nnormal = {mean = 1}', "sd"),
        ('target = "x"\n[quantity.x]\nbeta = {a = "1", b = 2}', "a = '1'"),
        ('target = "x"\n[quantity.x]\nmixture = ["1"]\nweights = "a"', "weights"),
        ('target = "x"\n[quantity.x]\nmixture = ["1"]\nweights = ["a"]', "weight"),
        ('target = "x"\n[quantity.x]\ninterval = [1, 2]\nmass = "a"', "share"),
        ('target = "x"\n[quantity.x]\nvalue = 1\ntruncate = {low = 0}', "truncate beside value"),
        ('target = "x"\n[quantity.x]\nvalue = 1\nunit = "flurb"', "flurb"),
        ('target = "x"\n[quantity.x]\nmixture = "x"', "list"),
        ('target = "x"\n[quantity.x]\nvalue = 1\n[quantity.z]\nbeta = {a = 0, b = 1}', "'z'"),
        ('target = "x"\n[quantity.x]\nbeta = {a = 1, b = 1}\n[[correlation]]\nbetween = ["x"]\nrank = 1', "between"),
        ('target = "x"\nroutes = ["w"]\n[quantity.x]\nvalue = 1', "no quantity 'w'"),
    ],
)  # fmt: skip
def test_damaged_toml_is_refused_by_its_place(text: str, told: str) -> None:
    with pytest.raises(DataError, match=re.escape(told)):
        fermi.from_toml(text)


def test_long_chains_are_read_and_long_formulas_are_not_repeated() -> None:
    """Formulas name parts that come later in the file, a thousand deep."""
    links = [f'[quantity.q{i}]\nformula = "q{i + 1} * 1.01"' for i in range(1000)]
    text = "\n".join(['target = "q0"', *links, "[quantity.q1000]", "value = 2"])
    assert fermi.estimate(fermi.from_toml(text), **QUICK).percentiles[50].value == pytest.approx(2 * 1.01**1000)
    ring = text.replace("value = 2", 'formula = "q990"')
    with pytest.raises(DataError, match=r"defined through itself \(.*q990 → q991"):
        fermi.from_toml(ring)
    for long in ("+".join(["x"] * 3000), "-" * 3000 + "x"):
        with pytest.raises(DataError, match="nested too deeply") as caught:
            fermi.from_toml(TOML.format(long))
        assert len(str(caught.value)) < 300
        assert str(caught.value).count("quantity 'y'") == 1


def test_few_points_are_not_biased_in_the_tails() -> None:
    """Sixteen runs of sixteen points each would be off by a tenth on average over seeds."""
    x = fermi.interval(1, 100, unit="bit", name="x")
    found = [fermi.estimate(x, seed, **QUICK).percentiles for seed in range(20)]
    for p, exact in ((5, 1.0), (95, 100.0)):
        values = [points[p].value for points in found]
        assert sum(values) / len(values) == pytest.approx(exact, rel=0.02)


def test_records_come_back_and_damage_is_refused() -> None:
    found = fermi.estimate(small(), samples=256, sensitivity=32)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert fermi.FermiResult.from_dict(record).to_dict() == record
    assert "<table" in found._repr_html_()
    assert len(found.to_dataframe()) == len(found.nodes)
    assert found.verdict.split(".")[0] in found.summary()
    for damage in ({"schema": "other/1"}, {"answer": {}}, {"swings": [1]}, {"nodes": [{"name": "x"}]}, {"curves": 3}):
        with pytest.raises(CheckpointError):
            fermi.FermiResult.from_dict({**record, **damage})
        with pytest.raises(CheckpointError):
            fermi_sections({**record, **damage})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.usefixtures("own_folder")
def test_the_command_estimates_and_writes_the_page() -> None:
    Path("small.toml").write_text(fermi.to_toml(small()), encoding="utf-8")
    options = ["--samples", "256", "--sensitivity", "32"]
    done = run("fermi", "small.toml", *options, "--out", "here", "--json", "record.json")
    assert done.exit_code == 0, done.output
    assert "target: at most" in done.output
    record = json.loads(Path("record.json").read_text(encoding="utf-8"))
    assert record == json.loads(Path("here/fermi.json").read_text(encoding="utf-8"))
    assert fermi.to_toml(fermi.read_toml("here/model.toml")) == Path("small.toml").read_text(encoding="utf-8")
    page = Path("here/report.html").read_text(encoding="utf-8")
    for title in ("Where the answer lies", "On one axis", "One input at a time", "Every quantity and its source"):
        assert title in page
    alone = run("fermi", *options, "--out", "values", "--json", "-", "--quiet")
    assert json.loads(alone.stdout)["answer"]["bound"] == "upper"
    assert run("fermi", "nowhere.toml").exit_code == 2
    Path("bad.toml").write_text("target = 3\n[quantity.x]\nvalue = 1\n", encoding="utf-8")
    assert run("fermi", "bad.toml").exit_code == 3
    assert run("fermi", "small.toml", "--samples", "1000").exit_code == 2


@pytest.mark.usefixtures("own_folder")
def test_names_are_shown_as_they_are() -> None:
    x = fermi.interval(1, 2, name="<b>x</b>", source="<i>s</i>")
    write_fermi_report(fermi.estimate(x * 2, **QUICK).to_dict(), "page.html")
    page = Path("page.html").read_text(encoding="utf-8").replace("\\u003c", "")
    assert "<b>x</b>" not in page
    assert "<i>s</i>" not in page
