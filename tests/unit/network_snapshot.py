"""All that a measurement may not change about a module that was handed to it."""

from __future__ import annotations

import random

import numpy as np
import torch
from network_zoo import Case
from torch import Tensor, nn


class Snapshot:
    """All that may not change: weights, buffers, gradients, modes, hooks, flags, and every global random state."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors = {n: t.detach().clone() for n, t in model.state_dict().items()}
        self.identities = {n: (id(p), p.data_ptr(), p.requires_grad) for n, p in model.named_parameters()}
        self.grads = {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
        self.modes = {n: m.training for n, m in model.named_modules()}
        self.hooks = {n: len(m._forward_hooks) + len(m._forward_pre_hooks) for n, m in model.named_modules()}
        self.random = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
        self.globals = (torch.is_grad_enabled(), torch.backends.mha.get_fastpath_enabled(), torch.get_num_threads())
        self.kernels = (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled())

    def assert_same(self, model: nn.Module) -> None:
        now = Snapshot(model)
        assert now.tensors.keys() == self.tensors.keys()
        assert all(torch.equal(now.tensors[n], t) for n, t in self.tensors.items())
        for n, g in self.grads.items():
            other = now.grads[n]
            assert (g is None) == (other is None)
            assert g is None or other is None or torch.equal(g, other)
        for field in ("identities", "modes", "hooks", "globals", "kernels"):
            assert getattr(now, field) == getattr(self, field), field
        assert torch.equal(now.random[0], self.random[0])
        assert bool((now.random[1] == self.random[1]).all())
        assert now.random[2] == self.random[2]


def prepared(case: Case) -> tuple[nn.Module, Tensor, Tensor]:
    """A module in mixed modes that carries gradients."""
    model, x, y = case.build()
    model.train()
    next(model.children(), model).eval()
    for i, p in enumerate(model.parameters()):
        p.grad = torch.full_like(p, 0.5) if i % 2 else None
    return model, x, y
