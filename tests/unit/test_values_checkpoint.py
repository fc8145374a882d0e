"""Ledgers and arrangements that are interrupted go on to the same answer, and take up nobody else's work."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_values_input import PROBLEM
from typer.testing import CliRunner, Result

import pindown
import pindown.engine.checkpoint as engine
import pindown.values.arrangements as arranging
import pindown.values.ledger as accounting
import pindown.values.trials as trials
from pindown import CheckpointError, ValueProblem
from pindown.cli.app import app
from pindown.values.arranging import Oracle
from pindown.values.choice_sources import Comparisons
from pindown.values.coupling import Blocks, CoupledBlocks
from pindown.values.plans import Plans
from pindown.values.priors import Hypotheses, LinearValues
from pindown.values.reading_sources import Labels
from pindown.values.refuting_regions import coupled_problem

pytestmark = pytest.mark.usefixtures("own_folder")
BARE: dict[str, Any] = {
    "levels": [0, 4],
    "episodes": 20,
    "sharing": (),
    "tails": (),
    "shortlists": (),
    "regions": False,
}


class Stop(Exception):
    pass


@pytest.fixture
def every_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every save is due."""
    clock = iter(range(0, 10**9, 10))
    monkeypatch.setattr(engine.time, "monotonic", lambda: next(clock))


def stop_at(text: str, share: float = 0.0) -> Callable[[float, str], None]:
    def tell(done: float, doing: str) -> None:
        if doing.startswith(text) and done >= share:
            raise Stop

    return tell


def plain(found: Any) -> dict[str, Any]:
    record = found.to_dict()
    record.pop("seconds")
    return record


def moving() -> tuple[ValueProblem, list[tuple[str, int, int]]]:
    """Particles of a continuous prior, which are resampled and moved on the way, and two sources."""
    table = np.random.default_rng(0).normal(size=(6, 2))
    sources = [Comparisons(rationality=3.0, name="a"), Labels(flip=0.2, name="b")]
    w = np.array([0.8, -0.6])
    answers = [("a", q, int(table[j] @ w > table[i] @ w)) for q, (i, j) in enumerate(combinations(range(6), 2))]
    told = [*answers, *answers[:8], ("b", 0, 1), ("b", 3, 0)]
    return ValueProblem(table, LinearValues(2, "sphere", particles=200), 0.3, sources), told


def finite() -> tuple[ValueProblem, list[tuple[str, int, int]]]:
    """Hypotheses of which answers rule some out."""
    values = np.random.default_rng(1).normal(size=(20, 4))
    problem = ValueProblem(Plans(4), Hypotheses(values), 0.2, [Comparisons(name="a"), Labels(flip=0.1, name="b")])
    best = values[3]
    pairs = list(combinations(range(4), 2))
    return problem, [("a", q, int(best[j] > best[i])) for q, (i, j) in enumerate(pairs[:4])] + [
        ("b", 1, 1),
        ("b", 2, 0),
    ]


@pytest.mark.parametrize("make", [moving, finite])
@pytest.mark.parametrize(("text", "share"), [("expected", 0.0), ("answers", 0.6), ("answers", 0.7), ("the next", 0.0)])
def test_an_interrupted_ledger_goes_on_to_the_same(
    make: Any, text: str, share: float, every_save: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, answers = make()
    whole = pindown.ledger(problem, answers, seed=2)
    with pytest.raises(Stop):
        pindown.ledger(problem, answers, 2, checkpoint="kept", progress=stop_at(text, share))
    seen: list[tuple[str, float]] = []
    if text != "expected":  # what was done is not done again

        def again(*_: Any) -> None:
            raise AssertionError

        monkeypatch.setattr(accounting, "required_bits", again)
        monkeypatch.setattr(accounting, "information_chain", again)
    resumed = pindown.ledger(problem, answers, 2, checkpoint="kept", progress=lambda x, t: seen.append((t, x)))
    assert plain(resumed) == plain(whole)
    taken = sum(t == "answers" for t, _ in seen) - 1  # the first tells only that answers come next
    if text == "the next":
        assert taken == 0
    elif share == 0.7:
        assert 0 < taken < len(answers)


def test_a_ledgers_work_is_not_taken_up_for_another(every_save: None) -> None:
    problem, answers = finite()
    pindown.ledger(problem, answers, checkpoint="kept")
    for other in (answers[:-1], [*answers[:-1], ("b", 2, 1)]):
        with pytest.raises(CheckpointError, match="another measurement"):
            pindown.ledger(problem, other, checkpoint="kept")
    with pytest.raises(CheckpointError, match="another measurement"):
        pindown.ledger(problem, answers, seed=1, checkpoint="kept")
    Path("kept/ledger.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="damaged"):
        pindown.ledger(problem, answers, checkpoint="kept")


def test_problems_that_differ_in_a_late_question_alone_are_told_apart() -> None:
    values = np.random.default_rng(1).normal(size=(20, 30))
    pairs = [[i, i + 1] for i in range(29)]
    for k, last in enumerate([[27, 28], [27, 29]]):
        problem = ValueProblem(30, values, 0.2, [Comparisons([*pairs, last], flip=0.1)])
        if k == 0:
            pindown.ledger(problem, checkpoint="kept")
        else:
            with pytest.raises(CheckpointError, match="another measurement"):
                pindown.ledger(problem, checkpoint="kept")


def small() -> ValueProblem:
    table = np.random.default_rng(0).normal(size=(8, 2))
    return ValueProblem(table, LinearValues(2, particles=60), 0.2, [Comparisons(flip=0.1)])


@pytest.mark.parametrize("text", ["sweep: shortlist", "region: split"])
def test_sweeps_and_regions_are_kept(text: str, every_save: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arranging, "_REGION_EPISODES", 20)
    options: dict[str, Any] = {
        "levels": [0, 4], "episodes": 20, "sharing": [0.5], "tails": [1.0], "shortlists": [2], "regions": True,
    }  # fmt: skip
    whole = pindown.arrangements(small(), [Oracle(3)], **options)
    played: list[int] = []
    play = trials._play

    def counted(*given: Any) -> None:
        played.append(1)
        play(*given)

    monkeypatch.setattr(trials, "_play", counted)
    with pytest.raises(Stop):
        pindown.arrangements(small(), [Oracle(3)], **options, checkpoint="kept", progress=stop_at(text))
    first = len(played)
    resumed = pindown.arrangements(small(), [Oracle(3)], **options, checkpoint="kept")
    second = len(played) - first
    assert plain(resumed) == plain(whole)
    played.clear()
    finished = pindown.arrangements(small(), [Oracle(3)], **options, checkpoint="kept")
    assert plain(finished) == plain(whole)
    probe = len(played)  # what tells the arrangements apart, played at every start
    assert first + second == len(list(Path("kept").glob("*.pt"))) + 2 * probe  # each part was played once
    assert probe == 1


def test_arrangements_of_one_name_are_told_apart() -> None:
    pindown.arrangements(small(), [Oracle(3)], **BARE, checkpoint="kept")
    with pytest.raises(CheckpointError, match="another measurement"):
        pindown.arrangements(small(), [Oracle(6)], **BARE, checkpoint="kept")


def test_minding_runs_from_all_minding_all_to_each_its_own() -> None:
    """With the factor 1 blocks go by the whole value, as without owners; with 0 by their own parts alone."""
    problem, grid = coupled_problem(4, 2.0, particles=100), Blocks.grid(2, 2, 2, 2)
    owners = np.r_[np.arange(4), [0, 0, 0, 1, 1, 2]]
    common, own = CoupledBlocks(grid, name="common"), CoupledBlocks(grid, owners)
    found = pindown.arrangements(problem, [common, own], **{**BARE, "levels": [0, 20]}, minding=[1.0, 0.5, 0.0])
    (sweep,) = found.sweeps
    assert (sweep.name, [p.setting for p in sweep.points]) == ("minding", [1.0, 0.5, 0.0])
    for name, point in (("common", sweep.points[0]), ("coupled blocks", sweep.points[2])):
        assert point.excess.value == pytest.approx(found.line(name).cells[-1].excess.value, abs=1e-9)
    assert abs(sweep.points[0].excess.value - sweep.points[2].excess.value) > 0.1  # the control
    apart = pindown.arrangements(
        coupled_problem(4, 0.0, particles=60), [own], **{**BARE, "levels": [0, 8]}, minding=[1.0, 0.0]
    )
    assert [p.excess.value for p in apart.sweeps[0].points] == [0.0, 0.0]  # separable: nobody has to mind
    assert pindown.arrangements(problem, [common], **BARE).sweeps == ()  # without owners there are no parts to mind


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_the_ledgers_command_says_how_to_go_on_and_does(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.toml").write_text(PROBLEM, encoding="utf-8")
    assert run("values", "p.toml", "--resume").exit_code == CheckpointError.exit_code
    with monkeypatch.context() as patched:
        patched.setattr(accounting, "_lines", interrupted)
        done = run("values", "p.toml", "--out", "here")
    assert done.exit_code == 130
    assert "--resume" in done.stderr
    assert Path("here/checkpoint/ledger.pt").exists()
    assert run("values", "p.toml", "--out", "here").exit_code == CheckpointError.exit_code
    assert run("values", "p.toml", "--out", "here", "--resume").exit_code == 0
    assert not Path("here/checkpoint").exists()
    named = run("values", "p.toml", "--out", "there", "--checkpoint", "kept")
    assert named.exit_code == 0, named.output
    assert Path("kept/ledger.pt").exists(), "a folder that the user named stays"
    records = [json.loads(Path(f"{x}/values.json").read_text(encoding="utf-8")) for x in ("here", "there")]
    for record in records:
        record.pop("seconds")
    assert records[0] == records[1]


def test_the_arrangements_command_says_how_to_go_on_and_does(monkeypatch: pytest.MonkeyPatch) -> None:
    table = '\n[arrangements]\nlevels = [2]\nepisodes = 20\ntranscript = "drawn"\nregions = false\nsharing = [0.5]\n'
    Path("p.toml").write_text(PROBLEM + table + "tails = []\nshortlists = []\n", encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(arranging, "lock_and_key", interrupted)
        done = run("values", "arrangements", "p.toml", "--out", "here")
    assert done.exit_code == 130
    assert "--resume" in done.stderr
    kept = {p.stem for p in Path("here/checkpoint-arrangements").glob("*.pt")}
    assert {"arrangements", "sweep-sharing-1-both"} <= kept
    assert run("values", "p.toml", "--out", "here").exit_code == 0, "the ledger's own work lies elsewhere"
    assert run("values", "arrangements", "p.toml", "--out", "here").exit_code == CheckpointError.exit_code
    played: list[int] = []
    play = trials._play
    monkeypatch.setattr(trials, "_play", lambda *given: (played.append(1), play(*given))[1])
    assert run("values", "arrangements", "p.toml", "--out", "here", "--resume").exit_code == 0
    assert len(played) == 1  # what tells the arrangements apart
    assert not Path("here/checkpoint-arrangements").exists()
    record = json.loads(Path("here/arrangements.json").read_text(encoding="utf-8"))
    assert [s["name"] for s in record["sweeps"]] == ["sharing"]
