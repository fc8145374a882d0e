"""Seeds to independent generators. Nothing here touches the global random state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pindown.errors import InputError

if TYPE_CHECKING:
    import torch

__all__ = ["child_seed", "torch_generator"]


def child_seed(seed: int, *path: int) -> int:
    """A 63-bit seed for one branch of a run, independent of its siblings.

    Built with NumPy's ``SeedSequence`` (M. E. O'Neill's hash), whose spawn keys give streams that do not
    collide for distinct paths.

    Raises:
        InputError: if ``seed`` is negative or not an integer.

    >>> child_seed(0, 1) != child_seed(0, 2)
    True
    >>> child_seed(7, 3, 4) == child_seed(7, 3, 4)
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed {seed!r}", "an integer of zero or more")
    state = np.random.SeedSequence(int(seed), spawn_key=path).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])


def torch_generator(seed: int, *path: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A ``torch.Generator`` on ``device``, seeded for one branch of a run."""
    import torch

    return torch.Generator(device=device).manual_seed(child_seed(seed, *path))
