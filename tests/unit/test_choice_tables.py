"""Tables of observed choices and their readers: what fits is read, what does not is refused by row and column."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pindown import Bets, Budgets, InputError, Lotteries, Menus, Pairs, Policy, Trades, ValueCache, coherence, subagents
from pindown.choices.reading import KINDS, read_choices, read_panel

pytestmark = pytest.mark.usefixtures("own_folder")

TABLES = {
    "budgets": Budgets([[1, 2.5], [2, 1]], [[2, 0], [0.1, 3]], goods=["bread", "wine"]),
    "menus": Menus([["tea", "milk"], ["milk", "water", "tea"]], ["tea", "milk"]),
    "pairs": Pairs(["a", "b"], ["b", "c"], [3, 2], [1, 0]),
    "bets": Bets([[1, 0], [0, 1]], [[1.5, 1], [1, 1.5]], outcomes=["rain", "sun"]),
    "lotteries": Lotteries(
        [{"sure": {"x": 1}, "odds": {"y": "1/3", "z": "2/3"}}, {"sure": {"x": 0.5, "y": 0.5}, "odds": {"z": 1}}],
        ["sure", "odds"],
        strict=[True, False],
    ),
    "trades": Trades(["A", "B"], ["B", "C"], [True, False]),
    "policy": Policy({"A": {"stay": "A", "go": "B"}, "B": {"stay": "B"}}, {"A": "go", "B": "stay"}),
    "value cache": ValueCache({0: 0, 1: 1, 2: 1}, {2: [0, 1]}),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("through", ["frame", "csv"])
def test_every_kind_is_seen_and_comes_back(kind: str, through: str) -> None:
    frame = TABLES[kind].to_dataframe()
    frame.to_csv("table.csv", index=False)
    again = read_choices(frame if through == "frame" else "table.csv")
    assert again.kind == kind
    assert repr(again) == repr(TABLES[kind])
    pd.testing.assert_frame_equal(again.to_dataframe(), frame)
    assert read_choices(frame, kind=kind).kind == kind
    assert kind in KINDS


BAD: list[tuple[Any, str]] = [
    (lambda: Budgets([[1, 0], [1, 1]], [[1, 1], [1, 1]]), "row 1, column 'prices 2' is 0.0; wanted a number above 0"),
    (lambda: Budgets([[1, 1], [1, -2]], [[1, 1], [1, 1]]), "row 2, column 'prices 2' is -2.0"),
    (lambda: Budgets([[1, 1]], [[1, np.nan]]), "row 1, column 'quantities 2' is nan"),
    (lambda: Budgets([[1, 1]], [[1, -1]]), "row 1, column 'quantities 2' is -1.0; wanted a number of 0 or more"),
    (lambda: Budgets([[1, 1]], [[0, 0]]), "row 1, column 'quantities' is [0.0, 0.0]; wanted something bought"),
    (lambda: Budgets([[1, "x"]], [[1, 1]]), "row 1, column 'prices 2' is 'x'"),
    (lambda: Budgets([[1, 1], [1]], [[1, 1], [1]]), "row 2 of prices has 1 cells"),
    (lambda: Budgets(np.empty((0, 2)), np.empty((0, 2))), "an empty table"),
    (lambda: Budgets([[1, 1]], [[1, 1, 1]]), "the same shape"),
    (lambda: Menus([["a", "b"], ["b"]], ["a", "c"]), "row 2, column 'choice' is 'c'; wanted an item of its menu, b"),
    (lambda: Menus([["a", "a"]], ["a"]), "each item once"),
    (lambda: Menus([[]], ["a"]), "row 1, column 'menu' is ''; wanted at least one item"),
    (lambda: Menus([], []), "an empty table of menus"),
    (lambda: Menus([["a"]], []), "1 menus and 0 choices"),
    (lambda: Menus([["a", None]], ["a"]), "row 1, column 'menu' is None"),
    (lambda: Pairs(["a"], ["a"]), "another item than in column 'first'"),
    (lambda: Pairs(["a"], ["b"], [-1]), "row 1, column 'wins' is -1"),
    (lambda: Pairs(["a"], ["b"], [0.5]), "a whole number"),
    (lambda: Pairs(["a"], ["b"], [0]), "nothing was compared"),
    (lambda: Bets([[1, 0]], [[0.5, 1]]), "decimal odds of 1 or more"),
    (lambda: Bets([[0, 0]], [[1, 1]]), "something staked"),
    (lambda: Bets.quotes([["a"]], [1.5], ["a", "b"]), "above 0 and below 1"),
    (lambda: Bets.quotes([["c"]], [0.5], ["a", "b"]), "some of the outcomes"),
    (
        lambda: Budgets([[1, 1]] * 2, [[1, 1]] * 2, names=["1", 1]),
        "row 2, column 'observation' is '1'; wanted each name once; row 1 has it",
    ),
    (lambda: Budgets([[1, 1]], [[1, 1]], goods=["x", "x"]), "row 2, column 'good' is 'x'; wanted each name once"),
    (lambda: Menus([["a"]] * 2, ["a"] * 2, names=["p", "p"]), "row 2, column 'observation' is 'p'"),
    (lambda: Menus([["a", ["b"]]], ["a"]), "items that are texts or numbers"),
    (lambda: Bets([[1, 0]] * 2, [[2, 1]] * 2, names=["p", "p"]), "row 2, column 'bet' is 'p'"),
    (lambda: Bets([[1, 0]], [[2, 1]], outcomes=["o", "o"]), "row 2, column 'outcome' is 'o'"),
    (lambda: Bets.quotes([["a"]], [0.5], ["a", "a"]), "row 2, column 'outcome' is 'a'"),
    (lambda: Pairs(["x"] * 5001, list(range(5001))), "5,002 items; wanted at most 5,000"),
    (
        lambda: coherence(Policy({k: [k + 1] for k in range(5001)}, {k: k + 1 for k in range(5001)})),
        "a policy on 5,002 states; wanted at most 5,000",
    ),
    (lambda: Lotteries([], []), "an empty table of lotteries"),
    (lambda: Lotteries([{}], ["a"]), "at least one lottery"),
    (lambda: Lotteries([["a"]], ["a"]), "lotteries by name, each a mapping of outcomes to probabilities"),
    (lambda: Lotteries([{"a": {"x": 1}}], []), "1 menus, 0 choices and 1 answers"),
    (lambda: Lotteries([{"a": {"x": 1}}], ["b"]), "row 1, column 'choice' is 'b'; wanted a lottery of its menu, a"),
    (lambda: Lotteries([{"a": {"x": 0.9}}], ["a"]), "probabilities of 'a' that add up to 0.9; wanted 1"),
    (lambda: Lotteries([{"a": {"x": 1.5}}], ["a"]), "row 1, column 'probability' is 1.5; wanted a probability"),
    (lambda: Lotteries([{"a": {"x": "1/0"}}], ["a"]), "row 1, column 'probability' is '1/0'"),
    (lambda: Lotteries([{"a": {"x": 1}, "b": {"x": 1.0}}], ["a"]), "lotteries 'a' and 'b' are the same"),
    (lambda: Lotteries([{"a": {"x": 1}}], ["a"], strict=["perhaps"]), "row 1, column 'strict' is 'perhaps'"),
    (lambda: Lotteries([{"a": {"x": 1}}], ["a"], names=["1", "2"]), "2 names for 1 observation; wanted one each"),
    (lambda: Trades(["a"], ["a"], [1]), "another item than in column 'have'"),
    (lambda: Trades(["a"], ["b"], ["maybe"]), "row 1, column 'accepted' is 'maybe'; wanted yes or no"),
    (lambda: Policy({"a": {"go": "b"}}, {}), "state 'a' without its action"),
    (lambda: Policy({"a": {"go": "b"}}, {"a": "fly"}), "action 'fly' in state 'a'; wanted one of go"),
    (lambda: Policy({}, {}), "a policy without transitions"),
    (lambda: ValueCache({"a": 1}, {"a": ["b"]}), "wanted a state with a value"),
    (lambda: ValueCache({"a": float("inf")}, {}), "row 1, column 'value' is inf"),
    (lambda: coherence(TABLES["menus"], seed=-1), "seed -1"),
    (lambda: coherence(TABLES["menus"], seconds=0), "seconds = 0"),
    (lambda: subagents(TABLES["bets"]), "a committee for bets"),
    (
        lambda: subagents(Budgets(np.ones((1001, 1)), np.ones((1001, 1)))),
        "1,001 budgets to divide; wanted at most 1,000",
    ),
    (lambda: subagents(TABLES["menus"], start="tea"), "trade probabilities or a start for menus"),
    (lambda: subagents(TABLES["trades"], start="Z"), "start 'Z'; wanted one of A, B, C"),
    (lambda: subagents(TABLES["trades"], trade_probabilities={("A", "Z"): 0.5}), "a trade probability for 'Z'"),
    (lambda: subagents(TABLES["trades"], trade_probabilities=2.0), "no chances"),
]


@pytest.mark.parametrize(("make", "words"), BAD, ids=[words[:40] for _, words in BAD])
def test_bad_tables_are_refused_in_plain_words(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        make()


FILES = [
    ("menu,choice\na b,\n", "row 1, column 'choice' is empty (1 row with an empty cell)"),
    ("menu,choice,mood\na b,a,good\n", "unknown column 'mood' in a table of menus"),
    ("menu,choice\n", "an empty table"),
    ("", "is empty"),
    ("price_x,quantity_x,price_y\n1,1,1\n", "good 'y' without its column 'quantity_y'"),
    ("price_x,quantity_x\n1,many\n", "row 1, column 'quantity_x' is 'many'"),
    ("first,second,winner\na,b,c\n", "row 1, column 'winner' is 'c'; wanted a or b"),
    ("state,action,next,taken\ns,go,t,1\ns,stay,s,1\n", "one action taken in state 's'"),
    ("state,action,next,taken\ns,go,t,1\ns,go,s,0\n", "each action of state 's' once"),
    ("state,value,next\na,1,\na,2,\n", "row 2, column 'value' is 2.0"),
    ("bet,outcome,stake,odds\n1,rain,1,2\n1,rain,1,2\n", "each outcome of a bet once"),
    (
        "observation,lottery,outcome,probability,chosen\n1,a,x,1,1\n1,b,y,1,1\n",
        "observation '1' with 2 lotteries chosen; wanted one",
    ),
    (
        "observation,lottery,outcome,probability,chosen\n1,a,x,0.5,1\n1,a,y,0.5,0\n",
        "row 2, column 'chosen' is 0; wanted the same in all rows of lottery 'a'",
    ),
    ("observation,lottery,outcome,probability,chosen\n1,a,x,0.5,1\n1,a,x,0.5,1\n", "each outcome of lottery 'a' once"),
    ("price_x,quantity_x,observation\n1,1,7\n1,2,7\n", "row 2, column 'observation' is '7'; wanted each name once"),
    ("quote,outcome,probability\nq,a,0.5\nq,a,0.5\n", "row 2, column 'outcome' is 'a'; wanted each outcome of a quote"),
    ("quote,outcome,probability\nq,a,0.5\nq,b,0.4\n", "row 2, column 'probability' is 0.4; wanted the 0.5"),
    ("quote,outcome,probability\nq,a,1\n", "row 1, column 'probability' is 1.0; wanted a number above 0 and below 1"),
    ("quote,outcome,probability\nq,a,0.5\n", "quote 'q' on every outcome of the table"),
    ("colour,size\nred,3\n", "columns colour, size; wanted those of budgets"),
    ("Menu,Choice\na b,a\n", "Write the names of columns in small letters"),
    ("menu,choice, choice\na b,a,b\n", "column 'choice' twice"),
    ("menu;choice\na b;a\n", "has its cells set apart by semicolons; wanted commas"),
    ("menu\tchoice\na b\ta\n", "has its cells set apart by tabs; wanted commas"),
    ("price_x;quantity_x\n1,5;1\n", "has its cells set apart by semicolons"),
    ('menu,choice\n"a b,a\n', "EOF inside string starting at row 1); wanted as many cells in each row, and quotes"),
    ("price_x,quantity_x\n1e308,1\n", "row 1, column 'price_x' is 1e+308; wanted a number from 1e-100 to 1e+100"),
    ("price_x,quantity_x\n1,1e-200\n", "row 1, column 'quantity_x' is 1e-200; wanted a number from 1e-100"),
    ("state,value,next\na,1e200,\n", "row 1, column 'value' is 1e+200; wanted a number of at most 1e+100"),
    ("menu,choice\na b,a,c\n", "more cells than there are columns"),
]


@pytest.mark.parametrize(("text", "words"), FILES, ids=[words[:40] for _, words in FILES])
def test_bad_files_are_refused_in_plain_words(text: str, words: str) -> None:
    Path("bad.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(words)):
        read_choices("bad.csv")


def test_other_bad_sources() -> None:
    with pytest.raises(InputError, match="no file at"):
        read_choices("nowhere.csv")
    Path("bytes.csv").write_bytes(b"menu,choice\n\xff\xfe,a\n")
    with pytest.raises(InputError, match=r"cannot be read .* Save it as CSV with the encoding UTF-8"):
        read_choices("bytes.csv")
    Path("book.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"is a spreadsheet; wanted a \.csv or \.parquet file"):
        read_choices("book.xlsx")
    with pytest.raises(InputError, match="kind 'guess'"):
        read_choices(TABLES["menus"].to_dataframe(), kind="guess")
    with pytest.raises(InputError, match="missing = 'keep'"):
        read_choices(TABLES["menus"].to_dataframe(), missing="keep")


def test_a_panel_is_cut_by_its_columns_and_errors_name_the_subject() -> None:
    frame = pd.DataFrame(
        {"who": [1, 1, 2], "day": ["m", "m", "t"], "menu": ["a b", "b c", "a c"], "choice": ["a", "b", "c"]}
    )
    assert list(read_panel(frame, ["who"], ignore=["day"])) == ["1", "2"]
    assert list(read_panel(frame, ["who", "day"])) == ["1 / m", "2 / t"]
    with pytest.raises(InputError, match="no column 'whom'"):
        read_panel(frame, ["whom"])
    frame.loc[2, "choice"] = "z"
    with pytest.raises(InputError, match=r"who 2: row 1, column 'choice' is 'z'"):
        read_panel(frame, ["who"], ignore=["day"])


def test_columns_left_out_are_left_out_and_must_be_there() -> None:
    frame = pd.DataFrame({"observation": [1, 1], "menu": ["a b", "b c"], "choice": ["a", "b"]})
    with pytest.raises(InputError, match=r"leave the column out with ignore= \(--ignore\)"):
        read_choices(frame)
    assert read_choices(frame, ignore=["observation"]).names == ("1", "2")
    goods = pd.DataFrame({"price_x": [1, 2], "quantity_x": [1, 1], "price_y": [0, 0], "quantity_y": [1, 1]})
    assert read_choices(goods, ignore=["price_y", "quantity_y"]).goods == ("x",)
    with pytest.raises(InputError, match="no column 'mood' to leave out"):
        read_choices(frame, ignore=["mood"])


def test_quoted_probabilities_are_read_as_bets() -> None:
    """Rain, snow and dry at 0.3, 0.2 and 0.7 cost 1.2 and pay 1; wet at 0.5 fits the first two."""
    rows = [("rain", "rain", 0.3), ("snow", "snow", 0.2), ("dry", "dry", 0.7)]
    rows += [("wet", "rain", 0.5), ("wet", "snow", 0.5)]
    frame = pd.DataFrame(rows, columns=["quote", "outcome", "probability"])
    table = read_choices(frame)
    assert repr(table) == "Bets(8 bets, 3 outcomes)"
    found = coherence(table)
    assert not found.coherent
    assert found.pump is not None
    assert found.pump.loss == pytest.approx(0.2)  # dry is bought once at most
    used = set(found.certificate.numbers)
    assert not any({f"{name} for", f"{name} against"} <= used for name in ("rain", "snow", "dry", "wet"))
    frame["probability"] = [0.3, 0.2, 0.5, 0.5, 0.5]
    assert coherence(read_choices(frame)).certificate.exact == {"rain": "3/10", "snow": "1/5", "dry": "1/2"}


def test_a_menu_may_be_a_list() -> None:
    frame = pd.DataFrame({"menu": [["green tea", "milk"], np.array([1, 2])], "choice": ["milk", 2]})
    table = read_choices(frame)
    assert isinstance(table, Menus)
    assert table.items == ("green tea", "milk", "1", "2")


def test_parquet_is_read_like_a_frame() -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install pindown[parquet]")
    for kind, table in TABLES.items():
        table.to_dataframe().to_parquet("table.parquet")
        again = read_choices("table.parquet")
        assert again.kind == kind
        pd.testing.assert_frame_equal(again.to_dataframe(), table.to_dataframe())
    pd.DataFrame({"menu": [["green tea", "milk"]], "choice": ["milk"]}).to_parquet("lists.parquet")
    assert read_choices("lists.parquet").items == ("green tea", "milk")
    Path("broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_choices("broken.parquet")


def test_without_a_reader_of_parquet_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    Path("table.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="ip install pyarrow, or write CSV"):
        read_choices("table.parquet")


def test_numbers_of_things_are_said_as_they_should_be() -> None:
    assert repr(Menus([["a"]], ["a"])) == "Menus(1 observation, 1 item)"
    assert repr(Trades(["a"], ["b"], [1])) == "Trades(1 offer, 2 items, 1 accepted)"
    assert repr(Pairs(["a"], ["b"])) == "Pairs(2 items, 1 pair, 1 comparison)"
    assert repr(Policy({"a": ["a"]}, {"a": "a"})) == "Policy(1 state, 1 transition)"
    assert repr(ValueCache({"a": 1}, {})) == "ValueCache(1 state, 0 terms)"
    assert coherence(Budgets([[1, 1]], [[1, 1]])).verdict.startswith("1 budget: ")
    assert coherence(ValueCache({"a": 1, "b": 2}, {})).verdict.startswith("2 entries: ")
    assert "One rank explains" in coherence(Budgets([[1, 1]], [[1, 1]])).certificate.statement


def test_missing_rows_can_be_dropped_but_not_all() -> None:
    frame = pd.DataFrame({"menu": ["a b", "b c"], "choice": ["a", None]})
    assert len(read_choices(frame, missing="drop")) == 1
    with pytest.raises(InputError, match="every row has an empty cell"):
        read_choices(frame.iloc[1:], missing="drop")


def test_items_with_spaces_are_set_apart_by_bars() -> None:
    table = read_choices(pd.DataFrame({"menu": ["green tea | milk"], "choice": ["green tea"]}))
    assert isinstance(table, Menus)
    assert table.items == ("green tea", "milk")


def test_one_observation_and_duplicates_have_an_answer() -> None:
    one = coherence(Budgets([[1, 2]], [[1, 1]]))
    assert one.coherent
    assert one.vacuous
    assert one.surprise.value == 0.0
    twice = coherence(Budgets([[1, 2]] * 3, [[1, 1]] * 3))
    assert twice.coherent
    assert twice.warp
    assert twice.ccei.value == 1.0
    both = subagents(Trades(["a", "a"], ["b", "b"], [True, False]))
    assert both.size == 0
    assert both.witness == "it accepts a → b and refuses a → b"
    assert coherence(Menus([["a"]], ["a"])).vacuous


@pytest.mark.slow
def test_a_million_rows_of_menus() -> None:
    rng = np.random.default_rng(0)
    menus = np.array(["0 1 2", "1 2 3", "0 3"])[rng.integers(0, 3, 10**6)]
    frame = pd.DataFrame({"menu": menus, "choice": [m[0] for m in menus]})
    found = coherence(frame, surprise=False)
    assert found.coherent
    assert found.observations == 10**6


cell = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["a", "b", "a b"]),
)
NAMES = sorted({c for needed, more in KINDS.values() for c in (*needed, *more) if "…" not in c})
column = st.sampled_from([*NAMES, "price_x", "quantity_x", "price_y", "quantity_y", "extra"])


def refusal(source: Any) -> str | None:
    """The words with which a source is refused; None where it is read."""
    try:
        assert len(read_choices(source)) >= 1
    except InputError as error:
        return str(error)
    return None


@given(st.lists(column, min_size=1, max_size=6, unique=True).flatmap(
    lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, cell)), max_size=5)
))  # fmt: skip
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_frames_of_anything_are_read_or_refused(rows: list[dict[str, Any]]) -> None:
    words = refusal(pd.DataFrame(rows))
    assert words is None or words.endswith((".", "?"))


@given(st.lists(st.tuples(cell, st.lists(cell | st.lists(cell), max_size=3), cell), min_size=1, max_size=6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_panels_of_anything_are_read_or_refused(rows: list[tuple[Any, ...]]) -> None:
    """Subjects of any name, menus that are lists of anything."""
    frame = pd.DataFrame(rows, columns=["who", "menu", "choice"])
    for missing in ("refuse", "drop"):
        with contextlib.suppress(InputError):
            panel = read_panel(frame, ["who"], missing=missing)
            assert sum(map(len, panel.values())) <= len(frame)


@pytest.mark.parametrize("kind", TABLES)
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_one_changed_cell_is_read_or_refused_by_its_place(kind: str, data: st.DataObject) -> None:
    frame = TABLES[kind].to_dataframe().astype(object)
    row = data.draw(st.integers(0, len(frame) - 1))
    name = data.draw(st.sampled_from(list(frame.columns)))
    frame.loc[row, name] = data.draw(cell)
    words = refusal(frame)
    assert words is None or any(word in words for word in ("row", "state", "compared", "cell", "sets", "observation"))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "ignore")))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_of_anything_are_read_or_refused(content: bytes) -> None:
    Path("any.csv").write_bytes(b"menu,choice\n" + content)
    assert refusal("any.csv") != ""
