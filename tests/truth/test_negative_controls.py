"""Broken engines must fail: each control breaks one thing and shows that the checks of the known answers see it."""

from __future__ import annotations

import importlib

import cases
import pytest
import torch
from checks import complaints

import pindown
from pindown import BitString
from pindown.engine import moves

SEED = 5
# Control variates make quadratic losses exact whatever the moves do, so that broken moves show on another one; and by
# the ladder alone, since splitting would step in for a ladder that does not converge.
NOT_QUADRATIC = "corner-sum"


def measured(case, space=None, **options):
    return pindown.measure(space or case.space(), case.loss, tolerance=case.tolerance, seed=SEED, jobs=1, **options)


def test_the_unbroken_engine_passes_in_the_same_setting():
    case = cases.BY_NAME["ball-10-50"]
    assert complaints(case, measured(case)) == []
    assert complaints(case, measured(case, engine="splitting")) == []
    case = cases.BY_NAME[NOT_QUADRATIC]
    assert complaints(case, measured(case, engine="ladder")) == []


def test_accepting_whatever_the_energy_is_seen(monkeypatch):
    original = moves._trajectory

    def blind(*args):
        end, change = original(*args)
        return end, torch.zeros_like(change)

    monkeypatch.setattr(moves, "_trajectory", blind)
    case = cases.BY_NAME[NOT_QUADRATIC]
    assert complaints(case, measured(case, engine="ladder")) != []


def test_a_rotation_of_the_wrong_length_is_seen(monkeypatch):
    """Points that drift outwards after the accept step, as a rotation that is not orthogonal would make them."""
    original = moves.hamiltonian

    def stretched(objective, warp, beta, chains, sizes, rng):
        rate = original(objective, warp, beta, chains, sizes, rng)
        moved = moves.Chains.at(objective, chains.z * 1.03)
        chains.z[:], chains.loss[:], chains.gradient[:] = moved.z, moved.loss, moved.gradient
        return rate

    for module in ("moves", "ladder", "polish", "warmup"):
        owner = importlib.import_module(f"pindown.engine.{module}")
        if hasattr(owner, "hamiltonian"):
            monkeypatch.setattr(owner, "hamiltonian", stretched)
    case = cases.BY_NAME[NOT_QUADRATIC]
    assert complaints(case, measured(case, engine="ladder")) != []


class Greedy(BitString):
    """Fair coins whose move sets bits more readily than it clears them."""

    def propose(self, x, scale, *, rng):
        y = super().propose(x, scale, rng=rng)
        return torch.where(torch.rand(x.shape, generator=rng) < 0.05, torch.ones_like(y), y)


def test_a_move_that_is_not_reversible_for_the_prior_is_seen():
    case = cases.BY_NAME["all-ones"]
    assert complaints(case, measured(case, engine="splitting")) == []
    assert complaints(case, measured(case, Greedy(32), engine="splitting")) != []


@pytest.mark.parametrize("shift", [-3.0, 3.0])
def test_a_shifted_answer_is_seen(shift):
    case = cases.BY_NAME["ball-10-50"]
    wrong = cases.Case(
        case.name,
        case.space,
        case.loss,
        case.tolerance,
        cases.Exact(case.exact.bits + shift),
        case.accuracy,
        case.most_stderr,
    )
    assert complaints(wrong, measured(case)) != []
