"""The fast path for perceptrons against the generic path and against automatic differentiation."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timeless import without_times
from torch import nn

from pindown import Subject
from pindown.engine.measure import measure
from pindown.engine.objective import Objective
from pindown.engine.rotation import Rotation
from pindown.network import mlp
from pindown.network.data import read_data
from pindown.network.forward import Forward, GenericNetwork
from pindown.network.heads import CrossEntropy, Custom, Head, Margin, SquaredError
from pindown.network.mlp import LayeredNetwork, layered
from pindown.network.plan import QUICK
from pindown.spaces.network import Normal, Weights
from pindown.studies.tour_subjects import small_digits

ACTIVATIONS = [nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.GELU(approximate="tanh"), nn.LeakyReLU(0.2)]


def _networks(model: nn.Module, head: Head, n: int, batch_size: int | None = None, seed: int = 0):
    """Both evaluators in double precision, with random data for the head."""
    g = torch.Generator().manual_seed(seed)
    model = copy.deepcopy(model).double().eval()
    first = next(m for m in model.modules() if isinstance(m, nn.Linear))
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    x = torch.randn((n, first.in_features), generator=g, dtype=torch.float64)
    y = torch.randint(0, last.out_features, (n,), generator=g)
    if isinstance(head, SquaredError):
        y = torch.randn((n, last.out_features), generator=g, dtype=torch.float64)
    space = Weights(model, prior="he")
    layers = layered(model, space)
    assert layers is not None
    batches = read_data((x, y), batch_size=batch_size, dtype=torch.float64, what="data")
    forward = Forward(model, space)
    points = space.sample(11, rng=g)
    forward.probe(points[:2], x[:3])
    return LayeredNetwork(layers, head, batches, torch.float64), GenericNetwork(forward, head, batches, 1000), points


def _agree(fast: LayeredNetwork, slow: GenericNetwork, points: torch.Tensor) -> None:
    (a, ga), (b, gb) = fast.value_and_gradient(points), slow.value_and_gradient(points)
    assert ga is not None
    assert gb is not None
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(ga, gb, rtol=1e-11, atol=1e-13)
    alone, nothing = fast.value_and_gradient(points, gradient=False)
    assert nothing is None
    torch.testing.assert_close(alone, a, rtol=1e-13, atol=0)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("head", [CrossEntropy(), Margin(), SquaredError()], ids=lambda h: h.name)
def test_equals_the_generic_path(activation: nn.Module, head: Head) -> None:
    model = nn.Sequential(nn.Linear(5, 8), activation, nn.Linear(8, 6, bias=False), nn.Tanh(), nn.Linear(6, 3))
    _agree(*_networks(model, head, 40))


@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    biases=st.lists(st.booleans(), min_size=4, max_size=4),
    n=st.integers(1, 30),
    batch=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_any_shape(widths: list[int], biases: list[bool], n: int, batch: int, seed: int) -> None:
    sizes = [4, *widths, 3]
    parts: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        parts += [nn.Linear(a, b, bias=biases[i]), nn.ReLU()]
    _agree(*_networks(nn.Sequential(*parts[:-1]), CrossEntropy(), n, batch, seed))


def test_many_blocks_and_groups_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp, "_CACHE_BYTES", 3 * 8 * 7 * 40)  # three networks at a time
    fast, slow, points = _networks(nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)), CrossEntropy(), 700)
    assert len(fast._blocks) > 1
    _agree(fast, slow, points)
    first = points.clone()
    fast.value_and_gradient(points)
    assert torch.equal(points, first)


def test_a_custom_loss_goes_through_it_too() -> None:
    def huber(outputs, targets):
        return nn.functional.huber_loss(outputs, nn.functional.one_hot(targets, 3).to(outputs.dtype), reduction="mean")

    _agree(*_networks(nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)), Custom(huber), 20, 7))


def test_it_can_be_sent_to_another_process() -> None:
    fast, _, points = _networks(nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 3)), CrossEntropy(), 20)
    a, b = fast.value_and_gradient(points)[0], pickle.loads(pickle.dumps(fast)).value_and_gradient(points)[0]
    assert torch.equal(a, b)


class _OwnForward(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * 2


def _hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_forward_hook(lambda m, i, o: o + 1)
    return model


def _tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    return model


def _frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[2].weight.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: _OwnForward(nn.Linear(2, 2)),
        _hooked,
        _tied,
        _frozen,
        lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Softplus(), nn.Linear(2, 2)),
        lambda: nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2)),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        lambda: nn.Sequential(nn.Flatten(0), nn.Linear(2, 2)),
    ],
)
def test_what_it_leaves_to_the_generic_path(make) -> None:
    model = make()
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    from pindown.spaces.network import Normal

    assert layered(model, Weights(model, prior={n: Normal() for n in names})) is None


def test_the_margin_loss_of_many_blocks_is_that_of_one() -> None:
    """Networks that are right everywhere, in some blocks, and nowhere: labels are what the first one predicts."""
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))
    one, _, points = _networks(model, Margin(), 12)
    x = one._blocks[0][0][:, :-1]  # without the ones of the biases
    labels = one.outputs(points[:1], x)[0].argmax(1)
    data = read_data((x, labels), batch_size=None, dtype=torch.float64, what="data")
    cut = read_data((x, labels), batch_size=3, dtype=torch.float64, what="data")
    near = points[:1] + 0.3 * points  # a few of these keep all labels, others lose one
    layers = one.layers
    whole = LayeredNetwork(layers, Margin(), data, torch.float64).value_and_gradient(near)
    parts = LayeredNetwork(layers, Margin(), cut, torch.float64).value_and_gradient(near)
    assert bool((whole[0] == 0).any())
    assert bool((whole[0] > 0).any())
    torch.testing.assert_close(whole[0], parts[0])
    assert whole[1] is not None
    assert parts[1] is not None
    torch.testing.assert_close(whole[1], parts[1])


def _objectives(model: nn.Module, prior: object) -> tuple[Objective, Objective, torch.Tensor]:
    """The same loss by the short way from standard normals and through the points, in a basis for its matrices."""
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn((600, 5), generator=g, dtype=torch.float64), torch.randint(0, 3, (600,), generator=g)
    subject = Subject(model.double(), "cross_entropy", (x * torch.arange(1.0, 6.0), y), prior=prior)
    space, loss = subject.space(), subject.objective()
    direct, through = Objective(space, loss), Objective(space, loss.__call__)
    z = torch.randn((7, space.dim), generator=g, dtype=torch.float64)
    basis = Rotation.from_gradients(space.matrices, through.losses_and_gradients(z)[1])
    assert basis is not None
    direct.rotation = through.rotation = basis
    return direct, through, z


@pytest.mark.parametrize("prior", ["he", {"0.*": "he", "*": "lecun"}], ids=["he", "two"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_short_way_from_standard_normals_is_the_way_through_the_points(prior: object, bias: bool) -> None:
    model = nn.Sequential(nn.Linear(5, 8, bias=bias), nn.Tanh(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3, bias=bias))
    direct, through, z = _objectives(model, prior)
    assert direct._in_normal is not None
    assert through._in_normal is None
    assert direct.rotation is not None
    assert len(direct.rotation.matrices) < 3  # one layer without a basis at least, so both kinds of maps are met
    (a, ga), (b, gb) = direct.losses_and_gradients(z), through.losses_and_gradients(z)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(ga, gb, rtol=1e-10, atol=1e-13)
    direct.rotation = through.rotation = None
    (a, ga), (b, gb) = direct.losses_and_gradients(z), through.losses_and_gradients(z)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(ga, gb, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_size", [None, 50])
def test_directions_on_which_all_examples_are_zero_are_left_out(bias: bool, batch_size: int | None) -> None:
    g = torch.Generator().manual_seed(5)
    x = torch.randn((120, 9), generator=g, dtype=torch.float64) @ torch.randn((9, 30), generator=g, dtype=torch.float64)
    y = torch.randint(0, 3, (120,), generator=g)
    model = nn.Sequential(nn.Linear(30, 8, bias=bias), nn.ReLU(), nn.Linear(8, 3)).double()
    subject = Subject(model, "cross_entropy", (x, y), prior="he", batch_size=batch_size)
    space, loss = subject.space(), subject.objective()
    direct, through = Objective(space, loss), Objective(space, loss.__call__)
    z = torch.randn((6, space.dim), generator=g, dtype=torch.float64)
    direct.rotation = through.rotation = Rotation.from_gradients(space.matrices, through.losses_and_gradients(z)[1])
    short = direct._in_normal.__self__.evaluator
    # Of 30 or 31 columns 9 or 10 are not zero: 16 are kept, a multiple of eight.
    assert short._blocks[0][0].shape[1] == 16
    for _ in range(2):  # the second time into buffers that are not fresh
        (a, ga), (b, gb) = direct.losses_and_gradients(z), through.losses_and_gradients(z)
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(ga, gb, rtol=1e-10, atol=1e-12)


def test_there_is_no_short_way_where_the_weights_are_not_linear_in_the_normals() -> None:
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    for prior in (None, {"0.weight": Normal(1.0, 1.0), "*": "he"}):
        direct, through, z = _objectives(model, prior)
        assert direct._in_normal is None
        torch.testing.assert_close(direct.losses_and_gradients(z)[1], through.losses_and_gradients(z)[1])


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.GELU()], ids=repr)  # what it puts out is saved, and what it takes
def test_points_of_every_number_in_turn_have_their_own_gradients(activation: nn.Module) -> None:
    """Scratch memory is dropped when the shapes have changed often, also between the two halves of a call."""
    model = nn.Sequential(nn.Linear(5, 7), activation, nn.Linear(7, 6), activation, nn.Linear(6, 3))
    fast, slow, points = _networks(model, CrossEntropy(), 9)
    points = points.repeat(8, 1)
    want = slow.value_and_gradient(points)[1]
    assert want is not None
    for k in range(1, len(points)):
        found = fast.value_and_gradient(points[:k])[1]
        assert found is not None
        torch.testing.assert_close(found, want[:k], rtol=1e-11, atol=1e-13)


def test_a_seed_gives_the_same_figures_whatever_was_evaluated_before() -> None:
    subject = small_digits(0)
    space, loss = subject.space(), subject.objective()

    def measured() -> object:
        found = measure(space, loss, tolerance=0.036, repeats=2, seed=1685503568, jobs=1, settings=QUICK)
        return without_times(found.to_dict())

    first = measured()
    points = space.sample(90, rng=torch.Generator().manual_seed(1))
    for k in range(17, 90, 3):
        loss(points[:k].requires_grad_(True)).sum().backward()
    assert measured() == first
