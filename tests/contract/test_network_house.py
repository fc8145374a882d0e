"""Every kind of module: handed to a subject, evaluated, interrupted or failing, it comes back as it was."""

from __future__ import annotations

import pytest
import torch
from network_snapshot import Snapshot, prepared
from network_zoo import CLASSES, ZOO, Case, N
from torch import Tensor, nn

from pindown.errors import InputError
from pindown.network.subject import Subject


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_success_leaves_no_trace(case: Case) -> None:
    model, x, y = prepared(case)
    before = Snapshot(model)
    subject = Subject(model, "cross_entropy", (x, y), held_out=(x, y), prior=case.prior, batch_size=5)
    points = subject.space().sample(3, rng=torch.Generator().manual_seed(0))
    kept = points.clone()
    for loss in (subject.objective(), subject.margin_objective()):
        leaf = points.clone().requires_grad_(True)
        loss(leaf).sum().backward()
        loss(points)
    subject.errors(points), subject.held_out_errors(points), subject.held_out_losses(points)
    before.assert_same(model)
    assert torch.equal(points, kept)


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [0, 2])
def test_failure_leaves_no_trace(case: Case, raised: type[BaseException], after: int) -> None:
    """The loss raises at its first call, inside the checks, or later, inside an evaluation."""
    model, x, y = prepared(case)
    before = Snapshot(model)
    calls = 0

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > limit:
            raise raised("stop")
        return nn.functional.cross_entropy(outputs, targets)

    limit = 10**9
    subject = Subject(model, loss, (x, y), prior=case.prior)
    points = subject.space().sample(2, rng=torch.Generator().manual_seed(0))
    calls, limit = 0, after
    with pytest.raises((raised, InputError)):
        Subject(model, loss, (x, y), prior=case.prior)
    calls, limit = 0, 0
    with pytest.raises(raised):
        subject.objective()(points.requires_grad_(True))
    before.assert_same(model)


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_each_evaluation_depends_on_its_own_weights_alone(case: Case) -> None:
    """Reordering, splitting or repeating points reorders, splits and repeats losses."""
    model, x, y = case.build()
    subject = Subject(model, "cross_entropy", (x, y), prior=case.prior)
    points = subject.space().sample(7, rng=torch.Generator().manual_seed(1))
    value = subject.losses(points)
    order = torch.tensor([3, 0, 6, 6, 1])
    close = {"rtol": 2e-4, "atol": 1e-5}
    torch.testing.assert_close(subject.losses(points[order]), value[order], **close)
    torch.testing.assert_close(torch.cat([subject.losses(p.unsqueeze(0)) for p in points]), value, **close)
    assert len(value.unique()) == 7
    assert subject.errors(points).shape == (7,)
    wrong = subject.errors(points) * N
    torch.testing.assert_close(wrong, wrong.round(), rtol=0.0, atol=1e-4)
    assert subject.classes == CLASSES
