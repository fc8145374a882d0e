"""Trained weights from a file, and into a user's model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pindown.errors import CheckpointError, InputError

__all__ = ["ENDINGS", "read_state", "with_weights"]

ENDINGS = (".safetensors", ".pt", ".pth")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_MOST_NAMED = 8


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of a ``.pt`` or ``.pth`` file that holds a state dict.

    A state dict that a training program wrapped together with other things, under ``state_dict``,
    ``model_state_dict`` or ``model``, is found. Nothing in the file is executed.

    Raises:
        InputError: where there is no such file, or its name ends otherwise.
        CheckpointError: where it is damaged or holds something else.
    """
    if not path.is_file():
        raise InputError(f"no file at {path}", "a .safetensors, .pt or .pth file", "check the path")
    if path.suffix not in ENDINGS:
        raise InputError(f"weights in {path}", "a .safetensors, .pt or .pth file")
    state = _read(path)
    if isinstance(state, Mapping):
        inner = (state[name] for name in _WRAPPERS if isinstance(state.get(name), Mapping))
        state = next(inner, cast("Mapping[Any, Any]", state))
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f"{path} holds no state dict", "tensors by the names of parameters", "save model.state_dict()"
        )
    return {str(name): tensor for name, tensor in state.items()}


def with_weights(model: nn.Module, path: Path) -> nn.Module:
    """A copy of ``model`` with the weights of a file. Of tied weights one name is enough.

    Raises:
        InputError, CheckpointError: as :func:`read_state`; and ``CheckpointError`` where the weights do not fit, with
            the keys that are missing, left over, or of another shape.
    """
    state, model = read_state(path), copy.deepcopy(model)
    wanted = model.state_dict(keep_vars=True)
    given = {id(wanted[name]) for name in state if name in wanted}
    wrong = {
        "missing": [name for name, tensor in wanted.items() if name not in state and id(tensor) not in given],
        "left over": [name for name in state if name not in wanted],
        "of another shape": [
            f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
            for name, tensor in state.items()
            if name in wanted and tensor.shape != wanted[name].shape
        ],
    }
    found = "; ".join(f"{what}: {_listed(names)}" for what, names in wrong.items() if names)
    if found:
        raise CheckpointError(f"the weights in {path} do not fit the model ({found})", "the model's own state dict")
    model.load_state_dict(state, strict=False)
    return model


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own errors; all of them mean that the file cannot be read
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__})", "a complete file of tensors", "write it again"
        ) from error


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
