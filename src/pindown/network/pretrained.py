"""A language model of the ``transformers`` package, from a local folder, as a subject."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pindown.errors import CheckpointError, DataError, InputError
from pindown.network.subject import Subject
from pindown.spaces.initialisation import Normal, preserved_random_state

__all__ = ["pretrained", "read_tokens"]

_SPREAD = 0.02  # of the initialisation, where the configuration names none


def pretrained(
    folder: str | Path,
    tokens: Tensor | str | Path,
    *,
    held_out: Tensor | str | Path | None = None,
    batch_size: int = 8,
    name: str | None = None,
    device: str | torch.device | None = None,
) -> Subject:
    """A causal language model from a folder that ``save_pretrained`` wrote, with its next-token loss.

    Nothing is fetched: the folder holds ``config.json`` and the weights. The loss is the cross-entropy in nats a token
    of each token given those before it. Weights are in the format that they were saved in. As prior, matrices get
    N(0, r²) with r the configuration's ``initializer_range``, and constants N(constant, 1), as in
    :class:`pindown.Weights`.

    Args:
        folder: where the model lies.
        tokens: token numbers, shape ``(sequences, length)``, or a file of them: ``.pt``, ``.npy`` or ``.safetensors``.
        held_out: the same for the held-out loss.
        batch_size: sequences a batch.
        name: in reports; by default the folder's.
        device: where it is evaluated.

    Raises:
        InputError: without the ``transformers`` package, or where there is no model in the folder.
        CheckpointError: where it cannot be loaded.
        DataError: for tokens of another shape, or beyond the vocabulary.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise InputError(f"no config.json in {folder}", "a folder that save_pretrained wrote", "check the path")
    model = _load(folder)
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    data = _pairs(tokens, vocabulary, "tokens")
    return Subject(
        model,
        "cross_entropy",
        data,
        held_out=None if held_out is None else _pairs(held_out, vocabulary, "held-out tokens"),
        name=name or folder.resolve().name,
        prior=_priors(model),
        batch_size=batch_size,
        forward=_logits,
        device=device,
    )


def read_tokens(path: str | Path) -> Tensor:
    """Token numbers from a ``.pt``, ``.npy`` or ``.safetensors`` file. Nothing in the file is executed.

    A file of several tensors has to name them ``tokens`` or ``input_ids``.

    Raises:
        InputError: where there is no such file, or its name ends otherwise.
        DataError: where it cannot be read, or holds no tensor of whole numbers.
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


def _load(folder: Path) -> Any:
    try:
        from transformers import AutoModelForCausalLM  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            f"the model in {folder} without the transformers package", "both", "pip install 'pindown[hf]'"
        ) from error
    with preserved_random_state():
        try:
            return AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, dtype="auto", attn_implementation="eager"
            ).eval()
        except Exception as error:  # configuration, weights and code have errors of their own
            reason = str(error).strip().split("\n")[0]
            raise CheckpointError(
                f"the model in {folder} cannot be loaded ({type(error).__name__}: {reason})", "a causal language model"
            ) from error


def _logits(call: Callable[..., Any], inputs: Tensor) -> Tensor:
    """Logits as ``(sequences, vocabulary, length)``, the classes second as everywhere."""
    return call(input_ids=inputs, use_cache=False).logits.transpose(1, 2)


def _pairs(given: Tensor | str | Path, vocabulary: int, what: str) -> tuple[Tensor, Tensor]:
    tokens = given if isinstance(given, Tensor) else read_tokens(given)
    if tokens.ndim != 2 or tokens.shape[1] < 2 or not len(tokens):
        raise DataError(f"{what} of shape {tuple(tokens.shape)}", "(sequences, length) with a length of 2 or more")
    if tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise DataError(f"{what} of type {tokens.dtype}", "token numbers as integers", "use tokens.long()")
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocabulary:
        raise DataError(f"{what} from {low} to {high} for a vocabulary of {vocabulary}", f"0 to {vocabulary - 1}")
    return tokens[:, :-1].long(), tokens[:, 1:].long()


def _priors(model: nn.Module) -> dict[str, Normal]:
    spread = float(getattr(model.config, "initializer_range", _SPREAD))  # type: ignore[union-attr]
    scales = {n for n, p in model.named_parameters() if p.ndim < 2 and n.endswith("weight")}
    return {
        n: Normal(0.0, spread) if p.ndim > 1 else Normal(float(n in scales), 1.0) for n, p in model.named_parameters()
    }
