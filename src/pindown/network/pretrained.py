"""Models of the package transformers, from a folder on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pindown.errors import DataError, InputError
from pindown.network.subject import Subject
from pindown.spaces.initialisation import preserved_random_state

__all__ = ["load_pretrained", "pretrained"]


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

    The model is that of the architecture which the folder's ``config.json`` names. Its logits are the outputs, classes
    on the second axis. The prior of its parameters is its own initialisation, ``_init_weights``.

    Args:
        folder: the folder, with ``config.json`` and weights.
        data: ``(inputs, targets)`` as for :class:`pindown.Subject`; inputs are token numbers ``(B, T)``, or a tuple of
            them and the attention mask. For a causal language model token numbers alone will do: then each token is
            the target at the one before.
        held_out: held-out data of the same kind.
        loss: as for :class:`pindown.Subject`.
        name: what to call it, by default the folder's name.
        forward: ``forward(call, inputs)`` for a model that has to be called in another way.
        **options: the other options of :class:`pindown.Subject`.

    Raises:
        InputError: without the package transformers (extra ``hf``), or for a folder without such a model.
        DataError: for data that do not fit.

    Example:
        >>> pretrained("no/such/folder", None)
        Traceback (most recent call last):
        ...
        pindown.errors.InputError: no/such/folder; wanted a folder with config.json. Save the model there first: \
model.save_pretrained(folder).
    """
    model = load_pretrained(folder)
    causal = type(model).__name__.endswith(("ForCausalLM", "LMHeadModel"))
    if causal and isinstance(data, Tensor):
        data, held_out = _next_tokens(data), None if held_out is None else _next_tokens(held_out)
    return Subject(
        model, loss, data, held_out=held_out, name=name or Path(folder).name, forward=forward or _logits, **options
    )


def load_pretrained(folder: str | Path) -> nn.Module:
    """The model in a folder, in evaluation mode, with the architecture that its ``config.json`` names.

    Raises:
        InputError: without the package transformers, or for a folder without a model that it can build.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise InputError(
            f"{folder}", "a folder with config.json", "save the model there first: model.save_pretrained(folder)"
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
            model = kind.from_pretrained(str(path), local_files_only=True, attn_implementation="eager")
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{folder}, from which {named[0]} cannot be loaded ({str(error).splitlines()[0]})", "its weights"
            ) from error
    return model.eval()


def _logits(call: Callable[..., Any], inputs: Any) -> Tensor:
    """Logits ``(B, C)`` or ``(B, C, T)``; a second input is the attention mask."""
    tokens, mask = inputs if isinstance(inputs, tuple) else (inputs, None)
    found = call(input_ids=tokens, attention_mask=mask) if mask is not None else call(input_ids=tokens)
    logits = found.logits
    return logits.transpose(1, 2) if logits.ndim == 3 else logits


def _next_tokens(tokens: Tensor) -> tuple[Tensor, Tensor]:
    if not isinstance(tokens, Tensor) or tokens.ndim != 2 or tokens.is_floating_point() or tokens.shape[1] < 2:
        raise DataError("tokens that are no text", "whole numbers of shape (B, T) with two tokens or more")
    return tokens[:, :-1], tokens[:, 1:]
