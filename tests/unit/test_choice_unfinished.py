"""Unfinished work on choices: the same call goes on, another one is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import pindown
from pindown import Budgets, CheckpointError, Menus, Trades
from pindown.choices import chance, covers, divided, order_dimension, panel, rationales, unfinished
from pindown.choices.covers import Cover, cheapest_cover
from pindown.choices.panel import coherence_panel
from pindown.choices.unfinished import keep_in
from pindown.cli.app import app

pytestmark = pytest.mark.usefixtures("own_folder")

RING = [[0, 1, 2], [2, 3, 4], [4, 5, 0], [1, 3, 5], [0, 2, 4]]


def missed(chosen: frozenset[int]) -> list[list[int]]:
    """One violation at a time, so that the search takes several rounds."""
    return [v for v in RING if chosen.isdisjoint(v)][:1]


def count_solves(patch: pytest.MonkeyPatch, stop_after: int | None = None) -> list[int]:
    """The number of programmes solved; Ctrl-C after so many."""
    solved, true = [0], covers._solve

    def counted(*arguments: Any) -> Any:
        if solved[0] == stop_after:
            raise KeyboardInterrupt
        solved[0] += 1
        return true(*arguments)

    patch.setattr(covers, "_solve", counted)
    return solved


def test_an_interrupted_search_goes_on_and_a_finished_one_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_EVERY", 0.0)
    with monkeypatch.context() as patch:
        whole = count_solves(patch)
        truth = cheapest_cover([1.0] * 6, missed, whole=True)
    assert truth.optimal
    assert truth.cost == 2.0
    assert whole[0] > 2
    with monkeypatch.context() as patch, keep_in("work", "mark"):
        count_solves(patch, stop_after=2)
        with pytest.raises(KeyboardInterrupt):
            cheapest_cover([1.0] * 6, missed, whole=True)
    for expected in (whole[0] - 2, 0):
        with monkeypatch.context() as patch, keep_in("work", "mark"):
            solved = count_solves(patch)
            assert cheapest_cover([1.0] * 6, missed, whole=True) == truth
            assert solved[0] == expected


def test_a_search_that_ran_out_of_time_goes_on_with_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_EVERY", 0.0)
    with monkeypatch.context() as patch:
        true = covers._solve

        def hurried(*arguments: Any) -> Any:
            chosen, lower, _ = true(*arguments)
            return chosen, lower, False

        patch.setattr(covers, "_solve", hurried)
        with keep_in("work", "mark"):
            # The first round has nothing to solve; the second is cut off.
            first = cheapest_cover([1.0] * 6, missed, first=RING[:1], whole=True, seconds=1e-6)
    assert not first.optimal
    assert first.bound <= 2.0 <= first.cost
    with keep_in("work", "mark"):
        assert cheapest_cover([1.0] * 6, missed, first=RING[:1], whole=True, seconds=1e-6) == first
    with keep_in("work", "mark"):
        more = cheapest_cover([1.0] * 6, missed, first=RING[:1], whole=True, seconds=20.0)
    assert more.optimal
    assert more.cost == 2.0


def test_searches_that_look_alike_keep_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_EVERY", 0.0)

    def other(chosen: frozenset[int]) -> list[list[int]]:
        return [v for v in ([0], [1], [2]) if chosen.isdisjoint(v)][:1]

    for _ in range(2):
        with keep_in("work", "mark"):
            found: list[Cover] = [cheapest_cover([1.0] * 6, find, whole=True) for find in (missed, other)]
        assert [f.cost for f in found] == [2.0, 3.0]


def budgets(seed: int) -> Budgets:
    rng = np.random.default_rng(seed)
    return Budgets(rng.uniform(0.2, 2.0, (16, 2)), rng.uniform(0.0, 2.0, (16, 2)))


def test_a_folder_gives_the_same_answer_and_belongs_to_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chance, "_COMMON", 2.0)  # nothing is common: splitting, which keeps its runs, measures it
    options: dict[str, Any] = {"particles": 50, "repeats": 2}
    plain = pindown.coherence(budgets(1), **options)
    for _ in range(2):
        kept = pindown.coherence(budgets(1), checkpoint="work", **options)
        assert {**kept.to_dict(), "seconds": 0} == {**plain.to_dict(), "seconds": 0}
    assert any(Path("work/surprise").iterdir())
    with pytest.raises(CheckpointError, match=r"choices\.pt belongs to another measurement"):
        pindown.coherence(budgets(2), checkpoint="work", **options)
    with pytest.raises(CheckpointError, match="belongs to another"):
        pindown.coherence(budgets(1), seed=1, checkpoint="work", **options)
    Path("work/choices.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"choices\.pt is damaged"):
        pindown.coherence(budgets(1), checkpoint="work", **options)


PEOPLE = {name: Menus([["a", "b"], ["b", "c"], ["c", "a"]], picks) for name, picks in
          {"ann": ["a", "b", "c"], "bob": ["a", "b", "a"], "eve": ["b", "b", "c"]}.items()}  # fmt: skip


def interrupt_at(patch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Ctrl-C when this subject's turn comes; the subjects that were measured."""
    seen: list[str] = []
    true = panel.coherence

    def measured(table: Any, *arguments: Any, subject: str, **options: Any) -> Any:
        if subject == name:
            raise KeyboardInterrupt
        seen.append(subject)
        return true(table, *arguments, subject=subject, **options)

    patch.setattr(panel, "coherence", measured)
    return seen


def test_a_panel_goes_on_with_the_subject_that_was_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = coherence_panel(PEOPLE).to_dataframe()
    with monkeypatch.context() as patch:
        interrupt_at(patch, "bob")
        with pytest.raises(KeyboardInterrupt):
            coherence_panel(PEOPLE, checkpoint="work")
    with monkeypatch.context() as patch:
        seen = interrupt_at(patch, "nobody")
        again = coherence_panel(PEOPLE, checkpoint="work")
    assert seen == ["bob", "eve"]
    assert again.to_dataframe().equals(truth)
    with pytest.raises(CheckpointError, match="belongs to another"):
        coherence_panel(PEOPLE, seed=1, checkpoint="work")


def test_the_command_goes_on_with_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{who},{' '.join(t.items[k] for k in m)},{t.items[c]}" for who, t in PEOPLE.items()
            for m, c in zip(t.offered, t.taken, strict=True)]  # fmt: skip
    Path("people.csv").write_text("\n".join(["who,menu,choice", *rows]) + "\n", encoding="utf-8")
    call = ["coherence", "people.csv", "--by", "who", "--out", "here"]
    with monkeypatch.context() as patch:
        interrupt_at(patch, "eve")
        stopped = CliRunner().invoke(app, call)
    assert stopped.exit_code == 130
    assert "--resume" in stopped.output
    assert CliRunner().invoke(app, call).exit_code != 0  # unfinished work is not overwritten
    with monkeypatch.context() as patch:
        seen = interrupt_at(patch, "nobody")
        done = CliRunner().invoke(app, [*call, "--resume"])
    assert done.exit_code == 0, done.output
    assert seen == ["eve"]
    assert not Path("here/checkpoint").exists()


def mixed_menus() -> Menus:
    """Three orders take turns, so that the search for few agents takes several rounds."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(7) for _ in range(3)]
    menus = [rng.choice(7, size=3, replace=False).tolist() for _ in range(60)]
    return Menus(menus, [min(m, key=lambda i, o=orders[k % 3]: o[i]) for k, m in enumerate(menus)])


def stop_after(patch: pytest.MonkeyPatch, module: Any, name: str, calls: int | None) -> list[int]:
    """Ctrl-C at the call after so many of a module's function; how many there were."""
    made, true = [0], getattr(module, name)

    def counted(*arguments: Any) -> Any:
        if made[0] == calls:
            raise KeyboardInterrupt
        made[0] += 1
        return true(*arguments)

    patch.setattr(module, name, counted)
    return made


def same(one: pindown.Committee, other: pindown.Committee) -> bool:
    return {**one.to_dict(), "seconds": 0} == {**other.to_dict(), "seconds": 0}


def test_the_division_between_agents_goes_on_to_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_EVERY", 0.0)
    table = mixed_menus()
    with monkeypatch.context() as patch:
        whole = stop_after(patch, rationales, "_coloured", None)
        truth = pindown.subagents(table)
    assert truth.optimal
    assert whole[0] > 4
    with monkeypatch.context() as patch:
        stop_after(patch, rationales, "_coloured", 3)
        with pytest.raises(KeyboardInterrupt):
            pindown.subagents(table, checkpoint="work")
    for left in (whole[0] - 3, 0):
        with monkeypatch.context() as patch:
            made = stop_after(patch, rationales, "_coloured", None)
            assert same(pindown.subagents(table, checkpoint="work"), truth)
        assert made[0] == left
    with pytest.raises(CheckpointError, match="belongs to another"):
        pindown.subagents(table, seed=1, checkpoint="work")
    with pytest.raises(CheckpointError, match="belongs to another"):
        pindown.coherence(table, checkpoint="work")


def test_what_was_proved_of_a_committee_is_not_proved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard example of four: two, three are shown to be too few before four are found."""
    monkeypatch.setattr(unfinished, "_EVERY", 0.0)
    n = 4
    names = [f"{side}{i}" for side in "ab" for i in range(n)]
    offers = [(x, y) for x in names for y in names if x != y]
    yes = [x[0] == "a" and y[0] == "b" and x[1] != y[1] for x, y in offers]
    table = Trades([x for x, _ in offers], [y for _, y in offers], yes)
    with monkeypatch.context() as patch:
        whole = stop_after(patch, order_dimension, "_solve", None)
        truth = pindown.subagents(table)
    assert truth.size == n
    assert whole[0] >= 2
    with monkeypatch.context() as patch:
        stop_after(patch, order_dimension, "_solve", 1)
        with pytest.raises(KeyboardInterrupt):
            pindown.subagents(table, checkpoint="work")
    with monkeypatch.context() as patch:
        made = stop_after(patch, order_dimension, "_solve", None)
        assert same(pindown.subagents(table, checkpoint="work"), truth)
    assert made[0] == whole[0] - 1
    with pytest.raises(CheckpointError, match="belongs to another"):
        pindown.subagents(table, start="a0", checkpoint="work")


def test_bits_of_types_keep_their_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divided, "_SIZES", {"particles": 50, "repeats": 2})
    monkeypatch.setattr(chance, "_COMMON", 2.0)
    truth = pindown.subagents(budgets(1), seconds=5.0)
    kept = pindown.subagents(budgets(1), seconds=5.0, checkpoint="work")
    assert same(kept, truth)
    assert [p for p in Path("work").iterdir() if p.name.startswith("surprise-")]
    assert same(pindown.subagents(budgets(1), seconds=5.0, checkpoint="work"), truth)


def test_the_command_subagents_goes_on_with_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_EVERY", 0.0)
    mixed_menus().to_dataframe().to_csv("menus.csv", index=False)
    call = ["subagents", "menus.csv", "--out", "here"]
    with monkeypatch.context() as patch:
        stop_after(patch, rationales, "_coloured", 2)
        stopped = CliRunner().invoke(app, call)
    assert stopped.exit_code == 130
    assert "--resume" in stopped.output
    assert CliRunner().invoke(app, call).exit_code != 0  # unfinished work is not overwritten
    done = CliRunner().invoke(app, [*call, "--resume"])
    assert done.exit_code == 0, done.output
    assert not Path("here/checkpoint").exists()
    named = CliRunner().invoke(app, [*call, "--checkpoint", "mine"])
    assert named.exit_code == 0, named.output
    assert Path("mine/choices.pt").is_file()
