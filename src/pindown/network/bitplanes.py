"""How many low-order bits of a network's weights carry nothing, for each tensor and jointly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pindown.engine.checkpoint import fingerprint
from pindown.errors import InputError
from pindown.estimate import Estimate
from pindown.network.examples import loss_unit
from pindown.network.number_formats import Codes, NumberFormat, number_format
from pindown.network.plane_levels import Bracket, Level, TensorPlanes
from pindown.network.plane_plan import PlanePlan, plan_bitplanes
from pindown.network.plane_results import BitPlanes
from pindown.network.plane_search import GLANCE, Ledger, Randomiser, Rule, bracket, first_guess, level_at
from pindown.network.precision import ROUNDS, allocate, expected_rises
from pindown.network.progress import Progress, rising
from pindown.network.replaced import ReplacedLoss, WeightTensor, weight_tensors
from pindown.network.rise import allowed_rise, check_rise
from pindown.network.rounding import choose_formats, format_rises
from pindown.network.subject import Subject
from pindown.rng import child_seed

__all__ = ["BitPlanes", "PlanePlan", "bitplanes", "plan_bitplanes"]

_SINGLE_SHARE = 0.75  # of the progress: single tensors are most of the work


def bitplanes(
    subject: Subject,
    *,
    epsilon: float = 0.01,
    format: str = "fp32",
    seed: int = 0,
    relative: bool = False,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    held_out: bool = False,
    confidence: float = 0.95,
    draws: int = 128,
    check: bool = True,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> BitPlanes:
    r"""Measure how many low-order bits of each weight may be random before the loss rises by more than ε.

    Weights w are written in a number format, n bits each, and the k low-order bits of a tensor (or of all of them) are
    replaced by fair coins. The rise is

    .. math:: r(k) = \operatorname{E}\,L(w') - L(w)

    with L the mean loss over all the data. For fixed point with step Δ at a minimum with Hessian H it is, to second
    order,

    .. math:: r(k) = \tfrac12 \Delta^2 \Big( \tfrac{4^k - 1}{12} \operatorname{tr} H + m^\top H m \Big),
        \qquad m_i = \tfrac{2^k - 1}{2} - b_i

    where :math:`b_i` is what the k bits hold now (Widrow and Kollár 2008, Quantization noise). The figure is the
    largest k with r(k) ≤ ε, decided at single levels by sequential tests and bracketed over levels
    (:mod:`pindown.network.plane_search`).

    What single tensors tolerate does not hold for all at once, so that three joint figures come with it: the same k in
    all tensors; every tensor's own answer at once, to see what adding up costs; and the allocation of kept bits that is
    cheapest within ε together, found from the sensitivities and then measured (:mod:`pindown.network.precision`). Last,
    weights are rounded to the formats that deployments use, each tensor and all at once, and the cheapest format for
    each tensor is chosen so that the rise of all together, measured, is within ε (:mod:`pindown.network.rounding`).

    Args:
        subject: the network with its loss and data; weights as given. Frozen tensors are measured too.
        epsilon: the largest rise of the mean loss, in the loss's own unit (nats for cross-entropy).
        format: ``"fp32"``, ``"bf16"``, ``"fp16"``, ``"fp8_e4m3"``, ``"fp8_e5m2"``, or ``"fixed16"`` and the like,
            relative to each tensor's root mean square.
        seed: everything random follows from it.
        relative: whether ``epsilon`` is a share of the loss of the weights as given.
        include: globs over the fully qualified names of the tensors; all by default. Tied tensors count once.
        exclude: globs of tensors that stay as they are.
        held_out: whether the loss is that on the held-out data.
        confidence: of the decision at each level.
        draws: after how many a level stays undecided, which gives bounds and the status *not converged*.
        check: whether one level outside each bracket is measured, to see that the rise grows with the planes.
        checkpoint: folder for unfinished work; the same call with it goes on from there to the same answer.
        progress: called with the share done and a text.

    Returns:
        The figures as :class:`BitPlanes`. A loss that is not finite is a result: that level is not tolerated. A tensor
        that cannot be measured is *unsupported* and has no rank.

    Raises:
        InputError: for a bad argument, a loss that is not finite as given, a format that the weights cannot hold, an ε
            below the noise of the arithmetic, or where no tensor can be measured.
        DataError: where held-out data are asked for and there are none.
        CheckpointError: for a checkpoint that is damaged or of another measurement.

    Example:
        >>> import torch
        >>> from pindown import Subject, bitplanes
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        >>> x = torch.linspace(-1, 1, 60).view(20, 3)
        >>> target = model(x).detach()
        >>> planes = bitplanes(Subject(model, "mse", (x, target)), epsilon=1e-3, format="bf16")
        >>> [t.name for t in planes.measured]
        ['0.weight', '0.bias', '2.weight', '2.bias']
        >>> planes.allocation.status.ok, planes.allocation.verified.rise.value <= 1e-3
        (True, True)
    """
    began = time.perf_counter()
    form = _checked(subject, epsilon, format, confidence, draws)
    everything = weight_tensors(subject.module, include=include, exclude=exclude)
    loss = ReplacedLoss(subject, held_out=held_out)
    tensors, codes = _encoded(everything, form)
    baseline = loss.plain()
    unit = loss_unit(subject)
    limit = allowed_rise(baseline, epsilon, relative=relative)
    first = next(iter(tensors))
    noise = _resolution(loss, first, _value(tensors, first), baseline)
    rule = Rule(limit, confidence, draws, baseline, noise, unit)
    if limit <= 10.0 * rule.resolution:
        raise InputError(
            f"epsilon {limit:.3g}, where the arithmetic alone changes the loss by {rule.resolution:.2g}",
            f"more than {10.0 * rule.resolution:.2g}",
            "raise it, or hand over model.double()",
        )
    exact = frozenset(n for n, c in codes.items() if torch.equal(c.weights(), _value(tensors, n)))
    randomiser = Randomiser(loss, codes, exact, seed)
    parts_of_mark = {
        "what": "bitplanes", "epsilon": limit, "format": form.name, "seed": seed, "confidence": confidence,
        "draws": draws, "check": check, "held_out": held_out, "tensors": {n: w.shape for n, w in tensors.items()},
        "listed": [w.name for w in everything], "loss": subject.head.name, "examples": loss.examples,
    }  # fmt: skip
    probe = randomiser.losses(dict.fromkeys(tensors, form.mantissa), 0, 1)
    mark = fingerprint(parts_of_mark, torch.tensor([baseline, *probe]))
    run = _Run(randomiser, tensors, form, rule, Ledger.at(checkpoint, mark), seed, check, progress)
    try:
        parts = run.everything(everything)
    finally:
        run.ledger.save(final=True)
    return BitPlanes(
        subject=subject.name, architecture=subject.architecture, loss=subject.head.name,
        data="held-out data" if held_out else "training data", examples=loss.examples,
        baseline=Estimate(baseline, 0.0, unit, "exact", reference="weights as given"), format=form.name, bits=form.bits,
        mantissa=form.mantissa, exponent=form.exponent, epsilon=limit, relative=float(epsilon) if relative else None,
        **parts, seed=seed, confidence=confidence,
        evaluations=run.ledger.used + _FIRST_EVALUATIONS + (len(tensors) + 1 if loss.path == "vmap" else 0),
        seconds=time.perf_counter() - began, version=version("pindown"),
        notes=tuple(_notes(subject, parts["tensors"], parts["joint"], form)),
    )  # fmt: skip


# The baseline, the same twice to see the noise of the arithmetic, and the mark of a checkpoint.
_FIRST_EVALUATIONS = 4


class _Run:
    """One measurement, from single tensors to the joint figures."""

    def __init__(
        self,
        randomiser: Randomiser,
        tensors: Mapping[str, WeightTensor],
        form: NumberFormat,
        rule: Rule,
        ledger: Ledger,
        seed: int,
        check: bool,
        progress: Progress | None,
    ) -> None:
        self.randomiser, self.tensors, self.form, self.rule = randomiser, tensors, form, rule
        self.ledger, self.seed, self.check = ledger, seed, check
        self.progress: Progress = rising(progress) if progress is not None else lambda share, text: None

    def everything(self, listed: list[WeightTensor]) -> dict[str, Any]:
        """All parts of the result."""
        singles: dict[str, Bracket] = {}
        for i, (name, w) in enumerate(self.tensors.items()):
            self.progress(_SINGLE_SHARE * i / len(self.tensors), name)
            singles[name] = self._bracket({name: w}, self._guess(name, singles), i)
        rows = tuple(self._row(w, singles.get(w.name)) for w in listed)
        measured = [t for t in rows if t.bracket is not None]
        self.progress(_SINGLE_SHARE, "all tensors at once")
        joint = self._bracket(self.tensors, self._joint_guess(measured), len(self.tensors))
        together = self._level({n: b.low for n, b in singles.items()}, self.rule, "together")
        self.progress(0.85, "allocation")
        allocation = allocate(measured, self.form, self.rule, joint, self._verified, self._rounded)
        self.progress(0.92, "formats of deployments")
        some, loss, rule = list(self.tensors.values()), self.randomiser.loss, self.rule
        formats = format_rises(some, loss, rule.baseline, rule.epsilon, rule.unit, self._kept)
        choice = choose_formats(some, formats, loss, rule.baseline, rule.epsilon, rule.unit, self._kept)
        self.progress(1.0, "done")
        return {
            "tensors": rows, "joint": joint, "together": together, "allocation": allocation,
            "formats": tuple(formats), "choice": choice,
        }  # fmt: skip

    def _bracket(self, tensors: Mapping[str, WeightTensor], guess: int, number: int) -> Bracket:
        quick = replace(self.rule, most=min(self.rule.most, GLANCE))

        def measure(k: int, rule: Rule = self.rule) -> Level:
            if k == 0 and self.randomiser.exact.issuperset(tensors):
                nothing = Estimate(
                    0.0, 0.0, self.rule.unit, "exact", reference="the format holds the weights as they are"
                )
                return Level(0, "", 0, 0, nothing, "tolerated")
            certain = k == 0
            return self._level(dict.fromkeys(tensors, k), rule, f"{number}/{k}", at=k, certain=certain)

        check = partial(measure, rule=quick) if self.check else None
        pick = child_seed(self.seed, 0xC4EC, number)
        return bracket(self.rule, self.form, measure, guess=guess, check=check, pick=pick)

    def _level(self, planes: Mapping[str, int], rule: Rule, key: str, *, at: int = -1, certain: bool = False) -> Level:
        def losses(start: int, count: int) -> list[float]:
            return self.ledger.draws(key, start, count, partial(self.randomiser.losses, planes))

        return level_at(rule, self.form, at, losses, certain=certain)

    def _verified(self, planes: Mapping[str, int]) -> Level:
        share = replace(self.rule, confidence=1.0 - (1.0 - self.rule.confidence) / ROUNDS)
        return self._level(planes, share, "allocation/" + ",".join(map(str, planes.values())))

    def _rounded(self, planes: Mapping[str, int]) -> Estimate | None:
        if max(planes.values()) > self.form.mantissa:
            return None
        codes = self.randomiser.codes

        def measure(start: int, count: int) -> list[float]:
            del start, count
            return self.randomiser.loss({n: codes[n].rounded(k).weights().unsqueeze(0) for n, k in planes.items()})

        key = "allocation/rounded/" + ",".join(map(str, planes.values()))
        value = self.ledger.draws(key, 0, 1, measure)[0] - self.rule.baseline
        return Estimate(value, 0.0, self.rule.unit, "exact", reference="rounding to the kept planes")

    def _kept(self, key: str, measure: Callable[[], float], losses: int = 1) -> float:
        self.ledger.used += losses - 1
        return self.ledger.draws(key, 0, 1, lambda start, count: [measure()])[0]

    def _guess(self, name: str, done: Mapping[str, Bracket]) -> int:
        """Where to begin: by the curvature, from what the last tensor tolerated."""
        before = done[list(done)[-1]].low if done else self.form.mantissa - 3

        def curvature(k: int) -> float:
            return self._kept(f"curvature/{name}/{k}", lambda: self.randomiser.curvature(name, k), losses=2)

        return first_guess(self.rule, self.form, curvature, before)

    def _joint_guess(self, tensors: list[TensorPlanes]) -> int:
        rises = [expected_rises(t, self.form, self.rule.epsilon, self.rule.resolution) for t in tensors]
        sums = [math.fsum(row[k] for row in rises) for k in range(self.form.bits + 1)]
        return sum(total <= self.rule.epsilon for total in sums) - 1

    def _row(self, w: WeightTensor, found: Bracket | None) -> TensorPlanes:
        codes = self.randomiser.codes.get(w.name)
        saturated = codes.saturated(w.value) if codes is not None and w.value is not None else 0
        reason = w.reason or ("" if w.value is None or codes is not None else _no_codes(w, self.form))
        return TensorPlanes(w.name, w.aliases, w.layer, w.shape, w.size, w.dtype, found, saturated, reason)


def _checked(subject: Subject, epsilon: float, format: str, confidence: float, draws: int) -> NumberFormat:
    if not isinstance(subject, Subject):
        raise InputError(f"{type(subject).__name__} to measure", "a pindown.Subject")
    check_rise(epsilon)
    if not 0.5 <= confidence < 1.0:
        raise InputError(f"confidence {confidence!r}", "a number from 0.5 to below 1, such as 0.95")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 8:
        raise InputError(f"draws {draws!r}", "a whole number of 8 or more")
    return number_format(format)


def _no_codes(w: WeightTensor, form: NumberFormat) -> str:
    assert w.value is not None
    if not form.holds_in(w.value.dtype):
        return f"held in {w.dtype}, which cannot take every value of {form.name}"
    return form.problem(w.value)


def _encoded(listed: list[WeightTensor], form: NumberFormat) -> tuple[dict[str, WeightTensor], dict[str, Codes]]:
    """The tensors that can be measured, and their codes."""
    tensors = {w.name: w for w in listed if w.value is not None and not _no_codes(w, form)}
    if not tensors:
        why = "; ".join(f"{w.name}: {w.reason or _no_codes(w, form)}" for w in listed[:4])
        raise InputError(
            f"no tensor that can be measured in {form.name} ({why})",
            "at least one",
            "choose another format, or hand over model.float()",
        )
    return tensors, {n: form.encode(w.value) for n, w in tensors.items() if w.value is not None}


def _value(tensors: Mapping[str, WeightTensor], name: str) -> torch.Tensor:
    value = tensors[name].value
    assert value is not None
    return value


def _resolution(loss: ReplacedLoss, name: str, weights: torch.Tensor, baseline: float) -> float:
    """How far the order of the arithmetic alone moves the loss: the same weights, two networks side by side."""
    again = loss({name: weights.unsqueeze(0).repeat(2, *(1 for _ in weights.shape))})
    return max(*(abs(v - baseline) for v in again), 4.0 * torch.finfo(torch.float32).eps * abs(baseline))


def _notes(subject: Subject, rows: tuple[TensorPlanes, ...], joint: Bracket, form: NumberFormat) -> Iterator[str]:
    yield from subject.notes
    for t in rows:
        if t.unsupported:
            yield f"{t.name} is unsupported ({t.unsupported}): it stays as it is in all joint figures and has no rank."
        if t.saturated:
            yield f"{t.name}: {t.saturated} of {t.size} entries lie beyond the range of {form.name} and were cut to it."
    for name, b in (*((t.name, t.bracket) for t in rows), ("all tensors", joint)):
        if b is not None and b.non_monotone:
            levels = ", ".join(map(str, b.non_monotone))
            yield f"{name}: the rise does not grow with the planes at {levels}; the bracket says nothing about these."
    yield (
        "Planes are of weights, not of the function: rescaling a ReLU layer against the next one leaves the function "
        "as it is, and may move what each of the two tolerates."
    )
