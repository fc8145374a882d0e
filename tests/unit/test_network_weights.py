"""The weight space: priors against torch's own initialisation, round trips, what counts as a coordinate, refusals."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_zoo import ZOO, Case
from scipy.stats import kstest
from torch import Tensor, nn

from pindown.errors import CheckpointError, InputError
from pindown.spaces.initialisation import own_initialisation
from pindown.spaces.network import Normal, Uniform, Weights

LAYERS = {
    "linear": lambda: nn.Linear(7, 5),
    "bilinear": lambda: nn.Bilinear(4, 3, 5),
    "conv": lambda: nn.Conv1d(4, 6, 3, groups=2),
    "transposed": lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
    "embedding": lambda: nn.Embedding(6, 4),
    "bag": lambda: nn.EmbeddingBag(6, 4),
    "rnn": lambda: nn.RNN(3, 5),
    "lstm": lambda: nn.LSTM(3, 5, bidirectional=True, proj_size=2),
    "gru cell": lambda: nn.GRUCell(3, 5),
    "attention": lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True),
    "attention, own sizes": lambda: nn.MultiheadAttention(8, 2, kdim=3, vdim=5),
    "transformer": lambda: nn.Transformer(4, 2, 1, 1, 6, batch_first=True),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_draws_have_the_distribution_that_torch_draws_from(make, torch_rng: torch.Generator) -> None:
    """Two-sample Kolmogorov tests, parameter by parameter, at 1e-4 each: 60 tests fail by chance once in 170 runs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        models = [make() for _ in range(60)]
    space = Weights(models[0])
    drawn = space.unflatten(space.sample(2000, rng=torch_rng))
    for name, p in space.unflatten(torch.stack([space.flatten(m) for m in models])).items():
        if bool((p == p.flatten()[0]).all()):
            continue  # a constant: see the next test
        sample = drawn[name].flatten()
        assert kstest(p.flatten().numpy(), sample[:200_000].numpy()).pvalue > 1e-4, name


def test_constants_get_spread_one_about_themselves_and_the_reference_says_so(torch_rng) -> None:
    space = Weights(nn.Sequential(nn.LayerNorm(3), nn.PReLU(init=0.1)))
    x = space.unflatten(space.sample(40_000, rng=torch_rng))
    for name, centre in (("0.weight", 1.0), ("0.bias", 0.0), ("1.weight", 0.1)):
        assert kstest(x[name].flatten().numpy() - centre, "norm").pvalue > 1e-4
    assert "constants as Normal(c, 1)" in space.reference
    assert "a constant, given spread 1" in space.describe()
    assert "constants" not in Weights(nn.LayerNorm(3), prior=Normal(0, 2)).reference


class _Drawn(nn.Module):
    """Layers with a reset of their own: normal, uniform, constant entry by entry, and neither."""

    def __init__(self, odd: bool = False) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(20, 30))
        self.b = nn.Parameter(torch.empty(7))
        self.c = nn.Parameter(torch.empty(3))
        self.d = nn.Parameter(torch.empty(50)) if odd else None
        self.inner = nn.Linear(2, 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.a, 0.0, 0.02)
        nn.init.uniform_(self.b, 0.5, 2.0)
        with torch.no_grad():
            self.c.copy_(torch.tensor([0.0, 1.0, 0.0]))
            if self.d is not None:
                self.d.exponential_()
        nn.init.normal_(self.inner.weight, 0.0, 3.0)


def test_a_reset_of_its_own_is_identified_by_drawing() -> None:
    read = own_initialisation(_Drawn())
    normal, uniform = read["a"].prior, read["b"].prior
    assert isinstance(normal, Normal)
    assert normal.mean == 0.0
    # 200,000 values: 0.16% standard error; five of them allowed
    assert normal.std == pytest.approx(0.02, rel=0.008)
    assert isinstance(uniform, Uniform)
    # 4096 resets of 7 entries: the ends are off by the order of the width over n, and the mean by width/√(12n)
    assert float(uniform.low) == pytest.approx(0.5, abs=0.015)
    assert float(uniform.high) == pytest.approx(2.0, abs=0.015)
    assert read["c"].prior is None
    assert torch.equal(torch.as_tensor(read["c"].constant), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    # the parent's reset has the last word over the child's
    parent = read["inner.weight"].prior
    assert isinstance(parent, Normal)
    assert parent.std == pytest.approx(3.0, rel=0.02)
    assert isinstance(read["inner.bias"].prior, Uniform)


def test_what_cannot_be_identified_is_refused_by_name_and_can_be_overridden() -> None:
    with pytest.raises(InputError, match=r"parameter d of _Drawn.*neither uniform.*prior=\{\"d\""):
        Weights(_Drawn(odd=True))
    assert Weights(_Drawn(odd=True), prior={"d": Normal(0, 1)}).dim == Weights(_Drawn()).dim + 50
    assert Weights(_Drawn(odd=True), exclude="d").dim == Weights(_Drawn()).dim


def test_a_bare_parameter_needs_a_prior() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

    with pytest.raises(InputError, match="parameter scale of Bare, whose initialisation cannot be read"):
        Weights(Bare())


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_round_trips(case: Case, torch_rng: torch.Generator) -> None:
    model, _, _ = case.build()
    space = Weights(model, prior=case.prior)
    z = torch.randn((50, space.dim), generator=torch_rng)
    x = space.from_normal(z)
    assert bool(space.inside(x).all())
    # float32 resolves a uniform weight near its end only to 6e-8 of its width: 1e-3 of z where φ(z) > 1e-4
    error = (space.to_normal(x) - z).abs()
    assert float(error[z.abs() < 3.5].max()) < 2e-3
    for row in x[:3]:
        assert torch.equal(space.flatten(space.unflatten(row)), row)
    together = space.unflatten(x)
    assert list(together) == list(space.names)
    assert all(together[n].shape == (50, *space.shapes[n]) for n in space.names)
    assert torch.equal(space.flatten({n: v[7] for n, v in together.items()}), x[7])
    again = pickle.loads(pickle.dumps(space))
    assert torch.equal(again.from_normal(z), x)


@given(z=st.floats(-5.0, 5.0), bound=st.floats(1e-3, 1e3), ratio=st.floats(-1.0, 1.0))
def test_uniform_is_exact_to_the_last_digits(z: float, bound: float, ratio: float) -> None:
    """Against erf and erfc in double precision: near zero relative to the value, elsewhere to the width."""
    low, high = (ratio - 1.0) * bound, (ratio + 1.0) * bound
    space = Weights(nn.Linear(1, 1, bias=False), prior=Uniform(low, high), dtype=torch.float64)
    x = float(space.from_normal(torch.tensor([[z]], dtype=torch.float64)))
    exact = low + (high - low) * 0.5 * math.erfc(-z / math.sqrt(2.0))
    assert x == pytest.approx(exact, abs=8 * 2.0**-53 * (high - low))
    assert low <= x <= high
    symmetric = Weights(nn.Linear(1, 1, bias=False), prior=Uniform(-bound, bound), dtype=torch.float64)
    small = z * 1e-12
    value = float(symmetric.from_normal(torch.tensor([[small]], dtype=torch.float64)))
    assert value == pytest.approx(bound * math.erf(small / math.sqrt(2.0)), rel=1e-14)


def test_the_map_is_differentiable() -> None:
    space = Weights(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)), dtype=torch.float64)
    z = torch.randn(4, space.dim, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(space.from_normal, z)


def test_named_priors() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 5), nn.Flatten(), nn.Linear(8, 2))
    for name, variance in (("he", 2 / 75), ("lecun", 1 / 75), ("glorot", 2 / (75 + 200))):
        weight, bias, *_ = Weights(model, prior=name).parameters
        assert isinstance(weight.prior, Normal)
        assert isinstance(bias.prior, Normal)
        assert weight.prior.std == pytest.approx(math.sqrt(variance)) == bias.prior.std
    own, normal = Weights(model).parameters[0].prior, Weights(model, prior="normal").parameters[0].prior
    assert isinstance(own, Uniform)
    assert isinstance(normal, Normal)
    assert (normal.mean, normal.std) == (0.0, pytest.approx(float(own.high) / math.sqrt(3)))
    assert Weights(nn.LayerNorm(2), prior="normal").reference.endswith("constants as Normal(c, 1))")
    with pytest.raises(InputError, match="prior 'hee'"):
        Weights(model, prior="hee")
    with pytest.raises(InputError, match="no fan-in"):
        Weights(nn.LayerNorm(3), prior="he")


def test_the_first_pattern_that_matches_counts() -> None:
    space = Weights(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), prior={"0.*": Normal(5, 1), "*": Uniform(-1, 1)})
    assert [type(p.prior) for p in space.parameters] == [Normal, Normal, Uniform, Uniform]
    with pytest.raises(InputError, match=r"prior pattern 'nothing'.*0\.weight"):
        Weights(nn.Sequential(nn.Linear(2, 2)), prior={"nothing": Normal()})


def test_a_prior_may_be_centred_on_given_weights() -> None:
    model = nn.Linear(3, 2)
    centre = model.weight.detach().clone()
    space = Weights(model, prior={"weight": Normal(centre, 0.1), "bias": Normal()})
    assert torch.equal(space.unflatten(space.from_normal(torch.zeros(1, 8)))["weight"][0], centre)
    with pytest.raises(InputError, match="tensor of shape"):
        Weights(model, prior={"weight": Normal(torch.zeros(4), 0.1)})


@pytest.mark.parametrize("bad", [lambda: Normal(0, 0), lambda: Normal(math.nan, 1), lambda: Uniform(1, 1)])
def test_impossible_priors(bad) -> None:
    with pytest.raises(InputError):
        bad()


def test_what_counts_as_a_coordinate() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    model[1].weight.requires_grad_(False)
    assert Weights(model).names == ("0.weight", "0.bias", "1.bias", "2.weight", "2.bias")
    assert Weights(model, include="*.bias").dim == 8
    assert Weights(model, include=["0.*", "2.*"], exclude="*.bias").names == ("0.weight", "2.weight")
    model[2].weight = nn.Parameter(torch.zeros(2, 3))
    tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    assert Weights(tied).dim == 9 + 3 + 3


def test_the_padding_row_stays() -> None:
    model = nn.Embedding(5, 3, padding_idx=2)
    space = Weights(model)
    assert space.dim == 12
    x = torch.arange(12.0).unsqueeze(0)
    table = space.unflatten(x)["weight"][0]
    assert torch.equal(table[2], torch.zeros(3))
    assert torch.equal(space.flatten({"weight": table}), x[0])
    assert Weights(model, prior=Normal(0, 3)).dim == 12


def test_formats() -> None:
    half = nn.Linear(2, 2).to(torch.bfloat16)
    space = Weights(half)
    assert space.dtype == torch.float32
    assert space.unflatten(torch.zeros(1, 6))["weight"].dtype == torch.bfloat16
    assert Weights(nn.Linear(2, 2).double()).dtype == torch.float64
    assert Weights(nn.Linear(2, 2), dtype=torch.float64).dtype == torch.float64
    with pytest.raises(InputError, match="dtype"):
        Weights(nn.Linear(2, 2), dtype=torch.int64)


def test_weights_outside_the_support_are_named() -> None:
    space = Weights(nn.Sequential(nn.Linear(4, 2)))
    x = torch.zeros(2, space.dim)
    x[1, 9] = 7.0
    with pytest.raises(InputError, match=r"point 1 has 0.bias at 7 \(1 such weights\)"):
        space.to_normal(x)
    with pytest.raises(InputError, match=r"wanted \(N, 10\)"):
        space.unflatten(torch.zeros(3, 11))


def test_states_that_do_not_fit() -> None:
    space = Weights(nn.Linear(2, 3))
    with pytest.raises(CheckpointError, match=r"missing bias; weight of shape \(2, 3\), wanted \(3, 2\)"):
        space.flatten({"weight": torch.zeros(2, 3)})


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (nn.ReLU(), {}, "without parameters"),
        (nn.Linear(2, 2).requires_grad_(False), {}, "all frozen"),
        (nn.Linear(2, 2), {"include": "nope"}, "include pattern 'nope'"),
        (nn.Linear(2, 2), {"exclude": "*"}, "leave no parameter"),
        (nn.LazyLinear(3), {}, "no shape yet"),
        ("a string", {}, "model of type str"),
        (nn.Linear(2, 2), {"prior": 3.0}, "prior 3.0 for weight"),
    ],
)
def test_refusals(model, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Weights(model, **options)


def test_draws_can_be_moved_reversibly(torch_rng: torch.Generator) -> None:
    """``propose`` keeps the prior: a normal and a uniform coordinate stay what they were."""
    space = Weights(nn.Linear(1, 1), prior={"weight": Normal(1, 2), "bias": Uniform(-1, 3)}, dtype=torch.float64)
    x: Tensor = space.sample(20_000, rng=torch_rng)
    for _ in range(3):
        x = space.propose(x, 0.5, rng=torch_rng)
    assert kstest((x[:, 0].numpy() - 1) / 2, "norm").pvalue > 1e-4
    assert kstest((x[:, 1].numpy() + 1) / 4, "uniform").pvalue > 1e-4
