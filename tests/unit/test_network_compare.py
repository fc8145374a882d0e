"""Comparisons: pairing, runs, outcomes, measures by name and of one's own, what is refused."""

from __future__ import annotations

import importlib.util
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pindown
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Estimate, Status
from pindown.network.compare import Reading
from pindown.network.compare_measures import DEFAULT, known_measures, paired_difference
from pindown.network.subject import Solution, Subject

G = torch.Generator().manual_seed(0)
X = torch.randn(300, 3, generator=G)
Y = X.sum(1, keepdim=True) + 2.0 * torch.randn(300, 1, generator=G)


def line(weight: float, name: str, x: torch.Tensor = X, y: torch.Tensor = Y, **options) -> Subject:
    model = nn.Linear(3, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return Subject(model, "mse", (x, y), name=name, prior="lecun", **options)


def classifier(
    seed: int, name: str, *, runs: int = 1, hidden: int = 6, seeds: tuple[int, ...] | None = None
) -> Subject:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(90, 3, generator=g)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()

    def train(run: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run)
            model = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 3))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[:60]), y[:60]).backward()
            optimiser.step()
        return model

    subject = Subject(train(seed), "cross_entropy", (x[:60], y[:60]), held_out=(x[60:], y[60:]), name=name)
    if runs == 1:
        return subject
    numbers = seeds or tuple(range(runs))
    return subject.with_solutions(
        [Solution(f"run {i}", subject.space().flatten(train(seed + i)), seed=i) for i in numbers]
    )


def test_pairing_over_examples_is_narrower_and_right() -> None:
    """The difference of two losses on the same noisy labels: its error is that of the differences, by hand."""
    a, b = line(1.0, "a"), line(1.05, "b")
    row = pindown.compare([a, b], measures=["training_loss"], epsilon=0.1).measure("training_loss")
    d = row.differences[0]
    each = ((X * 1.05).sum(1, keepdim=True) - Y).square() - (X.sum(1, keepdim=True) - Y).square()
    assert d.difference.value == pytest.approx(float(each.mean()), rel=1e-4)
    assert d.difference.stderr == pytest.approx(float(each.std()) / math.sqrt(300), rel=1e-4)
    assert d.paired == "examples"
    apart = math.hypot(row.figures[0].stderr, row.figures[1].stderr)
    assert d.difference.stderr < 0.2 * apart


def test_other_examples_are_not_paired() -> None:
    row = pindown.compare(
        [line(1.0, "a"), line(1.05, "b", X.flip(0) + 1e-3, Y.flip(0))], measures=["training_loss"], epsilon=0.1
    ).measure("training_loss")
    assert row.differences[0].paired == ""
    assert row.differences[0].difference.stderr == pytest.approx(
        math.hypot(row.figures[0].stderr, row.figures[1].stderr)
    )


def test_a_false_pairing_would_be_seen() -> None:
    """Negative control: units in another order do not have the error that the pairing claims."""
    g = np.random.default_rng(0)
    shared = g.normal(0, 1, 400)
    a = Reading(Estimate(0.0, 0.05, "1"), tuple(shared), units="examples x")
    b = Reading(Estimate(0.0, 0.05, "1"), tuple(shared + 0.1 * g.normal(0, 1, 400)), units="examples x")
    shuffled = Reading(b.estimate, tuple(g.permutation(b.influence)), units="examples x")
    tight, over = paired_difference(a, b)
    assert over == "examples"
    assert tight.stderr == pytest.approx(0.1 / 20, rel=0.15)
    assert paired_difference(a, shuffled)[0].stderr > 10 * tight.stderr


def test_draws_of_unequal_number_are_paired_where_both_have_them() -> None:
    """Simulated: 100 and 150 draws of which 100 are shared; the stated variance is that of the difference."""
    g = np.random.default_rng(1)
    differences, stated = [], []
    for _ in range(1500):
        common = g.normal(0, 1, 150)
        x, y = common[:100] + 0.5 * g.normal(0, 1, 100), common + 0.5 * g.normal(0, 1, 150)
        a, b = (
            Reading(
                Estimate(float(v.mean()), float(v.std(ddof=1)) / math.sqrt(len(v)), "1"),
                tuple(v - v.mean()),
                units="draws",
            )
            for v in (x, y)
        )
        d, over = paired_difference(a, b)
        assert over == "draws"
        differences.append(d.value)
        stated.append(d.stderr)
    assert math.sqrt(np.mean(np.square(stated))) == pytest.approx(float(np.std(differences)), rel=0.08)


def test_all_default_measures_and_the_record() -> None:
    found = pindown.compare([classifier(0, "one"), classifier(1, "two")], seed=3)
    assert tuple(m.name for m in found.measures) == DEFAULT
    assert found.epsilon == 0.1
    assert found.skipped == ()
    paired = {m.name: m.differences[0].paired for m in found.measures}
    assert paired["held_out_loss"] == paired["pruning_kept"] == "examples"
    assert paired["noise_bits"] == "draws"
    assert paired["gini"] == ""
    assert found.measure("gini").differences[0].difference.kind == "exact"
    assert found.level == pytest.approx(1 - 0.05 / len(DEFAULT))
    notes = " ".join(found.notes)
    assert "another training run" in notes
    assert "gini, participation, noise_bits, pruning_kept, water_filling_bits are figures of the weights" in notes
    assert pindown.NetworkComparison.from_dict(found.to_dict()) == found
    frame = found.to_dataframe()
    assert len(frame) == 2 * len(DEFAULT)
    assert "two minus one" in found.summary()
    with pytest.raises(CheckpointError):
        pindown.NetworkComparison.from_dict({**found.to_dict(), "measures": None})


def test_rescaled_units_move_figures_of_the_weights_and_none_of_the_function() -> None:
    """Dinh et al. 2017: the same function by other weights. What is marked as of the function does not differ."""
    one = classifier(0, "plain", hidden=10)
    model = nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(10, 3))
    scale = torch.logspace(-1, 1, 10)
    with torch.no_grad():
        for p, v in zip(model.parameters(), one.space().unflatten(one.solutions[0].point).values(), strict=True):
            p.copy_(v)
        model[0].weight.mul_(scale[:, None])
        model[0].bias.mul_(scale)
        model[2].weight.div_(scale)
    data, held_out = one.batches().items[0], one.batches(held_out=True).items[0]
    other = Subject(model, "cross_entropy", data, held_out=held_out, name="rescaled")
    found = pindown.compare([one, other], seed=5)
    for m in found.measures:
        d = m.differences[0].difference
        if m.level == "function":
            assert d.value == pytest.approx(0.0, abs=2e-3), m.name
        elif m.name not in ("water_filling_bits", "pruning_kept"):
            assert m.differences[0].outcome in ("above", "below"), m.name
        assert d.status.ok
    assert found.measure("pruning_kept").differences[0].difference.value != 0.0


def test_the_same_network_twice_differs_by_nothing() -> None:
    """Paired differences are exactly zero; two copies get names that differ."""
    one = classifier(0, "same")
    found = pindown.compare([one, one], measures=["training_loss", "noise_bits", "pruning_kept"])
    assert [n.name for n in found.networks] == ["same", "same (2)"]
    for m in found.measures:
        d = m.differences[0]
        assert d.difference.value == 0.0
        assert d.difference.stderr == pytest.approx(0.0, abs=1e-7)
        assert d.outcome == "not resolved"


def test_several_runs_count_runs() -> None:
    a, b = classifier(0, "a", runs=4), classifier(20, "b", runs=4, hidden=10)
    found = pindown.compare([a, b], measures=["held_out_loss", "gini"])
    for m in found.measures:
        values = np.array([[e.value for e in runs] for runs in m.single])
        for i in range(2):
            assert m.figures[i].value == pytest.approx(values[i].mean())
            assert m.figures[i].stderr == pytest.approx(values[i].std(ddof=1) / 2)
        d = values[1] - values[0]
        assert m.differences[0].paired == "runs"
        assert m.differences[0].difference.stderr == pytest.approx(d.std(ddof=1) / 2)
        assert m.differences[0].difference.dof == 3
    assert not any("another training run" in n for n in found.notes)
    assert any("differ in size" in n for n in found.notes)
    # other seeds: nothing to pair
    c = classifier(20, "c", runs=4, hidden=10, seeds=(4, 5, 6, 7))
    m = pindown.compare([a, c], measures=["gini"]).measures[0]
    assert m.differences[0].paired == ""
    assert m.differences[0].difference.stderr == pytest.approx(math.hypot(m.figures[0].stderr, m.figures[1].stderr))


def test_one_subject_compares_its_solutions() -> None:
    found = pindown.compare(classifier(0, "a", runs=3), measures=["training_loss"])
    assert [n.name for n in found.networks] == ["run 0", "run 1", "run 2"]
    assert [d.against for d in found.measures[0].differences] == ["run 0", "run 0"]
    assert found.level == pytest.approx(1 - 0.05 / 2)


def test_outcomes_follow_the_interval() -> None:
    """A planted effect that is resolved, on the right side, and none that is not."""
    calls: list[tuple[str, int]] = []

    def planted(subject: Subject, seed: int) -> Estimate:
        calls.append((subject.name, seed))
        return Estimate({"a": 1.0, "b": 2.0, "c": 0.9}[subject.name], 0.1, "1", reference="x")

    found = pindown.compare([line(1, "a"), line(1, "b"), line(1, "c")], measures={"mine": planted}, epsilon=1.0)
    assert [d.outcome for d in found.measures[0].differences] == ["above", "not resolved"]
    assert found.measures[0].level == "unknown"
    assert len({seed for _, seed in calls}) == 1  # the same probes for all


def test_a_failed_measure_is_shown_and_not_resolved() -> None:
    def sometimes(subject: Subject, seed: int) -> Estimate:
        bad = subject.name == "b"
        return Estimate(5.0, 0.1, "1", status=Status.NOT_CONVERGED if bad else Status.REACHED, reference="x")

    found = pindown.compare([line(1, "a"), line(1, "b")], measures={"mine": sometimes}, epsilon=1.0)
    assert found.measures[0].differences[0].outcome == "not resolved"
    assert found.measures[0].figures[1].status is Status.NOT_CONVERGED
    assert any("mine is not converged" in n for n in found.notes)

    def bound(subject: Subject, seed: int) -> Estimate:
        return Estimate(5.0, 0.0, "1", "lower_bound" if subject.name == "b" else "estimate", reference="x")

    d = pindown.compare([line(1, "a"), line(1, "b")], measures={"m": bound}, epsilon=1.0).measures[0].differences[0]
    assert math.isnan(d.difference.stderr)
    assert d.outcome == "not resolved"


def test_one_run_that_failed_spoils_the_mean_of_its_runs() -> None:
    """A run is not left out: that would compare only the networks that were easy to measure."""

    def second_fails(subject: Subject, seed: int) -> Estimate:
        bad = subject.solutions[0].name == "run 1"
        return Estimate(1.0, 0.1, "1", status=Status.NOT_CONVERGED if bad else Status.REACHED, reference="x")

    a, b = classifier(0, "a", runs=3), classifier(5, "b", runs=3)
    m = pindown.compare([a, b], measures={"m": second_fails}).measures[0]
    assert all(e.status is Status.NOT_CONVERGED and math.isnan(e.stderr) for e in m.figures)
    assert m.differences[0].outcome == "not resolved"


def test_measures_that_do_not_apply_are_left_out_and_said() -> None:
    found = pindown.compare(
        [line(1, "a"), line(2, "b")], epsilon=0.5, measures=["training_error", "gini", "held_out_loss"]
    )
    assert [m.name for m in found.measures] == ["gini"]
    assert len(found.skipped) == 2
    assert "training_error: not every network has classes" in found.skipped


def test_a_measure_whose_module_arrives_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a module that is not there yet: it is listed, called with the seed, and its figure is taken."""
    name = "pindown.network.spectrum"
    fake = types.ModuleType(name)
    fake.__spec__ = importlib.util.spec_from_loader(name, loader=None)

    def spectrum(subject: Subject, *, seed: int, checkpoint: Path | None):
        return types.SimpleNamespace(trace=Estimate(float(seed % 7), 0.0, "1", "exact", reference="x"), effective=None)

    fake.spectrum = spectrum  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, fake)
    assert "hessian_trace" in known_measures()
    found = pindown.compare([line(1, "a"), line(1, "b")], measures=["hessian_trace"], epsilon=1.0)
    assert found.measures[0].figures[0] == found.measures[0].figures[1]


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    pair = [classifier(0, "one"), classifier(1, "two")]
    options = {"measures": ["noise_bits", "pruning_kept", "water_filling_bits"], "seed": 1}
    straight = pindown.compare(pair, **options)

    def stop(share: float, text: str) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pindown.compare(pair, checkpoint=tmp_path, progress=stop, **options)
    assert list(tmp_path.rglob("*.pt"))
    resumed = pindown.compare(pair, checkpoint=tmp_path, **options)
    assert resumed.measures == straight.measures


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pindown.compare([line(1, "a")], epsilon=1.0), "one trained network"),
        (lambda: pindown.compare([line(1, "a"), classifier(0, "b")]), "networks with the losses"),
        (lambda: pindown.compare([line(1, "a"), line(2, "b")]), "without epsilon"),
        (lambda: pindown.compare([line(1, "a"), line(2, "b")], epsilon=-1.0), "epsilon -1.0"),
        (lambda: pindown.compare([line(1, "a"), line(2, "b")], epsilon=1.0, measures=["beauty"]), "'beauty'.*gini"),
        (lambda: pindown.compare([line(1, "a"), line(2, "b")], epsilon=1.0, measures=[]), "some of"),
        (
            lambda: pindown.compare([line(1, "a"), line(2, "b")], epsilon=1.0, measures={"m": lambda s, i: 3}),
            "returned int",
        ),
        (lambda: pindown.compare([3, 4]), "pindown.Subject"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
