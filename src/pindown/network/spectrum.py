"""Eigenvalues, trace and log-determinant of a trained network's curvature, each with its error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pindown.engine.checkpoint import Checkpoint, fingerprint
from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.curvature import Curvature, Matrix
from pindown.network.lanczos import Quadrature, TopPairs, quadratures, top_pairs
from pindown.network.progress import Progress
from pindown.network.spectrum_result import Spectrum
from pindown.network.subject import Solution, Subject
from pindown.rng import torch_generator
from pindown.spaces.base import check_count
from pindown.spaces.initialisation import Normal
from pindown.stats import mean_and_stderr

__all__ = ["Spectrum", "spectrum"]

Array = NDArray[np.float64]
DENSE = 2500  # parameters up to which the whole matrix is formed: seconds
_PAIR_TOLERANCE = 1e-4
_BASIS_BYTES = 1_000_000_000
_FEWEST = 16  # probes behind any standard error


def spectrum(
    subject: Subject,
    *,
    solution: int | Solution = 0,
    matrix: Matrix = "hessian",
    eigenvalues: int = 10,
    accuracy: float = 0.02,
    shift: float | None = None,
    probes: int = _FEWEST,
    steps: int = 64,
    budget: int = 20_000,
    dense: bool | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> Spectrum:
    r"""Measure the curvature of the training loss at trained weights: H, or the Gauss–Newton matrix, over the weights.

    Models of up to 2500 parameters: the whole matrix in double precision and all of its eigenvalues. Larger ones
    from products with vectors (:class:`~pindown.network.curvature.Curvature`):

    * the largest eigenvalues ``Q`` by restarted Lanczos, with their residuals;
    * the trace as :math:`\mathrm{tr}(Q^\top H Q) + \mathrm{tr}(PHP)`, ``P`` the projection off ``Q``, the second part
      from random signs ``z`` as the mean of :math:`z^\top PHP z` (Hutchinson 1990; Meyer, Musco, Musco and Woodruff
      2021, Hutch++, algorithm 1 with this ``Q``). Probes are added until the standard error is ``accuracy`` of the
      trace;
    * the other sums over eigenvalues by stochastic Lanczos quadrature in the same way (Ubaru, Chen and Saad 2017). What
      the last third of the steps still changed is added to the standard error.

    The shift δ makes the log-determinant finite. By default it is the mean prior precision over the number of
    labels, :math:`\delta = \overline{\sigma^{-2}}/n`: then ``effective`` is half of MacKay's effective number of
    parameters, and ``½(log_determinant − D ln δ)`` Laplace's cost in nats.

    Weight-level figures such as these change when the units of a ReLU layer are rescaled, although the function stays
    the same (Dinh et al. 2017, Sharp minima can generalize for deep nets).

    Args:
        subject: the model, its loss and its data; any loss that is twice differentiable by autograd.
        solution: which of the subject's solutions, or another.
        matrix: ``"hessian"``; or ``"gauss-newton"``, which is never negative, for cross-entropy and squared error.
        eigenvalues: how many of the largest.
        accuracy: standard error of the trace to reach, as a share of the trace.
        shift: δ, above zero.
        probes: random vectors of the quadratures, 16 or more.
        steps: Lanczos steps of each.
        budget: most products with a vector.
        dense: whether to form the whole matrix; by default up to 2500 parameters.
        dtype: format to compute in; by default double precision for the whole matrix, else the model's own.
        seed: everything random follows from it.
        checkpoint: folder for unfinished work; the same call with it resumes.
        progress: called with the share done and a text.

    Raises:
        InputError: for a loss without second derivatives, or an argument that cannot be used.
        CheckpointError: for a checkpoint that is damaged or of another call.

    Example:
        >>> import torch
        >>> from pindown import Subject, spectrum
        >>> x = torch.diag(torch.tensor([1.0, 2.0, 0.0]))
        >>> line = Subject(torch.nn.Linear(3, 1, bias=False), "mse", (x, torch.zeros(3, 1)), prior="lecun")
        >>> found = spectrum(line)  # the loss is (w₁² + 4 w₂²)/3
        >>> [round(e.value, 4) for e in found.eigenvalues], round(found.trace.value, 4)
        ([2.6667, 0.6667, 0.0], 3.3333)
        >>> print(found.zero_directions, found.laplace, sep=", ")
        1 dimensions, ≥ 1
    """
    began = time.perf_counter()
    _check(eigenvalues, accuracy, shift, probes, steps, budget)
    point = (solution if isinstance(solution, Solution) else _listed(subject, solution)).point
    dim = subject.space().dim
    whole = dim <= DENSE if dense is None else dense
    curvature = Curvature(subject, point, matrix=matrix, dtype=dtype or (torch.float64 if whole else None))
    delta, reason = (shift, "given") if shift is not None else prior_shift(subject)
    job = _Job(
        curvature, min(eigenvalues, dim), accuracy, delta, probes, steps, budget, seed,
        progress or (lambda share, text: None), _file(checkpoint, curvature, whole, eigenvalues, steps, seed),
    )  # fmt: skip
    found = job.dense() if whole else job.lanczos()
    job.progress(1.0, "done")
    return Spectrum(
        subject=subject.name, loss=subject.objective().name, matrix=matrix, method="dense" if whole else "lanczos",
        parameters=dim, loss_value=curvature.loss,
        gradient_norm=float(torch.linalg.vector_norm(curvature.gradient.double())), shift=delta, shift_reason=reason,
        seed=seed, seconds=time.perf_counter() - began, products=curvature.products, **found,
    )  # fmt: skip


def prior_shift(subject: Subject) -> tuple[float, str]:
    """The mean prior precision over the number of labels, and these words for it."""
    precision, count = 0.0, 0
    for p in subject.space().parameters:
        variance = (
            torch.as_tensor(p.prior.std, dtype=torch.float64).square()
            if isinstance(p.prior, Normal)
            else (torch.as_tensor(p.prior.high, dtype=torch.float64) - p.prior.low).square() / 12.0
        )
        full = (1.0 / variance).expand(p.shape).reshape(-1)
        full = full if p.free is None else full[p.free.cpu()]
        precision, count = precision + float(full.sum()), count + full.numel()
    return precision / count / subject.labels, f"mean prior precision over {subject.labels:,} labels"


@dataclass
class _Job:
    curvature: Curvature
    count: int
    accuracy: float
    delta: float
    probes: int
    steps: int
    budget: int
    seed: int
    progress: Progress
    file: Checkpoint | None
    warnings: list[str] = field(default_factory=list[str])

    def log_ratio(self, h: Array) -> Array:
        # Its mean over probes has less noise than that of ln(h + δ): most h are near 0, and this is 0 there.
        return np.log1p(np.maximum(h, 0.0) / self.delta)

    def filtered(self, h: Array) -> Array:
        return 0.5 * np.maximum(h, 0.0) / (np.maximum(h, 0.0) + self.delta)

    def dense(self) -> dict[str, Any]:
        c, dim = self.curvature, self.curvature.dim
        self.progress(0.0, f"{dim:,} columns of the {c.matrix}")
        h, u = np.linalg.eigh(c.dense().double().cpu().numpy())
        precision = dim * float(np.finfo(np.float64).eps if c.dtype == torch.float64 else 1e-6) * float(np.abs(h).max())
        zero, negative = int((np.abs(h) <= precision).sum()), int((h < -precision).sum())
        along = u.T @ c.gradient.double().cpu().numpy()
        decrement = 0.5 * float((along**2 / (np.maximum(h, 0.0) + self.delta)).sum())
        rank = dim - zero - negative
        self._warn(decrement, negative, zero, rank)
        status = Status.UNSUPPORTED if negative else Status.REACHED
        exact = self._exact
        return {
            "eigenvalues": tuple(exact(v) for v in h[::-1][: self.count]), "lowest": exact(h[0]),
            "trace": exact(math.fsum(h)),
            "log_determinant": exact(math.fsum(self.log_ratio(h)) + dim * math.log(self.delta), "nats"),
            "effective": exact(math.fsum(self.filtered(h))),
            "laplace": Estimate(
                rank / 2, 0.0, "1", "lower_bound" if zero else "exact", status, "half the rank of the matrix"
            ),
            "zero_directions": exact(zero, "dimensions"), "negative_directions": exact(negative, "dimensions"),
            "precision": precision, "decrement": decrement, "nodes": tuple(h.tolist()), "weights": (1.0 / dim,) * dim,
            "probes": 0, "quadrature_probes": 0, "steps": 0, "warnings": tuple(self.warnings),
        }  # fmt: skip

    def lanczos(self) -> dict[str, Any]:
        c, dim = self.curvature, self.curvature.dim
        state: dict[str, Any] = (self.file.load() if self.file else None) or {}
        top = self._top(state)
        q = top.vectors
        rules = self._rules(state, q)
        samples = self._trace(state, q, rules, top.rayleigh)
        mean, stderr = mean_and_stderr(samples)
        trace = top.rayleigh + mean
        enough = stderr <= self.accuracy * abs(trace)
        if not enough:
            self.warnings.append(
                f"The budget of {self.budget:,} products was spent before the trace was known to {self.accuracy:.2g}."
            )
        highest = float(max(np.abs(top.values).max(initial=0.0), *(np.abs(r.nodes).max() for r in rules)))
        unit = float(torch.finfo(c.dtype).eps)
        noise = unit * math.sqrt(dim) * highest
        if self.delta < noise:
            self.warnings.append(
                f"The shift {self.delta:.2g} is below what products in {c.dtype} resolve ({noise:.2g}): use "
                "dtype=torch.float64 or a larger shift for the log-determinant."
            )
        # m steps on a range of length H tell eigenvalues apart down to about H/m² at its ends (Parlett 1998, 12.4).
        precision = max(noise, highest / self.steps**2)
        negative = self._sum(lambda h: (h < -precision).astype(float), top, rules, "dimensions", clip=dim)
        decrement = 0.5 * self._decrement()
        lowest = float(min(r.nodes[0] for r in rules))
        self._warn(decrement, max(negative.value, float(lowest < -precision)), 0, dim)
        nodes = np.concatenate([top.values, *(r.nodes for r in rules)])
        weights = np.concatenate([np.ones(len(top.values)), *(r.weights / len(rules) for r in rules)]) / dim
        weights /= weights.sum()
        order = np.argsort(nodes)
        return {
            "eigenvalues": tuple(
                Estimate(float(v), float(r), "1", "estimate", self._pair_status(top), self._reference)
                for v, r in zip(top.values, top.residuals, strict=True)
            ),
            "lowest": Estimate(lowest, 0.0, "1", "upper_bound", reference=self._reference),
            "trace": Estimate(
                trace, stderr, "1", "estimate", Status.REACHED if enough else Status.BUDGET_SPENT, self._reference,
                len(samples) - 1.0,
            ),
            "log_determinant": self._sum(self.log_ratio, top, rules, "nats", plus=dim * math.log(self.delta)),
            "effective": self._sum(self.filtered, top, rules, "1"),
            "laplace": None, "zero_directions": None, "negative_directions": negative, "precision": precision,
            "decrement": decrement, "nodes": tuple(nodes[order].tolist()), "weights": tuple(weights[order].tolist()),
            "probes": len(samples), "quadrature_probes": len(rules), "steps": self.steps,
            "warnings": tuple(self.warnings),
        }  # fmt: skip

    @property
    def _reference(self) -> str:
        return f"{self.curvature.matrix} of the mean training loss"

    def _exact(self, value: float, unit: str = "1") -> Estimate:
        return Estimate(float(value), 0.0, unit, "exact", reference=self._reference)

    def _pair_status(self, top: TopPairs) -> Status:
        return Status.REACHED if top.converged else Status.BUDGET_SPENT

    def _top(self, state: dict[str, Any]) -> TopPairs:
        c = self.curvature
        if "top" not in state:
            self.progress(0.0, f"the {self.count} largest eigenvalues")
            start = torch.randn(c.dim, generator=torch_generator(self.seed, 1), dtype=torch.float64).to(c.point)
            top = top_pairs(
                c.product, c.dim, min(self.count, c.dim - 1), start=start, tolerance=_PAIR_TOLERANCE,
                most_products=self.budget // 2,
            )  # fmt: skip
            state["top"] = (torch.as_tensor(top.values), top.vectors, torch.as_tensor(top.residuals), top.converged)
            self._save(state)
        values, vectors, residuals, converged = state["top"]
        top = TopPairs(values.numpy(), vectors.to(c.point), residuals.numpy(), float(values.sum()), converged)
        if not top.converged:
            self.warnings.append(f"Only {len(top.values)} of {self.count} eigenvalues converged within the budget.")
        return top

    def _rules(self, state: dict[str, Any], q: Tensor) -> list[Quadrature]:
        """One quadrature a probe, off the vectors ``q``."""
        c = self.curvature
        done: list[tuple[Tensor, ...]] = state.setdefault("rules", [])
        size = torch.finfo(c.dtype).bits // 8
        together = int(max(1, min(8, _BASIS_BYTES // (self.steps * c.dim * size))))
        while len(done) < self.probes:
            if len(done) >= 2 and c.products + self.steps > self.budget:
                self.warnings.append(f"The budget left room for {len(done)} of {self.probes} quadratures.")
                break
            self.progress(0.2 + 0.5 * len(done) / self.probes, f"quadrature {len(done) + 1} of {self.probes}")
            first = range(len(done), min(self.probes, len(done) + together))
            start = torch.cat([_off(q, self._signs(i)) for i in first])
            for rule in quadratures(lambda v: _off(q, c.product(_off(q, v))), start, self.steps):
                done.append(
                    tuple(map(torch.as_tensor, (rule.nodes, rule.weights, rule.short_nodes, rule.short_weights)))
                )
            self._save(state)
        return [Quadrature(*(t.numpy() for t in rule)) for rule in done]

    def _trace(self, state: dict[str, Any], q: Tensor, rules: list[Quadrature], known: float) -> Array:
        """``zᵀ P H P z`` of the quadratures' probes and as many more as the accuracy wants."""
        c = self.curvature
        samples: list[float] = [r.integral(lambda h: h) for r in rules]
        more: list[float] = state.setdefault("trace", [])
        samples += more
        while True:
            mean, stderr = mean_and_stderr(samples)
            target = self.accuracy * abs(known + mean)
            room = self.budget - c.products
            if stderr <= target or room <= 0:
                self._save(state, final=True)
                return np.array(samples)
            wanted = len(samples) * (stderr / target) ** 2 - len(samples) if target > 0 else len(samples)
            add = int(min(max(8.0, 1.1 * wanted), len(samples), room))
            self.progress(0.7, f"trace to {stderr / abs(known + mean):.1%}")
            for i in range(len(samples), len(samples) + add, c.block):
                z = torch.cat([_off(q, self._signs(j)) for j in range(i, min(i + c.block, len(samples) + add))])
                more += [float(v) for v in (z.double() * c.product(z).double()).sum(1)]
            samples = samples[: len(rules)] + more
            self._save(state)

    def _decrement(self) -> float:
        """``gᵀ(H₊ + δ)⁻¹g``."""
        c = self.curvature
        rule = quadratures(c.product, c.gradient.unsqueeze(0), min(self.steps, 32))[0]
        return rule.integral(lambda h: 1.0 / (np.maximum(h, 0.0) + self.delta))

    def _sum(
        self, f: Callable[[Array], Array], top: TopPairs, rules: list[Quadrature], unit: str, *, plus: float = 0.0,
        clip: float = math.inf,
    ) -> Estimate:  # fmt: skip
        known = math.fsum(f(top.values))
        mean, stderr = mean_and_stderr([r.integral(f) for r in rules])
        gap = abs(float(np.mean([r.gap(f) for r in rules])))
        status = Status.WIDENED if gap > stderr else Status.REACHED
        return Estimate(
            min(plus + known + mean, clip), math.hypot(stderr, gap), unit, "estimate", status, self._reference,
            len(rules) - 1.0,
        )  # fmt: skip

    def _signs(self, i: int) -> Tensor:
        """The i-th probe, ``(1, D)`` of ±1."""
        g = torch_generator(self.seed, 2, i)
        signs = torch.randint(0, 2, (1, self.curvature.dim), generator=g, dtype=torch.int8)
        return (2 * signs - 1).to(self.curvature.point)

    def _save(self, state: dict[str, Any], *, final: bool = False) -> None:
        if self.file is not None:
            self.file.save(state, final=final)

    def _warn(self, decrement: float, negative: float, zero: int, rank: int) -> None:
        if negative >= 0.5:
            self.warnings.append(
                f"About {negative:.0f} directions have negative curvature: the point is no minimum, Laplace's λ does "
                "not hold, and the log-determinant counts them as zero."
            )
        if zero:
            self.warnings.append(
                f"{zero} directions are exactly flat (dead units, shared or rescalable weights): Laplace's integral "
                f"diverges along them; λ is {rank / 2:g} if they are symmetries of the loss, else larger."
            )
        scaled = decrement * self.curvature.subject.labels
        if scaled > 1.0:
            self.warnings.append(
                f"The gradient is not zero: a Newton step would lower the loss by {decrement:.2g}, {scaled:.3g} nats "
                "over all labels, so Laplace's approximation is not centred here."
            )


def _off(q: Tensor, v: Tensor) -> Tensor:
    """Rows of ``v`` with their parts along the orthonormal rows of ``q`` taken out."""
    return v - (v @ q.T) @ q if len(q) else v


def _listed(subject: Subject, number: int) -> Solution:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(subject.solutions):
        raise InputError(f"solution {number!r}", f"0 to {len(subject.solutions) - 1}, or a Solution")
    return subject.solutions[number]


def _check(eigenvalues: int, accuracy: float, shift: float | None, probes: int, steps: int, budget: int) -> None:
    check_count(eigenvalues, "eigenvalues")
    check_count(probes, "probes", low=_FEWEST)
    check_count(steps, "steps", low=3)
    check_count(budget, "budget", low=100)
    if not 0.0 < accuracy < 1.0:
        raise InputError(f"accuracy = {accuracy!r}", "a share between 0 and 1, such as 0.02")
    if shift is not None and not 0.0 < shift < math.inf:
        raise InputError(f"shift = {shift!r}", "a finite number above zero")


def _file(
    folder: str | Path | None, curvature: Curvature, whole: bool, eigenvalues: int, steps: int, seed: int
) -> Checkpoint | None:
    if folder is None or whole:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    parts = {"what": "spectrum", "matrix": curvature.matrix, "dim": curvature.dim, "dtype": str(curvature.dtype)}
    parts |= {"eigenvalues": eigenvalues, "steps": steps, "seed": seed}
    norm = torch.linalg.vector_norm(curvature.gradient.double())
    mark = fingerprint(parts, torch.tensor([curvature.loss, float(norm)]))
    return Checkpoint(folder, f"spectrum-{curvature.matrix}", mark)
