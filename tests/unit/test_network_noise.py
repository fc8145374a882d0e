"""Noise tolerance: bounds and statuses, checkpoints, what is refused; losses example by example and their means."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_zoo import ZOO, Case
from torch import Tensor, nn

import pindown
from pindown.errors import CheckpointError, DataError, InputError
from pindown.estimate import Status
from pindown.network.examples import Examples, crossed_mean, paired_mean
from pindown.network.heads import Margin
from pindown.network.noise_tolerance import plan_noise_tolerance
from pindown.network.subject import Subject

FAST = {"accuracy": 0.3, "draws": 32}


def blobs(seed: int = 0, *, held_out: bool = True, **options) -> Subject:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(60, 3, generator=g)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[:40]), y[:40]).backward()
        optimiser.step()
    held = {"held_out": (x[40:], y[40:])} if held_out else {}
    return Subject(model, "cross_entropy", (x[:40], y[:40]), name="blobs", **held, **options)


def test_what_is_reported() -> None:
    found = pindown.noise_tolerance(blobs(), epsilon=0.1, **FAST)
    assert [t.name for t in found.tensors] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for row in (found.joint, found.absolute, *found.tensors):
        assert row.sigma.status is Status.REACHED
        assert row.bits.value == pytest.approx(-math.log2(row.sigma.value))
        assert row.bits.stderr == pytest.approx(row.sigma.stderr / row.sigma.value / math.log(2))
    assert all(t.sigma.value > found.joint.sigma.value for t in found.tensors)
    assert found.held_out_rise is not None
    assert [p.sigma / found.joint.sigma.value for p in found.curve] == [0.125, 0.25, 0.5, 1.0, 2.0, 4.0]
    at = found.curve[3].rise
    assert at.value == pytest.approx(0.1, rel=0.05)
    assert len(found.influence) == found.joint.draws
    assert np.std(found.influence, ddof=1) / math.sqrt(found.joint.draws) == pytest.approx(
        found.joint.sigma.stderr / found.joint.sigma.value
    )
    assert "noise at which the cross-entropy has risen by 0.1 nats" in found.summary()


def test_the_rise_at_the_tolerance_is_epsilon_for_fresh_noise() -> None:
    """Noise that the search has not seen, of the size that it found."""
    subject = blobs()
    found = pindown.noise_tolerance(subject, epsilon=0.1, tensors=False, accuracy=0.05, seed=3)
    space, w = subject.space(), subject.solutions[0].point
    scale = torch.zeros_like(w)
    for n in space.names:
        scale[space.slices[n]] = w[space.slices[n]].square().mean().sqrt()
    xi = torch.randn(4000, len(w), generator=torch.Generator().manual_seed(99))
    rise = (subject.losses(w + found.joint.sigma.value * scale * xi) - subject.losses(w[None])).double()
    mean, error = float(rise.mean()), float(rise.std()) / math.sqrt(len(rise))
    slack = 2.2 * 0.1 * found.joint.sigma.stderr / found.joint.sigma.value  # d ln R / d ln σ is near 2
    assert abs(mean - 0.1) < 3 * math.hypot(error, slack)


def test_a_tensor_of_zeros_is_unsupported_and_never_ranked_as_robust() -> None:
    subject = blobs()
    with torch.no_grad():
        model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3))
        nn.init.zeros_(model[2].bias)
    x, y = subject.batches().items[0]
    found = pindown.noise_tolerance(Subject(model, "cross_entropy", (x, y)), epsilon=0.1, **FAST)
    row = found.tensors[-1]
    assert row.sigma.status is Status.UNSUPPORTED
    assert math.isnan(row.sigma.value)
    assert row.absolute is None
    assert "no rank" in " ".join(found.notes)


def test_a_tensor_that_does_nothing_is_a_bound() -> None:
    """Weights behind a dead unit: no noise raises the loss."""

    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.live, self.dead = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.live(x) + 0.0 * self.dead(x)

    x, y = torch.randn(20, 3), torch.arange(20) % 3
    found = pindown.noise_tolerance(Subject(Dead(), "cross_entropy", (x, y)), epsilon=0.1, include="dead.*", **FAST)
    for row in (found.joint, *found.tensors):
        assert row.sigma.kind == "lower_bound"
        assert row.bits.kind == "upper_bound"
        assert row.sigma.value == 64.0
        assert row.sigma.status is Status.OUT_OF_RANGE
    assert found.curve == ()


def test_a_loss_that_overflows_counts_as_risen() -> None:
    """Beyond a point the loss is infinite: a result, and no NaN anywhere."""

    class Steep(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return torch.where(out.abs() > 3.0, out * math.inf, out)

    model = Steep(4, 1, bias=False)
    nn.init.constant_(model.weight, 0.5)
    x = torch.eye(4)
    subject = Subject(model, "mse", (x, torch.full((4, 1), 0.5)), prior=pindown.spaces.network.Normal(0.0, 0.1))
    found = pindown.noise_tolerance(subject, epsilon=100.0, **FAST)
    assert found.joint.sigma.value < 10.0
    assert found.joint.sigma.status is Status.NOT_CONVERGED
    import json

    json.dumps(found.to_dict(), allow_nan=False)


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    straight = pindown.noise_tolerance(blobs(), epsilon=0.1, seed=4, **FAST)
    seen: list[float] = []

    def stop(share: float, text: str) -> None:
        seen.append(share)
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pindown.noise_tolerance(blobs(), epsilon=0.1, seed=4, checkpoint=tmp_path, progress=stop, **FAST)
    resumed = pindown.noise_tolerance(
        blobs(), epsilon=0.1, seed=4, checkpoint=tmp_path, progress=lambda share, text: seen.append(share), **FAST
    )
    assert resumed.evaluations < straight.evaluations
    timeless = {"seconds", "evaluations"}
    a, b = ({k: v for k, v in f.to_dict().items() if k not in timeless} for f in (straight, resumed))
    assert a == b
    assert seen[-1] == 1.0
    with pytest.raises(CheckpointError, match="another measurement"):
        pindown.noise_tolerance(blobs(), epsilon=0.1, seed=5, checkpoint=tmp_path, **FAST)
    (tmp_path / "noise-tolerance.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged"):
        pindown.noise_tolerance(blobs(), epsilon=0.1, seed=4, checkpoint=tmp_path, **FAST)


def test_the_seed_decides() -> None:
    a, b, c = (pindown.noise_tolerance(blobs(), epsilon=0.1, seed=s, tensors=False, **FAST).joint for s in (1, 1, 2))
    assert a == b
    assert a.sigma.value != c.sigma.value


def test_relative_epsilon_is_a_share_of_the_loss() -> None:
    found = pindown.noise_tolerance(blobs(), epsilon=0.5, relative=True, tensors=False, **FAST)
    assert found.epsilon == pytest.approx(0.5 * found.baseline.value)
    assert found.relative == 0.5


def test_a_plan_says_what_it_takes() -> None:
    plan = plan_noise_tolerance(blobs())
    assert plan.evaluations > 500
    assert plan.seconds > 0
    assert plan.memory > 1e8
    assert plan_noise_tolerance(blobs(), tensors=False).evaluations < plan.evaluations
    assert "noise tolerance of blobs" in str(plan)
    assert set(plan.to_dict()) == {"measurement", "subject", "parameters", "evaluations", "seconds", "memory"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "epsilon 0.0"),
        ({"epsilon": math.nan}, "epsilon nan"),
        ({"epsilon": 0.1, "accuracy": 0.0}, "accuracy 0.0"),
        ({"epsilon": 0.1, "draws": 2}, "draws 2"),
        ({"epsilon": 0.1, "solution": 3}, "solution 3"),
        ({"epsilon": 0.1, "include": "x*"}, "matches no parameter"),
        ({"epsilon": 0.1, "seed": -1}, "seed -1"),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pindown.noise_tolerance(blobs(), **options)


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_losses_of_examples_add_up_to_the_loss(case: Case, torch_rng: torch.Generator) -> None:
    model, x, y = case.build()
    subject = Subject(model, "cross_entropy", (x, y), held_out=(x[:4], y[:4]), prior=case.prior, batch_size=5)
    points = subject.space().sample(3, rng=torch_rng)
    found = Examples(subject).at(points)
    torch.testing.assert_close(found.losses.mean(1).float(), subject.losses(points), rtol=1e-4, atol=1e-5)
    assert found.errors is not None
    torch.testing.assert_close(found.errors.mean(1), subject.errors(points))
    held = Examples(subject, held_out=True).at(points)
    torch.testing.assert_close(held.losses, found.losses[:, :4], rtol=1e-4, atol=1e-5)


def test_sequences_and_losses_of_ones_own(torch_rng: torch.Generator) -> None:
    """Labels (B, T), a loss that is a mean, one value an example, and one that is no mean over examples."""
    x, y = torch.randn(6, 2, 5, generator=torch_rng), torch.randint(0, 3, (6, 5), generator=torch_rng)
    subject = Subject(nn.Conv1d(2, 3, 3, padding=1), "cross_entropy", (x, y), batch_size=4)
    points = subject.space().sample(2, rng=torch_rng)
    found = Examples(subject).at(points)
    assert found.losses.shape == (2, 6)
    torch.testing.assert_close(found.losses.mean(1).float(), subject.losses(points))
    assert found.errors is not None
    torch.testing.assert_close(found.errors.mean(1), subject.errors(points))
    x, t = torch.randn(9, 3, generator=torch_rng), torch.randn(9, 2, generator=torch_rng)
    wanted = None
    for loss in (lambda o, t: (o - t).abs().mean(), lambda o, t: (o - t).abs().mean(1), "mse"):
        subject = Subject(nn.Linear(3, 2), loss, (x, t), batch_size=4)
        points = subject.space().sample(2, rng=torch.Generator().manual_seed(1))
        own = Examples(subject).at(points)
        torch.testing.assert_close(own.losses.mean(1).float(), subject.losses(points))
        if not isinstance(loss, str):
            wanted = own.losses if wanted is None else wanted
            torch.testing.assert_close(own.losses, wanted)
    subject = Subject(nn.Linear(3, 2), lambda o, t: (o - t).abs().amax(), (x, t))
    with pytest.raises(InputError, match="a mean over examples"):
        Examples(subject).at(points)
    with pytest.raises(InputError, match="example by example"):
        Margin().each(torch.zeros(1, 2, 3), torch.zeros(2, dtype=torch.long))
    with pytest.raises(DataError, match="held-out"):
        Examples(subject, held_out=True)


def test_crossed_means_have_the_error_of_the_two_way_model() -> None:
    """Simulated draws and examples of known spread: the stated error is that of the mean; without draws too small."""
    g = np.random.default_rng(0)
    k, n, rounds = 12, 15, 2000
    means, errors, alone = [], [], []
    for _ in range(rounds):
        a, b, e = g.normal(0, 1.0, (k, 1)), g.normal(0, 2.0, (1, n)), g.normal(0, 1.5, (k, n))
        values = torch.as_tensor(a + b + e)
        found = crossed_mean(values, "1", "x")
        means.append(found.value)
        errors.append(found.stderr)
        alone.append(paired_mean(values.mean(0), "1", "x").stderr)
    true = float(np.std(means))
    assert math.sqrt(np.mean(np.square(errors))) == pytest.approx(true, rel=0.08)
    assert math.sqrt(np.mean(np.square(alone))) < 0.93 * true
    exact = math.sqrt(1.0 / k + 4.0 / n + 2.25 / (k * n))
    assert true == pytest.approx(exact, rel=0.05)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=20))
def test_paired_means_are_student(values: list[float]) -> None:
    e = paired_mean(torch.tensor(values, dtype=torch.float64), "nats", "x")
    assert e.value == pytest.approx(float(np.mean(values)), abs=1e-12)
    assert e.stderr == pytest.approx(float(np.std(values, ddof=1)) / math.sqrt(len(values)), abs=1e-12)
    assert e.dof == len(values) - 1
