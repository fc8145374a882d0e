"""Every measure of one network on every kind of module: figures, records, no trace. Bit planes have their own file."""

from __future__ import annotations

import json

import pytest
import torch
from network_measures import MEASURES, figures
from network_snapshot import Snapshot, prepared
from network_zoo import ZOO, Case
from torch import Tensor, nn

import pindown
from pindown.network.subject import Subject

DEAR = {"bridge", "learning coefficient"}
"""Seconds each: by default on one module."""
DEAR_ON = {"perceptron"}
ALL = [
    pytest.param(
        case, measure, id=f"{case.name}-{measure}".replace(" ", "-"),
        marks=[pytest.mark.slow] if measure in DEAR and case.name not in DEAR_ON else [],
    )
    for case in ZOO
    for measure in MEASURES
]  # fmt: skip


@pytest.mark.parametrize(("case", "measure"), ALL)
def test_every_measure_of_every_module(case: Case, measure: str) -> None:
    """It runs, leaves no trace, says the same twice, and its record is plain JSON that comes back."""
    model, x, y = prepared(case)
    before = Snapshot(model)
    subject = Subject(model, "cross_entropy", (x, y), held_out=(x, y), prior=case.prior, batch_size=7)
    point = subject.solutions[0].point.clone()
    found = MEASURES[measure](subject)
    before.assert_same(model)
    assert torch.equal(subject.solutions[0].point, point)
    record = found.to_dict()
    again = type(found).from_dict(json.loads(json.dumps(record, allow_nan=False)))
    assert again.to_dict() == record
    assert again.summary() == found.summary()
    estimates = figures(record)
    assert estimates
    assert all(e.reference and e.unit for e in estimates)
    assert all(e.status.ok or e.status.message for e in estimates)
    assert len(found.to_dataframe())
    assert "<table" in found._repr_html_()
    if case.name not in ("perceptron", "lstm", "tied transformer") or measure in DEAR:
        return  # one of each path is enough to see that a seed decides
    second = MEASURES[measure](Subject(model, "cross_entropy", (x, y), held_out=(x, y), prior=case.prior, batch_size=7))
    timeless = {"seconds", "advantage"}
    assert {k: str(v) for k, v in second.to_dict().items() if k not in timeless} == {
        k: str(v) for k, v in record.items() if k not in timeless
    }


@pytest.mark.parametrize("measure", [m for m in MEASURES if m != "concentration"])
@pytest.mark.parametrize(
    "case",
    [c for c in ZOO if c.name in ("frozen part", "convolution", "lstm", "lightning")],
    ids=lambda c: c.name.replace(" ", "-"),
)
@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_a_measure_that_is_stopped_leaves_no_trace(case: Case, measure: str, raised: type[BaseException]) -> None:
    model, x, y = prepared(case)
    calls, limit = 0, 10**9

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > limit:
            raise raised("stop")
        return nn.functional.cross_entropy(outputs, targets, reduction="none")

    subject = Subject(model, loss, (x, y), held_out=(x, y), prior=case.prior, task="classification")
    before = Snapshot(model)
    state = {n: p.detach().clone() for n, p in subject.module.named_parameters()}
    calls, limit = 0, 0 if measure == "spectrum" else 3  # which asks for the loss once or twice
    if measure == "compare":
        with pytest.raises(raised):
            pindown.compare([subject, subject], measures=["training_loss", "noise_bits"], epsilon=0.1)
    else:
        with pytest.raises((raised, pindown.InputError)):
            MEASURES[measure](subject)
    before.assert_same(model)
    assert all(torch.equal(p, state[n]) for n, p in subject.module.named_parameters())


def test_tied_weights_count_once_and_frozen_ones_stay() -> None:
    for case in ZOO:
        if case.name not in ("tied transformer", "frozen part"):
            continue
        model, x, y = case.build()
        subject = Subject(model, "cross_entropy", (x, y), prior=case.prior)
        rows = pindown.concentration(subject, draws=2).tensors
        names = [r.name for r in rows]
        assert sum(r.weights for r in rows) == subject.space().dim
        if case.name == "frozen part":
            assert "0.weight" not in names
            assert subject.frozen == 30
        else:
            assert "embed.weight" in names
            assert "out.weight" not in names
            assert subject.space().shapes["embed.weight"] == (9, 8)
            assert subject.space().dim < sum(p.numel() for p in model.parameters())  # the padding row stays at zero


def test_globs_choose_tensors_by_their_full_names() -> None:
    case = next(c for c in ZOO if c.name == "tied transformer")
    model, x, y = case.build()
    subject = Subject(model, "cross_entropy", (x, y), include="block.*", exclude=["*bias", "block.norm?.*"])
    names = [r.name for r in pindown.concentration(subject, draws=2).tensors]
    assert names
    assert all(n.startswith("block.") and n.endswith("weight") and "norm" not in n for n in names)
    some = pindown.noise_tolerance(
        subject, epsilon=0.05, include="*linear?.weight", accuracy=0.4, draws=8, tensors=True
    ).tensors
    assert [r.name for r in some] == ["block.linear1.weight", "block.linear2.weight"]
    with pytest.raises(pindown.InputError, match="matches no parameter"):
        pindown.pruning(subject, epsilon=0.05, include="head.*")
