"""Question 2. How much is free?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pindown.engine.measure import measure
from pindown.engine.settings import Settings
from pindown.estimate import Estimate, Status, bits
from pindown.network.digits import digits_data, digits_model
from pindown.network.perceptrons import PerceptronPrior
from pindown.network.subject import Subject
from pindown.rng import child_seed, torch_generator
from pindown.spaces.network import Prior
from pindown.studies.labels import draw_random, make_task
from pindown.studies.results import Answer, Curve, Figure, Point, Verdict
from pindown.studies.steps import Step, Workshop
from pindown.studies.tasks import arc_cosine_kernel, orthant_bits_draws
from pindown.studies.verdicts import decide

__all__ = ["Sizes", "answer_2", "embedded_ranks"]

TITLE = "How much is free?"
_TEACHER_TOLERANCES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)  # of the targets' mean square
_DIGIT_TOLERANCES = (1.0, 0.5, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Sizes:
    """How much is drawn.

    Attributes:
        widths: of one hidden layer, for the bits of the Boolean labels.
        count, draws: random solutions of each, and networks tried at most.
        orthant_draws: draws of the infinitely wide network.
        repeats, chains, sweeps: of each curve.
        digits: whether the digits' curves are measured.
    """

    widths: tuple[int, ...] = (3, 10, 30, 100, 300)
    count: int = 1500
    draws: int = 2**26
    orthant_draws: int = 2**25
    repeats: int = 3
    chains: int = 4
    sweeps: int = 16


FULL = Sizes(
    widths=(3, 10, 30, 100, 300, 1000), count=20_000, draws=2**31, orthant_draws=2**29, repeats=8, chains=8, sweeps=64
)


def answer_2(shop: Workshop, *, full: bool, seed: int, sizes: Sizes | None = None) -> Answer:
    """Bits against width, pinned dimensions against tolerance, and the counting argument."""
    sizes = sizes or (FULL if full else Sizes())
    done = shop.run(_steps(sizes, seed))
    limit = Estimate.from_dict(done["q2-orthant"])
    figures: list[Figure] = []
    curves: list[Curve] = []
    verdicts: list[Verdict] = []
    for law in ("normal", "uniform"):
        rows = [Estimate.from_dict(done[f"q2-width-{law}-{w}"]["bits"]) for w in sizes.widths]
        points = tuple(Point(float(w), e) for w, e in zip(sizes.widths, rows, strict=True))
        curves.append(Curve("−log2 P(S) against width", f"{law} weights", "hidden units", "bits", points))
        verdicts.append(_flat(law, sizes.widths, rows))
        figures += [
            Figure(f"{law} weights, width {w}", "−log2 P(S)", e) for w, e in zip(sizes.widths, rows, strict=True)
        ]
    figures.append(Figure("infinitely wide, normal weights", "−log2 P(S)", limit))
    deep = Estimate.from_dict(done["q2-two-layers"]["bits"])
    figures.append(Figure("normal weights, two layers of 40", "−log2 P(S)", deep))
    for data in ("teacher", "digits"):
        own = {w: done[f"q2-curve-{data}-{w}"] for w in (30, 100)}
        own_curves, own_figures = _pinned(data, own)
        curves += own_curves
        figures += own_figures
        verdicts.append(_seventy(data, own))
    ranks, verdict = _counting()
    return Answer(
        2, TITLE, (*verdicts, verdict), tuple(figures + ranks), tuple(curves), (), tuple(_NOTES), shop.seconds
    )


_NOTES = (
    "“70 dimensions free” counts units; a unit of the built-in teacher network has 6 weights, one of the digits 75.",
    "Pinned dimensions are twice the learning coefficient λ(t) = d ln V / d ln t: how many dimensions the set of that "
    "loss behaves as if it were fixed in. They depend on the tolerance t; there is no one number.",
    "−log2 P(S) is of one training set of 32 inputs; sets differ by about half a bit each way.",
)


def _steps(sizes: Sizes, seed: int) -> list[Step]:
    task = {"kind": "boolean", "m": 32, "training_set": child_seed(seed, 0x20) % 2**31}
    steps: list[Step] = []
    for law in ("normal", "uniform"):
        for w in sizes.widths:
            arguments = {
                "task": task, "widths": (7, w, 1), "count": sizes.count, "draws": sizes.draws, "law": law,
                "seed": child_seed(seed, 0x21, w),
            }  # fmt: skip
            words = f"random solutions, {law} weights, width {w}"
            steps.append(Step(f"q2-width-{law}-{w}", words, draw_random, arguments, 6.0 + w / 20))
    arguments = {
        "task": task,
        "widths": (7, 40, 40, 1),
        "count": sizes.count,
        "draws": sizes.draws,
        "seed": child_seed(seed, 0x22),
    }
    steps.append(Step("q2-two-layers", "random solutions, two layers", draw_random, arguments, 10.0))
    arguments = {"task": task, "draws": sizes.orthant_draws, "seed": child_seed(seed, 0x23)}
    steps.append(Step("q2-orthant", "the infinitely wide network", orthant_bits, arguments, 5.0))
    for data, cost in (("teacher", 40.0), ("digits", 90.0)):
        for w in (30, 100):
            arguments = {
                "data": data, "width": w, "seed": child_seed(seed, 0x24) % 2**31, "repeats": sizes.repeats,
                "chains": sizes.chains, "sweeps": sizes.sweeps,
            }  # fmt: skip
            steps.append(Step(f"q2-curve-{data}-{w}", f"the curve of {data}, width {w}", pinned_curve, arguments, cost))
    return steps


def orthant_bits(*, task: Mapping[str, Any], draws: int, seed: int) -> dict[str, Any]:
    """``−log2`` of the probability that an infinitely wide network fits the labels, by plain draws."""
    data = make_task(task)
    hits, done = orthant_bits_draws(arc_cosine_kernel(data.train_x), data.train_y, draws, torch_generator(seed, 0))
    reference = "Gaussian process of a one-layer ReLU network"
    if not hits:
        bound = -math.log2(3.0 / done)
        return Estimate(bound, 0.0, "bits", "lower_bound", Status.BUDGET_SPENT, reference).to_dict()
    return Estimate(-math.log2(hits / done), bits(1.0 / math.sqrt(hits)), "bits", reference=reference).to_dict()


def teacher_subject(width: int, seed: int) -> Subject:
    """A tanh network of ``width`` on 100 examples of a teacher of width 3, in five dimensions."""
    teacher = PerceptronPrior((5, 3, 1), activation="tanh", bias_std=0.0)
    rng = torch_generator(seed, 0x7EAC)
    x = torch.randn((100, 5), generator=rng)
    y = teacher.outputs(teacher.sample(1, rng=rng), x)[0]
    y = y / y.square().mean().sqrt()
    student = PerceptronPrior((5, width, 1), activation="tanh", bias_std=0.0, weight_std=1.5)
    priors: dict[str, Prior] = dict(student.weight_priors())
    return Subject(student.module(), "mse", (x, y), name=f"teacher data, width {width}", prior=priors)


def digits_subject_of(width: int, seed: int) -> Subject:
    """Digits without training: the prior and the data are all that the curve needs."""
    train, held_out = digits_data(seed)
    with torch.random.fork_rng(devices=[]):
        model = digits_model(width)
    return Subject(model, "cross_entropy", train, held_out=held_out, name=f"digits, width {width}", prior="he")


def pinned_curve(*, data: str, width: int, seed: int, repeats: int, chains: int, sweeps: int) -> dict[str, Any]:
    """Bits and pinned dimensions of one network at every tolerance."""
    subject = teacher_subject(width, seed) if data == "teacher" else digits_subject_of(width, seed)
    tolerances = _TEACHER_TOLERANCES if data == "teacher" else _DIGIT_TOLERANCES
    found = measure(
        subject.space(), subject.objective(), tolerance=tolerances[-1], engine="ladder", repeats=repeats, seed=seed,
        jobs=1, settings=Settings(chains=chains, burn_in=8, sweeps=sweeps, doublings=0),
    )  # fmt: skip
    return {
        "dim": subject.space().dim,
        "tolerances": list(tolerances),
        "bits": [found.bits(t).to_dict() for t in tolerances],
        "pinned": [found.pinned_dimensions(t).to_dict() for t in tolerances],
        "status": found.status.value,
    }


def _pinned(data: str, own: Mapping[int, Mapping[str, Any]]) -> tuple[list[Curve], list[Figure]]:
    curves: list[Curve] = []
    figures: list[Figure] = []
    for w, record in own.items():
        rows = [Estimate.from_dict(r) for r in record["pinned"]]
        deep = [Estimate.from_dict(r) for r in record["bits"]]
        for name, unit, values in (("pinned dimensions", "dimensions", rows), ("bits", "bits", deep)):
            points = tuple(Point(float(t), e) for t, e in zip(record["tolerances"], values, strict=True))
            curves.append(Curve(f"{data}: {name} against tolerance", f"width {w}", "tolerance", unit, points))
        figures.append(Figure(f"{data}, width {w}", "parameters", Estimate(float(record["dim"]), 0.0, "1", "exact")))
        for t, pinned, b in zip(record["tolerances"], rows, deep, strict=True):
            figures.append(Figure(f"{data}, width {w}", f"pinned dimensions at loss {t:g}", pinned))
            figures.append(Figure(f"{data}, width {w}", f"bits at loss {t:g}", b))
    return curves, figures


def _flat(law: str, widths: Sequence[int], rows: Sequence[Estimate]) -> Verdict:
    """Bits do not change with width: at most one bit from a width of ten on, although parameters grow tenfold."""
    rule = (
        "Supported where from width 10 on no two widths differ by more than half a bit with the 95% interval of the "
        "difference; refuted where some two do with it; else undecided."
    )
    used = [(w, e) for w, e in zip(widths, rows, strict=True) if w >= 10 and e.kind == "estimate"]
    pairs = [
        (a, b, abs(x.value - y.value), 1.96 * math.hypot(x.stderr, y.stderr))
        for i, (a, x) in enumerate(used)
        for b, y in used[:i]
    ]
    claim = f"With {law} weights the bits of the labels do not grow with width."
    if not pairs:
        return Verdict(claim, "undecided", rule, "Fewer than two widths were measured.")
    widest = max(pairs, key=lambda p: p[2])
    supported, refuted = all(d + e < 0.5 for _, _, d, e in pairs), any(d - e > 0.5 for _, _, d, e in pairs)
    because = f"Largest difference: {widest[2]:.2f} ± {widest[3] / 1.96:.2f} bits, widths {widest[1]} and {widest[0]}."
    return Verdict(claim, decide(supported, refuted), rule, because)


def _seventy(data: str, own: Mapping[int, Mapping[str, Any]]) -> Verdict:
    """The doubt's picture: what width 100 pins is what width 30 pins, and the rest is free, whatever the tolerance."""
    claim = f"On {data}, width 100 pins as many dimensions as width 30 does, at every tolerance."
    rule = (
        "Refuted where at some tolerance that both reached the pinned dimensions differ by more than 10% of the "
        "smaller with the 95% interval of the difference; supported where none differ by more with it; else undecided."
    )
    pairs: list[tuple[float, float, float]] = []
    for t, a, b in zip(own[30]["tolerances"], own[30]["pinned"], own[100]["pinned"], strict=True):
        x, y = Estimate.from_dict(a), Estimate.from_dict(b)
        if x.kind == y.kind == "estimate" and all(math.isfinite(v) for v in (x.value, y.value, x.stderr, y.stderr)):
            least = min(x.value, y.value)
            if least > 0:
                pairs.append((t, (y.value - x.value) / least, 1.96 * math.hypot(x.stderr, y.stderr) / least))
    if not pairs:
        return Verdict(claim, "undecided", rule, "Nothing was measured at both widths.")
    supported = all(abs(d) + e < 0.1 for _, d, e in pairs)
    refuted = any(abs(d) - e > 0.1 for _, d, e in pairs)
    said = "; ".join(f"{d:+.0%} ± {e / 1.96:.0%} at {t:g}" for t, d, e in pairs)
    return Verdict(claim, decide(supported, refuted), rule, f"Width 100 against width 30: {said}.")


def embedded_ranks(width: int = 30, into: int = 100, inputs: int = 5, seed: int = 0) -> dict[str, tuple[int, int]]:
    r"""Rank of the gradients, and what is left flat, of a narrow tanh network inside a wide one without biases.

    With :math:`f(x) = \sum_k a_k \tanh(w_k \cdot x)`, surplus units of output weight :math:`a_k = 0` move the function
    by their :math:`a_k` alone, so the rank is :math:`30 (d+1) + 70`. Surplus units that repeat a unit
    (:math:`w_k = w_j`) add no direction to its :math:`d+1`, so the rank is :math:`30 (d+1)`. Units are generic, so
    their tangent functions are independent (Sussmann 1992). Ranks are of the gradients at 4 inputs a parameter, in
    double precision, with singular values relative to the largest below :math:`10^{-10}` counted as zero.

    >>> embedded_ranks(3, 5, inputs=2)  # 3 · 3 + 2, and 3 · 3, of 15 parameters
    {'surplus units with zero output weight': (11, 4), 'surplus units as duplicates': (9, 6)}
    """
    rng = torch_generator(seed, 0xC0DE)
    w = torch.randn((width, inputs), generator=rng, dtype=torch.float64)
    a = torch.randn(width, generator=rng, dtype=torch.float64)
    surplus = into - width
    fresh = torch.randn((surplus, inputs), generator=rng, dtype=torch.float64)
    copied = torch.arange(surplus) % width
    share = torch.bincount(copied, minlength=width).double() + 1.0
    x = torch.randn((4 * into * (inputs + 1), inputs), generator=rng, dtype=torch.float64)
    zero = (torch.cat([w, fresh]), torch.cat([a, torch.zeros(surplus, dtype=torch.float64)]))
    twice = (torch.cat([w, w[copied]]), torch.cat([a / share, (a / share)[copied]]))
    out: dict[str, tuple[int, int]] = {}
    for name, (weights, outs) in (
        ("surplus units with zero output weight", zero), ("surplus units as duplicates", twice),
    ):  # fmt: skip
        rank = _rank(weights, outs, x)
        out[name] = (rank, into * (inputs + 1) - rank)
    return out


def _rank(w: Tensor, a: Tensor, x: Tensor) -> int:
    h = torch.tanh(x @ w.T)
    slope = (1.0 - h * h) * a
    gradient = torch.cat([h, (slope.unsqueeze(2) * x.unsqueeze(1)).flatten(1)], 1)
    # The scale of a unit's columns says nothing of their independence.
    norm = gradient.norm(dim=0)
    singular = torch.linalg.svdvals(gradient[:, norm > 0] / norm[norm > 0])
    return int((singular > 1e-10 * singular[0]).sum())


def _counting() -> tuple[list[Figure], Verdict]:
    found = embedded_ranks()
    figures: list[Figure] = []
    for name, (rank, flat) in found.items():
        figures.append(Figure(f"width 30 in width 100: {name}", "rank of the gradients", _exact(rank)))
        figures.append(Figure(f"width 30 in width 100: {name}", "flat directions", _exact(flat)))
    flats = [flat for _, flat in found.values()]
    claim = "A width-30 solution inside width 100 leaves 70 dimensions free."
    rule = "Supported where every embedding of the width-30 solution leaves exactly 70 flat directions, else refuted."
    because = ", ".join(f"{flat} of 600 flat with {name}" for name, (_, flat) in found.items()) + "."
    return figures, Verdict(claim, "supported" if all(f == 70 for f in flats) else "refuted", rule, because)


def _exact(n: int) -> Estimate:
    return Estimate(float(n), 0.0, "dimensions", "exact", reference="600 parameters")
