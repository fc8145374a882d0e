"""The local learning coefficient of trained weights: the front door."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pindown.errors import EstimationError, InputError
from pindown.estimate import Estimate, Kind, Status
from pindown.network.convergence import TemperaturePoint
from pindown.network.cost import Cost, evaluation_cost
from pindown.network.heads import CrossEntropy, SquaredError
from pindown.network.learning_coefficient_result import LearningCoefficient, SelfCheck
from pindown.network.linear_check import linear_check_subject, localised_linear
from pindown.network.localised import LocalLoss, fall_to_minimum, moving_coordinates
from pindown.network.localised_runs import Plan, Reading, localise, measure_points, plan_run
from pindown.network.progress import Progress, part, rising
from pindown.network.subject import Subject
from pindown.network.temperature_curve import FEWEST, CurveFit, fit_curve
from pindown.rng import child_seed

__all__ = ["METHODS", "LearningCoefficient", "learning_coefficient", "plan_learning_coefficient"]

METHODS = ("auto", "hamiltonian", "mala", "sgld", "psgld", "engine")
_LADDER = (1 / 16, 1 / 4, 1.0)
_BEYOND = 16.0
_NEGLIGIBLE = 0.05
_MOST_CORRECTION = 0.15
_LEAST_P = 1e-3
_LEAST_PRECISE = 0.15
_FEW_WEIGHTS = 64
_DESCENT, _DESCENT_LARGE = 300, 20


def learning_coefficient(
    subject: Subject,
    method: str = "auto",
    seed: int = 0,
    *,
    point: Tensor | None = None,
    groups: Mapping[str, str] | Sequence[str] | str | None = None,
    nbeta: float | Sequence[float] | None = None,
    localisation: float | None = None,
    chains: int = 8,
    batch_size: int | None = None,
    precision: float = 0.02,
    budget: int | None = None,
    self_check: bool = True,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    strict: bool = False,
) -> LearningCoefficient:
    r"""Estimate the local learning coefficient λ of a trained network.

    With the loss ``L`` a mean of ``n`` terms,

    .. math:: \hat\lambda(n\beta) = n\beta \left( E[L(w)] - L(w^*) \right), \qquad
              w \sim e^{-n\beta L(w) - \frac{\gamma}{2} |w - w^*|^2}

    (Lau, Furman, Wang, Murfet and Wei 2023, The local learning coefficient, eq. 15, after Watanabe 2013, A widely
    applicable Bayesian information criterion). It is measured at several inverse temperatures around n/ln n, from n/(16
    ln n) up, and λ is what the curve tends to, with the multiplicity in the fit
    (:func:`pindown.network.temperature_curve.fit_curve`) and with what a descent says of weights that are not at the
    lowest loss near them. Where no form of the curve fits, or it would have to be extended by more than 15%, the figure
    is that at n/ln n, widened by what it changes over a factor of four.

    Step sizes are found by the acceptance, the length of trajectories by how much they leave correlated, γ as the first
    of 1, 10, 100, … under which the curve does not fall by a quarter or more, as it does where chains find lower
    basins, and on minibatches one under which the budget also lets chains forget where they began (what γ = 1 would
    take is then said), the burn-in by the drift of the loss, the number of moves by the standard error. A figure counts
    only where chains from larger losses meet those that set out from the weights, second halves agree with first
    ones, R-hat is at most 1.1, that of the distance from the weights too, smaller steps give the same answer, moves
    are accepted (95% at least of what a corrected move would accept where nothing is rejected) and the energy of
    hardly any ran away; else the status is *not converged* and the interval is the whole line.

    λ is a figure of the function: it stays where a smooth change of coordinates, such as rescaling the units of a ReLU
    layer, keeps every output (Watanabe 2009, Algebraic geometry and statistical learning theory, ch. 2). λ̂ at a finite
    nβ moves with it a little, since the localisation is a ball in the weights.

    Args:
        subject: the model with its loss and data.
        method: ``"hamiltonian"``, ``"mala"``, ``"sgld"``, ``"psgld"`` (preconditioned), ``"engine"``
            (:func:`pindown.measure` under the localisation, for small models), or ``"auto"``: Hamiltonian where
            gradients on all data are affordable, else preconditioned SGLD; the engine where these do not converge on
            64 weights or fewer.
        seed: everything random follows from it.
        point: w*, shape ``(D,)``; by default the first of the subject's solutions.
        groups: named groups of parameters, each measured with all others held: globs over fully qualified names, as
            ``{"first": "0.*"}`` or a list; ``"layers"`` for every module that has parameters of its own.
        nbeta: one inverse temperature or several, in place of those around n/ln n.
        localisation: γ, in place of the one that is found.
        chains: at each inverse temperature; half of them set out from the weights, half come from larger losses.
        batch_size: examples a minibatch for SGLD, each chain its own, in place of the choice.
        precision: standard error aimed at, as a share of λ.
        budget: most gradients, of one network on all data or on one minibatch.
        self_check: whether a linear model of like size and known λ is measured with the same settings.
        checkpoint: folder for unfinished work; the same call with it resumes.
        progress: called with the share done and a text.
        strict: raise where the status is not ok.

    Raises:
        InputError: for a subject or an argument that cannot be used, before any sampling.
        EstimationError: with ``strict=True``, where the measurement did not succeed.

    Example:
        >>> import torch
        >>> from pindown import Subject, learning_coefficient
        >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        >>> model = torch.nn.Linear(3, 1, bias=False)
        >>> subject = Subject(model, "mse", (x, model(x).detach()))  # regular: λ = 3/2
        >>> found = learning_coefficient(subject, self_check=False, precision=0.05)
        >>> abs(found.value - 1.5) < 0.3, found.status.value, found.method
        (True, 'reached', 'hamiltonian')
    """
    began = time.perf_counter()
    _check(subject, method, chains, precision, budget, batch_size, localisation)
    at = _point(subject, point)
    named = _groups(subject, groups)
    progress = None if progress is None else rising(progress)
    folder = None if checkpoint is None else Path(checkpoint)
    ask = _Question(method, seed, _values(nbeta), localisation, chains, batch_size, precision, budget)
    parts = 1 + len(named)
    whole = _one(LocalLoss(subject, at), subject.name, ask, folder, "all", progress, 0, parts, check=self_check)
    found: dict[str, LearningCoefficient] = {}
    for i, (name, pattern) in enumerate(named.items(), 1):
        local = LocalLoss(subject, at, moving_coordinates(subject, pattern))
        asked = replace(ask, seed=child_seed(seed, i) % 2**31, localisation=whole.localisation)
        found[name] = _one(local, name, asked, folder, f"group-{i}", progress, i, parts, check=False)
    if progress is not None:
        progress(1.0, "done")
    result = replace(whole, groups=found, seconds=time.perf_counter() - began)
    if strict and not result.status.ok:
        raise EstimationError(f"{result.status}: {'; '.join(result.notes) or result.status.message}", result)
    return result


def plan_learning_coefficient(
    subject: Subject,
    method: str = "auto",
    *,
    points: int = 1,
    chains: int = 8,
    batch_size: int | None = None,
    precision: float = 0.02,
    budget: int | None = None,
) -> Cost:
    """What :func:`learning_coefficient` will take at most, at one or several sets of weights, without its self-check.

    A gradient on a minibatch counts as its share of one on all examples.
    """
    _check(subject, method, chains, precision, budget, batch_size, None)
    local = LocalLoss(subject, subject.solutions[0].point)
    nbeta = _temperatures(local, _Question(method, 0, None, None, chains, batch_size, precision, budget))[0]
    plan = plan_run(
        local, method, nbeta, chains=chains, batch_size=batch_size, precision=precision, budget=budget, searches=True
    )
    share = 1.0 if plan.batch_size is None else plan.batch_size / subject.train_size
    gradients = points * share * plan.budget
    vectors = 4.0 * chains * len(nbeta)
    return evaluation_cost(subject, "learning coefficient", 0.0, vectors=vectors, gradients=gradients)


@dataclass(frozen=True)
class _Question:
    method: str
    seed: int
    nbeta: list[float] | None
    localisation: float | None
    chains: int
    batch_size: int | None
    precision: float
    budget: int | None


def _one(
    local: LocalLoss, name: str, ask: _Question, folder: Path | None, file: str, progress: Progress | None, i: int,
    parts: int, *, check: bool,
) -> LearningCoefficient:  # fmt: skip
    """One set of moving coordinates."""
    began = time.perf_counter()
    report: Progress = (lambda share, text: None) if progress is None else part(progress, i, parts, name)
    nbeta, exact, words = _temperatures(local, ask)
    falls_back = ask.method == "auto" and local.dim <= _FEW_WEIGHTS
    plan = plan_run(
        local, ask.method, nbeta, chains=ask.chains, batch_size=ask.batch_size, precision=ask.precision,
        budget=ask.budget // 2 if ask.budget and falls_back else ask.budget, searches=ask.localisation is None,
    )  # fmt: skip
    choices = {"method": plan.reason, "inverse temperatures": words}
    gamma, evaluations = ask.localisation, 0
    if gamma is None:
        gamma, why, evaluations = localise(local, plan, ask.seed)
        choices["localisation"] = why
    else:
        choices["localisation"] = f"γ = {gamma:g}, as asked"
    reading = measure_points(local, plan, gamma, ask.seed, folder=folder, file=file, report=report, spent=evaluations)
    if falls_back and plan.method != "engine":
        left = plan.budget if ask.budget is None else ask.budget - evaluations - reading.evaluations
        plan, reading = _or_by_engine(local, plan, reading, gamma, ask.seed, folder, f"{file}-engine", report, left)
        choices["method"] = plan.reason
    fall = 0.0
    if not exact and local.differentiable:
        fall = fall_to_minimum(local, _DESCENT if plan.batch_size is None else _DESCENT_LARGE)
    reference = f"{'all weights' if local.moving is None else 'the group'}, w* and N(w*, I/{gamma:g})"
    estimate, fit, notes = _answer(reading.points, local, fall=fall, reference=reference, main=plan.main)
    checked = None
    if check:
        checked = _self_check(local, plan, gamma, ask, report)
    notes += _remarks(local, reading, gamma)
    return LearningCoefficient(
        estimate.value, estimate.stderr, "1", estimate.kind, estimate.status, reference, estimate.dof,
        name=name, method=plan.method, dim=local.dim, terms=local.terms, loss_at_weights=local.at_point,
        localisation=gamma, chains=reading.chains, sweeps=reading.sweeps, burn_in=reading.burn_in,
        batch_size=plan.batch_size, path=local.path, points=tuple(reading.points), fit=fit, self_check=checked,
        choices=choices | reading.choices, notes=tuple(notes), evaluations=evaluations + reading.evaluations,
        seconds=time.perf_counter() - began, seed=ask.seed,
    )  # fmt: skip


def _or_by_engine(
    local: LocalLoss, plan: Plan, reading: Reading, gamma: float, seed: int, folder: Path | None, file: str,
    report: Progress, budget: int,
) -> tuple[Plan, Reading]:  # fmt: skip
    """The engine's reading where chains of few weights did not converge at every inverse temperature and it did."""
    stuck = sum(not p.converged for p in reading.points)
    if not stuck or any(p.estimate.status is Status.NON_FINITE for p in reading.points):
        return plan, reading
    reason = f"{plan.method} chains did not converge at {stuck} of {len(reading.points)} inverse temperatures"
    reason = f"{reason}, and the engine can be asked of few weights"
    other = replace(plan, method="engine", reason=reason, budget=budget)
    found = measure_points(local, other, gamma, seed, folder=folder, file=file, report=report)
    better = sum(not p.converged for p in found.points) < stuck
    kept, spent = (found, reading.evaluations) if better else (reading, found.evaluations)
    return other if better else plan, replace(kept, evaluations=kept.evaluations + spent)


def _temperatures(local: LocalLoss, ask: _Question) -> tuple[list[float], bool, str]:
    """The inverse temperatures, whether no weights can be better than w*, and both in words."""
    base = local.terms / math.log(max(local.terms, 3))
    bounded = isinstance(local.subject.head, SquaredError | CrossEntropy)
    exact = bounded and _BEYOND * base * local.at_point <= _NEGLIGIBLE
    if ask.nbeta is not None:
        return ask.nbeta, exact, "as asked"
    ladder = [f * base for f in _LADDER] + ([_BEYOND * base] if exact else [])
    words = f"n/ln n = {base:.4g} for the {local.terms:,} terms of the loss, a quarter and a sixteenth of it"
    if exact:
        words += ", and sixteen times as much, since no weights can have a lower loss"
    return ladder, exact, words


def _answer(
    points: Sequence[TemperaturePoint], local: LocalLoss, *, fall: float, reference: str, main: int
) -> tuple[Estimate, CurveFit | None, list[str]]:
    """The figure, from the points that converged."""
    notes = [f"nβ = {p.nbeta:.4g}: {'; '.join(p.objections)}." for p in points if not p.converged]
    good = [p for p in points if p.converged]
    central = points[main]
    if not central.converged:
        return _failed(central.estimate, reference), None, notes
    if len(good) < 2 <= len(points):
        notes.append("One inverse temperature alone does not tell what λ̂ tends to.")
        return _failed(central.estimate, reference), None, notes
    value, stderr, dof = central.estimate.value, central.estimate.stderr, central.estimate.dof
    status, fit = Status.REACHED, None
    if len(good) >= 2:
        # Standard errors from few chains are themselves uncertain: Student's t of as many degrees has this spread.
        spread = math.sqrt(dof / (dof - 2.0)) if dof is not None and dof > 2 else 1.0
        fit = fit_curve(
            [p.nbeta for p in good], [p.estimate.value for p in good], [spread * p.estimate.stderr for p in good],
            most=0.5 * local.dim, shift=fall * good[-1].nbeta,
        )  # fmt: skip
        extended = abs(fit.correction - fit.shift) > _MOST_CORRECTION * abs(fit.value)
        if fit.p_value >= _LEAST_P and not extended:
            value, stderr = fit.value, fit.stderr
            if len(good) < len(points) and len(good) < FEWEST:
                status = Status.WIDENED
                notes.append("Two inverse temperatures converged, which say little about how the curve goes on.")
        else:
            near = min((p for p in good if p is not central), key=lambda p: abs(math.log(p.nbeta / central.nbeta)))
            change = abs(near.estimate.value - value) * math.log(4.0) / abs(math.log(near.nbeta / central.nbeta))
            stderr, status = math.hypot(stderr, 0.5 * change), Status.WIDENED
            notes.append(
                "λ̂ still changes with the inverse temperature and no form of the curve fits: the figure is that at "
                f"nβ = {central.nbeta:.4g}, widened by its change over a factor of four."
            )
    if not stderr <= _LEAST_PRECISE * abs(value) and status is Status.REACHED:
        status = Status.WIDENED
    return Estimate(value, stderr, "1", "estimate", status, reference, dof), fit, notes


def _failed(found: Estimate, reference: str) -> Estimate:
    """What is left of a figure that did not converge: its value without an error, or that λ is not negative."""
    if math.isfinite(found.value) and found.kind == "estimate":
        return Estimate(found.value, math.nan, "1", "estimate", Status.NOT_CONVERGED, reference)
    kind: Kind = "lower_bound"
    return Estimate(0.0, 0.0, "1", kind, found.status, reference)


def _self_check(local: LocalLoss, plan: Plan, gamma: float, ask: _Question, report: Progress) -> SelfCheck:
    """The same settings on a linear model."""
    report(0.99, "self-check")
    subject = linear_check_subject(local, child_seed(ask.seed, 0x11) % 2**31)
    model = LocalLoss(subject, subject.solutions[0].point)
    same = plan.for_model(model)
    reading = measure_points(
        model, same, gamma, child_seed(ask.seed, 0x12) % 2**31, folder=None, file="", report=lambda share, text: None
    )
    truth = 0.5 * model.dim
    estimate, _, _ = _answer(reading.points, model, fall=0.0, reference="linear model", main=same.main)
    return SelfCheck(truth, estimate, estimate.value - truth, localised_linear(subject, same.nbeta[same.main], gamma))


def _remarks(local: LocalLoss, reading: Reading, gamma: float) -> list[str]:
    out: list[str] = []
    own = local.own_part(local.point.unsqueeze(0)).norm().item()
    far = max((p.distance for p in reading.points if math.isfinite(p.distance)), default=0.0)
    if far > own > 0:
        out.append(
            f"The chains move {far:.3g} from weights of length {own:.3g} under γ = {gamma:g}: λ is that of all that "
            "the localisation reaches. Give localisation= for a closer look."
        )
    top = reading.points[-1]
    if top.converged and top.estimate.value < 0:
        out.append("The chains find lower losses than that of the weights: these are not at a minimum.")
    if reading.non_finite:
        out.append(f"{reading.non_finite} losses were NaN or infinite and were rejected.")
    return out


def _check(
    subject: Any, method: Any, chains: Any, precision: Any, budget: Any, batch_size: Any, localisation: Any
) -> None:  # fmt: skip
    if not isinstance(subject, Subject):
        raise InputError(f"a learning coefficient of {type(subject).__name__}", "a pindown.Subject")
    if method not in METHODS:
        raise InputError(f"method {method!r}", f"one of {', '.join(METHODS)}")
    if isinstance(chains, bool) or not isinstance(chains, int) or chains < 8 or chains % 4:
        raise InputError(f"chains = {chains!r}", "a multiple of four, at least 8")
    if not isinstance(precision, float | int) or not 0 < precision < 1:
        raise InputError(f"precision = {precision!r}", "a number between 0 and 1, such as 0.02")
    for value, what in ((budget, "budget"), (batch_size, "batch_size")):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{what} = {value!r}", "a whole number of 1 or more")
    if localisation is not None and not (isinstance(localisation, float | int) and 0 < localisation < math.inf):
        raise InputError(f"localisation = {localisation!r}", "a number above 0")
    if method not in ("auto", "engine") and not subject.objective().differentiable:
        raise InputError(f'method "{method}" for a loss without a gradient', 'method="engine"')


def _values(nbeta: float | Sequence[float] | None) -> list[float] | None:
    if nbeta is None:
        return None
    values = sorted(float(b) for b in (nbeta if isinstance(nbeta, Sequence) else [nbeta]))
    if not values or not all(0 < b < math.inf for b in values):
        raise InputError(f"nbeta = {nbeta!r}", "one number above 0 or several")
    return values


def _point(subject: Subject, point: Tensor | None) -> Tensor:
    given = subject.solutions[0].point if point is None else torch.as_tensor(point)
    if tuple(given.shape) != (subject.space().dim,):
        raise InputError(f"a point of shape {tuple(given.shape)}", f"({subject.space().dim},)")
    if not bool(torch.isfinite(given).all()):
        raise InputError("weights that are NaN or infinite", "finite weights")
    return given.to(subject.space().dtype).to(subject.device)


def _groups(subject: Subject, groups: Mapping[str, str] | Sequence[str] | str | None) -> dict[str, str]:
    """Names and globs, each of which must match."""
    if groups is None:
        return {}
    if groups == "layers":
        owners = dict.fromkeys(n.rpartition(".")[0] for n in subject.space().names)
        named = {owner or "top": f"{owner}.*" if owner else "*" for owner in owners}
    elif isinstance(groups, str):
        named = {groups: groups}
    else:
        named = dict(groups) if isinstance(groups, Mapping) else {g: g for g in groups}
    for pattern in named.values():
        moving_coordinates(subject, pattern)
    return named
