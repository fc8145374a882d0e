"""The functions that a sampler found, as labels on a set of inputs."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pindown.errors import DataError, InputError
from pindown.network.forward import evaluation_copy
from pindown.spaces.initialisation import preserved_random_state

__all__ = ["FunctionSample", "Labelled", "read_labels", "read_sample"]


@runtime_checkable
class Labelled(Protocol):
    """Draws that tell their labels, such as :class:`OptimiserRuns` and :class:`RandomSolutions`."""

    def labels(self, inputs: Tensor) -> Tensor:
        """Labels of every network on ``inputs``, ``(N, n)``."""
        ...


@dataclass(frozen=True, eq=False)
class FunctionSample:
    """Draws of one sampler.

    Attributes:
        labels: label of each draw on each input, ``(N, n)``.
        groups: which independent group each draw comes from, ``(N,)``.
        attempted: how many runs were started, with those that did not fit.
    """

    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    attempted: int

    @property
    def size(self) -> int:
        """Number of draws."""
        return len(self.labels)


def read_sample(given: Any, inputs: Tensor, what: str) -> FunctionSample:
    """Draws as labels on ``inputs``.

    Raises:
        InputError: for draws of another kind, none at all, or labels that do not fit the inputs.
    """
    remedy = "hand over modules, whole-number labels of shape (runs, inputs), OptimiserRuns or RandomSolutions"
    if isinstance(given, FunctionSample):
        labels: Any = given.labels
    elif isinstance(given, Labelled):
        labels = given.labels(inputs).cpu().numpy()
    elif isinstance(given, Tensor | np.ndarray):
        labels = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    elif isinstance(given, Sequence) and given and all(isinstance(m, nn.Module) for m in given):
        labels = np.stack([_module_labels(m, inputs) for m in given])
    else:
        raise InputError(f"{what} of type {type(given).__name__}", "draws of a sampler", remedy)
    if labels.ndim != 2 or labels.shape[1] != len(inputs) or labels.dtype.kind not in "iub":
        raise InputError(
            f"{what} with labels of shape {labels.shape} and type {labels.dtype}",
            f"whole numbers of shape (runs, {len(inputs)})",
            remedy,
        )
    if len(labels) < 2:
        raise InputError(f"{len(labels)} draws of the {what}", "at least 2", "draw more")
    groups = getattr(given, "groups", None)
    own = np.arange(len(labels)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if own.shape != (len(labels),):
        raise InputError(f"{what} with {own.shape[0]} groups", f"one for each of {len(labels)} draws")
    attempted = getattr(given, "attempted", None)
    return FunctionSample(labels.astype(np.int64), own.astype(np.int64), int(attempted or len(labels)))


def read_labels(path: str | Path) -> FunctionSample:
    """Draws from a file: a ``.npy`` of labels ``(N, n)``, or a ``.npz`` with ``labels``, ``groups`` and ``attempted``.

    Groups tell which draws are not independent of each other; without them each is on its own.

    Raises:
        InputError: for another kind of file, or arrays that are no draws.
        DataError: for a file that cannot be read.
    """
    path = Path(path)
    wanted = "a .npy file of labels, or a .npz with labels and, where there are, groups and attempted"
    if not path.is_file():
        raise InputError(f"no file at {path}", wanted, "check the path")
    if path.suffix not in (".npy", ".npz"):
        raise InputError(f"labels in {path}", wanted)
    try:
        read = np.load(path, allow_pickle=False)  # nothing in the file is executed
        arrays = dict(read) if path.suffix == ".npz" else {"labels": read}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error})", wanted) from error
    unknown = set(arrays) - {"labels", "groups", "attempted"}
    if "labels" not in arrays or unknown:
        raise InputError(f"{path} with {', '.join(sorted(arrays)) or 'nothing'}", "labels, groups, attempted")
    labels = np.asarray(arrays["labels"])
    if labels.ndim != 2 or not len(labels) or labels.dtype.kind not in "iub":
        raise InputError(
            f"labels of shape {labels.shape} and type {labels.dtype} in {path}", "whole numbers (networks, inputs)"
        )
    groups = np.asarray(arrays.get("groups", np.arange(len(labels))))
    if groups.shape != (len(labels),) or groups.dtype.kind not in "iu":
        raise InputError(f"groups of shape {groups.shape} in {path}", f"one whole number for each of {len(labels)}")
    attempted = np.asarray(arrays.get("attempted", len(labels)))
    if attempted.shape != () or attempted.dtype.kind not in "iu" or attempted < len(labels):
        raise InputError(f"attempted {attempted} in {path}", f"one whole number, {len(labels)} or more")
    return FunctionSample(labels.astype(np.int64), groups.astype(np.int64), int(attempted))


def _module_labels(model: nn.Module, inputs: Tensor) -> NDArray[np.int64]:
    with preserved_random_state(), torch.no_grad():
        copy, _ = evaluation_copy(model)
        out = copy(inputs)
    if out.ndim == 1 or out.shape[-1] == 1:
        return (out.reshape(len(inputs)) > 0).long().cpu().numpy()
    return out.argmax(-1).reshape(len(inputs)).cpu().numpy()
