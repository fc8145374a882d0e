"""What every test shares: one process, one thread, and property tests that draw the same examples at each run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Tests run side by side, so each keeps to one core unless it asks for more; set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PINDOWN_JOBS", "1")

import hypothesis
import numpy as np
import pytest
import torch

hypothesis.settings.register_profile("pindown", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("pindown")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    """Numbers for a test that needs some; the same ones at each run."""
    return np.random.default_rng(20240607)


@pytest.fixture
def torch_rng() -> torch.Generator:
    """The same for torch."""
    return torch.Generator().manual_seed(20240607)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in an empty folder; what is imported from there is forgotten afterwards, so that no test finds it."""
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or os.devnull).is_relative_to(tmp_path):
            del sys.modules[name]
