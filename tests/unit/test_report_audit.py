"""The report of an audit from records that are whole, thin, awkward or damaged."""

from __future__ import annotations

import copy
import html
import json
import math
import re
import subprocess
import sys
from typing import Any
from unittest import mock

import pytest
import report_fixture as fixture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pindown.errors import CheckpointError, OutputError
from pindown.estimate import Estimate, Status
from pindown.report.audit import audit_sections, write_audit_report
from pindown.report.blocks import Cards, Figure, Notice, Section, Table
from pindown.report.notation import status_words
from pindown.report.page import render_page
from pindown.report.records import read_audit


def blocks(sections: list[Section], kind: type) -> list[Any]:
    return [b for s in sections for b in s.blocks if isinstance(b, kind)]


def section(sections: list[Section], title: str) -> Section:
    return next(s for s in sections if s.title == title)


def text_of(page: str) -> str:
    """What a reader sees: the page without its scripts, tags and entities."""
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u00a0", " ").split())


@pytest.mark.parametrize("schema", [None, "pindown/profile/1", "pindown/audit/2"])
def test_another_schema_is_refused_naming_both(schema):
    with pytest.raises(CheckpointError, match="pindown/audit/1") as caught:
        audit_sections({"schema": schema})
    assert repr(schema) in str(caught.value)


def test_a_list_in_place_of_a_record_is_refused():
    with pytest.raises(CheckpointError, match="pindown/audit/1"):
        audit_sections([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("subjects",), 3, r"record\.subjects is int 3; wanted a list"),
        (("subjects", 0), None, r"record\.subjects\[0\] is NoneType"),
        (("seconds",), "soon", r"record\.seconds is str 'soon'; wanted a number"),
        (("subjects", 1, "label_bits"), 1661.0, r"subjects\[1\]\.label_bits is float"),
        (("subjects", 0, "measurements", 0, "profile", "status"), "fine", r"profile\.status is str 'fine'"),
        (("subjects", 0, "measurements", 0, "profile", "curve", "low"), [1.0], r"profile\.curve has columns of"),
        (("subjects", 0, "measurements", 0, "sweep", 0, "bits", "schema"), "x", "pindown/estimate/1"),
    ],
)
def test_damage_is_refused_with_the_place(path, value, named):
    record = fixture.digits_record()
    node = record
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(CheckpointError, match=named):
        audit_sections(record)


def test_the_record_survives_json_and_is_not_changed():
    record = fixture.hard_record()
    before = copy.deepcopy(record)
    again = render_page("p", audit_sections(json.loads(json.dumps(record))))
    assert again == render_page("p", audit_sections(record))
    assert record == before


def test_the_cards_carry_the_record_s_own_figures():
    record = fixture.digits_record()
    (cards,) = blocks(audit_sections(record), Cards)
    for group, subject in zip(cards.groups, record["subjects"], strict=True):
        point = next(
            p for p in subject["measurements"][0]["sweep"] if p["tolerance"] == subject["comparison"]["at_loss"]
        )
        shown = {card.label: card.value for card in group.cards}
        assert shown["Bits pinned down"] == Estimate.from_dict(point["bits"])
        assert shown["Bits per training label"] == Estimate.from_dict(point["bits_per_label"])
        assert shown["Free dimensions"] == Estimate.from_dict(point["free_dimensions"])
        assert shown["Learning coefficient λ"] == Estimate.from_dict(point["learning_coefficient"])


def test_sentences_on_one_model_stand_with_it_and_the_rest_on_top():
    record = fixture.digits_record()
    verdict = audit_sections(record)[0]
    (cards,) = blocks([verdict], Cards)
    assert [len(g.sentences) for g in cards.groups] == [2, 1]
    assert [s.partition(",")[0] for s in verdict.verdict] == ["At cross-entropy ≤ 0.079"]
    assert cards.groups[0].sentences[0].startswith("Weights with cross-entropy ≤ 0.052 are pinned down by")
    shown = [*verdict.verdict, *(s for g in cards.groups for s in g.sentences)]
    assert all(any(sentence.endswith(s[1:]) for s in shown) for sentence in record["verdict"])
    alone = audit_sections(record | {"subjects": record["subjects"][:1]})[0]
    assert len(alone.verdict) == len(record["verdict"])
    for said, sentence in zip(alone.verdict, record["verdict"], strict=True):
        assert said.casefold() == sentence.removeprefix("width 30: ").casefold()


def test_tolerance_zero_has_a_place_on_the_logarithmic_axis():
    figure = next(f for f in blocks(audit_sections(fixture.digits_record()), Figure) if f.title.endswith("the margin"))
    axis = figure.spec["layout"]["xaxis"]
    assert axis["type"] == "log"
    zero = axis["tickvals"][axis["ticktext"].index("0")]
    for trace in figure.spec["data"]:
        assert all(x is None or x >= zero for x in trace["x"])
    assert any(zero in trace["x"] for trace in figure.spec["data"])
    assert any(row[2] == 0.0 for row in figure.table.rows)


def test_every_figure_of_every_chart_is_also_in_its_table():
    for figure in blocks(audit_sections(fixture.digits_record()), Figure):
        assert figure.table.rows
        assert figure.summary


def test_the_margin_surrogate_has_its_own_named_row():
    table = next(
        t for t in blocks(audit_sections(fixture.digits_record()), Table) if t.caption.startswith("Each question")
    )
    rows = [row for row in table.rows if row[2] == "margin"]
    assert len(rows) == 2
    assert all("no training error" in str(row[1]) for row in rows)


def test_charts_are_valid_plotly_once_their_colours_are_resolved():
    import plotly.graph_objects as go

    figures = blocks(audit_sections(fixture.digits_record()) + audit_sections(fixture.hard_record()), Figure)
    assert len(figures) > 12
    for figure in figures:
        go.Figure(fixture.resolved(dict(figure.spec)))
        names = [t["type"] for t in figure.spec["data"]]
        assert set(names) == {"scatter"}


def test_free_dimensions_that_were_not_measured_make_a_sentence():
    record = fixture.digits_record()
    measured = record["subjects"][0]["measurements"][0]
    point = min(measured["sweep"], key=lambda p: abs(p["tolerance"] - measured["tolerance"]))
    point["free_dimensions"] = fixture.est(math.nan, math.nan, "dimensions", status=Status.UNSUPPORTED).to_dict()
    said = next(s for s in audit_sections(record) if s.title == "Dimensions that stay free").verdict
    assert any("it was not measured how many dimensions stay free." in line for line in said)
    assert not any("not available" in line for line in said)


def test_bounds_look_like_bounds_in_text_card_and_chart():
    sections = audit_sections(fixture.hard_record())
    page = text_of(render_page("p", sections))
    assert "≥ 467.1" in page
    assert "unreached: at least 467.1 bits (budget spent)" in page
    assert "at most 4,200 (budget spent) of 4,510 dimensions stay free" in page
    figure = blocks(sections, Figure)[0]
    marks = [t for t in figure.spec["data"] if "circle-open" in str(t.get("marker", {}).get("symbol"))]
    heads = [t for t in figure.spec["data"] if isinstance(t.get("marker", {}).get("symbol"), list)]
    assert marks
    assert all(t["mode"] == "markers" for t in marks)
    assert any(set(t["marker"]["symbol"]) == {"triangle-up"} for t in heads)
    assert "bounds" in figure.caption


def test_a_figure_without_a_known_error_is_an_open_mark_off_the_line():
    figure = blocks(audit_sections(fixture.hard_record()), Figure)[0]
    open_marks = [t for t in figure.spec["data"] if t.get("marker", {}).get("symbol") == "diamond-open"]
    assert [t["y"] for t in open_marks] == [[260.0]]
    assert open_marks[0]["mode"] == "markers"
    assert "whose error is unknown" in figure.caption


def test_statuses_that_are_not_good_are_told_once_with_their_remedy():
    notices = [b for b in audit_sections(fixture.hard_record())[0].blocks if isinstance(b, Notice)]
    assert [n.text for n in notices] == [Status.BUDGET_SPENT.message, Status.NOT_CONVERGED.message]
    assert notices[0].title.startswith("Budget spent: unreached (cross-entropy), ")


def test_the_two_sided_check_says_whether_they_meet():
    sections = audit_sections(fixture.hard_record())
    check = section(sections, "The two-sided check")
    tones = {b.title: b.tone for b in check.blocks if isinstance(b, Notice)}
    assert tones["apart, cross-entropy: they do not meet."] == "bad"
    assert tones["unreached, cross-entropy: they meet."] == "good"
    assert tones["regression, mean squared error: undecided."] == "caution"
    row = next(r for r in blocks([check], Table)[0].rows if r[0] == "apart")
    assert row[3].kind == "upper_bound"
    assert row[4].kind == "lower_bound"


def test_an_outcome_is_said_once():
    record = fixture.digits_record()
    said = "They do not meet: the two directions bound the bits from both sides."
    record["subjects"][0]["measurements"][0]["two_sided"] |= {"meets": False, "statement": said}
    (check,) = [s for s in audit_sections(record) if s.title == "The two-sided check"]
    notice = next(b for b in check.blocks if isinstance(b, Notice) and b.tone == "bad")
    assert notice.title == "width 30, cross-entropy: they do not meet."
    assert notice.text == "The two directions bound the bits from both sides."
    assert not [b for b in check.blocks if isinstance(b, Figure) and "meet" in b.title]


def test_a_subject_alone_is_named_by_the_title():
    record = fixture.digits_record()
    record |= {"subjects": record["subjects"][:1], "verdict": record["verdict"][:2]}
    sections = audit_sections(record)
    assert not [sentence for s in sections for sentence in s.verdict if "width 30" in sentence]
    assert all(sentence[0].isupper() or sentence[0].isdigit() for s in sections for sentence in s.verdict)
    assert not [b.title for b in blocks(sections, Figure) if "width 30" in b.title]


def test_every_status_has_words():
    assert len({status_words(status) for status in Status}) == len(Status)


@pytest.mark.parametrize(
    ("difference", "order", "words"),
    [
        (
            0.040,
            "random − SGD",
            "random solutions have a higher held-out error than SGD’s; random − SGD is 4.00 ± 0.37",
        ),
        (
            -0.040,
            "SGD − random",
            "SGD’s solutions have a lower held-out error than random; SGD − random is \u22124.00 ± 0.37",
        ),
        (0.005, "random − SGD", "no difference in held-out error is shown"),
    ],
)
def test_the_comparison_is_put_in_words_by_its_interval(difference, order, words):
    record = fixture.digits_record()
    gap = difference if order == "random − SGD" else -difference
    record["subjects"][0]["comparison"] |= {
        "sgd": {"held_out_error": fixture.est(0.05, 0.003, "1").to_dict(), "runs": 5},
        "random": {"held_out_error": fixture.est(0.05 + gap, 0.002, "1").to_dict(), "draws": 200, "ancestors": 60},
        "difference": fixture.est(difference, 0.0037, "1").to_dict(),
    }
    comparison = read_audit(record).subjects[0].comparison
    assert comparison is not None
    assert comparison.order == order
    assert words in section(audit_sections(record), "Random solutions against SGD’s").verdict[0]


def test_regression_is_told_by_its_loss_and_never_in_percent():
    record = fixture.audit_record([fixture.hard_record()["subjects"][2]]) | {"verdict": []}
    page = text_of(render_page("p", audit_sections(record)))
    assert "Held-out loss at the same training loss" in page
    assert "percentage points" not in page
    assert "labels hold" not in page


def test_hostile_names_stay_text_in_page_and_charts(tmp_path):
    path = tmp_path / "r.html"
    write_audit_report(fixture.hard_record(), path)
    page = path.read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page[: page.index("* plotly.js v")]
    assert fixture.HOSTILE in text_of(page)
    for figure in blocks(audit_sections(fixture.hard_record()), Figure):
        assert "<script" not in json.dumps(figure.spec)


def test_a_record_with_nothing_in_it_still_makes_a_page():
    page = text_of(render_page("p", audit_sections({"schema": "pindown/audit/1"})))
    assert "How it was measured" in page


def test_an_audit_of_many_models_names_their_number(tmp_path):
    write_audit_report(fixture.hard_record(), tmp_path / "r.html")
    assert "<title>Audit of 5 models</title>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_audit_report(fixture.digits_record(), tmp_path / "file" / "report.html")


def test_the_report_needs_no_torch():
    code = "import sys, pindown.report.audit, pindown.report.terminal; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def small_page(sections: list[Section]) -> str:
    """The page without its chart library, which is most of its bytes."""
    with mock.patch("pindown.report.page._plotly", return_value="/* no charts */"):
        return render_page("p", sections)


def _optional_paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in the record that an audit may leave out: all but the schemas and the insides of estimates."""
    if isinstance(node, dict) and str(node.get("schema", "")).startswith("pindown/estimate"):
        return []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    inside = [
        p
        for key, child in items
        if key != "schema" and not (isinstance(node, list) and isinstance(child, (int, float, str)))
        for p in [(*path, key), *_optional_paths(child, (*path, key))]
    ]
    columns = ("curve", "two_sided")  # their columns go together
    return [p for p in inside if not (p[-1] in {*_COLUMNS} and any(c in p for c in columns))]


_COLUMNS = ("loss", "bits", "low", "high", "inverse_temperature", "loss_from_prior", "loss_from_known")
_COLUMNS += ("loss_from_prior_stderr", "loss_from_known_stderr")
_HARD = fixture.hard_record()
_PATHS = [p for p in _optional_paths(_HARD) if not isinstance(p[-1], int)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(gone=st.sets(st.sampled_from(_PATHS), max_size=40), null=st.booleans())
def test_any_optional_part_may_be_missing(gone, null):
    record = copy.deepcopy(_HARD)
    for path in sorted(gone, key=len, reverse=True):
        node = record
        for key in path[:-1]:
            node = node[key]
        if null:
            node[path[-1]] = None
        else:
            del node[path[-1]]
    sections = audit_sections(record)
    assert sections[0].title == "Verdict"
    assert small_page(sections)


odd = st.sampled_from([0.0, -1.0, 1e-300, 1e300, "inf", "-inf", "nan", 7.25])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(odd, min_size=9, max_size=9),
    kind=st.sampled_from(["estimate", "exact", "lower_bound", "upper_bound"]),
)
def test_odd_numbers_anywhere_still_make_a_page(values, kind):
    subject = fixture.subject("odd", 20, seed=6, bits_end=500, t_end=0.2, lam=120, held_out=0.1, sgd=0.1)
    measurement = subject["measurements"][0]
    measurement["sweep"][0]["tolerance"] = values[0]
    measurement["sweep"][1]["bits"] |= {"value": values[1], "kind": kind}
    measurement["sweep"][2]["free_dimensions"] |= {"value": values[2], "stderr": "nan", "kind": kind}
    measurement["profile"]["curve"]["loss"][3:5] = values[3:5]
    measurement["profile"]["curve"]["high"][9] = values[5]
    measurement["two_sided"]["inverse_temperature"][2] = values[6]
    measurement["two_sided"]["loss_from_known_stderr"][4] = values[7]
    subject["comparison"]["difference"] |= {"value": values[8], "kind": kind}
    subject["solutions"][0] |= {"train_loss": values[0], "held_out_error": values[1]}
    subject["solutions"][1]["depth"] |= {"value": values[2], "kind": kind}
    page = text_of(small_page(audit_sections(fixture.audit_record([subject]))))
    assert not re.search(r"(?<![a-z])(nan|inf)(?![a-z])", page)
