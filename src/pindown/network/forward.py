"""One module evaluated at many weight vectors: by ``vmap``, or in a loop where ``vmap`` cannot follow it."""

from __future__ import annotations

import contextlib
import copy
import threading
import warnings
from collections.abc import Callable, Generator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pindown.errors import InputError
from pindown.network.data import Batches, Inputs
from pindown.network.heads import Head
from pindown.spaces.network import Weights

__all__ = [
    "FORWARD_ERRORS",
    "Forward",
    "GenericNetwork",
    "activation_bytes",
    "evaluation_copy",
    "full_precision",
    "plain_attention",
]

# What torch and user modules raise where an operation, a shape or a type does not fit.
FORWARD_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    NotImplementedError,
    AssertionError,
)
_MEMORY = 1_000_000_000
_ALIGNMENT = 16  # bytes


def evaluation_copy(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """A copy of ``model`` in evaluation mode, and what this changes, in words. The model itself is not touched.

    Raises:
        InputError: for a module that cannot be copied, or that changes its own weights when it runs.
    """
    try:
        twin = copy.deepcopy(model)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"a model that cannot be copied ({error})", "a module that copy.deepcopy accepts",
            "detach tensors that are stored on the module",
        ) from error  # fmt: skip
    notes: list[str] = []
    kinds = {type(m).__name__ for m in model.modules() if m.training and isinstance(m, _BATCH_NORMS)}
    if kinds:
        notes.append(
            f"{', '.join(sorted(kinds))} in training mode: measured in evaluation mode, with the running statistics "
            "that the model holds."
        )
    batchwise = {n for n, m in model.named_modules() if isinstance(m, _BATCH_NORMS) and not m.track_running_stats}
    if batchwise:
        notes.append(
            f"{', '.join(sorted(batchwise))} without running statistics: outputs depend on how the data are batched."
        )
    if any(m.training and isinstance(m, _DROPOUTS) and m.p > 0 for m in model.modules()):
        notes.append("Dropout is off: the loss is that of evaluation mode.")
    twin.eval()
    for name, m in twin.named_modules():
        if isinstance(m, nn.Embedding | nn.EmbeddingBag) and m.max_norm is not None:
            raise InputError(
                f"embedding {name} with max_norm={m.max_norm}, which rescales its weights when it runs",
                "a module that leaves its weights alone", "set max_norm=None",
            )  # fmt: skip
    for p in twin.parameters():
        p.grad = None
    return twin, notes


_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
Call = Callable[..., Any]


class Forward:
    """Outputs of one module at many weight vectors.

    Args:
        module: in evaluation mode; held, and left as it is.
        space: which of its parameters move, and how a point is laid out.
        custom: ``custom(call, inputs)`` where the module is not simply called on its inputs; ``call`` is the module.
    """

    def __init__(self, module: nn.Module, space: Weights, custom: Callable[[Call, Any], Any] | None = None) -> None:
        self.module, self.space, self.custom = module, space, custom
        self.path: Literal["vmap", "loop"] = "loop"
        own = {n: p.detach() for n, p in module.named_parameters()}
        unknown = [n for n in space.names if n not in own]
        if unknown:
            raise InputError(
                f"a space with parameters {', '.join(unknown)} that the model lacks", "the model's own space"
            )
        moving = set(space.names)
        buffers = {n: b.detach() for n, b in module.named_buffers()}
        self.fixed = {n: v for n, v in own.items() if n not in moving} | buffers
        self._places = _places(module)
        self._recurrent = any(isinstance(m, nn.RNNBase) for m in module.modules())
        # functional_call puts tensors into the module for the time of the call: one thread at a time.
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._lock = threading.Lock()

    def one(self, weights: dict[str, Tensor], inputs: Inputs) -> Tensor:
        """Outputs of one network, given all of its moving parameters by name."""
        values = {**self.fixed, **weights}
        # Tied tensors by hand: torch's own way leaves its tensors behind in a module that is registered twice.
        state = {place: values[name] for place, name in self._places.items()}

        def call(*args: Any, **kwargs: Any) -> Any:
            return torch.func.functional_call(self.module, state, args, kwargs, tie_weights=False)

        if self.custom is not None:
            return self.custom(call, inputs)
        return call(*inputs) if isinstance(inputs, tuple) else call(inputs)

    def __call__(self, x: Tensor, inputs: Inputs) -> Tensor:
        """Outputs ``(N, B, …)`` at ``x`` ``(N, D)``, differentiable in ``x``."""
        with self._lock, self.kernels(x):
            if self.path == "vmap":
                with plain_attention():
                    return torch.func.vmap(lambda w: self.one(w, inputs))(self.space.unflatten(x))
            return torch.stack([self.one(self.parameters(row), inputs) for row in x])

    def paired(self, x: Tensor, inputs: Inputs) -> Tensor:
        """Outputs ``(N, B, …)`` of networks ``x`` ``(N, D)``, each on inputs of its own: ``(N, B, …)``."""
        with self._lock, self.kernels(x):
            if self.path == "vmap":
                with plain_attention():
                    return torch.func.vmap(self.one)(self.space.unflatten(x), inputs)
            rows = [tuple(t[i] for t in inputs) if isinstance(inputs, tuple) else inputs[i] for i in range(len(x))]
            return torch.stack([self.one(self.parameters(w), own) for w, own in zip(x, rows, strict=True)])

    def parameters(self, point: Tensor) -> dict[str, Tensor]:
        """The parameters at one point ``(D,)``, where fused kernels can take them.

        Views of a point begin anywhere; on a GPU torch's fused kernels fault on what is not aligned.
        """
        views = self.space.unflatten(point)
        if point.device.type == "cpu":
            return views
        return {name: view.clone() if view.data_ptr() % _ALIGNMENT else view for name, view in views.items()}

    def kernels(self, x: Tensor) -> contextlib.AbstractContextManager[None]:
        """Where to run the module, and what differentiates it: see :func:`full_precision`."""
        return full_precision(x, recurrent=self._recurrent)

    def probe(self, x: Tensor, inputs: Inputs) -> tuple[Tensor, str]:
        """Run two points on a few examples and settle on a path.

        Returns:
            Outputs of the first point ``(B, …)``, and a note where the path is the loop.

        Raises:
            InputError: if the module fails on the data, or gives no tensor.
        """
        self.path = "loop"
        try:
            with torch.no_grad(), self.kernels(x):
                first = self.one(self.parameters(x[0]), inputs)
        except FORWARD_ERRORS as error:
            raise InputError(
                f"the model failed on its data ({type(error).__name__}: {error})",
                "a forward pass on the first examples",
                "check the inputs, or give forward=lambda call, inputs: call(…)",
            ) from error
        if not isinstance(first, Tensor):
            raise InputError(
                f"the model returned {type(first).__name__}", "one tensor",
                "pick it with forward=lambda call, inputs: call(inputs)[0]",
            )  # fmt: skip
        if first.ndim == 0 or len(first) != len(inputs[0] if isinstance(inputs, tuple) else inputs):
            raise InputError(f"the model returned shape {tuple(first.shape)}", "one row an example")
        with torch.no_grad():
            loop = self(x, inputs)
        note = self._try_vmap(x, inputs, loop)
        self.path = "loop" if note else "vmap"
        return first, note

    def _try_vmap(self, x: Tensor, inputs: Inputs, loop: Tensor) -> str:
        self.path = "vmap"
        try:
            with warnings.catch_warnings():
                # vmap's own fallback loops over single operations, slower than the loop over networks.
                warnings.filterwarnings("error", message="There is a performance drop")
                leaf = x.detach().requires_grad_(True)
                together = self(leaf, inputs)
                if together.requires_grad:
                    torch.autograd.grad(together.sum(), leaf)
        except (*FORWARD_ERRORS, UserWarning) as error:
            reason = str(error).strip().split("\n")[0].split(". ")[0]
            return f"vmap cannot follow this model ({reason}); networks are run one after another, which is slower."
        together = together.detach()
        scale = float(loop[torch.isfinite(loop)].abs().max()) if bool(torch.isfinite(loop).any()) else 1.0
        tolerance = 1e3 * torch.finfo(loop.dtype).eps * scale if loop.is_floating_point() else 0.0
        if together.shape != loop.shape or not torch.allclose(together, loop, atol=tolerance, rtol=0.0, equal_nan=True):
            return "vmap gave other outputs than the model itself; networks are run one after another, which is slower."
        return ""


def _places(module: nn.Module) -> dict[str, str]:
    """Every place that holds a parameter or buffer, each module once, and the first name of what it holds."""
    first = {id(t): n for n, t in (*module.named_parameters(), *module.named_buffers())}
    places: dict[str, str] = {}
    for prefix, part in module.named_modules():
        parameters = part.named_parameters(recurse=False, remove_duplicate=False)
        for local, t in (*parameters, *part.named_buffers(recurse=False, remove_duplicate=False)):
            places[f"{prefix}.{local}" if prefix else local] = first[id(t)]
    return places


@contextlib.contextmanager
def plain_attention() -> Generator[None]:
    """Keep attention to operations that vmap knows: its fused kernels have no batching rule."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def full_precision(x: Tensor, *, recurrent: bool = False) -> Generator[None]:
    """Keep a GPU's convolutions to the format's own precision, and recurrent layers to kernels with a gradient.

    By default cuDNN rounds the float32 factors of a convolution to ten bits (TF32), more than a step of a chain or a
    bit plane changes; and its recurrent layers have a gradient in training mode only.
    """
    if x.device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    with cudnn.flags(
        enabled=cudnn.enabled and not recurrent, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic,
        allow_tf32=False,
    ):  # fmt: skip
        yield


class GenericNetwork:
    """Losses and gradients of any module on fixed batches.

    One batch at a time, so that memory does not grow with the data; the gradient is summed alongside.

    Args:
        forward: the module.
        head: the loss.
        batches: the examples.
        bytes_each: memory that one network's activations take on the largest batch.
    """

    def __init__(self, forward: Forward, head: Head, batches: Batches, bytes_each: int) -> None:
        self.forward, self.head, self.batches = forward, head, batches
        self.count = sum(head.count(y) for _, y in batches)
        self.rows = max(1, _MEMORY // max(1, bytes_each))
        self._placed: dict[torch.device, Batches] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_placed": {}}

    def value_and_gradient(self, x: Tensor, *, gradient: bool = True) -> tuple[Tensor, Tensor | None]:
        """Mean losses ``(N,)`` at ``x`` ``(N, D)``, and their gradients ``(N, D)`` where wanted."""
        x = x.detach()
        batches = self._placed.get(x.device)
        if batches is None:
            batches = self._placed[x.device] = self.batches.to(x.device)
        parts = [self._group(part, batches, gradient) for part in x.split(self.rows)]
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]) if gradient else None

    def _group(self, x: Tensor, batches: Batches, gradient: bool) -> tuple[Tensor, Tensor]:
        """Values, and gradients or nothing, of as many networks as go through together."""
        head, slope = self.head, torch.zeros_like(x)
        simple = head.parts == 1 or len(batches.items) == 1
        total = torch.zeros(()) if simple and gradient else self._totals(x, batches)
        if not gradient:
            return head.value(total, self.count), slope
        sums = []
        for inputs, targets in batches:
            with torch.enable_grad(), self.forward.kernels(x):
                leaf = x.detach().requires_grad_(True)
                part = head.sums(self.forward(leaf, inputs), targets)
                scaled = part * head.factors(part.detach() if simple else total, self.count)
                slope += torch.autograd.grad(scaled.sum(), leaf)[0]
            sums.append(part.detach())
        return head.value(torch.stack(sums).sum(0).to(x.dtype), self.count), slope

    def _totals(self, x: Tensor, batches: Batches) -> Tensor:
        with torch.no_grad():
            return torch.stack([self.head.sums(self.forward(x, a), b).to(x.dtype) for a, b in batches]).sum(0)

    def outputs(self, x: Tensor, inputs: Inputs) -> Tensor:
        """Outputs ``(N, B, …)`` at ``x`` ``(N, D)``."""
        with torch.no_grad():
            return torch.cat([self.forward(part, inputs) for part in x.detach().split(self.rows)])


def activation_bytes(forward: Forward, point: Tensor, inputs: Inputs, batch: int) -> int:
    """Roughly what one network's value and gradient take in memory on a batch of ``batch`` examples.

    The outputs of all leaf modules, three times: kept, their gradients, and what is in flight.
    """
    seen = 0

    def count(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal seen
        for t in output if isinstance(output, tuple | list) else (output,):
            seen += t.numel() * t.element_size() if isinstance(t, Tensor) else 0

    leaves = [m for m in forward.module.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(count) for m in leaves]
    try:
        with torch.no_grad():
            forward.one(forward.parameters(point), inputs)
    finally:
        for hook in hooks:
            hook.remove()
    examples = len(inputs[0] if isinstance(inputs, tuple) else inputs)
    weights = 3 * point.numel() * point.element_size()
    return weights + 3 * seen * -(-batch // examples)
