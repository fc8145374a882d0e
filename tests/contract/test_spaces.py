"""One contract for every space: what it draws, that it moves reversibly, and how it refuses bad input."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from pindown import BitString, Box, Gaussian, InputError, Product, Simplex, Subset, Weights
from pindown.spaces.base import FiniteSpace, Space, is_finite_space, is_smooth
from pindown.spaces.copies import Copies
from pindown.spaces.patterns import Patterns

N = 20_000
FALSE_ALARM = 1e-4  # of one check, with fixed seeds: a failure here is not chance
NORMAL_QUANTILE = 4.5  # two-sided 7e-6


@dataclass(frozen=True)
class Subject:
    """A space and the exact distribution function of some of its coordinates, left and right limits."""

    make: Callable[[], Any]
    cdf: Callable[[int], Any] | None = None  # of coordinate i; None where the coordinate is discrete
    mean: Callable[[int], float] | None = None


def _module() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))


def _weights_cdf(i: int) -> Any:
    # Linear layers start uniform on ±1/√fan_in, weights and biases alike: 8 parameters of fan-in 3, then 3 of 2.
    bound = (3 if i < 8 else 2) ** -0.5
    return stats.uniform(-bound, 2 * bound).cdf


SUBJECTS = {
    "gaussian": Subject(lambda: Gaussian(4), lambda i: stats.norm.cdf),
    "gaussian-float32": Subject(lambda: Gaussian(4, dtype=torch.float32), lambda i: stats.norm.cdf),
    "box": Subject(lambda: Box(-1, 1, dim=3), lambda i: stats.uniform(-1, 2).cdf),
    "box-uneven": Subject(
        lambda: Box([0.0, -5.0, 1e6], [1e-8, 5.0, 1e6 + 1]),
        lambda i: stats.uniform([0.0, -5.0, 1e6][i], [1e-8, 10.0, 1.0][i]).cdf,
    ),
    "simplex": Subject(lambda: Simplex(5), lambda i: stats.beta(1, 4).cdf),
    "simplex-two": Subject(lambda: Simplex(2), lambda i: stats.uniform(0, 1).cdf),
    "bits": Subject(lambda: BitString(6), mean=lambda i: 0.5),
    "one-bit": Subject(lambda: BitString(1), mean=lambda i: 0.5),
    "subset": Subject(lambda: Subset(7, 3), mean=lambda i: 3 / 7),
    "subset-most": Subject(lambda: Subset(6, 5), mean=lambda i: 5 / 6),
    "product-smooth": Subject(
        lambda: Product(Box(0, 2, dim=2), Gaussian(2)), lambda i: stats.uniform(0, 2).cdf if i < 2 else stats.norm.cdf
    ),
    "product-mixed": Subject(lambda: Product(BitString(3), Subset(4, 2), BitString(2)), mean=lambda i: 0.5),
    "product-half-smooth": Subject(lambda: Product(Gaussian(2), BitString(2))),
    "copies": Subject(lambda: Copies(Simplex(3), 2), lambda i: stats.beta(1, 2).cdf),
    "patterns": Subject(lambda: Patterns([2, 3, 4]), mean=lambda i: (i + 1) / 2),
    "weights": Subject(lambda: Weights(_module()), _weights_cdf),
    "weights-he": Subject(
        lambda: Weights(_module(), prior="he"), lambda i: stats.norm(0, (2 / (3 if i < 8 else 2)) ** 0.5).cdf
    ),
}
SMOOTH = [name for name, s in SUBJECTS.items() if is_smooth(s.make())]
FINITE = ["bits", "one-bit", "subset", "subset-most", "patterns"]
every_space = pytest.mark.parametrize("name", list(SUBJECTS))
every_smooth_space = pytest.mark.parametrize("name", SMOOTH)
every_scale = pytest.mark.parametrize("scale", [0.05, 0.5, 1.0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(x: Tensor) -> list[np.ndarray]:
    """Functions of a point that a wrong move would disturb: marginals, tails and couplings, standardised."""
    x = x.double()
    centre, spread = x.mean(0), x.std(0).clamp_min(1e-300)
    u = (x - centre) / spread
    columns = [u[:, 0], u[:, 0] ** 2, u[:, 0].abs() ** 3, u[:, -1], u.square().sum(1), (u[:, 0] > 0.7).double()]
    columns += [u[:, i] * u[:, j] for i, j in pairwise(range(min(x.shape[1], 4)))]
    columns.append(torch.tanh(u @ torch.linspace(1.0, 2.0, x.shape[1], dtype=torch.float64)))
    return [c.numpy() for c in columns]


def invariance_gap(x: Tensor, y: Tensor) -> float:
    """Largest two-sample discrepancy of the features of ``x`` and ``y``, in standard errors of the difference."""
    worst, both = 0.0, features(torch.cat([x, y]))
    for f in both:
        a, b = f[: len(x)], f[len(x) :]
        error = np.sqrt(a.var() / len(a) + b.var() / len(b))
        if error > 0:
            worst = max(worst, abs(a.mean() - b.mean()) / error)
    return worst


def asymmetry(x: Tensor, y: Tensor) -> float:
    """Largest departure of E[f(x)g(y)] from E[g(x)f(y)] over pairs of features, in standard errors.

    Under a reversible move from the prior the pair (x, y) is exchangeable, so each difference has mean zero.
    """
    both = features(torch.cat([x, y]))
    split = [(f[: len(x)], f[len(x) :]) for f in both]
    worst = 0.0
    for i, (fx, fy) in enumerate(split):
        for gx, gy in split[i + 1 :]:
            d = fx * gy - gx * fy
            if d.std() > 0:
                worst = max(worst, abs(d.mean()) / (d.std() / np.sqrt(len(d))))
    return worst


@every_space
def test_says_what_it_is(name):
    space = SUBJECTS[name].make()
    assert isinstance(space, Space)
    assert isinstance(space.dim, int)
    assert space.dim >= 1
    assert isinstance(space.reference, str)
    assert space.reference
    assert space.reference in repr(space)
    assert is_finite_space(space) == (name in FINITE)


@every_space
def test_samples_have_the_stated_shape_and_format(name):
    space = SUBJECTS[name].make()
    x = space.sample(17, rng=generator())
    assert x.shape == (17, space.dim)
    assert x.dtype == getattr(space, "dtype", torch.float64)
    assert torch.isfinite(x).all()
    assert space.sample(0, rng=generator()).shape == (0, space.dim)


@every_space
def test_the_generator_alone_decides(name):
    space = SUBJECTS[name].make()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    x = space.sample(64, rng=generator(5))
    y = space.propose(x, 0.3, rng=generator(6))
    torch.manual_seed(2)
    assert torch.equal(x, space.sample(64, rng=generator(5)))
    assert torch.equal(y, space.propose(x, 0.3, rng=generator(6)))
    assert not torch.equal(space.sample(64, rng=generator(7)), x)
    torch.manual_seed(1)
    assert torch.equal(before, torch.get_rng_state())
    np_state = np.random.get_state()[1].copy()  # noqa: NPY002
    space.propose(space.sample(8, rng=generator()), 0.5, rng=generator())
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(np_state, np.random.get_state()[1])  # noqa: NPY002


@every_space
def test_samples_follow_the_prior(name):
    subject = SUBJECTS[name]
    x = subject.make().sample(N, rng=generator(11)).double().numpy()
    for i in range(x.shape[1]):
        if subject.cdf is not None:
            assert stats.kstest(x[:, i], subject.cdf(i)).pvalue > FALSE_ALARM / x.shape[1]
        if subject.mean is not None:
            p = subject.mean(i)
            assert abs(x[:, i].mean() - p) < NORMAL_QUANTILE * x[:, i].std() / np.sqrt(N)


@every_space
@every_scale
def test_moves_leave_the_prior_alone(name, scale):
    subject = SUBJECTS[name]
    space = subject.make()
    x = space.sample(N, rng=generator(21))
    y = space.propose(x, scale, rng=generator(22))
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    fresh = space.sample(N, rng=generator(23))
    assert invariance_gap(fresh, y) < NORMAL_QUANTILE
    if subject.cdf is not None:
        for i in range(space.dim):
            assert stats.kstest(y[:, i].double().numpy(), subject.cdf(i)).pvalue > FALSE_ALARM / space.dim


@every_space
@every_scale
def test_moves_are_reversible(name, scale):
    space = SUBJECTS[name].make()
    x = space.sample(N, rng=generator(31))
    assert asymmetry(x, space.propose(x, scale, rng=generator(32))) < NORMAL_QUANTILE


@every_space
def test_moves_do_not_touch_their_input_and_take_a_scale_each(name):
    space = SUBJECTS[name].make()
    x = space.sample(500, rng=generator(1))
    copy = x.clone()
    one = space.propose(x, 0.4, rng=generator(2))
    each = space.propose(x, torch.full((500,), 0.4, dtype=torch.float64), rng=generator(2))
    assert torch.equal(x, copy)
    assert torch.allclose(one, each, rtol=1e-6)
    assert space.propose(x[:0], 0.4, rng=generator(2)).shape == (0, space.dim)


@every_space
def test_larger_scales_move_further(name):
    space = SUBJECTS[name].make()
    x = space.sample(4000, rng=generator(1))
    spread = x.double().std(0).clamp_min(1e-300)
    moved = [
        float(((space.propose(x, s, rng=generator(3)) - x).double() / spread).square().mean()) for s in (0.05, 0.3, 1.0)
    ]
    assert moved[0] > 0
    assert moved[0] <= moved[1] * 1.05
    assert moved[1] <= moved[2] * 1.05


@every_smooth_space
def test_full_scale_is_a_fresh_draw(name):
    space = SUBJECTS[name].make()
    x = space.sample(N, rng=generator(1))
    y = space.propose(x, 1.0, rng=generator(2))
    for i in range(space.dim):
        rho = stats.spearmanr(x[:, i], y[:, i]).statistic
        assert abs(rho) < NORMAL_QUANTILE / np.sqrt(N)


@every_smooth_space
def test_normals_map_to_the_prior_and_back(name):
    subject = SUBJECTS[name]
    space = subject.make()
    z = torch.randn((N, space.dim), generator=generator(41), dtype=space.dtype)
    x = space.from_normal(z)
    assert subject.cdf is not None
    for i in range(space.dim):
        assert stats.kstest(x[:, i].double().numpy(), subject.cdf(i)).pvalue > FALSE_ALARM / space.dim
    back = space.from_normal(space.to_normal(x))
    size = (x.amax(0) - x.amin(0)).double()
    tolerance = 1e-4 if space.dtype == torch.float32 else 1e-8
    assert float(((back - x).double().abs() / size).amax()) < tolerance


@every_smooth_space
def test_from_normal_is_differentiable_also_far_out(name):
    space = SUBJECTS[name].make()
    z = 0.9 * torch.randn((5, space.dim), generator=generator(1), dtype=space.dtype)
    if space.dtype == torch.float64 and name != "box-uneven":
        assert torch.autograd.gradcheck(space.from_normal, z.clone().requires_grad_(True), atol=1e-6)
    for value in (-12.0, -1.0, 0.0, 1.0, 12.0):
        far = torch.full((2, space.dim), value, dtype=space.dtype, requires_grad=True)
        out = space.from_normal(far)
        (slope,) = torch.autograd.grad(out.sum(), far)
        assert torch.isfinite(out).all()
        assert torch.isfinite(slope).all()


def test_box_keeps_relative_precision_at_its_ends_and_middle():
    z = torch.tensor([[-20.0], [-30.0]], dtype=torch.float64)
    x = Box(0, 1).from_normal(z)
    assert x.flatten().numpy() == pytest.approx(stats.norm.cdf(z.flatten().numpy()), rel=1e-10)
    middle = Box(-1, 1).from_normal(torch.tensor([[1e-12]], dtype=torch.float64))
    assert float(middle) == pytest.approx(1e-12 * np.sqrt(2 / np.pi), rel=1e-10)
    end = Box(0, 1).to_normal(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
    assert torch.isfinite(end).all()


@pytest.mark.parametrize("name", ["box", "box-uneven", "simplex", "weights"])
def test_points_outside_the_support_are_refused(name):
    space = SUBJECTS[name].make()
    x = space.sample(3, rng=generator())
    x[1, 0] += 100.0 if name != "box-uneven" else 1.0
    with pytest.raises(InputError, match="point 1"):
        space.to_normal(x)


@pytest.mark.parametrize("name", FINITE)
def test_finite_spaces_number_their_points(name):
    space = SUBJECTS[name].make()
    assert isinstance(space, FiniteSpace)
    points = space.points(0, space.size)
    assert points.shape == (space.size, space.dim)
    assert len(torch.unique(points, dim=0)) == space.size
    assert torch.equal(space.points(1, space.size), points[1:])
    drawn = space.sample(2000, rng=generator())
    assert set(map(tuple, drawn.tolist())) <= set(map(tuple, points.tolist()))
    index = {tuple(p): i for i, p in enumerate(points.tolist())}
    counts = np.bincount([index[tuple(p)] for p in drawn.tolist()], minlength=space.size)
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


@pytest.mark.parametrize("space", [BitString(3), Subset(5, 2), Subset(4, 3)], ids=repr)
@every_scale
def test_finite_moves_balance_between_every_pair_of_points(space, scale):
    n = 100_000
    x = space.sample(n, rng=generator(51))
    y = space.propose(x, scale, rng=generator(52))
    index = {tuple(p): i for i, p in enumerate(space.points(0, space.size).tolist())}
    i, j = (np.array([index[tuple(p)] for p in t.tolist()]) for t in (x, y))
    flow = np.zeros((space.size, space.size))
    np.add.at(flow, (i, j), 1)
    there, back = flow[np.triu_indices(space.size, 1)], flow.T[np.triu_indices(space.size, 1)]
    seen = there + back > 0
    bowker = ((there - back)[seen] ** 2 / (there + back)[seen]).sum()  # Bowker's test of symmetry (1948)
    assert stats.chi2.sf(bowker, seen.sum()) > FALSE_ALARM
    assert stats.chisquare(flow.sum(0)).pvalue > FALSE_ALARM


def test_products_lay_their_parts_end_to_end():
    parts = Box(0, 1, dim=2), BitString(3)
    product = Product(*parts)
    x = product.sample(10, rng=generator())
    a, b = product.split(x)
    assert a.shape == (10, 2)
    assert set(b.unique().tolist()) <= {0.0, 1.0}
    assert not is_smooth(product)
    assert is_smooth(Product(Box(0, 1), Gaussian(2)))


@every_space
def test_survives_pickling(name):
    space = SUBJECTS[name].make()
    other = pickle.loads(pickle.dumps(space))
    assert other.reference == space.reference
    assert torch.equal(other.sample(5, rng=generator(3)), space.sample(5, rng=generator(3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gaussian(0),
        lambda: Gaussian(2.5),
        lambda: Gaussian(True),
        lambda: Gaussian("3"),
        lambda: Box(1, 0, dim=2),
        lambda: Box(0, float("inf"), dim=2),
        lambda: Box(float("nan"), 1, dim=2),
        lambda: Box([0, 0], [1, 1, 1]),
        lambda: Box([0, 0], 1, dim=3),
        lambda: Box([[0, 0]], 1),
        lambda: Simplex(1),
        lambda: BitString(-1),
        lambda: Subset(3, 4),
        lambda: Subset(3, -1),
        Product,
        lambda: Product(Gaussian(2), "Gaussian(2)"),
        lambda: Weights(nn.Tanh()),
        lambda: Weights("a model"),
    ],
)
def test_bad_input_is_refused_in_plain_words(make):
    with pytest.raises(InputError) as caught:
        make()
    assert "wanted" in str(caught.value) or "must" in str(caught.value)


class _Drifting(Gaussian):
    """A broken move: it forgets to shrink, so the prior spreads."""

    def propose(self, x, scale, *, rng):
        return x + scale * torch.randn(x.shape, generator=rng, dtype=x.dtype)


class _OneWay(Gaussian):
    """A broken move that keeps the prior but not reversibility: it rotates the first two coordinates one way."""

    def propose(self, x, scale, *, rng):
        y = x.clone()
        y[:, 0], y[:, 1] = x[:, 1], -x[:, 0]
        return y


class _Greedy(BitString):
    """A broken move: it sets bits more readily than it clears them."""

    def propose(self, x, scale, *, rng):
        y = super().propose(x, scale, rng=rng)
        return torch.where(torch.rand(x.shape, generator=rng) < 0.05, torch.ones_like(y), y)


@pytest.mark.parametrize("space", [_Drifting(4), _Greedy(6)], ids=["drifting", "greedy"])
def test_the_invariance_check_catches_a_broken_move(space):
    y = space.propose(space.sample(N, rng=generator(21)), 0.5, rng=generator(22))
    assert invariance_gap(space.sample(N, rng=generator(23)), y) > NORMAL_QUANTILE


def test_the_reversibility_check_catches_a_one_way_move():
    space = _OneWay(4)
    x = space.sample(N, rng=generator(31))
    y = space.propose(x, 0.5, rng=generator(32))
    assert invariance_gap(space.sample(N, rng=generator(33)), y) < NORMAL_QUANTILE
    assert asymmetry(x, y) > NORMAL_QUANTILE
