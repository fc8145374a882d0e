"""Products with the Hessian and the Gauss–Newton matrix on every kind of module, and Lanczos on small matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from network_zoo import ZOO, Case
from torch import Tensor, nn

from pindown.errors import InputError
from pindown.network.curvature import Curvature
from pindown.network.lanczos import quadratures, ritz_pairs, top_pairs
from pindown.network.subject import Subject
from pindown.spaces.network import Uniform


def subject_of(case: Case, **options) -> Subject:
    model, x, y = case.build()
    return Subject(model, "cross_entropy", (x, y), prior=case.prior, **options)


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_hessian_products_are_the_change_of_the_gradient(case):
    subject = subject_of(case, batch_size=5)
    c = Curvature(subject, dtype=torch.float64)
    g = torch.Generator().manual_seed(0)
    v = torch.randn((3, c.dim), generator=g, dtype=torch.float64)
    # A step below the distance to any kink of a ReLU, above the rounding of the gradients.
    step = 1e-8
    ends = [Curvature(subject, c.point + s * step * v[0], dtype=torch.float64).gradient for s in (1.0, -1.0)]
    change = (ends[0] - ends[1]) / (2 * step)
    product = c.product(v)
    torch.testing.assert_close(product[0], change, rtol=1e-5, atol=1e-6 * float(change.abs().max()))
    torch.testing.assert_close(c.product(v[1:2])[0], product[1])
    assert float(v[0] @ product[1]) == pytest.approx(float(v[1] @ product[0]), rel=1e-9)
    assert c.loss == pytest.approx(float(subject.losses(subject.solutions[0].point.unsqueeze(0))), rel=1e-5)
    assert c.products == 4


@pytest.mark.parametrize(
    "case",
    [c for c in ZOO if c.name in ("perceptron", "convolution", "tied transformer", "gru")],
    ids=lambda c: c.name,
)
def test_gauss_newton_is_the_sum_over_examples_of_what_softmax_says(case):
    """vᵀGv = 1/n Σ Var_p(Jv), the variance of the outputs' change under each example's own probabilities."""
    subject = subject_of(case)
    c = Curvature(subject, dtype=torch.float64, matrix="gauss-newton")
    g = torch.Generator().manual_seed(1)
    v = torch.randn(c.dim, generator=g, dtype=torch.float64)
    step = 1e-7
    forward, batches = c._forward, c._batches
    named = lambda w: {n: w[c.space.slices[n]].view(c.space.shapes[n]) for n in c.space.names}  # noqa: E731
    if any(p.free is not None for p in c.space.parameters):
        from pindown.network.curvature import _named

        named = lambda w: _named(forward, w)  # noqa: E731
    x = batches.items[0][0]
    with torch.no_grad():
        middle, high, low = (forward.one(named(c.point + s * step * v), x) for s in (0.0, 1.0, -1.0))
    change, p = (high - low) / (2 * step), middle.softmax(1)
    variance = (p * change**2).sum(1) - (p * change).sum(1) ** 2
    assert float(v @ c.product(v.unsqueeze(0))[0]) == pytest.approx(float(variance.mean()), rel=1e-5)


def test_batches_change_nothing_and_memory_limits_only_the_time(monkeypatch):
    case = ZOO[1]
    whole = Curvature(subject_of(case), dtype=torch.float64).dense()
    torch.testing.assert_close(Curvature(subject_of(case, batch_size=5), dtype=torch.float64).dense(), whole)
    monkeypatch.setattr("pindown.network.curvature._GRAPH_BYTES", 0)
    monkeypatch.setattr("pindown.network.curvature._VECTOR_BYTES", 0)
    thrifty = Curvature(subject_of(case), dtype=torch.float64)
    assert thrifty._kept is None
    assert thrifty.block == 1
    torch.testing.assert_close(thrifty.dense(), whole)


def test_the_priors_coordinates_bring_in_its_own_curvature():
    """With w = g(z) coordinate by coordinate: H_z = g' H g' + diag(∂L/∂w g'')."""
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    x = torch.randn((9, 3), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    subject = Subject(model, "mse", (x, x[:, :1]), prior=Uniform(-2.0, 2.0))
    w, z = Curvature(subject), Curvature(subject, coordinates="normal")
    at = z.point
    density = torch.exp(-0.5 * at**2) / (2 * torch.pi) ** 0.5
    first, second = 4.0 * density, -4.0 * at * density
    expected = first.unsqueeze(1) * w.dense() * first + torch.diag(w.gradient * second)
    torch.testing.assert_close(z.dense(), expected)
    torch.testing.assert_close(z.gradient, w.gradient * first)


def linear(outputs: Tensor, targets: Tensor) -> Tensor:
    del targets
    return outputs.sum(1).mean()


def test_a_loss_that_is_linear_in_the_weights_has_no_curvature():
    subject = Subject(nn.Linear(2, 1), linear, (torch.eye(2), torch.zeros(2, 1)))
    assert not Curvature(subject).dense().any()


class Half(nn.Module):
    """One path with a second derivative and one without: autograd's products silently lack a part."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return OnlyOnce.apply(y).square() * y


class OnlyOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g


class Once(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return OnlyOnce.apply(self.inner(x)).square()


def test_what_cannot_be_had_is_named():
    eye = torch.eye(2)
    custom = Subject(nn.Linear(2, 1), linear, (eye, torch.zeros(2, 1)))
    with pytest.raises(InputError, match="cross-entropy or squared error"):
        Curvature(custom, matrix="gauss-newton")
    with pytest.raises(InputError, match="second derivatives"):
        Curvature(Subject(Once(), "mse", (eye, eye)))
    with pytest.raises(InputError, match="only once"):
        Curvature(Subject(Half(), "mse", (eye, eye)))
    with pytest.raises(InputError, match="matrix 'fisher'"):
        Curvature(custom, matrix="fisher")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"\(k, 3\)"):
        Curvature(custom).product(torch.zeros(3))
    with pytest.raises(InputError, match=r"\(3,\)"):
        Curvature(custom, torch.zeros(2))


def symmetric(n: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(4)
    q = torch.linalg.qr(torch.randn((n, n), generator=g, dtype=torch.float64)).Q
    h = torch.linspace(-1.0, 3.0, n, dtype=torch.float64) ** 3
    return (q * h) @ q.T, h


def test_quadrature_is_exact_once_all_steps_are_taken():
    a, h = symmetric(30)
    start = torch.randn((3, 30), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for f, whole in ((np.exp, torch.linalg.matrix_exp(a)), (lambda x: x**2, a @ a)):
        for z, rule in zip(start, quadratures(lambda v: v @ a, start, 30), strict=True):
            assert rule.integral(f) == pytest.approx(float(z @ whole @ z), rel=1e-9)
    # m steps are exact for polynomials of degree 2m − 1, and no further.
    rule = quadratures(lambda v: v @ a, start[:1], 3)[0]
    z = start[0]
    assert rule.integral(lambda x: x**5) == pytest.approx(float(z @ torch.linalg.matrix_power(a, 5) @ z), rel=1e-9)
    assert rule.integral(lambda x: x**6) != pytest.approx(float(z @ torch.linalg.matrix_power(a, 6) @ z), rel=1e-6)
    del h


def test_an_exhausted_space_ends_the_steps():
    a = torch.diag(torch.tensor([1.0, 1.0, 1.0, 5.0], dtype=torch.float64))
    start = torch.tensor([[1.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    two, none, one = quadratures(lambda v: v @ a, start, 4)
    assert two.nodes == pytest.approx([1.0, 5.0])
    assert two.weights == pytest.approx([5.0, 1.0])
    assert none.integral(np.exp) == 0.0
    assert one.integral(lambda x: 1 / x) == pytest.approx(1.0)
    values, vectors = ritz_pairs(lambda v: v @ a, start[0], 4)
    assert values == pytest.approx([1.0, 5.0])
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(2, dtype=torch.float64))


def test_top_pairs_come_with_bounds_that_hold():
    a, h = symmetric(60)
    start = torch.ones(60, dtype=torch.float64)
    found = top_pairs(lambda v: v @ a, 60, 4, start=start, tolerance=1e-3)
    exact = h.flip(0)[:4].numpy()
    assert (np.abs(found.values - exact) <= found.residuals + 1e-12).all()
    assert found.converged
    assert found.rayleigh == pytest.approx(exact.sum(), rel=1e-3)
    stopped = top_pairs(lambda v: v @ a, 60, 4, start=start, tolerance=1e-14, most_products=21)
    assert not stopped.converged
