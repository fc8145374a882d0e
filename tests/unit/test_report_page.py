"""The page frame: its policy, its escaping and its tables."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.report.blocks import Card, CardGroup, Cards, Column, Figure, Notice, Section, Table
from pindown.report.page import render_page

HOSTILE = "</script><script>alert(1)</script> & \"two\" 'one' <!--"


class Elements(HTMLParser):
    """Start tags with their attributes, and the text inside scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data):
        if self.cdata_elem == "script":  # a long script comes in several pieces
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def table(text: str = "a") -> Table:
    rows = [[text, 2.5, Estimate(3.0, 0.5, "bits")], ["b", float("nan"), None]]
    return Table(f"Table of {text}", [Column("name"), Column("x"), Column("bits", estimate=True)], rows)


def figure(text: str = "a") -> Figure:
    spec = {"data": [{"type": "scatter", "x": [1.0, float("inf")], "y": [2, 3], "name": text}], "layout": {}}
    return Figure(f"Figure of {text}", spec, f"Summary of {text}", table(text))


def page(text: str = "a", **more: str) -> str:
    cards = Cards([CardGroup(text, text, [Card(text, Estimate(3.0, 0.0, "bits", kind="lower_bound"), text)], 0)])
    blocks = [cards, figure(text), table(text), Notice("bad", text, text)]
    return render_page(
        text, [Section(text, [text], blocks, [text], [text])], facts=[(text, text)], subtitle=text, **more
    )


def test_the_policy_allows_the_two_scripts_by_their_hash_and_nothing_else():
    elements = Elements(page())
    policy = next(m["content"] for m in elements.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    runnable = [text for attributes, text in elements.scripts if attributes.get("type") != "application/json"]
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in runnable]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{d}'" for d in digests]
    assert len(digests) == 2
    assert "unsafe-eval" not in policy
    assert rules["img-src"] == "data:"


def test_nothing_on_the_page_points_outside():
    elements = Elements(page())
    for tag, attributes in elements.tags:
        assert "src" not in attributes, tag
        assert (attributes.get("href") or "#").startswith("#")
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not any(name.startswith("on") for name in attributes)


def test_hostile_text_stays_text_everywhere():
    plain, hostile = Elements(page("a")), Elements(page(HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert len(hostile.named("script")) == 3
    spec = next(text for attributes, text in hostile.scripts if attributes.get("type") == "application/json")
    assert json.loads(spec)["data"][0]["name"] == HOSTILE
    cells = [json.loads(a["data-csv"]) for a in hostile.named("th") if a.get("scope") == "row"]
    assert [HOSTILE] in cells


def test_infinite_numbers_in_charts_become_gaps():
    spec = next(text for a, text in Elements(page()).scripts if a.get("type") == "application/json")
    assert json.loads(spec)["data"][0]["x"] == [1.0, None]


def test_an_estimate_takes_six_csv_columns_and_a_bound_leaves_its_open_end_empty():
    bound = Estimate(3.0, 0.0, "bits", kind="lower_bound", status=Status.BUDGET_SPENT)
    rows = [["a", bound], ["b", Estimate(3.0, 0.5, "bits")]]
    html = render_page("p", [Section("s", blocks=[Table("t", [Column("n"), Column("b", estimate=True)], rows)])])
    elements = Elements(html)
    header = [json.loads(a["data-csv"]) for a in elements.named("th") if a.get("scope") == "col"]
    assert header[1] == ["b", "b: standard error", "b: 95% low", "b: 95% high", "b: kind", "b: status"]
    cells = [json.loads(a["data-csv"]) for a in elements.named("td")]
    assert cells[0] == ["3", "", "3", "", "lower_bound", "budget spent"]
    assert [float(x) for x in cells[1][:4]] == pytest.approx([3.0, 0.5, 3 - 1.959964 * 0.5, 3 + 1.959964 * 0.5])
    assert Status.BUDGET_SPENT.message in html


def test_sections_of_one_part_stand_together_under_its_name():
    sections = [Section("A", ["x"], part="One"), Section("B", ["x"], part="Two"), Section("C", ["x"], part="One")]
    html = render_page("p", sections)
    headings = re.findall(r"<h[23][^>]*>([^<]+)</h", html[: html.index("<script>")])
    assert headings == ["One", "A", "C", "Two", "B"]
    links = {a["href"] for a in Elements(html).named("a") if a["href"] != "#main"}
    assert links <= {f"#{a['id']}" for _, a in Elements(html).tags if "id" in a}
    assert {f"#{a['id']}" for a in Elements(html).named("section")} <= links


def test_plotly_stands_on_the_page_once():
    many = render_page("p", [Section("s", blocks=[figure()] * 5)])
    assert many.count("* plotly.js v") == 1


def test_wrong_input_is_refused_by_name():
    with pytest.raises(InputError, match="at least one section"):
        render_page("p", [])
    with pytest.raises(InputError, match="row 0 of table 't' has 2 cells; wanted 1"):
        Table("t", [Column("a")], [[1, 2]])
