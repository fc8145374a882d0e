"""Pruning: what is reported, statuses, checkpoints, what is refused; channels where torch-pruning is there."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from network_zoo import ZOO
from torch import Tensor, nn

import pindown
from pindown.errors import CheckpointError, InputError
from pindown.estimate import Status
from pindown.network.pruning import plan_pruning, prunable_tensors
from pindown.network.pruning_search import first_crossing
from pindown.network.subject import Subject

needs_torch_pruning = pytest.mark.skipif(find_spec("torch_pruning") is None, reason="needs the extra prune")


def blobs(seed: int = 0, *, held_out: bool = True, hidden: int = 8, epochs: int = 80) -> Subject:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(60, 3, generator=g)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 3))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[:40]), y[:40]).backward()
        optimiser.step()
    held = {"held_out": (x[40:], y[40:])} if held_out else {}
    return Subject(model, "cross_entropy", (x[:40], y[:40]), name="blobs", **held)


def test_what_is_reported() -> None:
    subject = blobs()
    found = pindown.pruning(subject, epsilon=0.1, draws=4)
    assert found.weights == 48
    assert [t.name for t in found.tensors] == ["0.weight", "2.weight"]
    curve, control = found.curve, found.control
    assert control is not None
    assert found.advantage is not None
    assert sum(t.kept * t.weights for t in found.tensors) == pytest.approx(48 - curve.pruned)
    assert found.kept.value == pytest.approx(1 - curve.pruned / 48)
    assert curve.at is not None
    assert curve.at.rise.value <= 0.1
    by_hand = subject.solutions[0].point.clone()
    order = torch.cat([by_hand[:24].abs(), torch.full((8,), math.inf), by_hand[32:56].abs()]).argsort()
    by_hand[order[: curve.pruned]] = 0.0
    loss, base = subject.losses(torch.stack([by_hand, subject.solutions[0].point])).tolist()
    assert curve.at.rise.value == pytest.approx(loss - base, rel=1e-3, abs=1e-6)
    by_hand[order[curve.pruned]] = 0.0
    assert float(subject.losses(by_hand[None])) - base > 0.1
    points = curve.points
    assert points[0].kept == 1.0
    assert points[0].rise.value == 0.0
    assert points[-1].kept == 0.0
    assert points[-1].error is not None
    _, labels = subject.batches().items[0]
    guess = int(subject.solutions[0].point[56:].argmax())  # the biases alone say one class
    assert points[-1].error.value == pytest.approx(float((labels != guess).float().mean()))
    assert control.draws == 4
    assert found.advantage.value == pytest.approx(control.kept.value - curve.kept.value)
    assert np.std(curve.replicates, ddof=1) == pytest.approx(found.kept.stderr)
    assert {"order", "kept", "rise", "held_out_rise", "held_out_error"} <= set(found.to_dataframe().columns)


def test_each_tensor_gives_the_same_share_where_asked() -> None:
    found = pindown.pruning(blobs(), epsilon=0.1, scope="tensor", draws=0)
    assert abs(found.tensors[0].kept - found.tensors[1].kept) <= 1.5 / 24
    assert found.control is None
    assert found.advantage is None


def test_biases_and_norms_stay_unless_they_are_named() -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.Linear(8, 3))
    subject = Subject(model, "cross_entropy", (torch.randn(9, 3), torch.arange(9) % 3))
    assert prunable_tensors(subject.space()) == ["0.weight", "2.weight"]
    assert prunable_tensors(subject.space(), exclude="0.*") == ["2.weight"]
    assert prunable_tensors(subject.space(), include="*.bias") == ["0.bias", "1.bias", "2.bias"]


def test_nothing_to_prune_is_unsupported() -> None:
    """Only one-axis tensors move, or all weights are zero already."""
    x, y = torch.randn(9, 3), torch.arange(9) % 3
    only_bias = Subject(nn.Linear(3, 3), "cross_entropy", (x, y), include="bias")
    zeros = nn.Linear(3, 3)
    nn.init.zeros_(zeros.weight)
    for subject in (only_bias, Subject(zeros, "cross_entropy", (x, y))):
        found = pindown.pruning(subject, epsilon=0.1)
        assert found.kept.status is Status.UNSUPPORTED
        assert math.isnan(found.kept.value)
        assert found.advantage is None
        assert pindown.Pruning.from_dict(found.to_dict()).to_dict() == found.to_dict()


def test_weights_that_are_zero_already_go_first_and_cost_nothing() -> None:
    subject = blobs()
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        for p, v in zip(
            model.parameters(), subject.space().unflatten(subject.solutions[0].point).values(), strict=True
        ):
            p.copy_(v)
        small = model[0].weight.abs() < model[0].weight.abs().median()
        model[0].weight[small] = 0.0
    found = pindown.pruning(Subject(model, "cross_entropy", subject.batches().items[0]), epsilon=0.05, draws=0)
    assert found.curve.pruned >= int(small.sum())
    assert all(p.rise.value == 0.0 for p in found.curve.points if p.pruned <= int(small.sum()))


def test_a_loss_that_becomes_infinite_is_a_result() -> None:
    class Inverse(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) / self.weight.abs().min()

    model = Inverse(3, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.5]]))
    x = torch.eye(3)
    found = pindown.pruning(Subject(model, "mse", (x, model(x).detach()), prior="lecun"), epsilon=0.1, draws=0)
    assert found.curve.pruned == 0
    assert found.kept.kind == "lower_bound"
    assert found.curve.points[-1].rise.status is Status.NON_FINITE


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    straight = pindown.pruning(blobs(), epsilon=0.1, draws=3, seed=2)
    shares: list[float] = []

    def stop(share: float, text: str) -> None:
        shares.append(share)
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pindown.pruning(blobs(), epsilon=0.1, draws=3, seed=2, checkpoint=tmp_path, progress=stop)
    assert shares == sorted(shares)
    resumed = pindown.pruning(blobs(), epsilon=0.1, draws=3, seed=2, checkpoint=tmp_path)
    assert resumed.evaluations < straight.evaluations
    timeless = {"seconds", "evaluations"}
    a, b = ({k: v for k, v in f.to_dict().items() if k not in timeless} for f in (straight, resumed))
    assert a == b
    with pytest.raises(CheckpointError, match="another measurement"):
        pindown.pruning(blobs(), epsilon=0.1, draws=3, seed=2, scope="tensor", checkpoint=tmp_path)


def test_several_solutions_and_weights_of_ones_own() -> None:
    subject, other = blobs(), blobs(1)
    point = other.solutions[0].point
    a = pindown.pruning(subject, epsilon=0.1, draws=0, solution=pindown.network.subject.Solution("other", point))
    assert a.baseline.value == pytest.approx(float(subject.losses(point[None])))
    assert a.baseline.value != pytest.approx(pindown.pruning(subject, epsilon=0.1, draws=0).baseline.value)


def test_a_plan_says_what_it_takes() -> None:
    plan = plan_pruning(blobs(), draws=8)
    assert plan.evaluations > plan_pruning(blobs(), draws=0).evaluations
    assert plan_pruning(blobs(), order="saliency").seconds > 0
    assert "pruning of blobs" in str(plan)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": -1.0}, "epsilon -1.0"),
        ({"epsilon": 0.1, "order": "size"}, "order 'size'"),
        ({"epsilon": 0.1, "scope": "layer"}, "scope 'layer'"),
        ({"epsilon": 0.1, "draws": 1}, "no interval"),
        ({"epsilon": 0.1, "exclude": "no*"}, "matches no parameter"),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pindown.pruning(blobs(), **options)


def test_the_first_crossing_counts() -> None:
    kept, rise = np.array([1.0, 0.8, 0.6, 0.4]), np.array([0.0, 2.0, 0.5, 3.0])
    assert first_crossing(kept, rise, 1.0) == pytest.approx(0.9)
    assert first_crossing(kept, rise, 5.0) == 0.4
    assert first_crossing(kept, np.array([2.0, 2.0, 2.0, 2.0]), 1.0) == 1.0


def test_without_torch_pruning_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(InputError, match=r"pindown\[prune\]"):
        pindown.pruning(blobs(), epsilon=0.1, structured=True)


@needs_torch_pruning
def test_channels_that_do_nothing_go_and_those_that_do_stay() -> None:
    """Planted: 5 of 12 hidden units have an effect. Exactly the other 7 can go; the output layer keeps its units."""
    g = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
        model[2].weight[:, 5:] *= 1e-4
        model[0].weight[5:] *= 1e-4
        model[0].bias[5:] = 0.0
    x = torch.randn(80, 4, generator=g)
    subject = Subject(model, "mse", (x, model(x).detach()), prior="he")
    for order in ("magnitude", "saliency"):
        found = pindown.pruning(subject, epsilon=0.02, order=order, structured=True, draws=3)
        assert found.curve.pruned == 7
        assert found.curve.units == 11
        assert [(t.name, t.weights) for t in found.tensors] == [("0 (channels)", 12)]
        left = 4 * 5 + 5 + 5 * 3 + 3
        assert found.kept.value == pytest.approx(left / (4 * 12 + 12 + 12 * 3 + 3))
        assert found.advantage is not None
        assert found.advantage.value > 0.2
        assert found.curve.at is not None
        assert found.curve.at.rise.value < 1e-4


@needs_torch_pruning
def test_channels_through_batch_norm_and_flatten() -> None:
    """Dependencies: a channel of a convolution takes its batch norm and its inputs of the linear layer along."""
    g = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(2, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 4, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16, 3),
        )
    x = torch.randn(30, 2, 6, 6, generator=g)
    with torch.no_grad():
        y = model.eval()(x).argmax(1)
    before = [p.detach().clone() for p in model.parameters()]
    found = pindown.pruning(Subject(model, "cross_entropy", (x, y)), epsilon=0.5, structured=True, draws=2)
    assert {t.name for t in found.tensors} == {"0 (channels)", "3 (channels)"}
    assert found.unsupported == ()
    assert found.curve.units == 5 + 3
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    last = found.curve.points[-1]
    # one channel each: 2·9 + 1, batch norm 2, 9 + 1, 4·3 + 3
    total = (2 * 9 * 6 + 6) + 12 + (6 * 9 * 4 + 4) + (16 * 3 + 3)
    assert last.kept == pytest.approx((19 + 2 + 10 + 15) / total)


class Attentive(nn.Module):
    """One head of attention written out in linear layers, then a feed-forward layer."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, width, bias=False) for _ in range(3))
        self.out, self.head = nn.Linear(width, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        weights = torch.softmax(q @ k.transpose(1, 2), -1)
        return self.head(torch.tanh(self.out(weights @ v)).mean(1))


@needs_torch_pruning
def test_channels_of_attention_that_do_nothing_go() -> None:
    """Planted: two of six channels of queries, keys and values, and three of eight units behind them, do nothing.

    Whether values go with queries and keys is for the graph to say; each group has to lose its two.
    """
    g = torch.Generator().manual_seed(0)
    model = Attentive()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
        for layer in (model.q, model.k, model.v):
            layer.weight[4:] *= 1e-5
        model.out.weight[:, 4:] *= 1e-5
        model.out.weight[5:] *= 1e-5
        model.out.bias[5:] = 0.0
        model.head.weight[:, 5:] *= 1e-5
    x = torch.randn(40, 3, 4, generator=g)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    subject = Subject(model, "mse", (x, model(x).detach()), prior="he")
    found = pindown.pruning(subject, epsilon=0.01, structured=True, draws=2)
    assert found.unsupported == ()
    lost = {t.name.removesuffix(" (channels)"): round(t.weights * (1.0 - t.kept)) for t in found.tensors}
    assert lost.pop("out") == 3
    assert lost
    assert set(lost) <= {"q", "k", "v"}
    assert set(lost.values()) == {2}
    assert found.curve.at is not None
    assert found.curve.at.rise.value < 1e-6
    assert found.control is not None
    assert found.control.pruned < found.curve.pruned  # control: an order that knows nothing
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())


@needs_torch_pruning
def test_attention_that_cannot_lose_channels_is_unsupported_or_keeps_its_function() -> None:
    """nn.MultiheadAttention: what is pruned is measured, what cannot be is named, and nothing is changed."""
    case = next(c for c in ZOO if c.name == "attention used twice")
    model, x, y = case.build()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    found = pindown.pruning(Subject(model, "cross_entropy", (x, y)), epsilon=0.05, structured=True, draws=0)
    named = [t.name.removesuffix(" (channels)") for t in found.tensors]
    assert named or found.unsupported
    assert not any(n in u for n in named for u in found.unsupported if u.startswith(f"{n}:"))
    assert found.kept.status in (Status.REACHED, Status.OUT_OF_RANGE, Status.UNSUPPORTED)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
