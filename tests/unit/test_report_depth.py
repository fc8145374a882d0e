"""The report sections on one trained network: from records that are whole, thin, awkward or damaged."""

from __future__ import annotations

import copy
import html
import json
import math
import re
from typing import Any
from unittest import mock

import depth_fixture as deep
import pytest
import report_fixture as fixture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pindown.errors import CheckpointError
from pindown.estimate import Estimate, Status
from pindown.report.audit import audit_sections
from pindown.report.bitplanes import bitplanes_sections, write_bitplanes_report
from pindown.report.blocks import Cards, Figure, Notice, Section, Table
from pindown.report.page import render_page

TITLES = [
    "Where the bits sit: bit planes",
    "Pruning, noise and bits a weight",
    "Local learning coefficient",
    "Spectrum and basin",
]


def blocks(sections: list[Section], kind: type) -> list[Any]:
    return [b for s in sections for b in s.blocks if isinstance(b, kind)]


def section(record: dict[str, Any], title: str) -> Section:
    return next(s for s in audit_sections(record) if s.title == title)


def figure(record: dict[str, Any], section_title: str, start: str) -> Figure:
    return next(f for f in blocks([section(record, section_title)], Figure) if f.title.startswith(start))


def small_page(sections: list[Section]) -> str:
    with mock.patch("pindown.report.page._plotly", return_value="/* no charts */"):
        page = render_page("p", sections)
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u00a0", " ").split())


def of(sections: list[Section]) -> list[Section]:
    return [s for s in sections if s.title in TITLES]


def test_the_sections_stand_between_the_check_and_how_it_was_measured():
    titles = [s.title for s in audit_sections(deep.deep_record())]
    start = titles.index("The two-sided check") + 1
    assert titles[start : start + 5] == [*TITLES, "How it was measured"]


@pytest.mark.parametrize("older", ["key absent", "null"])
def test_a_record_that_was_not_asked_in_depth_has_no_such_section(older):
    record = fixture.digits_record()
    if older == "null":
        for subject in record["subjects"]:
            subject["in_depth"] = None
    assert not of(audit_sections(record))
    assert len(audit_sections(record)) == len(audit_sections(deep.deep_record())) - 4


def test_every_chart_has_its_figures_in_a_table_and_its_words():
    for sections in (audit_sections(deep.deep_record()), audit_sections(deep.awkward_record())):
        for f in blocks(of(sections), Figure):
            assert f.table.rows, f.title
            assert f.summary.endswith("."), f.title


def test_charts_are_valid_plotly_once_their_colours_are_resolved():
    import plotly.graph_objects as go

    figures = blocks(of(audit_sections(deep.deep_record())), Figure)
    kinds = {t["type"] for f in figures for t in f.spec["data"]}
    assert kinds == {"scatter", "heatmap", "bar"}
    for f in figures:
        go.Figure(fixture.resolved(dict(f.spec)))


def test_the_heat_map_shows_the_measured_rise_and_nothing_else():
    shown = figure(deep.deep_record(), TITLES[0], "Bit planes of width 30")
    heat = next(t for t in shown.spec["data"] if t["type"] == "heatmap")
    row = heat["z"][0]  # levels 20 and 21 are the cells of planes 19 and 20; level 0 is no plane
    assert row[19] == pytest.approx(math.log10(0.4))
    assert row[20] == pytest.approx(math.log10(3.0))
    assert all(math.isnan(z) for p, z in enumerate(row) if p not in (19, 20))
    assert heat["z"][3][30] == 2.0  # a loss that is not finite is at the upper end, and has a cross
    cross = next(t for t in shown.spec["data"] if t.get("name") == "loss not finite")
    assert (cross["x"], cross["y"]) == ([30], [3])
    unmeasured = next(t for t in shown.spec["data"] if t.get("name") == "not measured")
    assert (19, 0) not in zip(unmeasured["x"], unmeasured["y"], strict=True)
    assert (18, 0) in zip(unmeasured["x"], unmeasured["y"], strict=True)
    assert not any(y == 4 for y in unmeasured["y"])  # a tensor without any level is not one with unmeasured levels
    assert all(math.isnan(z) for z in heat["z"][4])


def test_outlines_hold_what_may_be_random_and_dots_what_is_not_decided():
    shown = figure(deep.deep_record(), TITLES[0], "Bit planes of width 30")
    lines = {t["name"]: t for t in shown.spec["data"] if t["type"] == "scatter" and t["mode"] == "lines"}
    sure = lines["may be random"]
    assert max(x for x, y in zip(sure["x"], sure["y"], strict=True) if x is not None and y < 0.5) == 19.5
    dotted = lines["undecided up to here"]
    assert {y for y in dotted["y"] if y is not None} == {2.56, 3.44}
    assert max(x for x in dotted["x"] if x is not None) == 29.5
    assert "2.bias 29 to 30" in shown.summary
    assert "3.scale was not measured" in shown.summary
    assert shown.spec["layout"]["yaxis"]["ticktext"][:2] == ["0.weight", "0.bias"]  # the model's own order


def test_sign_exponent_and_mantissa_are_marked():
    layout = figure(deep.deep_record(), TITLES[0], "Bit planes of width 30").spec["layout"]
    assert layout["xaxis"]["ticktext"] == ["±", "exponent", "mantissa"]
    assert [s["x0"] for s in layout["shapes"] if s.get("yref") == "paper"] == [22.5, 30.5]
    record = deep.deep_record()
    planes = record["subjects"][0]["in_depth"]["bitplanes"]
    planes |= {"format": "fixed32", "mantissa": 31, "exponent": 0}
    layout = figure(record, TITLES[0], "Bit planes of width 30").spec["layout"]
    assert layout["xaxis"]["ticktext"] == ["±", "mantissa"]


def test_what_is_safe_is_said_with_its_joint_check():
    said = section(deep.deep_record(), TITLES[0]).verdict
    assert said[0].startswith("width 30: Safe within a rise of 0.01 nats")
    assert "All rounded together" in said[0]
    rises = figure(deep.deep_record(), TITLES[0], "Applied to all tensors at once")
    verified = next(r for r in rises.table.rows if r[:2] == ["width 30", "formats, verified"])
    assert verified[3] == pytest.approx(0.49)


def test_single_answers_that_fail_together_and_gaps_are_told():
    notices = {n.title: n for n in blocks([section(deep.deep_record(), TITLES[0])], Notice)}
    title = next(t for t in notices if t.startswith("width 30, every tensor's own answer at once"))
    assert "4.20 ± 0.47 times ε" in title
    assert notices["width 30, 3.scale: cannot be measured."].text == "every entry is zero"
    awkward = blocks([section(deep.awkward_record(), TITLES[0])], Notice)
    assert any(n.tone == "bad" and "no joint allocation was verified" in n.title for n in awkward)


def test_a_rise_beyond_the_chart_stands_at_its_edge_with_its_figure():
    shown = figure(deep.awkward_record(), TITLES[0], "Applied to all tensors at once")
    edge = [t for t in shown.spec["data"] if t["marker"].get("symbol") == "triangle-right"]
    assert len(edge) == 1
    assert any("50.0" in a["text"] for a in shown.spec["layout"]["annotations"])
    assert edge[0]["x"][0] < shown.spec["layout"]["xaxis"]["range"][1]


def test_kept_bits_alone_turn_tolerated_ones_around():
    shown = figure(deep.deep_record(), TITLES[0], "Bits kept in each tensor of width 30")
    rows = {r[0]: r for r in shown.table.rows}
    assert (rows["0.weight"][2], rows["0.weight"][3].value) == (11, 12)
    assert (rows["2.bias"][3].value, rows["2.bias"][3].kind) == (3, "upper_bound")  # 29 of 32 at least may be random
    assert "11.1" in shown.caption or "11.09" in shown.caption


def test_bits_a_weight_are_bounds_where_only_a_solution_was_found():
    rows = figure(deep.deep_record(), TITLES[1], "Bits a weight within").table.rows
    found = {r[1]: r[2] for r in rows if r[0] == "width 30"}
    assert found["formats chosen"].kind == "upper_bound"
    assert found["water-filling"].value == 1.525  # the measured figure, not the model's own
    assert found["noise, log2(rms/σ)"].value == 3.4


def test_pruning_is_drawn_against_random_orders_with_both_thresholds():
    shown = figure(deep.deep_record(), TITLES[1], "Pruning width 30")
    names = [t["name"] for t in shown.spec["data"] if t.get("showlegend")]
    assert names == ["magnitude", "random, mean of 4 orders"]
    crossings = [t for t in shown.spec["data"] if t["mode"] == "markers" and t["y"] == [deep.EPSILON]]
    assert sorted(t["x"][0] for t in crossings) == [0.73, 0.99]
    lowest = min(y for t in shown.spec["data"] for y in t["y"] if y is not None)
    assert lowest == pytest.approx(deep.EPSILON / 30)  # falls of the loss stand at the foot
    assert {r[0] for r in shown.table.rows} == {"magnitude", "random"}
    assert any(r[2].value < 0 for r in shown.table.rows)  # and keep their sign in the table


def test_noise_is_drawn_over_bits():
    shown = figure(deep.deep_record(), TITLES[1], "Noise on all tensors")
    line = next(t for t in shown.spec["data"] if t["mode"] == "lines" and not t.get("fill"))
    assert line["x"] == pytest.approx([-math.log2(s) for s in (0.05, 0.1, 0.2, 0.4)])
    notice = next(n for n in blocks([section(deep.deep_record(), TITLES[1])], Notice) if "Outside" in n.title)
    assert "width 30 (noise, 2.bias)" in notice.title


def test_what_all_note_is_said_once_and_weight_figures_are_flagged():
    limits = section(deep.deep_record(), TITLES[1]).limits
    assert limits.count("Magnitudes are properties of the weights, not of the function.") == 1
    record = deep.deep_record()
    record["subjects"][0]["in_depth"]["pruning"]["notes"].append("Only here.")
    assert "width 30: Only here." in section(record, TITLES[1]).limits


def test_a_fit_is_drawn_only_where_it_fits():
    shown = figure(deep.deep_record(), TITLES[2], "λ against")
    bands = [t for t in shown.spec["data"] if t.get("fill")]
    assert len(bands) == 1  # of width 30 alone
    assert "from the fit (width 30)" in shown.caption
    assert "No form of the curve fits that of width 100" in shown.caption
    cards = blocks([section(deep.deep_record(), TITLES[2])], Cards)[0]
    assert [g.cards[0].value.value for g in cards.groups] == [31.0, 28.0]


def test_the_self_check_can_fail_and_objections_are_told():
    good = blocks([section(deep.deep_record(), TITLES[2])], Notice)
    assert any(n.tone == "good" and n.title == "width 30: self-check passed." for n in good)
    awkward = blocks([section(deep.awkward_record(), TITLES[2])], Notice)
    assert any(n.tone == "bad" and "self-check failed" in n.title and "+210%" in n.text for n in awkward)
    assert any("The localisation alone makes −25%" in n.text.replace("-", "−") for n in awkward)
    assert not any("localisation alone" in n.text for n in good)  # a tenth of a per cent
    assert any("R-hat is 1.40" in n.text for n in awkward)
    assert any("not converged in 2.*" in n.title for n in good)


def test_groups_and_training_are_drawn_where_they_are():
    groups = figure(deep.deep_record(), TITLES[2], "λ of each group of width 100")
    assert [r[0] for r in groups.table.rows] == ["0.*", "2.*"]
    training = figure(deep.deep_record(), TITLES[2], "λ over training")
    assert [r[2] for r in training.table.rows] == [0, 100, 1000]
    alone = deep.deep_record()
    alone["subjects"] = alone["subjects"][:1]
    alone["subjects"][0]["in_depth"]["learning_coefficient"] = None
    assert figure(alone, TITLES[2], "λ over training").table.rows
    said = section(alone, TITLES[2]).verdict
    assert list(said) == ["width 30 over training: λ goes from 4.00 ± 0.90 at step-0 to 31.00 ± 0.90 at step-1000."]


def test_a_checkpoint_that_did_not_converge_is_drawn_and_told_as_such():
    """Open, without a bar, off the line, and named in the text; where none converged no figure is told."""
    record = deep.deep_record()
    run = record["subjects"][0]["in_depth"]["over_training"]
    run["points"][1] |= {"estimate": deep.e(18.0, math.nan, kind="estimate", status=Status.NOT_CONVERGED)}
    shown = figure(record, TITLES[2], "λ over training")
    above = [t for t in shown.spec["data"] if t.get("yaxis") != "y2"]
    line, open_marks = above
    assert (list(line["x"]), line["mode"]) == ([0, 1000], "lines+markers")
    assert (list(open_marks["x"]), open_marks["mode"]) == ([100], "markers")
    assert open_marks["marker"]["symbol"].endswith("-open")
    assert open_marks["error_y"]["array"] == [0.0]
    assert all(high > 0 for high in line["error_y"]["array"])
    assert "not converged" in shown.caption
    said = section(record, TITLES[2]).verdict[-1]
    assert "1 of 3 checkpoints have no figure that can be used (step-100)" in said
    for point in run["points"]:
        point["estimate"]["status"] = "not converged"
    assert section(record, TITLES[2]).verdict[-1].endswith("no checkpoint has a figure that can be used.")


def test_eigenvalues_are_on_a_logarithmic_axis_with_their_errors():
    shown = figure(deep.deep_record(), TITLES[3], "Largest eigenvalues")
    assert shown.spec["layout"]["yaxis"]["type"] == "log"
    exact, lanczos = shown.spec["data"]
    assert set(exact["error_y"]["array"]) == {0.0}
    assert min(lanczos["error_y"]["array"]) > 0
    density = figure(deep.deep_record(), TITLES[3], "Spectral density")
    counts = next(t for t in density.spec["data"])
    assert counts["y"][0] == pytest.approx(1.0)  # the largest alone
    assert max(counts["y"]) == pytest.approx(1200.0, rel=0.01)  # none that is zero or negative
    assert len(counts["x"]) <= 300
    assert "200 dimensions are negative" in density.summary


def test_a_basin_known_only_by_rays_is_a_bound_and_said_to_be_loose():
    shown = figure(deep.deep_record(), TITLES[3], "Bits of the basin")
    heads = [t for t in shown.spec["data"] if t["marker"].get("symbol") == ["triangle-down"] * 3]
    assert len(heads) == 2
    said = section(deep.deep_record(), TITLES[3]).verdict
    assert "860.0 ± 3.0 bits" in said[0]
    assert "at most 1,650 bits" in said[1]
    loose = next(n for n in blocks([section(deep.deep_record(), TITLES[3])], Notice) if "loose" in n.title)
    assert "width 100" in loose.text
    assert "width 30" not in loose.text  # there the bridge has the bits


def test_one_cutoff_is_a_row_of_the_table_and_no_chart():
    record = deep.deep_record()
    for subject in record["subjects"]:
        basin = subject["in_depth"]["basin"]
        basin["curve"] = [p for p in basin["curve"] if p["cutoff"] == basin["cutoff"]]
        assert len(basin["curve"]) == 1
    shown = section(record, TITLES[3])
    assert not [f for f in blocks([shown], Figure) if f.title.startswith("Bits of the basin")]
    (table,) = [t for t in blocks([shown], Table) if t.caption == "The basin at each cutoff"]
    assert len(table.rows) == 2


def test_what_could_not_be_measured_is_told_with_the_reason():
    sections = audit_sections(deep.awkward_record())
    notices = blocks([s for s in sections if s.title == TITLES[3]], Notice)
    assert notices[0].text == "the loss has no gradient"
    assert notices[0].title.endswith("spectrum not measured.")
    assert notices[1].title.endswith("basin not measured.")


def test_hostile_names_stay_text():
    sections = of(audit_sections(deep.awkward_record()))
    assert fixture.HOSTILE in small_page(sections)
    for f in blocks(sections, Figure):
        assert "<script" not in json.dumps(f.spec)
        assert "<img" not in json.dumps(f.spec)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("schema",), "pindown/in-depth/9", r"in_depth of schema 'pindown/in-depth/9'"),
        (("spectrum", "schema"), "pindown/spectrum/2", r"in_depth\.spectrum of schema 'pindown/spectrum/2'"),
        (("bitplanes", "epsilon"), 0, r"bitplanes\.epsilon is int 0; wanted a number above 0"),
        (
            ("bitplanes", "tensors", 1, "bracket", "low"),
            1.5,
            r"tensors\[1\]\.bracket\.low is float 1\.5; wanted a whole",
        ),
        (("pruning", "curve", "points", 2, "rise"), None, r"points\[2\]\.rise is NoneType None; wanted a value"),
        (("learning_coefficient", "points"), "many", r"learning_coefficient\.points is str 'many'; wanted a list"),
        (("basin", "curve", 0, "radial"), 7.0, r"curve\[0\]\.radial is float 7\.0; wanted an estimate"),
    ],
)
def test_damage_is_refused_with_the_place(path, value, named):
    record = deep.deep_record()
    node: Any = record["subjects"][0]["in_depth"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(CheckpointError, match=named):
        audit_sections(record)


def _paths(node: Any, wanted: type | tuple[type, ...], path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found: list[tuple[Any, ...]] = []
    for key, child in items:
        if key in ("schema", "kind", "status") or (isinstance(node, list) and isinstance(child, float)):
            continue
        if isinstance(child, wanted) and not isinstance(child, bool):
            found.append((*path, key))
        found += _paths(child, wanted, (*path, key))
    return found


_WHOLE = deep.depth()
_NUMBERS = _paths(_WHOLE, (int, float))
_QUESTIONS = [k for k, v in _WHOLE.items() if isinstance(v, dict) and k != "unmeasured"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    at=st.lists(st.sampled_from(_NUMBERS), max_size=12),
    values=st.lists(st.sampled_from([0, -1.0, 1e-300, 1e300, "inf", "-inf", "nan", 7.25]), min_size=12, max_size=12),
)
def test_odd_numbers_make_a_page_or_are_refused(at, values):
    record = copy.deepcopy(_WHOLE)
    for path, value in zip(at, values, strict=False):
        node: Any = record
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
    audit = fixture.digits_record()
    audit["subjects"][0]["in_depth"] = record
    try:
        sections = of(audit_sections(audit))
    except CheckpointError:  # a negative error, a share of a plane, an ε that is not above 0
        return
    assert not re.search(r"(?<![a-z])(nan|inf)(?![a-z])", small_page(sections))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(gone=st.sets(st.sampled_from(_QUESTIONS)), several=st.booleans())
def test_any_question_may_be_left_out(gone, several):
    record = deep.deep_record()
    for subject in record["subjects"][: 2 if several else 1]:
        for question in gone:
            subject["in_depth"][question] = None
    record["subjects"] = record["subjects"] if several else record["subjects"][:1]
    assert small_page(audit_sections(record))


def test_planes_alone_have_a_page_of_their_own(tmp_path):
    record = json.loads(json.dumps(deep.bitplanes("width 30")))
    write_bitplanes_report(record, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>Bit planes of width 30</title>" in page
    assert "Safe within a rise of 0.01 nats" in page
    titles = [s.title for s in bitplanes_sections(record)]
    assert titles == [TITLES[0], "How it was measured"]


@pytest.mark.parametrize("wrong", [[], {"schema": "pindown/audit/1"}, {}])
def test_another_record_is_refused_for_that_page(wrong, tmp_path):
    with pytest.raises(CheckpointError, match="pindown/bitplanes/1"):
        write_bitplanes_report(wrong, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_real_answer_is_read_to_the_last_figure():
    """A tiny network asked in depth: every figure that the results hold stands in the tables of the report."""
    import torch

    from pindown.network.in_depth import in_depth
    from pindown.network.subject import Subject

    rng = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=rng)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=rng) * 0.5)
        y = model(x) + 0.1 * torch.randn(40, 1, generator=rng)
    found = in_depth(
        Subject(model, "mse", (x, y), name="tiny"),
        options={
            "learning_coefficient": {"precision": 0.3, "self_check": False},
            "basin": {"method": "radial"},
            "bitplanes": {"draws": 16},
            "pruning": {"draws": 2},
            "noise_tolerance": {"accuracy": 0.3},
            "water_filling": {"accuracy": 0.3},
        },
    )
    assert not found.unmeasured
    record = fixture.digits_record()
    record["subjects"][0]["in_depth"] = json.loads(json.dumps(found.to_dict()))
    sections = of(audit_sections(record))
    assert [s.title for s in sections] == TITLES
    assert small_page(sections)
    tables = [*blocks(sections, Table), *(f.table for f in blocks(sections, Figure))]
    shown = {(v.value, v.stderr) for t in tables for r in t.rows for v in r if isinstance(v, Estimate)}
    b, s, n = found.bitplanes, found.spectrum, found.noise_tolerance
    assert b is not None and s is not None and n is not None and found.basin is not None  # noqa: PT018
    wanted = [*s.eigenvalues, s.trace, s.log_determinant, b.allocation.verified.rise, n.joint.bits]
    wanted += [f.together for f in b.formats] + [t.bits for t in n.tensors]
    wanted += [p.radial for p in found.basin.curve if p.radial is not None]
    assert found.learning_coefficient is not None
    assert found.pruning is not None
    wanted += [p.estimate for p in found.learning_coefficient.points]
    wanted += [p.rise for p in found.pruning.curve.points]
    wanted += [v.rise for t in b.measured for v in t.bracket.levels if t.bracket is not None]
    for figure_ in wanted:
        assert (figure_.value, figure_.stderr) in shown or math.isnan(figure_.stderr)


def test_water_filling_at_the_measured_rise_stands_in_the_table_of_tensors():
    record = deep.deep_record()
    table = next(t for t in blocks(of(audit_sections(record)), Table) if t.caption.startswith("Tensor by tensor"))
    names = [c.title for c in table.columns]
    measured = names.index("water-filling at a measured rise of ε")
    for subject in record["subjects"]:
        if subject["in_depth"] is None or subject["in_depth"]["water_filling"] is None:
            continue
        (whole,) = [r for r in table.rows if r[:2] == [subject["name"], "all tensors"]]
        assert whole[measured] == Estimate.from_dict(subject["in_depth"]["water_filling"]["measured_per_weight"])
    assert all(r[measured] is None for r in table.rows if r[1] != "all tensors")


def test_the_interval_of_a_share_ends_at_all_of_it():
    """Beside the same record without a support, whose interval runs past 100%."""
    pages: list[str] = []
    for support in ({"support": [0.0, 1.0]}, {}):
        record = deep.deep_record()
        control = next(s["in_depth"]["pruning"]["control"] for s in record["subjects"] if s["in_depth"])
        control["kept"] |= {"value": 0.98, "stderr": 0.05, "kind": "estimate", "dof": None, **support}
        pages.append(small_page(of(audit_sections(record))))
    assert "to 100.0%" in pages[0]
    assert "to 107.8%" not in pages[0]
    assert "to 107.8%" in pages[1]
