"""What trained networks are compared on: measures by name, each a function of one network."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pindown.errors import InputError
from pindown.estimate import Estimate, Status, bits
from pindown.network.comparison import difference
from pindown.network.concentration import concentration
from pindown.network.examples import Examples, loss_unit, paired_mean
from pindown.network.noise_tolerance import noise_tolerance
from pindown.network.pruning import pruning
from pindown.network.subject import Subject
from pindown.network.water_filling import water_filling

__all__ = ["DEFAULT", "Level", "Measure", "Options", "Reading", "as_measures", "known_measures", "paired_difference"]

Level = Literal["function", "weights", "unknown"]


@dataclass(frozen=True)
class Reading:
    """One measure of one network, with what it takes to pair it with another network's.

    Attributes:
        estimate: the figure.
        influence: of each unit (example, draw) on it, with mean 0: its standard error is their spread over √n.
        replicates: bootstrap replicates of it, whose spread is its standard error.
        units: what the units are, exactly; readings of the same units are paired. Empty where there are none.
    """

    estimate: Estimate
    influence: Sequence[float] = ()
    replicates: Sequence[float] = ()
    units: str = ""


@dataclass(frozen=True)
class Options:
    """What measures are told.

    Attributes:
        epsilon: the rise of the loss that several of them are about.
        seed: everything random follows from it.
        checkpoint: folder for unfinished work, of this network alone.
    """

    epsilon: float
    seed: int
    checkpoint: Path | None


@dataclass(frozen=True)
class Measure:
    """A measure by name.

    Attributes:
        name: the name.
        words: what it says, in words.
        level: whether it is a figure of the function, or of the weights: the latter move when the units of a ReLU layer
            are rescaled, the former do not.
        read: measures one network: the first solution of the subject.
        needs: ``""``, ``"classes"``, ``"held-out"`` or both in this order, separated by a blank.
    """

    name: str
    words: str
    level: Level
    read: Callable[[Subject, Options], Reading]
    needs: str = ""

    def fits(self, subject: Subject) -> bool:
        """Whether the subject has what it needs."""
        needs = self.needs.split()
        return ("classes" not in needs or subject.classes is not None) and (
            "held-out" not in needs or subject.held_out_size > 0
        )


DEFAULT = (
    "training_loss", "training_error", "held_out_loss", "held_out_error", "gini", "participation", "noise_bits",
    "pruning_kept", "saliency_kept", "water_filling_bits",
)  # fmt: skip


def known_measures() -> dict[str, Measure]:
    """All measures that can be named: those built in, and those whose modules are installed."""
    own = [
        Measure("training_loss", "mean training loss", "function", _examples("loss", False)),
        Measure("training_error", "training error", "function", _examples("error", False), "classes"),
        Measure("held_out_loss", "mean held-out loss", "function", _examples("loss", True), "held-out"),
        Measure("held_out_error", "held-out error", "function", _examples("error", True), "classes held-out"),
        Measure("gini", "Gini's coefficient of the squared weights", "weights", _gini),
        Measure("participation", "share of the weights that count", "weights", _participation),
        Measure("noise_bits", "log2 of rms/σ of the noise tolerated", "weights", _noise),
        Measure("pruning_kept", "share of weights kept, by magnitude", "weights", _pruning("magnitude")),
        Measure("saliency_kept", "share of weights kept, by saliency", "function", _pruning("saliency")),
        Measure("water_filling_bits", "water-filling bits a weight at the measured rise", "weights", _water),
    ]
    # Each of these is a module of its own, that need not be there.
    late = [
        ("learning_coefficient", "learning coefficient λ", "function", "learning_coefficient", _plain, False),
        ("basin_bits", "basin volume in bits under the prior", "weights", "basin", _attribute("bits"), False),
        ("hessian_trace", "trace of the Hessian", "weights", "spectrum", _attribute("trace"), False),
        ("effective_parameters", "half the effective number of parameters", "weights", "spectrum",
         _attribute("effective"), False),
        ("bit_planes", "low-order planes that may be random in all tensors", "weights", "bitplanes", _planes, True),
    ]  # fmt: skip
    for name, words, level, function, pick, with_epsilon in late:
        if find_spec(f"pindown.network.{function}") is not None:
            own.append(Measure(name, words, level, _late(function, pick, with_epsilon)))  # type: ignore[arg-type]
    return {m.name: m for m in own}


def paired_difference(a: Reading, b: Reading) -> tuple[Estimate, str]:
    r"""``a − b`` and what it is paired over: ``"examples"``, ``"draws"``, or nothing.

    From replicates of the same resampling, the spread of their differences. From influences of units that both share,

    .. math:: \operatorname{var}(a - b) = \frac{s_a^2}{n_a} + \frac{s_b^2}{n_b} - \frac{2 m\, s_{ab}}{n_a n_b}

    with the covariance :math:`s_{ab}` over the m units that both have. Otherwise the two are independent.
    """
    free = difference(a.estimate, b.estimate)
    exact = a.estimate.kind == b.estimate.kind == "exact"
    if exact:
        return Estimate(free.value, 0.0, free.unit, "exact", free.status, free.reference), ""
    usable = all(e.kind == "estimate" and math.isfinite(e.value) for e in (a.estimate, b.estimate))
    if not usable or not a.units or a.units != b.units:
        return free, ""
    over = a.units.split(" ", 1)[0]
    if len(a.replicates) and len(a.replicates) == len(b.replicates):
        error = float(np.std(np.subtract(a.replicates, b.replicates), ddof=1))
        return Estimate(free.value, error, free.unit, status=free.status, reference=free.reference), over
    m = min(len(a.influence), len(b.influence))
    if m < 2:
        return free, ""
    x, y = np.asarray(a.influence), np.asarray(b.influence)
    shared = float(np.cov(x[:m], y[:m])[0, 1])
    variance = x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y) - 2.0 * m * shared / (len(x) * len(y))
    error = math.sqrt(max(float(variance), 0.0))
    return Estimate(free.value, error, free.unit, status=free.status, reference=free.reference, dof=m - 1.0), over


def _point(subject: Subject) -> Tensor:
    return subject.solutions[0].point.to(subject.device).unsqueeze(0)


def _examples(what: str, held_out: bool) -> Callable[[Subject, Options], Reading]:
    """The mean over examples; they are a sample, and two networks on the same ones are paired."""

    def read(subject: Subject, options: Options) -> Reading:
        del options
        examples = Examples(subject, held_out=held_out)
        found = examples.at(_point(subject))
        values = found.losses[0] if what == "loss" else found.errors[0] if found.errors is not None else None
        if values is None:
            raise InputError("an error rate without classes", "a classification task")
        unit = loss_unit(subject) if what == "loss" else "1"
        data = "held-out" if held_out else "training"
        e = paired_mean(values, unit, f"{examples.size:,} {data} examples as a sample")
        return Reading(e, (values - values.mean()).tolist(), units=f"examples {_fingerprint(examples)}")

    return read


def _fingerprint(examples: Examples) -> str:
    digest = hashlib.sha256()
    for inputs, targets in examples.batches:
        for t in (*(inputs if isinstance(inputs, tuple) else (inputs,)), targets):
            digest.update(t.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _gini(subject: Subject, options: Options) -> Reading:
    return Reading(concentration(subject, draws=2, seed=options.seed).whole.gini)


def _participation(subject: Subject, options: Options) -> Reading:
    return Reading(concentration(subject, draws=2, seed=options.seed).whole.share)


def _noise(subject: Subject, options: Options) -> Reading:
    found = noise_tolerance(
        subject, epsilon=options.epsilon, tensors=False, seed=options.seed, checkpoint=options.checkpoint
    )
    # log2(rms/σ) falls as ln σ grows.
    influence = [-bits(v) for v in found.influence]
    shapes = ", ".join(f"{n} {s}" for n, s in subject.space().shapes.items())
    return Reading(found.joint.bits, influence, units=f"draws {options.seed}: {shapes}")


def _pruning(order: Literal["magnitude", "saliency"]) -> Callable[[Subject, Options], Reading]:
    def read(subject: Subject, options: Options) -> Reading:
        folder = None if options.checkpoint is None else options.checkpoint / order
        found = pruning(subject, epsilon=options.epsilon, order=order, draws=0, seed=options.seed, checkpoint=folder)
        units = f"examples {_fingerprint(Examples(subject))}, resampled from {options.seed}"
        return Reading(found.kept, replicates=found.curve.replicates, units=units)

    return read


def _water(subject: Subject, options: Options) -> Reading:
    found = water_filling(subject, epsilon=options.epsilon, seed=options.seed, checkpoint=options.checkpoint)
    return Reading(found.measured_per_weight)


def _late(function: str, pick: Callable[[Any], Estimate], with_epsilon: bool) -> Callable[[Subject, Options], Reading]:
    def read(subject: Subject, options: Options) -> Reading:
        call = getattr(import_module(f"pindown.network.{function}"), function)
        arguments: dict[str, Any] = {"epsilon": options.epsilon} if with_epsilon else {}
        folder = None if options.checkpoint is None else options.checkpoint / function
        return Reading(pick(call(subject, seed=options.seed, checkpoint=folder, **arguments)))

    return read


def _plain(result: Any) -> Estimate:
    return getattr(result, "estimate", result)


def _attribute(name: str) -> Callable[[Any], Estimate]:
    return lambda result: getattr(result, name)


def _planes(result: Any) -> Estimate:
    joint = result.joint
    decided = joint.low == joint.high
    status = Status.REACHED if decided else Status.NOT_CONVERGED
    kind = "exact" if decided else "lower_bound"
    return Estimate(float(joint.low), 0.0, "planes", kind, status, "random low-order planes of all tensors")


def as_measures(
    given: Sequence[str] | Mapping[str, Callable[[Subject, int], Estimate | Reading]] | str | None,
) -> list[Measure]:
    """Measures from names, ``"all"``, or callables by name.

    Raises:
        InputError: for a name that is not known.
    """
    known = known_measures()
    if given is None:
        return [known[n] for n in DEFAULT]
    if isinstance(given, str):
        given = list(known) if given == "all" else [given]
    if isinstance(given, Mapping):
        return [Measure(n, n, "unknown", _user(n, call)) for n, call in given.items()]
    unknown = [n for n in given if n not in known]
    if unknown or not given:
        raise InputError(
            f"measures {', '.join(map(repr, unknown)) or '()'}", f'some of {", ".join(known)}, or "all"',
            "give one of your own as {name: measure(subject, seed)}",
        )  # fmt: skip
    return [known[n] for n in given]


def _user(name: str, call: Callable[[Subject, int], Estimate | Reading]) -> Callable[[Subject, Options], Reading]:
    def read(subject: Subject, options: Options) -> Reading:
        found = call(subject, options.seed)
        if isinstance(found, Estimate):
            return Reading(found)
        if not isinstance(found, Reading):
            raise InputError(f"measure {name} returned {type(found).__name__}", "an Estimate or a Reading")
        return found

    return read
