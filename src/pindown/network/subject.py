"""A model with its loss and data: what an audit is about."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pindown.errors import DataError, InputError
from pindown.estimate import Estimate, bits
from pindown.network.data import Batches, Inputs, read_data
from pindown.network.forward import Forward, GenericNetwork, activation_bytes, evaluation_copy
from pindown.network.heads import CrossEntropy, Custom, Head, Margin, check_labels, head_from, labels_and_margins
from pindown.network.mlp import LayeredNetwork, layered
from pindown.network.objective import NetworkLoss
from pindown.rng import torch_generator
from pindown.spaces.initialisation import preserved_random_state
from pindown.spaces.network import Prior, Weights

__all__ = ["Solution", "Subject", "as_subjects", "solution_of"]

Task = Literal["classification", "regression", "custom"]
_PROBE_EXAMPLES, _PROBE_POINTS = 16, 8


@dataclass(frozen=True, eq=False)
class Solution:
    """One trained network.

    Attributes:
        name: what to call it.
        point: its weights as a point of the subject's space, shape ``(D,)``.
        seed: what it was trained from, where that is known.
        optimiser: how, in words.
        steps: how many updates.
    """

    name: str
    point: Tensor
    seed: int | None = None
    optimiser: str = ""
    steps: int | None = None


class Subject:
    """A model, its loss and its data.

    The model is copied; the one handed over keeps its weights, mode, gradients and the random state. The copy
    runs in evaluation mode: dropout is off and batch norm uses its running statistics (``notes`` says so where
    it matters). Evaluations at many weight vectors use hand-written products for plain perceptrons,
    ``torch.func.vmap`` for what it can follow, and a loop for the rest (``path`` says which).

    Args:
        model: any ``nn.Module``; its weights as they are now are the first of its solutions.
        loss: ``"cross_entropy"``, ``"mse"``, or ``loss(outputs, targets)`` that returns the mean over the batch
            or one value an example.
        data: training data: ``(inputs, targets)``, a Dataset, or a DataLoader with a fixed order.
        held_out: held-out data of the same kind.
        name: what to call it in reports.
        prior: see :class:`pindown.Weights`.
        include: globs of parameters that move, by default all that are trainable.
        exclude: globs of parameters that stay.
        task: ``"classification"`` gives error rates, label bits and the margin loss; read from the loss by default.
        solutions: more trained weights: state dicts, modules, or :class:`Solution`.
        batch_size: examples a batch, by default all at once.
        train: ``train(seed)`` returns a trained module or state dict; lets an audit train more runs.
        forward: ``forward(call, inputs)`` where the model is not simply called on its inputs.
        device: where it is evaluated; by default where the model is.

    Attributes:
        name, task, train_size, held_out_size: as described above.
        classes: number of classes, or None.
        solutions: the model's own weights first, then the others.
        path: ``"layered"``, ``"vmap"`` or ``"loop"``.
        notes: what is not as it may seem, in sentences.

    Raises:
        InputError: for a model, loss or prior that cannot be used, a loss that is not finite at initialisation or
            not the same twice.
        DataError: for data that are empty, of the wrong type, or do not fit the model.
        CheckpointError: for solutions that do not fit the model.

    Example:
        >>> import torch
        >>> from pindown import Subject
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> subject = Subject(model, "cross_entropy", (x, torch.tensor([0, 1])))
        >>> subject.space().dim, subject.path, str(subject.label_bits)
        (17, 'layered', '2 bits')
        >>> draws = subject.space().sample(5, rng=torch.Generator().manual_seed(0))
        >>> subject.objective()(draws).shape, subject.errors(draws).shape
        (torch.Size([5]), torch.Size([5]))
    """

    def __init__(
        self,
        model: nn.Module,
        loss: str | Callable[[Tensor, Tensor], Tensor],
        data: Any,
        *,
        held_out: Any = None,
        name: str | None = None,
        prior: Prior | Mapping[str, Prior] | None = None,
        include: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        task: Task | None = None,
        solutions: Iterable[Mapping[str, Tensor] | nn.Module | Solution] | None = None,
        batch_size: int | None = None,
        train: Callable[[int], nn.Module | Mapping[str, Tensor]] | None = None,
        forward: Callable[[Callable[..., Any], Any], Tensor] | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"a model of type {type(model).__name__}", "a torch.nn.Module")
        self._head = head_from(loss)
        if task not in (None, "classification", "regression", "custom"):
            raise InputError(f"task {task!r}", '"classification", "regression" or "custom"')
        named: Task = "custom" if isinstance(self._head, Custom) else "regression"
        self.task: Task = task or ("classification" if isinstance(self._head, CrossEntropy) else named)
        self._space = Weights(model, prior=prior, include=include, exclude=exclude)
        with preserved_random_state():
            self.module, self.notes = evaluation_copy(model)
            self.device = torch.device(device) if device is not None else next(model.parameters()).device
            self.module.to(self.device)
            dtype = next(p.dtype for p in self.module.parameters())
            self._data = read_data(data, batch_size=batch_size, dtype=dtype, what="training data").to(self.device)
            self._held_out: Batches | None = None
            if held_out is not None:
                read = read_data(held_out, batch_size=batch_size, dtype=dtype, what="held-out data")
                self._held_out = read.to(self.device)
            self._forward = Forward(self.module, self._space, forward)
            self._settle()
        self.name = name or type(model).__name__
        self.train = train
        self.train_size, self.held_out_size = self._data.size, self._held_out.size if self._held_out else 0
        own = Solution("weights as given", self._space.flatten(self.module))
        self.solutions = (own, *(self._solution(s, i) for i, s in enumerate(solutions or (), 1)))
        self._evaluators: dict[tuple[str, bool], LayeredNetwork | GenericNetwork] = {}
        self._rebuild: dict[str, Any] = {
            "loss": loss, "data": data, "held_out": held_out, "name": self.name, "prior": prior, "include": include,
            "exclude": exclude, "task": task, "batch_size": batch_size, "train": train, "forward": forward,
            "device": device,
        }  # fmt: skip

    def space(self) -> Weights:
        """The weights under their prior."""
        return self._space

    def objective(self) -> NetworkLoss:
        """The mean training loss, ``(N, D)`` to ``(N,)``."""
        return self._loss(self._head, f"mean training loss ({self._head.name}) at most t")

    def margin_objective(self) -> NetworkLoss:
        """A surrogate of training error: 0 exactly where every training label is right.

        See :class:`pindown.network.heads.Margin`; a tie counts as an error.

        Raises:
            InputError: unless the task is classification.
        """
        self._needs_classes("a margin loss")
        return self._loss(Margin(), "margin loss at most t; at 0: no training error")

    def losses(self, x: Tensor) -> Tensor:
        """Mean training loss at points ``x`` ``(N, D)``, shape ``(N,)``."""
        return self._kept(self._head).value_and_gradient(x, gradient=False)[0]

    def errors(self, x: Tensor) -> Tensor:
        """Share of wrong training labels at ``x``, shape ``(N,)``; a tie counts as wrong."""
        return self._errors(x, self._data)

    def held_out_losses(self, x: Tensor) -> Tensor:
        """Mean held-out loss at ``x``, shape ``(N,)``."""
        return self._kept(self._head, held_out=True).value_and_gradient(x, gradient=False)[0]

    def held_out_errors(self, x: Tensor) -> Tensor:
        """Share of wrong held-out labels at ``x``, shape ``(N,)``; a tie counts as wrong."""
        return self._errors(x, self._held())

    @property
    def label_bits(self) -> Estimate | None:
        """What the training labels hold at most: their number times log2 of the number of classes."""
        if self.classes is None:
            return None
        labels = self._data.targets.numel()
        return Estimate(bits(labels * math.log(self.classes)), 0.0, "bits", "exact", reference="uniform labels")

    @property
    def examples(self) -> Batches:
        """The training data."""
        return self._data

    @property
    def labels(self) -> int:
        """Number of training labels, or of training examples where there are no classes."""
        return self._data.targets.numel() if self.classes is not None else self._data.size

    @property
    def frozen(self) -> int:
        """Parameters of the model that do not move."""
        return sum(p.numel() for p in self.module.parameters()) - self._space.dim

    @property
    def architecture(self) -> str:
        """The model in a few words, such as ``"64-100-10, ReLU"``."""
        layers = layered(self.module, self._space)
        if layers is None:
            return f"{type(self.module).__name__} with {sum(p.numel() for p in self.module.parameters()):,} parameters"
        widths = [layers[0].inputs, *(layer.outputs for layer in layers)]
        leaves = [m for m in self.module.modules() if not list(m.children())]
        skip = (nn.Linear, nn.Flatten, nn.Identity, nn.Dropout)
        kinds = dict.fromkeys(type(m).__name__ for m in leaves if not isinstance(m, skip))
        return ", ".join(["-".join(map(str, widths)), *kinds])

    @property
    def data_bytes(self) -> int:
        """Memory that the data take."""
        return self._data.bytes + (self._held_out.bytes if self._held_out else 0)

    @property
    def head(self) -> Head:
        """The loss as a sum over examples of the outputs of many networks."""
        return self._head

    @property
    def forward(self) -> Forward:
        """The module on its data, at given weights."""
        return self._forward

    def batches(self, *, held_out: bool = False) -> Batches:
        """The training data, or the held-out data, as they were read.

        Raises:
            DataError: where held-out data are asked for and there are none.
        """
        return self._held() if held_out else self._data

    def outputs(self, x: Tensor, inputs: Inputs) -> Tensor:
        """Outputs ``(N, B, …)`` on inputs ``(B, …)`` at points ``x`` ``(N, D)``, without gradient."""
        return torch.cat([out for _, out in self._outputs(self._kept(self._head), x, inputs)])

    @property
    def differentiable(self) -> bool:
        """Whether the loss has a gradient in the weights."""
        return self._differentiable

    @property
    def activation_bytes(self) -> int:
        """Roughly what one network's value and gradient take in memory on the largest batch."""
        return self._bytes_each

    def with_solutions(self, solutions: Iterable[Mapping[str, Tensor] | nn.Module | Solution]) -> Subject:
        """The same subject with these trained weights in place of its solutions."""
        twin = copy.copy(self)
        twin.solutions = tuple(twin._solution(s, i) for i, s in enumerate(solutions))
        return twin

    def at(self, solution: int | Solution) -> Subject:
        """The same subject with one of its solutions as the weights given, and no other."""
        found = solution_of(self, solution)
        twin = self.with_model(self.module)
        with torch.no_grad():
            for name, value in self._space.unflatten(found.point).items():
                twin.module.get_parameter(name).copy_(value)
        return twin.with_solutions([found])

    def with_model(self, model: nn.Module) -> Subject:
        """The same subject around another copy of its model, such as one with trained weights."""
        return self._rebuilt(model)

    def _rebuilt(self, model: nn.Module, **changes: Any) -> Subject:
        other = Subject(model, **{**self._rebuild, **changes})
        other.notes = list(dict.fromkeys([*self.notes, *other.notes]))
        return other

    def on(self, device: str | torch.device) -> Subject:
        """The same subject, evaluated on another device.

        Raises:
            InputError: where torch has no such device here.
        """
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device {str(device)!r} ({str(error).splitlines()[0]})", "one that is here") from error
        other = self._rebuilt(self.module, device=device)
        other.solutions = tuple(replace(s, point=s.point.to(other.device)) for s in self.solutions)
        return other

    def reaching(self) -> tuple[Subject, str]:
        """The subject under a prior that can produce its weights, and a remark where that is another than asked for.

        Training leaves the ends of a uniform initialisation behind as a rule. Where nobody named a prior, the normal
        of the same mean and variance then takes its place.
        """
        if self._rebuild["prior"] is not None:
            return self, ""
        points = torch.stack([s.point for s in self.solutions])
        outside = int((~self._space.inside(points)).sum())
        if not outside:
            return self, ""
        other = self._rebuilt(self.module, prior="normal")
        other.solutions = self.solutions
        return other, (
            f"{outside} of {points.numel()} trained weights lie beyond the ends of their own uniform initialisation. "
            'The prior is the normal of the same mean and variance; Subject(…, prior="own") keeps the uniform one.'
        )

    def _settle(self) -> None:
        """Run the model on a few examples: choose a path, check the data against its outputs."""
        x = self._space.sample(_PROBE_POINTS, rng=torch_generator(0, 0x5B)).to(self.device)
        inputs, targets = self._data.head(_PROBE_EXAMPLES)
        outputs, note = self._forward.probe(x[:2], inputs)
        if note:
            self.notes.append(note)
        self.classes: int | None = None
        for batches in (self._data, self._held_out):
            for _, labels in batches or ():
                like = outputs[:1].expand(len(labels), *outputs.shape[1:])
                if not isinstance(self._head, Custom):
                    self._head.check(like, labels)
                if self.task == "classification":
                    check_labels(like, labels)
        if self.task == "classification":
            self.classes = int(outputs.shape[1])
        self._head.check(outputs, targets)
        self._layers = None
        numbers = isinstance(inputs, Tensor) and inputs.is_floating_point()
        if numbers and self._forward.custom is None and outputs.ndim == 2 and self._space.dtype == outputs.dtype:
            self._layers = layered(self.module, self._space)
        self.path: Literal["layered", "vmap", "loop"] = "layered" if self._layers is not None else self._forward.path
        self._bytes_each = activation_bytes(self._forward, x[0], inputs, max(len(y) for _, y in self._data))
        self._check_loss(x, Batches(((inputs, targets),), len(targets)))

    def _check_loss(self, x: Tensor, few: Batches) -> None:
        evaluate = self._evaluator(self._head, few)
        first, _ = evaluate.value_and_gradient(x, gradient=False)
        bad = (~torch.isfinite(first)).nonzero().flatten()
        if len(bad):
            raise InputError(
                f"the loss was {float(first[bad[0]])} at {len(bad)} of {len(x)} draws from the initialisation, "
                f"first in draw {int(bad[0])}",
                "finite values",
                "check the inputs and the prior: Subject(…, prior=…)",
            )
        again, _ = evaluate.value_and_gradient(x, gradient=False)
        spread = float((again - first).abs().max())
        if spread > 1e-5 * (float(first.abs().max()) + 1e-12):
            raise InputError(
                f"the loss differed by {spread:.3g} between two evaluations of the same weights",
                "the same value each time",
                "take random numbers out of the forward pass and the loss",
            )
        with torch.enable_grad():
            outputs = self._forward(x[:1].detach().requires_grad_(True), few.items[0][0])
            self._differentiable = bool(self._head.sums(outputs, few.items[0][1]).requires_grad)
        if not self._differentiable:
            self.notes.append("The loss has no gradient in the weights: only gradient-free moves can be used.")

    def _evaluator(self, head: Head, batches: Batches) -> LayeredNetwork | GenericNetwork:
        if self._layers is not None:
            return LayeredNetwork(self._layers, head, batches, self._space.dtype)
        return GenericNetwork(self._forward, head, batches, self._bytes_each)

    def _kept(self, head: Head, *, held_out: bool = False) -> LayeredNetwork | GenericNetwork:
        """The evaluator of a loss on the training or held-out data, set up once."""
        key = (type(head).__name__, held_out)
        if key not in self._evaluators:
            self._evaluators[key] = self._evaluator(head, self._held() if held_out else self._data)
        return self._evaluators[key]

    def _loss(self, head: Head, event: str) -> NetworkLoss:
        evaluator = self._kept(head)
        rows = 64 if self._layers is not None else max(1, min(64, evaluator.rows))  # type: ignore[union-attr]
        return NetworkLoss(
            evaluator, self._space.dim, name=head.name, event=event, differentiable=self._differentiable,
            preferred_rows=rows,
        )  # fmt: skip

    def _errors(self, x: Tensor, batches: Batches) -> Tensor:
        self._needs_classes("error rates")
        evaluator = self._kept(self._head)
        wrong = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        labels = 0
        for inputs, targets in batches.to(x.device):
            for start, outputs in self._outputs(evaluator, x, inputs):
                _, margin = labels_and_margins(outputs, targets)
                # Written so that an output that is not a number counts as wrong.
                wrong[start : start + len(outputs)] += (~(margin > 0)).flatten(1).sum(1)
            labels += targets.numel()
        return wrong / labels

    @staticmethod
    def _outputs(evaluator: LayeredNetwork | GenericNetwork, x: Tensor, inputs: Inputs) -> Iterable[tuple[int, Tensor]]:
        for start in range(0, len(x), 64):
            part = x[start : start + 64]
            yield start, evaluator.outputs(part, inputs)  # type: ignore[arg-type]

    def _solution(self, given: Mapping[str, Tensor] | nn.Module | Solution, number: int) -> Solution:
        if isinstance(given, Solution):
            return solution_of(self, given)
        if not isinstance(given, nn.Module | Mapping):
            raise InputError(f"a solution of type {type(given).__name__}", "a state dict, a module or a Solution")
        return Solution(f"run {number}", self._space.flatten(given).to(self.device))

    def _needs_classes(self, what: str) -> None:
        if self.classes is None:
            raise InputError(f"{what} of a {self.task} task", "a classification task", 'pass task="classification"')

    def _held(self) -> Batches:
        if self._held_out is None:
            raise DataError("a question about held-out data, of which there are none", "Subject(…, held_out=…)")
        return self._held_out

    def __repr__(self) -> str:
        return f"Subject({self.name}: {self.architecture}, {self._head.name}, {self.train_size} examples, {self.path})"


def solution_of(subject: Subject, which: int | Solution) -> Solution:
    """One of the subject's solutions by its number, or the one given.

    Raises:
        InputError: for a number that it does not have, or a solution of another length.
    """
    if isinstance(which, Solution):
        if tuple(which.point.shape) != (subject.space().dim,):
            raise InputError(f"a solution of shape {tuple(which.point.shape)}", f"({subject.space().dim},)")
        return which
    if isinstance(which, bool) or not isinstance(which, int) or not 0 <= which < len(subject.solutions):
        raise InputError(f"solution {which!r}", f"a Solution, or a number from 0 to {len(subject.solutions) - 1}")
    return subject.solutions[which]


def as_subjects(given: Any) -> list[Subject]:
    """One subject or several, as a list.

    Raises:
        InputError: for anything else.
    """
    several = [given] if isinstance(given, Subject) else list(given) if isinstance(given, list | tuple) else []
    wrong = [type(s).__name__ for s in several if not isinstance(s, Subject)]
    if wrong or not several:
        raise InputError(f"{', '.join(wrong) or type(given).__name__} to audit", "a pindown.Subject, or a list of them")
    return several
