"""Question 3. Few weights, or the low-order bits of many?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pindown.errors import EstimationError
from pindown.estimate import Estimate, Status
from pindown.rng import child_seed
from pindown.studies import panel
from pindown.studies import question_2 as curves
from pindown.studies.families import digits_family, teacher_family
from pindown.studies.paired import mean_of
from pindown.studies.planted import CONCENTRATED, SPREAD, concentrated_or_spread, planted_answers
from pindown.studies.prequential import prequential_bits
from pindown.studies.results import Answer, Figure, Lane, Verdict
from pindown.studies.steps import Step, Workshop
from pindown.studies.study_subject import StudySubject
from pindown.studies.trained_verdicts import deep_bits, found_as_planted, same_volume, share_kept, shift

__all__ = ["Sizes", "answer_3", "own_answer_3", "panel_rows", "panel_step", "trained_panel"]

TITLE = "Few weights, or the low-order bits of many?"


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        runs: trained networks of each width.
        digits_runs: the same of the digits; 0 leaves them out.
        planes: whether bit planes are measured.
        accuracy: of the noise tolerance, as a standard error of ln σ.
        repeats: of the planted volumes.
        curve: sizes of the volumes' curves.
    """

    runs: int = 3
    digits_runs: int = 3
    planes: bool = True
    accuracy: float = 0.05
    repeats: int = 4
    curve: curves.Sizes = field(default_factory=curves.Sizes)


FULL = Sizes(runs=20, digits_runs=10, accuracy=0.03, repeats=12, curve=curves.FULL)


def answer_3(shop: Workshop, *, full: bool, seed: int, sizes: Sizes | None = None) -> Answer:
    """The panel of measurements on trained networks of two widths, and on planted cases."""
    sizes = sizes or (FULL if full else Sizes())
    families = [(teacher_family(seed, sizes.curve.teacher), sizes.runs)]
    if sizes.digits_runs:
        families.append((digits_family(seed, sizes.curve.digits), sizes.digits_runs))
    planted = [
        Step("q3-planted", "planted cases", planted_answers, {"seed": child_seed(seed, 0x30) % 2**31}, 5.0),
        Step("q3-volumes", "16 bits in one weight, or in four", concentrated_or_spread,
             {"seed": child_seed(seed, 0x31) % 2**31, "repeats": sizes.repeats}, 10.0),
    ]  # fmt: skip
    steps = [s for f, runs in families for s in _steps(f, runs, sizes, seed)]
    done = shop.run([*steps, *planted])
    figures, verdicts = _planted(done)
    lanes: list[Lane] = []
    notes = list(_NOTES)
    for f, runs in families:
        own = _family(f, runs, sizes, seed, done)
        figures += own[0]
        verdicts += own[1]
        lanes += own[2]
        notes += own[3]
    return Answer(3, TITLE, tuple(verdicts), tuple(figures), (), (), tuple(notes), shop.seconds, tuple(lanes))


def own_answer_3(
    shop: Workshop, own: StudySubject, *, full: bool, seed: int, sizes: Sizes | None = None
) -> Answer:  # fmt: skip
    """The same panel on a user's trained networks."""
    sizes = sizes or (FULL if full else Sizes())
    done = shop.run(_steps(own, sizes.runs, sizes, seed))
    figures, verdicts, lanes, failed = _family(own, sizes.runs, sizes, seed, done)
    return Answer(3, TITLE, tuple(verdicts), tuple(figures), (), (), (*_NOTES, *failed), shop.seconds, tuple(lanes))


_NOTES = (
    "Bits on the axis answer different questions of the same weights and are not added: codes of the weights (bit "
    "planes, noise, pruning, water-filling, code length) are priced at a rise of the loss by ε; the volume is how rare "
    "any weights of that loss are under the prior.",
    "“As sharp everywhere” is the worst case: what all weights would hold if every direction were as sharp as the "
    "sharpest. Volume is the mean case.",
    "All figures but volume and the prequential code are of the weights, not of the function: rescaling the units of a "
    "ReLU layer moves them and keeps every output (Dinh et al. 2017). Question 4 measures by how much.",
    "Bit planes count over codes of a number format, which are not uniform in value; the other figures are over reals "
    "under the prior that they name.",
)


def panel_step(
    family: StudySubject, width: int, run: int, treatment: str, seed: int, *, planes: bool, accuracy: float
) -> Step:  # fmt: skip
    """The step that trains one network and measures its panel."""
    arguments = {
        "family": family, "width": width, "run": run, "treatment": treatment, "seed": seed, "planes": planes,
        "accuracy": accuracy,
    }  # fmt: skip
    name = "-".join("".join(c if c.isalnum() else "-" for c in part) for part in (family.name, treatment))
    words = f"measuring {family.name}, width {width}, {treatment}, run {run}"
    # Questions 3 and 4 may measure the same network to different accuracies.
    return Step(
        f"panel-{name}-{width}-{run}-{accuracy:g}{'-planes' if planes else ''}", words, trained_panel, arguments, 15.0
    )


def trained_panel(
    *, family: StudySubject, width: int, run: int, treatment: str, seed: int, planes: bool, accuracy: float
) -> dict[str, Any]:
    """One trained network's panel, or why there is none.

    Networks of one shape get the same noise, so that their figures are paired.
    """
    try:
        subject = family.trained(width, child_seed(seed, 0x32, run) % 2**31, treatment)
    except EstimationError as error:  # training that does not reach its stop is a finding
        return {"failed": str(error)}
    found = panel.measure_panel(
        subject, family.epsilon, seed=child_seed(seed, 0x33) % 2**31, planes=planes, accuracy=accuracy
    )
    return {name: e.to_dict() for name, e in found.items()}


def panel_rows(records: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[Estimate]], list[str]]:
    """Figures of each run by measure, *not converged* for runs without a panel, and what was said of those."""
    whole = [r for r in records if "failed" not in r]
    units = {m: e["unit"] for r in whole[:1] for m, e in r.items()} or {panel.LOSS: "1"}
    rows = {
        m: [
            Estimate(math.nan, math.nan, unit, status=Status.NOT_CONVERGED)
            if "failed" in r
            else Estimate.from_dict(r[m])
            for r in records
        ]
        for m, unit in units.items()
    }
    return rows, [r["failed"] for r in records if "failed" in r]


def _steps(family: StudySubject, runs: int, sizes: Sizes, seed: int) -> list[Step]:
    plain = family.treatments[0]
    steps = [
        panel_step(family, w, r, plain, seed, planes=sizes.planes, accuracy=sizes.accuracy)
        for w in family.widths
        for r in range(runs)
    ]
    steps += [curves.curve_step(family, w, sizes.curve, seed) for w in family.widths]
    if family.train_on is not None:
        steps += [_prequential_step(family, w, r, seed) for w in family.widths for r in range(runs)]
    return steps


def _prequential_step(family: StudySubject, width: int, run: int, seed: int) -> Step:
    arguments = {"family": family, "width": width, "seed": child_seed(seed, 0x34, run) % 2**31}
    name = "".join(c if c.isalnum() else "-" for c in family.name)
    words = f"prequential code of {family.name}, width {width}, run {run}"
    return Step(f"prequential-{name}-{width}-{run}", words, prequential_bits, arguments, 20.0)


def _family(
    family: StudySubject, runs: int, sizes: Sizes, seed: int, done: Mapping[str, Any]
) -> tuple[list[Figure], list[Verdict], list[Lane], list[str]]:
    plain, name = family.treatments[0], family.name or "own model"
    rows: dict[int, dict[str, list[Estimate]]] = {}
    failed: list[str] = []
    for w in family.widths:
        steps = [
            panel_step(family, w, r, plain, seed, planes=sizes.planes, accuracy=sizes.accuracy) for r in range(runs)
        ]
        rows[w], lost = panel_rows([done[s.key] for s in steps])
        failed += lost
        if family.train_on is not None:
            rows[w][panel.PREQUENTIAL] = [
                Estimate.from_dict(done[_prequential_step(family, w, r, seed).key]) for r in range(runs)
            ]
    figures: list[Figure] = []
    lanes: list[Lane] = []
    volumes: dict[int, Estimate] = {}
    for w, measured in rows.items():
        loss = mean_of(measured[panel.LOSS]).value
        level = loss + family.epsilon if math.isfinite(loss) else family.tolerances[-1]
        t = min(family.tolerances, key=lambda t: abs(math.log(t / level)))
        record = done[curves.curve_step(family, w, sizes.curve, seed).key]
        volumes[w] = Estimate.from_dict(record["bits"][family.tolerances.index(t)])
        group = f"{name}, width {w}, {runs} runs"
        for m in (*panel.PER_NETWORK, *panel.IN_BITS):
            if m in measured:
                figures.append(Figure(group, m, mean_of(measured[m])))
        figures.append(Figure(group, f"{panel.VOLUME}(loss ≤ {t:g})", volumes[w]))
        means = {m: mean_of(e) for m, e in measured.items()} | {panel.VOLUME: volumes[w]}
        lanes += [
            Lane(f"{name}: one axis in bits", f"width {w}", m, "bits", means[m]) for m in panel.IN_BITS if m in means
        ]
    return figures, _verdicts(name, family.widths, rows, volumes), lanes, failed


def _verdicts(
    name: str, widths: Sequence[int], rows: Mapping[int, Mapping[str, Sequence[Estimate]]],
    volumes: Mapping[int, Estimate],
) -> list[Verdict]:  # fmt: skip
    narrow, wide = widths[0], widths[-1]
    said = f"width {wide} against width {narrow}"
    if any(m not in rows[w] for w in widths for m in (panel.LEADING, panel.COUNT, panel.KEPT)):
        return []  # no run of some width ended; the notes say why
    return [
        shift(f"On {name}, a wide network’s weights hold fewer bits each than a narrow one’s.",
              rows[wide][panel.LEADING], rows[narrow][panel.LEADING], said, falls=True),
        shift(f"On {name}, more weights count in a wide network than in a narrow one.",
              rows[wide][panel.COUNT], rows[narrow][panel.COUNT], said, falls=False),
        same_volume(f"On {name}, the volume at one loss does not change with width.", volumes[wide], volumes[narrow]),
        share_kept(f"On {name}, training leaves what it found in few weights.",
                   [e for w in widths for e in rows[w][panel.KEPT]]),
        deep_bits(f"On {name}, training uses the low-order bits of the weights.",
                  [e for w in widths for e in rows[w][panel.LEADING]]),
    ]  # fmt: skip


def _planted(done: Mapping[str, Any]) -> tuple[list[Figure], list[Verdict]]:
    figures: list[Figure] = []
    cases: list[tuple[str, float, Estimate]] = []
    for name, case in done["q3-planted"].items():
        found = Estimate.from_dict(case["found"])
        cases.append((name, float(case["planted"]), found))
        figures.append(Figure(f"planted: {name}", f"found, where {case['planted']:g} was planted", found))
    both = done["q3-volumes"]
    for name, case in both.items():
        for what, value, unit in (
            ("largest slope of the loss", case["slope"], "1"), ("weights that hold anything", case["weights"], "1"),
            ("bits of the weight that holds most", case["most"], "bits"),
        ):  # fmt: skip
            figures.append(Figure(f"planted: {name}", what, Estimate(float(value), 0.0, unit, "exact")))
        volume = Estimate.from_dict(case["volume"])
        figures.append(Figure(f"planted: {name}", "−log2 of the volume", volume))
        cases.append((name, 16.0, volume))
    a, b = both[CONCENTRATED], both[SPREAD]
    claim = "Sets of one volume are equally sharp in the worst case."
    rule = (
        "On two planted sets: supported where their volumes and their slopes agree, refuted where the volumes agree "
        "within their 95% intervals and half a bit and the slopes differ by more than a factor of 2, else undecided."
    )
    x, y = Estimate.from_dict(a["volume"]), Estimate.from_dict(b["volume"])
    (low, high), (low_y, high_y) = x.interval(), y.interval()
    alike = low <= high_y and low_y <= high and abs(x.value - y.value) < 0.5
    steep = max(a["slope"], b["slope"]) / min(a["slope"], b["slope"]) > 2
    outcome = "undecided" if not alike else "refuted" if steep else "supported"
    because = f"{CONCENTRATED}: {x}, slope {a['slope']:g}. {SPREAD}: {y}, slope {b['slope']:g}."
    return figures, [found_as_planted(cases), Verdict(claim, outcome, rule, because)]
