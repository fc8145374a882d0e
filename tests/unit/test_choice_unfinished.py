"""Unfinished work on choices: the same call goes on, another one is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import pindown
from pindown import Budgets, CheckpointError, Menus
from pindown.choices import covers, panel, unfinished
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


def test_a_folder_gives_the_same_answer_and_belongs_to_one_call() -> None:
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
