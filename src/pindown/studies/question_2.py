"""Question 2. How much is free?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pindown.engine.measure import measure
from pindown.engine.settings import Settings
from pindown.estimate import Estimate, Status, bits
from pindown.network.plan import default_settings
from pindown.rng import child_seed, torch_generator
from pindown.studies.counting import embedded_ranks
from pindown.studies.families import DIGITS_TOLERANCES, TEACHER_TOLERANCES, digits_family, teacher_family
from pindown.studies.labels import draw_random, make_task
from pindown.studies.results import Answer, Curve, Figure, Point, Verdict
from pindown.studies.steps import Step, Workshop
from pindown.studies.study_subject import StudySubject
from pindown.studies.tasks import arc_cosine_kernel, orthant_bits_draws
from pindown.studies.verdicts import decide

__all__ = ["Sizes", "answer_2", "curve_step", "own_answer_2"]

TITLE = "How much is free?"


@dataclass(frozen=True)
class Sizes:
    """How much is drawn.

    Attributes:
        widths: of one hidden layer, for the bits of the Boolean labels.
        count, draws: random solutions of each, and networks tried at most.
        orthant_draws: draws of the infinitely wide network.
        repeats: independent runs of each curve.
        settings: of the engine for curves; by default those of an audit.
        teacher: losses of the curves on the teacher's data.
        digits: losses of the digits' curves; without any they are left out.
    """

    widths: tuple[int, ...] = (3, 10, 30, 100, 300)
    count: int = 1000
    draws: int = 2**25
    orthant_draws: int = 2**24
    repeats: int = 4
    settings: Settings | None = None
    teacher: tuple[float, ...] = TEACHER_TOLERANCES
    digits: tuple[float, ...] = DIGITS_TOLERANCES


FULL = Sizes(
    count=20_000, draws=2**31, orthant_draws=2**29, repeats=8,
    # Between a quick audit and the engine's defaults: about 20 minutes of a core for the widest curve.
    settings=Settings(
        burn_in=16, sweeps=24, doublings=1, leaps=12, spacing=1.5, ladder_moves=4, warm_moves=4, warm_sweeps=16
    ),
    teacher=(*TEACHER_TOLERANCES, 0.01, 0.005), digits=(*DIGITS_TOLERANCES, 0.02, 0.01),
)  # fmt: skip


def answer_2(shop: Workshop, *, full: bool, seed: int, sizes: Sizes | None = None) -> Answer:
    """Bits against width, pinned dimensions against tolerance, and the counting argument."""
    sizes = sizes or (FULL if full else Sizes())
    families = _families(sizes, seed)
    curves_of = {(f.name, w): curve_step(f, w, sizes, seed) for f in families for w in f.widths}
    done = shop.run([*_steps(sizes, seed), *curves_of.values()])
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
    figures.append(Figure("infinitely wide, normal weights", "−log2 P(S)", Estimate.from_dict(done["q2-orthant"])))
    deep = Estimate.from_dict(done["q2-two-layers"]["bits"])
    figures.append(Figure("normal weights, two layers of 40", "−log2 P(S)", deep))
    for f in families:
        found = _pinned(f, {w: done[curves_of[f.name, w].key] for w in f.widths})
        curves += found[0]
        figures += found[1]
        verdicts.append(found[2])
    ranks, verdict = _counting()
    return Answer(
        2, TITLE, (*verdicts, verdict), tuple(figures + ranks), tuple(curves), (), (_UNITS, *_NOTES),
        shop.seconds,
    )  # fmt: skip


def own_answer_2(
    shop: Workshop, own: StudySubject, *, full: bool, seed: int, sizes: Sizes | None = None
) -> Answer:  # fmt: skip
    """Pinned dimensions and bits of a user's model at each tolerance and width."""
    sizes = sizes or (FULL if full else Sizes())
    steps = {w: curve_step(own, w, sizes, seed) for w in own.widths}
    done = shop.run(list(steps.values()))
    curves, figures, verdict = _pinned(own, {w: done[s.key] for w, s in steps.items()})
    notes = [
        _NOTES[0],
        "The counting argument and the bits of Boolean labels are about the study's own networks alone.",
    ]
    return Answer(2, TITLE, (verdict,), tuple(figures), tuple(curves), (), tuple(notes), shop.seconds)


_UNITS = (
    "“70 dimensions free” counts units; a unit of the built-in teacher network has 6 weights, one of the digits 75."
)
_NOTES = (
    "Pinned dimensions are twice the learning coefficient λ(t) = d ln V / d ln t: how many dimensions the set of that "
    "loss behaves as if it were fixed in. They depend on the tolerance t; there is no one number.",
    "−log2 P(S) is of one training set of 32 inputs; sets differ by about half a bit each way.",
)


def _families(sizes: Sizes, seed: int) -> list[StudySubject]:
    return [teacher_family(seed, sizes.teacher), *([digits_family(seed, sizes.digits)] if sizes.digits else [])]


def curve_step(family: StudySubject, width: int, sizes: Sizes, seed: int) -> Step:
    """The step that measures the curve of one width."""
    arguments = {
        "family": family, "width": width, "seed": child_seed(seed, 0x27, width) % 2**31, "repeats": sizes.repeats,
        "settings": sizes.settings,
    }  # fmt: skip
    name = "".join(c if c.isalnum() else "-" for c in family.name)
    return Step(f"curve-{name}-{width}", f"the curve of {family.name}, width {width}", pinned_curve, arguments, 60.0)


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
        "task": task, "widths": (7, 40, 40, 1), "count": sizes.count, "draws": sizes.draws,
        "seed": child_seed(seed, 0x22),
    }  # fmt: skip
    steps.append(Step("q2-two-layers", "random solutions, two layers", draw_random, arguments, 10.0))
    arguments = {"task": task, "draws": sizes.orthant_draws, "seed": child_seed(seed, 0x23)}
    steps.append(Step("q2-orthant", "the infinitely wide network", orthant_bits, arguments, 5.0))
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


def pinned_curve(
    *, family: StudySubject, width: int, seed: int, repeats: int, settings: Settings | None = None
) -> dict[str, Any]:  # fmt: skip
    """Bits and pinned dimensions of one width at every tolerance."""
    subject = family.subject(width)
    found = measure(
        subject.space(), subject.objective(), tolerance=family.tolerances[-1], repeats=repeats, seed=seed, jobs=1,
        settings=settings or default_settings(subject.space().dim, full=False),
    )  # fmt: skip
    return {
        "dim": subject.space().dim,
        "bits": [found.bits(t).to_dict() for t in family.tolerances],
        "pinned": [found.pinned_dimensions(t).to_dict() for t in family.tolerances],
        "status": found.status.value,
    }


def _pinned(
    family: StudySubject, own: Mapping[int, Mapping[str, Any]]
) -> tuple[list[Curve], list[Figure], Verdict]:  # fmt: skip
    curves: list[Curve] = []
    figures: list[Figure] = []
    ts, data = family.tolerances, family.name or "own model"
    pinned = {w: [Estimate.from_dict(e) for e in record["pinned"]] for w, record in own.items()}
    deep = {w: [Estimate.from_dict(e) for e in record["bits"]] for w, record in own.items()}
    for w, record in own.items():
        for name, unit, values in (("pinned dimensions", "dimensions", pinned[w]), ("bits", "bits", deep[w])):
            points = tuple(Point(float(t), e) for t, e in zip(ts, values, strict=True))
            curves.append(Curve(f"{data}: {name} against tolerance", f"width {w}", "tolerance", unit, points))
        figures.append(Figure(f"{data}, width {w}", "parameters", Estimate(float(record["dim"]), 0.0, "1", "exact")))
        for t, p, b in zip(ts, pinned[w], deep[w], strict=True):
            figures.append(Figure(f"{data}, width {w}", f"pinned dimensions at loss {t:g}", p))
            figures.append(Figure(f"{data}, width {w}", f"bits at loss {t:g}", b))
    return curves, figures, _seventy(family, pinned)


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


def _seventy(family: StudySubject, pinned: Mapping[int, Sequence[Estimate]]) -> Verdict:
    """The doubt's picture: what the wide one pins is what the narrow one pins, and the rest is free."""
    narrow, wide = family.widths[0], family.widths[-1]
    claim = (
        f"On {family.name or 'the own model'}, width {wide} pins as many dimensions as width {narrow} does, at every "
        "tolerance."
    )
    rule = (
        "Refuted where at some tolerance that both reached the pinned dimensions differ by more than 10% of the "
        "smaller with the 95% interval of the difference; supported where all were reached and none differ by more "
        "with it; else undecided."
    )
    pairs: list[tuple[float, float, float]] = []
    for t, x, y in zip(family.tolerances, pinned[narrow], pinned[wide], strict=True):
        good = all(e.kind in ("estimate", "exact") and e.status.ok and math.isfinite(e.value) for e in (x, y))
        if good and min(x.value, y.value) > 0:
            (low_x, high_x), (low_y, high_y) = x.interval(), y.interval()
            half = math.hypot(high_x - low_x, high_y - low_y) / 2.0
            least = min(x.value, y.value)
            pairs.append((t, (y.value - x.value) / least, half / least))
    if not pairs:
        return Verdict(claim, "undecided", rule, "Nothing was measured at both widths.")
    supported = len(pairs) == len(family.tolerances) and all(abs(d) + e < 0.1 for _, d, e in pairs)
    refuted = any(abs(d) - e > 0.1 for _, d, e in pairs)
    said = "; ".join(f"{d:+.0%} (95%: ±{e:.0%}) at {t:g}" for t, d, e in pairs)
    return Verdict(claim, decide(supported, refuted), rule, f"Width {wide} against width {narrow}: {said}.")


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
