"""The built-in subjects: data, training, and that the batched trainer is plain SGD."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from pindown.errors import EstimationError, InputError
from pindown.network.digits import DIGITS_SGD, digits_data, digits_model, digits_subject
from pindown.network.training import SGD, train_perceptrons
from pindown.rng import torch_generator
from pindown.spaces.network import Normal, Weights


def test_the_split_is_fixed_by_the_seed_and_uses_every_image_once() -> None:
    from sklearn.datasets import load_digits

    (x, y), (held_x, held_y) = digits_data(3)
    again = digits_data(3)
    assert torch.equal(x, again[0][0])
    assert not torch.equal(x, digits_data(4)[0][0])
    images, labels = load_digits(return_X_y=True)
    everything = torch.cat([torch.cat([x, held_x]), torch.cat([y, held_y]).unsqueeze(1)], 1)
    assert float(x.square().mean()) == pytest.approx(1.0, rel=1e-5)
    everything[:, :-1] = (everything[:, :-1] * (16 / x.max())).round()  # back to pixels of 0 to 16
    wanted = torch.cat([torch.as_tensor(images), torch.as_tensor(labels).unsqueeze(1)], 1)
    order = lambda rows: sorted(map(tuple, rows.tolist()))  # noqa: E731
    assert order(everything) == order(wanted)
    assert (len(x), len(held_x)) == (500, 1297)


def test_trained_networks_stop_where_the_rule_says() -> None:
    subject = digits_subject(30, seed=1, runs=3)
    points = torch.stack([s.point for s in subject.solutions])
    assert subject.path == "layered"
    assert subject.space().dim == 2260
    assert torch.equal(subject.errors(points), torch.zeros(3, dtype=torch.float64))
    assert bool((subject.losses(points) <= DIGITS_SGD.target).all())
    assert bool((subject.margin_objective()(points) == 0).all())
    # far better than chance (0.9) on images it has not seen; published accuracies on these digits are 0.93 and up
    assert bool((subject.held_out_errors(points) < 0.12).all())
    assert all(s.steps is not None and s.steps % math.ceil(500 / DIGITS_SGD.batch) == 0 for s in subject.solutions)
    assert len({tuple(s.point[:3].tolist()) for s in subject.solutions}) == 3
    assert torch.equal(subject.solutions[0].point, subject.space().flatten(subject.module))
    assert subject.train is not None
    assert torch.equal(subject.space().flatten(subject.train(2)), subject.solutions[2].point)
    assert subject.label_bits is not None
    assert subject.label_bits.value == pytest.approx(500 * math.log2(10))


def test_the_prior_is_he_for_weights_and_biases() -> None:
    space = digits_subject(30, runs=1).space()
    for p in space.parameters:
        assert isinstance(p.prior, Normal)
        assert p.prior.std == pytest.approx(math.sqrt(2 / (64 if p.name.startswith("0.") else 30)))


def test_training_many_is_torchs_sgd_one_by_one() -> None:
    """Same starts and same order of examples through ``torch.optim.SGD``, in double precision, for four epochs."""
    g = torch.Generator().manual_seed(5)
    x, y = torch.randn((21, 6), generator=g, dtype=torch.float64), torch.randint(0, 3, (21,), generator=g)
    how = SGD(rate=0.1, momentum=0.8, batch=8, target=1e9, epochs=40)
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 3)).double()
    space = Weights(model, prior="he")
    start = space.sample(2, rng=g)
    trained = train_perceptrons(start, (6, 40, 3), x, y, [11, 12], how)
    for row, seed in enumerate((11, 12)):
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(space.unflatten(start[row])[name])
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8)
        order, steps = torch_generator(seed, 0x5D), 0
        while steps < trained.steps[row]:
            for rows in torch.randperm(21, generator=order).split(8):
                optimiser.zero_grad()
                functional.cross_entropy(model(x[rows]), y[rows]).backward()
                optimiser.step()
                steps += 1
        torch.testing.assert_close(space.flatten(model), trained.points[row], rtol=1e-9, atol=1e-11)
        assert bool((model(x).argmax(1) == y).all())


def test_training_that_does_not_arrive_says_so() -> None:
    x, y = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])  # the same input under two labels
    space = Weights(digits_model(3)[2], prior="he")
    del space
    with pytest.raises(EstimationError, match="2 of 2 networks did not reach zero training error"):
        train_perceptrons(torch.zeros(2, 2 * 3 + 3 + 3 * 2 + 2), (2, 3, 2), x, y, [0, 1], SGD(epochs=3))


@pytest.mark.parametrize("bad", [{"width": 0}, {"width": 2.5}, {"width": 30, "runs": 0}])
def test_refusals(bad) -> None:
    with pytest.raises(InputError):
        digits_subject(**bad)
