"""Subjects: the objective against the module itself, error rates, margins, data, and what is refused."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_zoo import ZOO, Case
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from pindown.errors import CheckpointError, DataError, InputError
from pindown.network.heads import Margin
from pindown.network.subject import Solution, Subject
from pindown.spaces.network import Normal


def by_hand(model: nn.Module, subject: Subject, points: Tensor, loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and gradients one network at a time: weights written into the module, autograd through its own forward."""
    values, slopes = [], []
    model.eval()
    named = dict(model.named_parameters())
    for point in points:
        with torch.no_grad():
            for name, value in subject.space().unflatten(point).items():
                named[name].copy_(value)
        value = loss(model(x), y)
        grads = torch.autograd.grad(value, [named[n] for n in subject.space().names])
        values.append(value.detach())
        slopes.append(subject.space().flatten(dict(zip(subject.space().names, grads, strict=True))))
    return torch.stack(values), torch.stack(slopes)


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
@pytest.mark.parametrize("batch_size", [None, 5])
def test_the_objective_is_the_modules_own_loss(case: Case, batch_size: int | None, torch_rng: torch.Generator) -> None:
    model, x, y = case.build()
    subject = Subject(model, "cross_entropy", (x, y), batch_size=batch_size, prior=case.prior)
    assert subject.path == case.path
    points = subject.space().sample(4, rng=torch_rng)
    leaf = points.clone().requires_grad_(True)
    value = subject.objective()(leaf)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    wanted, wanted_slope = by_hand(model, subject, points, functional.cross_entropy, x, y)
    torch.testing.assert_close(value.detach(), wanted, rtol=1e-4, atol=1e-5)
    # sums of hundreds of float32 terms in another order
    torch.testing.assert_close(slope, wanted_slope, rtol=1e-3, atol=2e-4 * float(wanted_slope.abs().max()))
    torch.testing.assert_close(subject.losses(points), wanted, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(subject.objective()(points), subject.losses(points))
    again = pickle.loads(pickle.dumps(subject.objective()))
    assert torch.equal(again(points), subject.losses(points))


@pytest.mark.parametrize("case", ZOO[:5], ids=lambda c: c.name)
def test_zero_margin_loss_is_zero_training_error(case: Case, torch_rng: torch.Generator) -> None:
    """Labels are set to what one draw predicts, so that both outcomes occur."""
    model, x, y = case.build()
    subject = Subject(model, "cross_entropy", (x, y), prior=case.prior)
    points = subject.space().sample(6, rng=torch_rng)
    outputs = subject._forward(points, x).detach()
    labels = outputs[2].argmax(1)
    subject = Subject(model, "cross_entropy", (x, labels), prior=case.prior)
    loss, errors = subject.margin_objective()(points), subject.errors(points)
    assert torch.equal(loss <= 0, errors == 0)
    assert loss[2] == 0
    assert int((loss > 0).sum()) >= 3
    own = outputs.gather(2, labels.expand(6, -1).unsqueeze(2)).squeeze(2)
    rest = outputs.scatter(2, labels.expand(6, -1).unsqueeze(2), -math.inf).amax(2)
    margin = (own - rest) / outputs.std(2, correction=0)
    short = margin.clamp(max=0).square().mean(1).sqrt()
    wanted = functional.softplus(-4 * margin).mean(1) * short / (short + 0.01)
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-6)
    batches = Subject(model, "cross_entropy", (x, labels), prior=case.prior, batch_size=5)
    torch.testing.assert_close(batches.margin_objective()(points), loss, rtol=1e-4, atol=1e-6)
    slopes = []
    for one in (subject, batches):
        leaf = points.clone().requires_grad_(True)
        slopes.append(torch.autograd.grad(one.margin_objective()(leaf).sum(), leaf)[0])
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-4 * float(slopes[0].abs().max()))
    assert float(slopes[0][2].abs().max()) == 0
    assert float(slopes[0][loss > 0].abs().amax(1).min()) > 0
    torch.testing.assert_close(errors, (own <= rest).double().mean(1))


@given(
    logits=st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=6),
    labels=st.lists(st.integers(0, 2), min_size=6, max_size=6),
)
def test_a_tie_counts_as_an_error(logits: list[list[int]], labels: list[int]) -> None:
    """Small whole logits tie often; both layouts agree, and zero means that every label is strictly ahead."""
    out = torch.tensor(logits, dtype=torch.float32).unsqueeze(0)
    y = torch.tensor(labels[: out.shape[1]])
    ahead = all(row[k] > max(v for j, v in enumerate(row) if j != k) for row, k in zip(logits, labels, strict=False))
    head = Margin()
    sums = head.sums(out, y)
    columns, slope = head.columns(out.transpose(1, 2).clone(), head.prepare(y, 3), torch.ones_like)
    assert slope is not None
    assert bool(head.value(sums, 6)[0] <= 0) == ahead == bool(head.value(columns, 6)[0] <= 0)
    torch.testing.assert_close(sums, columns)


def test_dead_networks_without_output_bias_are_wrong_not_right() -> None:
    """All logits zero: an argmax would call class 0, and count its examples as learned."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    subject = Subject(model, "cross_entropy", (torch.rand(4, 2), torch.zeros(4, dtype=torch.long)))
    dead = torch.zeros(1, subject.space().dim)
    assert float(subject.errors(dead)) == 1.0
    assert float(subject.margin_objective()(dead)) > 0


def test_outputs_that_are_not_numbers_count_as_wrong() -> None:
    model = nn.Linear(2, 2)
    subject = Subject(model, "cross_entropy", (torch.rand(4, 2), torch.tensor([0, 1, 0, 1])), prior="he")
    assert float(subject.errors(torch.full((1, 6), math.nan))) == 1.0


def test_regression_and_custom_losses(torch_rng: torch.Generator) -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(9, 3, generator=torch_rng)
    y = torch.randn(9, 2, generator=torch_rng)
    mse = Subject(model, "mse", (x, y), held_out=(x[:4], y[:4]))
    points = mse.space().sample(5, rng=torch_rng)
    wanted, _ = by_hand(model, mse, points, functional.mse_loss, x, y)
    torch.testing.assert_close(mse.losses(points), wanted)
    assert mse.task == "regression"
    assert mse.label_bits is None
    held, _ = by_hand(model, mse, points, functional.mse_loss, x[:4], y[:4])
    torch.testing.assert_close(mse.held_out_losses(points), held)
    with pytest.raises(InputError, match="error rates of a regression task"):
        mse.errors(points)

    def mean(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().mean()

    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().mean(1)

    def stubborn(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().mean() if float(outputs.detach().sum()) < math.inf else outputs.sum()

    # batches of 4, 4 and 1: a mean of batch means would be off
    for loss in (mean, each, stubborn):
        subject = Subject(model, loss, (x, y), batch_size=4)
        assert subject.task == "custom"
        torch.testing.assert_close(subject.losses(points), by_hand(model, subject, points, mean, x, y)[0])


def test_sequences_of_labels(torch_rng: torch.Generator) -> None:
    """Outputs (B, C, T): the mean is over all labels, and each label carries bits."""
    model = nn.Conv1d(2, 3, 3, padding=1)
    x, y = torch.randn(6, 2, 5, generator=torch_rng), torch.randint(0, 3, (6, 5), generator=torch_rng)
    subject = Subject(model, "cross_entropy", (x, y), batch_size=4)
    points = subject.space().sample(3, rng=torch_rng)
    torch.testing.assert_close(
        subject.losses(points), by_hand(model, subject, points, functional.cross_entropy, x, y)[0]
    )
    assert subject.label_bits is not None
    assert subject.label_bits.value == pytest.approx(30 * math.log2(3))
    assert subject.labels == 30
    assert subject.errors(points).shape == (3,)
    assert torch.equal(subject.margin_objective()(points) <= 0, subject.errors(points) == 0)


def test_forward_of_ones_own(torch_rng: torch.Generator) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 3), nn.Linear(4, 3)

        def forward(self, left: Tensor, *, right: Tensor) -> tuple[Tensor, str]:
            return self.a(left) + self.b(right), "extra"

    data = ((torch.randn(5, 2), torch.randn(5, 4)), torch.tensor([0, 1, 2, 0, 1]))
    subject = Subject(Two(), "cross_entropy", data, forward=lambda call, x: call(x[0], right=x[1])[0])
    assert subject.losses(subject.space().sample(2, rng=torch_rng)).shape == (2,)
    with pytest.raises(InputError, match="failed on its data"):
        Subject(Two(), "cross_entropy", data)
    with pytest.raises(InputError, match="returned tuple"):
        Subject(Two(), "cross_entropy", data, forward=lambda call, x: call(x[0], right=x[1]))


def test_kinds_of_data_give_the_same_loss(torch_rng: torch.Generator) -> None:
    model, x, y = nn.Linear(3, 4), torch.randn(10, 3, generator=torch_rng), torch.arange(10) % 4
    kinds = [
        (x, y),
        (x.numpy().astype(np.float64), y.numpy().astype(np.int32)),
        [x.tolist(), y.tolist()],
        TensorDataset(x, y),
        DataLoader(TensorDataset(x, y), batch_size=3),
        DataLoader(TensorDataset(x, y), batch_size=3, num_workers=0, drop_last=False),
    ]
    subjects = [Subject(model, "cross_entropy", data) for data in kinds]
    point = subjects[0].space().sample(3, rng=torch_rng)
    for subject in subjects:
        torch.testing.assert_close(subject.losses(point), subjects[0].losses(point), rtol=1e-5, atol=1e-6)
        assert subject.train_size == 10


def test_the_random_state_of_a_loader_comes_back() -> None:
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn(6, 2), torch.arange(6) % 2
    before = g.get_state().clone()
    with pytest.raises(DataError, match="other batches on a second reading"):
        Subject(nn.Linear(2, 2), "cross_entropy", DataLoader(TensorDataset(x, y), shuffle=True, generator=g))
    assert torch.equal(g.get_state(), before)


def test_trained_weights_are_its_first_solution() -> None:
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    data = (torch.randn(3, 2), torch.tensor([0, 1, 0]))
    point = torch.zeros(6)
    subject = Subject(model, "cross_entropy", data, solutions=[other, other.state_dict(), Solution("mine", point)])
    assert [s.name for s in subject.solutions] == ["weights as given", "run 1", "run 2", "mine"]
    assert torch.equal(subject.solutions[0].point, subject.space().flatten(model))
    assert torch.equal(subject.solutions[1].point, subject.space().flatten(other))
    assert [s.name for s in subject.with_solutions([other]).solutions] == ["run 0"]
    assert torch.equal(subject.with_model(other).solutions[0].point, subject.space().flatten(other))
    with pytest.raises(CheckpointError, match="missing bias"):
        Subject(model, "cross_entropy", data, solutions=[{"weight": torch.zeros(2, 2)}])
    with pytest.raises(InputError, match=r"wanted \(6,\)"):
        Subject(model, "cross_entropy", data, solutions=[Solution("short", torch.zeros(5))])


def test_notes_say_what_was_switched_off() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    data = (torch.randn(5, 2), torch.tensor([0, 1, 0, 1, 1]))
    notes = " ".join(Subject(model, "cross_entropy", data).notes)
    assert "BatchNorm1d in training mode: measured in evaluation mode" in notes
    assert "Dropout is off" in notes
    assert Subject(model.eval(), "cross_entropy", data).notes == []
    stateless = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2)).eval()
    assert "depend on how the data are batched" in " ".join(Subject(stateless, "cross_entropy", data).notes)


def test_a_network_without_gradient_says_so(torch_rng: torch.Generator) -> None:
    class Step(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.detach() > 0).to(x.dtype)

    model = nn.Sequential(nn.Linear(3, 2), Step())
    subject = Subject(model, "cross_entropy", (torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1])))
    assert "no gradient" in " ".join(subject.notes)
    x = subject.space().sample(3, rng=torch_rng).requires_grad_(True)
    assert not subject.objective()(x).requires_grad


class _Noisy(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.randn(len(x), self.out_features)


class _Overflowing(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return (super().forward(x) * 1e30) ** 3


X, Y = torch.zeros(4, 3), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (InputError, "a model of type", lambda: Subject(torch.relu, "cross_entropy", (X, Y))),
        (InputError, "without parameters", lambda: Subject(nn.ReLU(), "cross_entropy", (X, Y))),
        (InputError, "loss 'ce'", lambda: Subject(nn.Linear(3, 2), "ce", (X, Y))),
        (InputError, "a loss of type int", lambda: Subject(nn.Linear(3, 2), 3, (X, Y))),
        (InputError, "task 'cls'", lambda: Subject(nn.Linear(3, 2), "mse", (X, Y), task="cls")),
        (InputError, "failed on its data.*mat1", lambda: Subject(nn.Linear(5, 2), "cross_entropy", (X, Y))),
        (InputError, "not the same|differed by", lambda: Subject(_Noisy(3, 2), "cross_entropy", (X, Y))),
        (
            InputError,
            "the loss was (nan|inf) at 8 of 8 draws",
            lambda: Subject(_Overflowing(3, 2), "cross_entropy", (X + 1, Y)),
        ),
        (
            InputError,
            r"returned shape \(4, 2\); wanted a scalar",
            lambda: Subject(nn.Linear(3, 2), lambda o, t: o, (X, Y)),
        ),
        (InputError, "returned float", lambda: Subject(nn.Linear(3, 2), lambda o, t: 1.0, (X, Y))),
        (
            InputError,
            "failed on outputs of shape",
            lambda: Subject(nn.Linear(3, 2), lambda o, t: o @ t, (X, Y.float()[:, None])),
        ),
        (InputError, "max_norm", lambda: Subject(nn.Embedding(4, 2, max_norm=1.0), "cross_entropy", (Y, Y))),
        (DataError, "training data without any example", lambda: Subject(nn.Linear(3, 2), "mse", (X[:0], Y[:0]))),
        (
            DataError,
            "without any example",
            lambda: Subject(nn.Linear(3, 2), "mse", TensorDataset(X[:0], Y[:0])),
        ),
        (DataError, "with 4 inputs and 3 targets", lambda: Subject(nn.Linear(3, 2), "mse", (X, Y[:3]))),
        (DataError, "of type int", lambda: Subject(nn.Linear(3, 2), "mse", 7)),
        (DataError, "of type tuple of length 3", lambda: Subject(nn.Linear(3, 2), "mse", (X, Y, Y))),
        (DataError, "4 values that are NaN", lambda: Subject(nn.Linear(3, 2), "mse", (X / X.new_tensor([1, 1, 0]), Y))),
        (DataError, "inputs of type", lambda: Subject(nn.Linear(3, 2), "mse", (["a", object()], Y[:2]))),
        (DataError, "labels of type torch.float32", lambda: Subject(nn.Linear(3, 2), "cross_entropy", (X, Y.float()))),
        (DataError, "labels from 0 to 5 for 2 outputs", lambda: Subject(nn.Linear(3, 2), "cross_entropy", (X, Y * 5))),
        (
            DataError,
            "labels from -1 to 0",
            lambda: Subject(nn.Linear(3, 2), "cross_entropy", (X, Y), held_out=(X, Y - 1)),
        ),
        (DataError, "with two classes or more", lambda: Subject(nn.Linear(3, 1), "cross_entropy", (X, Y))),
        (DataError, "the same shape.*unsqueeze", lambda: Subject(nn.Linear(3, 1), "mse", (X, Y.float()))),
        (DataError, "regression targets of type", lambda: Subject(nn.Linear(3, 1), "mse", (X, Y[:, None]))),
        (DataError, "batch_size 0", lambda: Subject(nn.Linear(3, 2), "cross_entropy", (X, Y), batch_size=0)),
    ],
)
def test_refusals(error: type[Exception], message: str, make) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        make()


def test_questions_without_data_or_of_another_shape() -> None:
    subject = Subject(nn.Linear(3, 2), "cross_entropy", (torch.rand(4, 3), Y))
    with pytest.raises(DataError, match="held-out"):
        subject.held_out_errors(torch.zeros(1, 8))
    with pytest.raises(InputError, match=r"wanted \(N, 8\)"):
        subject.objective()(torch.zeros(1, 7))
    with pytest.raises(InputError, match="margin loss"):
        Subject(nn.Linear(3, 2), "mse", (X, torch.zeros(4, 2)), prior=Normal()).margin_objective()


def test_a_device_is_checked_and_the_rest_stays() -> None:
    subject = Subject(nn.Linear(3, 2), "mse", (torch.zeros(4, 3), torch.zeros(4, 2)), name="one", prior="he")
    other = subject.on("cpu")
    assert other.name == "one"
    assert torch.equal(other.solutions[0].point, subject.solutions[0].point)
    assert [p.source for p in other.space().parameters] == [p.source for p in subject.space().parameters]
    for device in ("nowhere", "cuda:99"):
        with pytest.raises(InputError, match=f"device '{device}'"):
            subject.on(device)
