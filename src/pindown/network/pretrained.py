"""Models of the package transformers, from a folder on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pindown.errors import CheckpointError, DataError, InputError
from pindown.network.subject import Subject
from pindown.spaces.initialisation import preserved_random_state

__all__ = ["load_pretrained", "pretrained", "read_tokens"]


def pretrained(
    folder: str | Path,
    data: Any,
    *,
    held_out: Any = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] = "cross_entropy",
    name: str | None = None,
    forward: Callable[[Callable[..., Any], Any], Tensor] | None = None,
    **options: Any,
) -> Subject:
    """A subject from a folder that ``save_pretrained`` of the package transformers wrote. Nothing is downloaded.

    The model is that of the architecture which the folder's ``config.json`` names, in the format that its weights were
    saved in. Its logits are the outputs, classes on the second axis. The prior of its parameters is its own
    initialisation, ``_init_weights``.

    Args:
        folder: the folder, with ``config.json`` and weights.
        data: ``(inputs, targets)`` as for :class:`pindown.Subject`; inputs are token numbers ``(B, T)``, or a tuple of
            them and the attention mask. For a causal language model token numbers alone, or a file of them
            (:func:`read_tokens`), will do: then each token is the target at the one before.
        held_out: held-out data of the same kind.
        loss: as for :class:`pindown.Subject`.
        name: what to call it, by default the folder's name.
        forward: ``forward(call, inputs)`` for a model that has to be called in another way.
        **options: the other options of :class:`pindown.Subject`.

    Raises:
        InputError: without the package transformers (extra ``hf``), or for a folder without a model.
        CheckpointError: where the model cannot be loaded.
        DataError: for data that do not fit, such as tokens beyond the vocabulary.

    Example:
        >>> pretrained("no/such/folder", None)
        Traceback (most recent call last):
        ...
        pindown.errors.InputError: no config.json in no/such/folder; wanted a folder with a model. Save it there \
first: model.save_pretrained(folder).
    """
    model = load_pretrained(folder)
    causal = type(model).__name__.endswith(("ForCausalLM", "LMHeadModel"))
    if causal and isinstance(data, Tensor | str | Path):
        data = _next_tokens(model, data, "tokens")
        held_out = None if held_out is None else _next_tokens(model, held_out, "held-out tokens")
    return Subject(
        model, loss, data, held_out=held_out, name=name or Path(folder).resolve().name, forward=forward or _logits,
        **options,
    )  # fmt: skip


def load_pretrained(folder: str | Path) -> nn.Module:
    """The model in a folder, in evaluation mode, with the architecture that its ``config.json`` names.

    Raises:
        InputError: without the package transformers, or for a folder without a model.
        CheckpointError: where the model cannot be loaded.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise InputError(
            f"no config.json in {folder}", "a folder with a model", "save it there first: model.save_pretrained(folder)"
        )
    try:
        named = json.loads((path / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise InputError(f"{path / 'config.json'}, which cannot be read ({error})", "a JSON object") from error
    with preserved_random_state():
        try:
            transformers = import_module("transformers")
        except ImportError as error:
            raise InputError(
                f"{folder} without the package transformers", "the package", "pip install 'pindown[hf]'"
            ) from error
        kind = getattr(transformers, named[0], None) if named else None
        if kind is None:
            raise InputError(
                f"{folder} with the architectures {named}", "one that this version of transformers knows",
                "load the model in Python and hand it to Subject(model, …, forward=lambda call, x: call(x).logits)",
            )  # fmt: skip
        try:
            model = kind.from_pretrained(
                str(path), local_files_only=True, dtype="auto", attn_implementation="eager"
            )  # fmt: skip
        except Exception as error:  # configuration, weights and code have errors of their own
            reason = str(error).strip().split("\n")[0]
            raise CheckpointError(
                f"the {named[0]} in {folder} cannot be loaded ({type(error).__name__}: {reason})", "its weights"
            ) from error
    return model.eval()


def read_tokens(path: str | Path) -> Tensor:
    """Token numbers from a ``.pt``, ``.npy`` or ``.safetensors`` file. Nothing in the file is executed.

    A file of several tensors has to name them ``tokens`` or ``input_ids``.

    Raises:
        InputError: where there is no such file, or its name ends otherwise.
        DataError: where it cannot be read, or holds no tensor.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file at {path}", "token numbers in a .pt, .npy or .safetensors file", "check the path")
    if path.suffix not in _READERS:
        raise InputError(f"tokens in {path}", "a .pt, .npy or .safetensors file")
    try:
        held = _READERS[path.suffix](path)
    except Exception as error:  # each format has its own errors; all of them mean that the file cannot be read
        raise DataError(
            f"{path} cannot be read ({type(error).__name__})", "a complete file", "write it again"
        ) from error
    if isinstance(held, dict):
        named = [held[key] for key in ("tokens", "input_ids") if key in held] or list(held.values())[: len(held) == 1]
        held = named[0] if named else None
    if not isinstance(held, Tensor):
        raise DataError(f"{path} without a tensor of tokens", 'one tensor, or one named "tokens" or "input_ids"')
    return held


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


_READERS: dict[str, Callable[[Path], Any]] = {
    ".pt": lambda path: torch.load(path, map_location="cpu", weights_only=True),
    ".npy": lambda path: torch.as_tensor(np.load(path, allow_pickle=False)),
    ".safetensors": _safetensors,
}


def _logits(call: Callable[..., Any], inputs: Any) -> Tensor:
    """Logits ``(B, C)`` or ``(B, C, T)``; a second input is the attention mask."""
    tokens, mask = inputs if isinstance(inputs, tuple) else (inputs, None)
    found = call(input_ids=tokens, attention_mask=mask) if mask is not None else call(input_ids=tokens)
    logits = found.logits
    return logits.transpose(1, 2) if logits.ndim == 3 else logits


def _next_tokens(model: Any, given: Tensor | str | Path, what: str) -> tuple[Tensor, Tensor]:
    tokens = given if isinstance(given, Tensor) else read_tokens(given)
    if tokens.ndim != 2 or tokens.shape[1] < 2 or not len(tokens):
        raise DataError(f"{what} of shape {tuple(tokens.shape)}", "(B, T) with a length T of 2 or more")
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise DataError(f"{what} of type {tokens.dtype}", "token numbers as integers", "use tokens.long()")
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocabulary:
        raise DataError(f"{what} from {low} to {high} for a vocabulary of {vocabulary}", f"0 to {vocabulary - 1}")
    return tokens[:, :-1].long(), tokens[:, 1:].long()
