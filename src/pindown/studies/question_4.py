"""Question 4. Do dropout, weight decay, SAM, label noise and batch size change it?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pindown.estimate import Estimate, Status
from pindown.network.compare_samplers import compare_samplers
from pindown.network.sampler_results import SamplerComparison
from pindown.rng import child_seed
from pindown.studies import panel
from pindown.studies.families import BOOLEAN_LOSS, TREATMENTS, boolean_family
from pindown.studies.labels import Found, draw_random, make_task, optimiser_record, train_runs
from pindown.studies.own_samples import own_comparison, sample_steps
from pindown.studies.paired import mean_of, paired, ratio, usable
from pindown.studies.question_3 import panel_rows, panel_step
from pindown.studies.rescaling import rescaled_panel
from pindown.studies.results import Answer, Figure, Lane, NamedComparison, Verdict
from pindown.studies.steps import Step, Workshop
from pindown.studies.study_subject import StudySubject
from pindown.studies.trained_verdicts import unmoved
from pindown.studies.verdicts import decide

__all__ = ["Sizes", "answer_4", "own_answer_4"]

TITLE = "Do dropout, weight decay, SAM, label noise and batch size change it?"
MEASURES = (panel.NOISE, panel.PRUNED, panel.WATER, panel.CODE, panel.PLANES)
"""Bits in the weights that the treatments are compared by."""

_DISTANCE = 0.1  # a change of the distance to random solutions that counts, as a share of all mass
_LOST = Estimate(math.nan, math.nan, "octaves", status=Status.UNSUPPORTED, reference="no run ended")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        width: of both hidden layers.
        runs: trained networks of each treatment, paired by seed: five or more.
        planes: whether bit planes are measured.
        accuracy: of the noise tolerance, as a standard error of ln σ.
        count, draws: random solutions, and networks tried at most.
        distance_runs: runs of each treatment for the distance to random solutions.
        rescaled: networks that are rescaled.
    """

    width: int = 40
    runs: int = 5
    planes: bool = True
    accuracy: float = 0.1
    count: int = 2000
    draws: int = 2**27
    distance_runs: int = 400
    rescaled: int = 3


FULL = Sizes(
    runs=20, planes=True, accuracy=0.03, count=20_000, draws=2**31, distance_runs=5000, rescaled=10,
)  # fmt: skip


def answer_4(shop: Workshop, *, full: bool, seed: int, sizes: Sizes | None = None) -> Answer:
    """Treatments against plain training at the same training loss: bits in the weights, and functions found."""
    sizes = sizes or (FULL if full else Sizes())
    family = boolean_family(seed, (sizes.width, 2 * sizes.width))
    task = {"kind": "boolean", "m": 32, "training_set": child_seed(seed, 0x26) % 2**31}
    widths = (7, sizes.width, sizes.width, 1)
    steps = [
        Step("q4-random", "random solutions", draw_random,
             {"task": task, "widths": widths, "count": sizes.count, "draws": sizes.draws,
              "seed": child_seed(seed, 0x40)}, 20.0),
        *(Step(f"q4-train-{k}", f"training: {name}", train_runs,
               {"task": task, "widths": widths, "how": optimiser_record(how), "runs": sizes.distance_runs,
                "stops": (0,), "level": BOOLEAN_LOSS, "seed": child_seed(seed, 0x41)}, 15.0)
          for k, (name, how) in enumerate(TREATMENTS.items())),
    ]  # fmt: skip
    done = shop.run([*steps, *_steps(family, sizes.width, sizes, seed)])
    data = make_task(task)
    random = Found(done["q4-random"], data)
    compared: dict[str, SamplerComparison] = {}
    for k, name in enumerate(TREATMENTS):
        runs = Found(done[f"q4-train-{k}"]["0"], data)
        if len(runs) >= 2 and random.distinct_groups(np.ones(len(random), dtype=bool)) >= 4:
            compared[name] = compare_samplers(
                runs.sample(), random.sample(), data.x, splits=60, seed=child_seed(seed, 0x42, k)
            )
    return _answer(shop, family, sizes.width, sizes, seed, done, compared, data.name, [])


def own_answer_4(
    shop: Workshop, own: StudySubject, *, full: bool, seed: int, sizes: Sizes | None = None
) -> Answer:  # fmt: skip
    """The same of a user's treatments, at the narrow width."""
    sizes = sizes or (FULL if full else Sizes())
    width = own.widths[0]
    samples = sample_steps(
        own, width, question=4, runs=max(sizes.runs, min(sizes.distance_runs, 40)), count=sizes.count, seed=seed
    )
    done = shop.run([*samples, *_steps(own, width, sizes, seed)])
    compared: dict[str, SamplerComparison] = {}
    notes: list[str] = []
    for treatment in own.treatments:
        found, why = own_comparison(own, 4, width, treatment, done, seed)
        if found is None:
            notes.append(f"Functions of {treatment}: {why}")
        else:
            compared[treatment] = found
    return _answer(shop, own, width, sizes, seed, done, compared, own.name or "own model", notes)


def _steps(family: StudySubject, width: int, sizes: Sizes, seed: int) -> list[Step]:
    steps = [_panel(family, width, r, t, sizes, seed) for t in family.treatments for r in range(sizes.runs)]
    return steps + [_rescaled(family, width, r, sizes, seed) for r in range(min(sizes.rescaled, sizes.runs))]


def _panel(family: StudySubject, width: int, run: int, treatment: str, sizes: Sizes, seed: int) -> Step:
    return panel_step(family, width, run, treatment, seed, planes=sizes.planes, accuracy=sizes.accuracy)


def _rescaled(family: StudySubject, width: int, run: int, sizes: Sizes, seed: int) -> Step:
    arguments = {
        "family": family, "width": width, "run": run, "treatment": family.treatments[0], "seed": seed,
        "accuracy": sizes.accuracy,
    }  # fmt: skip
    return Step(f"q4-rescaled-{width}-{run}", f"rescaling run {run}", rescaled_panel, arguments, 15.0)


def _answer(
    shop: Workshop, family: StudySubject, width: int, sizes: Sizes, seed: int, done: Mapping[str, Any],
    compared: Mapping[str, SamplerComparison], task: str, notes: list[str],
) -> Answer:  # fmt: skip
    plain = family.treatments[0]
    rows: dict[str, dict[str, list[Estimate]]] = {}
    for t in family.treatments:
        rows[t], failed = panel_rows([done[_panel(family, width, r, t, sizes, seed).key] for r in range(sizes.runs)])
        notes += failed
    measures = [m for m in MEASURES if m in rows[plain]]
    tests = max(1, (len(family.treatments) - 1) * len(measures))
    figures: list[Figure] = []
    verdicts: list[Verdict] = []
    lanes: list[Lane] = []
    for t in family.treatments:
        figures += [Figure(t, m, mean_of(e)) for m, e in rows[t].items()]
        if t in compared:
            figures.append(Figure(t, "total variation, held out", compared[t].held_out_total_variation))
        if t == plain:
            continue
        changes = [(m, ratio(rows[t][m], rows[plain][m]) if m in rows[t] else _LOST) for m in measures]
        figures += [Figure(t, f"change of {m} against {plain}", e) for m, e in changes]
        lanes += [
            Lane(f"Bits in the weights against {plain}, at one training loss", m, t, "octaves", e) for m, e in changes
        ]
        gap = paired(rows[t][panel.LOSS], rows[plain][panel.LOSS])
        matched = len(usable([gap])) == 1 and abs(gap.value) <= family.matched * family.epsilon
        words = f"the training loss differs by {gap}"
        claim = f"{t[0].upper()}{t[1:]}: the bits in the weights stay as they are."
        verdicts.append(unmoved(claim, changes, tests, matched=matched, gap=words))
    if plain in compared:
        verdicts += [
            _distance(t, plain, compared[t], compared[plain])
            for t in family.treatments[1:]
            if t in compared
        ]  # fmt: skip
    figures_r, verdicts_r = _rescaling(family, width, sizes, seed, done, rows[plain])
    named = tuple(NamedComparison(t, task, "all", _short(c)) for t, c in compared.items())
    everything = [
        *notes,
        "Treatments are compared where the mean training loss, without noise or dropout, first comes below one level: "
        "training time moves these figures as much as any treatment.",
    ]
    return Answer(
        4, TITLE, tuple(verdicts + verdicts_r), tuple(figures + figures_r), (), named, tuple(everything), shop.seconds,
        tuple(lanes),
    )  # fmt: skip


def _short(found: SamplerComparison) -> SamplerComparison:
    return replace(found, counts=found.counts[:60])


def _distance(t: str, plain: str, treated: SamplerComparison, other: SamplerComparison) -> Verdict:
    """Whether a treatment draws functions as far from random solutions as plain training does."""
    claim = f"{t[0].upper()}{t[1:]}: the distance to random solutions stays as it is."
    rule = (
        f"By the total variation on held-out draws. Supported where it differs from that of {plain} by less than "
        f"{_DISTANCE:g} with the 95% interval of the difference, refuted where by more with it, else undecided. "
        "Both use the same random solutions; their errors are taken as independent, which is wide."
    )
    a, b = treated.held_out_total_variation, other.held_out_total_variation
    gap, error = abs(a.value - b.value), 1.96 * math.hypot(a.stderr, b.stderr)
    outcome = decide(gap + error < _DISTANCE, gap - error > _DISTANCE)
    return Verdict(claim, outcome, rule, f"{t}: {a}; {plain}: {b}.")


def _rescaling(
    family: StudySubject, width: int, sizes: Sizes, seed: int, done: Mapping[str, Any],
    plain: Mapping[str, Sequence[Estimate]],
) -> tuple[list[Figure], list[Verdict]]:  # fmt: skip
    """Which figures are the function's and which the weights'."""
    runs = range(min(sizes.rescaled, sizes.runs))
    found = [done[_rescaled(family, width, r, sizes, seed).key] for r in runs]
    kept = [(r, f) for r, f in zip(runs, found, strict=True) if f]
    stays = "Rescaling the units of a ReLU network leaves figures of the function as they are."
    moves = "Rescaling the units of a ReLU network leaves figures of the weights as they are."
    rule_s = (
        "Supported where in every rescaled network all labels stay and no output moves by more than 10⁻⁴ of the "
        "largest, else refuted; undecided where nothing could be rescaled."
    )
    rule_m = (
        f"Refuted where the mean of some figure over the rescaled networks moves by more than {0.05:.0%} and by more "
        "than twice its error; supported where none does; undecided where nothing could be rescaled."
    )
    if not kept:
        because = "No network of Linear and ReLU layers alone."
        return [], [Verdict(stays, "undecided", rule_s, because), Verdict(moves, "undecided", rule_m, because)]
    figures: list[Figure] = []
    moved: list[str] = []
    for m in panel.WEIGHT_SPACE:
        before = [plain[m][r] for r, _ in kept]
        after = [Estimate.from_dict(f["panel"][m]) for _, f in kept]
        change = _relative(after, before)
        figures.append(Figure("rescaled, the same function", f"{m}, relative change", change))
        if change.status.ok and abs(change.value) > 0.05 and abs(change.value) > 2.0 * change.stderr:
            moved.append(f"{m} {change.value:+.0%}")
    change = max(f["change"] for _, f in kept)
    same = all(f["labels"] for _, f in kept)
    figures.append(
        Figure("rescaled, the same function", "largest change of an output", Estimate(change, 0.0, "1", "exact"))
    )
    octaves = float(np.mean([f["octaves"] for _, f in kept]))
    said = f"{len(kept)} networks, whose weights moved by {octaves:.2g} octaves in the median. "
    outputs = f"Labels {'stayed' if same else 'changed'}; outputs moved by at most {change:.2g} of the largest."
    return figures, [
        Verdict(stays, "supported" if same and change <= 1e-4 else "refuted", rule_s, said + outputs),
        Verdict(moves, "refuted" if moved else "supported", rule_m,
                said + (f"Figures that moved, to be read with care: {', '.join(moved)}." if moved else "None moved.")),
    ]  # fmt: skip


def _relative(after: Sequence[Estimate], before: Sequence[Estimate]) -> Estimate:
    """The mean relative change, with the errors of the figures themselves."""
    pairs = [
        (a, b) for a, b in zip(after, before, strict=True)
        if math.isfinite(a.value) and math.isfinite(b.value) and b.value != 0 and a.status.ok and b.status.ok
    ]  # fmt: skip
    if not pairs:
        return Estimate(
            math.nan, math.nan, "1", status=Status.UNSUPPORTED, reference="paired with the network as it was"
        )
    values = [a.value / b.value - 1.0 for a, b in pairs]
    errors = [math.hypot(a.stderr, b.stderr) / abs(b.value) for a, b in pairs]
    error = math.sqrt(sum(e * e for e in errors if not math.isnan(e))) / len(pairs)
    return Estimate(float(np.mean(values)), error, "1", reference="paired with the network as it was")
