"""Step sizes: the scales and the basis that forces ask for, and moves along them."""

from __future__ import annotations

import torch

from pindown import Gaussian
from pindown.engine.moves import Chains, StepSizes, hamiltonian
from pindown.engine.objective import Objective
from pindown.engine.warp import Curve, Schedule, Warp

STEP = torch.tensor([0.5], dtype=torch.float64)


def turned(values):
    g = torch.Generator().manual_seed(0)
    n = len(values)
    basis = torch.linalg.qr(torch.randn(n, n, generator=g, dtype=torch.float64)).Q
    return basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.T


def test_correlated_forces_get_a_basis_of_their_own():
    sizes = StepSizes.from_forces(STEP, [turned([1.0, 100.0, 1e4])], 8, 0)
    assert sizes.basis is not None
    recovered = sizes.basis[0] @ torch.diag(sizes.scale[0] ** -2 - 1.0) @ sizes.basis[0].T
    assert torch.allclose(recovered, turned([1.0, 100.0, 1e4]), rtol=1e-9, atol=1e-6)


def test_forces_along_the_coordinates_need_none():
    products = torch.diag(torch.tensor([1.0, 100.0, 1e4], dtype=torch.float64))
    sizes = StepSizes.from_forces(STEP, [products], 8, 0)
    assert sizes.basis is None
    assert torch.equal(sizes.scale, StepSizes.from_forces(STEP, [products.diagonal()], 8, 0).scale)


def test_a_rank_deficient_sample_gets_finite_scales():
    force = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)
    sizes = StepSizes.from_forces(STEP, [force.T @ force], 8, 0)
    assert sizes.basis is not None
    assert torch.isfinite(sizes.scale).all()
    assert bool((sizes.scale <= 1.0).all())


def test_a_trajectory_along_a_basis_conserves_energy_as_well_as_one_along_the_coordinates():
    """A rotated problem in the rotated basis is the same problem: acceptances agree up to rounding."""
    scales = torch.tensor([1.0, 30.0, 900.0], dtype=torch.float64)
    rotation = torch.linalg.eigh(turned([1.0, 30.0, 900.0])).eigenvectors

    def rate(rotate):
        def loss(x):
            return (scales * (x @ rotate).square()).sum(-1)

        objective = Objective(Gaussian(3), loss)
        warp = Warp(Curve.through(*knots), Schedule(floor=2.0))
        g = torch.Generator().manual_seed(1)
        start = torch.randn(1, 400, 3, generator=g, dtype=torch.float64) * 0.03
        chains = Chains.at(objective, start @ rotate.T)
        sizes = StepSizes(STEP.clone(), (1.0 + 50.0 * scales).rsqrt().unsqueeze(0), 4, basis=rotate.unsqueeze(0))
        velocities = torch.Generator().manual_seed(2)
        return float(hamiltonian(objective, warp, torch.tensor([40.0]).double(), chains, sizes, velocities))

    import numpy as np

    knots = np.array([3.0, 1.0, 0.3, 0.1, 0.03]), np.array([1.0, 3.0, 5.0, 7.0, 9.0])
    straight = rate(torch.eye(3, dtype=torch.float64))
    assert abs(rate(rotation) - straight) < 1e-9
    assert 0.05 < straight < 1.0
