"""On a GPU: the same truths, the same figures as on the processor, no trace. Skipped where there is none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from network_measures import MEASURES, figures
from network_snapshot import Snapshot, prepared
from network_zoo import ZOO, Case
from scipy import stats
from torch import Tensor, nn

import pindown
from pindown.network.subject import Subject

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


def squared_norm(x: Tensor) -> Tensor:
    assert x.is_cuda
    return x.square().sum(-1)


def log2_chi2(tolerance: float, dim: int) -> float:
    """Bits of the ball in N(0, I): −log2 of the chi-square distribution function."""
    return -float(stats.chi2.logcdf(tolerance, dim)) / math.log(2)


def ones_missing(x: Tensor) -> Tensor:
    assert x.is_cuda
    return x.shape[-1] - x.sum(-1)


@pytest.mark.parametrize("engine", ["ladder", "splitting"])
def test_the_ball_in_a_gaussian(engine: str) -> None:
    truth = log2_chi2(0.1, 10)
    found = pindown.measure(
        pindown.Gaussian(10), squared_norm, tolerance=0.1, engine=engine, device="cuda", seed=1
    ).bits()
    assert found.status.ok, found.status
    assert abs(found.value - truth) <= max(0.5, 4 * found.stderr)
    assert found.stderr < 0.5


def test_many_dimensions_and_another_run_of_the_same_seed() -> None:
    truth = log2_chi2(1.0, 100)
    runs = [
        pindown.measure(pindown.Gaussian(100), squared_norm, tolerance=1.0, repeats=2, device="cuda", seed=2)
        for _ in range(2)
    ]
    assert abs(runs[0].bits().value - truth) < 2.0
    assert runs[0].bits().value == runs[1].bits().value
    assert runs[0].solutions(n=2).shape == (2, 100)


@pytest.mark.parametrize(
    ("space", "loss", "tolerance", "truth"),
    [
        (pindown.BitString(16), ones_missing, 0.0, 16.0),
        (pindown.BitString(32), ones_missing, 0.0, 32.0),
        (pindown.Box(0.0, 1.0, dim=3), lambda x: x.amax(-1), 0.01, 3 * math.log2(100)),
        (pindown.Simplex(4), lambda x: 1 - x[:, 0], 0.1, 3 * math.log2(10)),
        (pindown.Subset(12, 3), lambda x: 3 - x[:, :3].sum(-1), 0.0, math.log2(220)),
    ],
    ids=["enumerated", "bits", "box", "simplex", "subset"],
)
def test_other_spaces(space: pindown.Space, loss: object, tolerance: float, truth: float) -> None:
    found = pindown.measure(space, loss, tolerance=tolerance, device="cuda", seed=3).bits()  # type: ignore[arg-type]
    assert found.status.ok, found.status
    assert abs(found.value - truth) <= max(0.7, 4 * found.stderr)


DEAR = {"rays", "bridge", "learning coefficient"}
"""Thousands of small launches: on one module of each path."""
ALL = [
    pytest.param(case, measure, id=f"{case.name}-{measure}".replace(" ", "-"))
    for case in ZOO
    for measure in MEASURES
    if measure not in DEAR or case.name in ("perceptron", "tied transformer")
]


@pytest.mark.parametrize(("case", "measure"), ALL)
def test_every_measure_of_every_module(case: Case, measure: str) -> None:
    """It runs where the model is, leaves no trace, and its record is plain JSON."""
    model, x, y = prepared(case)
    model = model.cuda()
    before = Snapshot(model)
    subject = Subject(model, "cross_entropy", (x, y), held_out=(x, y), prior=case.prior, batch_size=7)
    assert subject.device.type == "cuda"
    found = MEASURES[measure](subject)
    before.assert_same(model)
    assert all(p.is_cuda for p in model.parameters())
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert type(found).from_dict(record).summary() == found.summary()
    assert figures(record)


def regression(device: str) -> Subject:
    """Linear regression of 20 coefficients: λ = 10."""
    rng = torch.Generator().manual_seed(5)
    x = torch.randn(400, 20, generator=rng)
    y = x @ torch.randn(20, 1, generator=rng) + 0.5 * torch.randn(400, 1, generator=rng)
    model = nn.Linear(20, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    return Subject(model, "mse", (x, y), device=device)


@pytest.mark.parametrize("method", ["auto", "sgld", "hamiltonian"])
def test_the_learning_coefficient_of_a_regression(method: str) -> None:
    found = pindown.learning_coefficient(regression("cuda"), method=method, seed=0, self_check=False)
    assert found.status.ok, found.status
    assert abs(found.value - 10) < 0.5
    assert found.stderr < 0.5


def test_what_is_computed_without_chance_is_the_same_on_both() -> None:
    model, x, y = prepared(next(c for c in ZOO if c.name == "perceptron"))
    here, there = (
        pindown.spectrum(Subject(model, "cross_entropy", (x, y), device=d), dense=True) for d in ("cpu", "cuda")
    )
    assert there.trace.value == pytest.approx(here.trace.value, rel=1e-4)
    assert there.eigenvalues[0].value == pytest.approx(here.eigenvalues[0].value, rel=1e-4)


@pytest.mark.parametrize("format", ["fp32", "bf16", "fixed12"])
def test_bit_planes_agree_with_the_processor(format: str) -> None:
    """The same words are drawn; only the rounding of the products differs."""
    model, x, y = prepared(next(c for c in ZOO if c.name == "perceptron"))
    here, there = (
        pindown.bitplanes(Subject(model, "cross_entropy", (x, y), device=d), epsilon=0.05, format=format, seed=0)
        for d in ("cpu", "cuda")
    )
    for a, b in zip(here.tensors, there.tensors, strict=True):
        assert abs(a.tolerated.value - b.tolerated.value) <= 1, a.name


def small_subject() -> Subject:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(40, 4, generator=rng)
    y = (x[:, 0] * x[:, 1] > 0).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(80):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
    return Subject(model, "cross_entropy", (x, y), held_out=(x, y), device="cuda")


def test_an_audit_ends_and_is_taken_up_again(tmp_path: Path) -> None:
    """Small networks are slow on a GPU, so that this one only starts: bounds, the same ones from the checkpoint."""
    options: dict[str, Any] = {"budget": 4000, "repeats": 2, "tolerances": [0.3], "in_depth": False}
    first, again = (pindown.audit(small_subject(), seed=0, checkpoint=tmp_path / "kept", **options) for _ in range(2))
    for a, b in zip(first.subjects[0].measurements, again.subjects[0].measurements, strict=True):
        assert [p.bits.to_dict() for p in a.sweep] == [p.bits.to_dict() for p in b.sweep]
        assert all(p.bits.kind == "lower_bound" and math.isfinite(p.bits.value) for p in a.sweep)
    assert first.environment["device"] == "cuda"


def test_a_run_that_was_stopped_goes_on_with_its_chains_on_the_gpu(tmp_path: Path) -> None:
    options: dict[str, Any] = {"tolerance": 1.0, "repeats": 2, "device": "cuda", "seed": 4}
    whole = pindown.measure(pindown.Gaussian(30), squared_norm, **options)

    def stop(share: float, text: str) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pindown.measure(pindown.Gaussian(30), squared_norm, checkpoint=tmp_path, progress=stop, **options)
    resumed = pindown.measure(pindown.Gaussian(30), squared_norm, checkpoint=tmp_path, **options)
    assert resumed.bits().value == pytest.approx(whole.bits().value, abs=4 * whole.bits().stderr)
    assert resumed.solutions(n=3).is_cuda
