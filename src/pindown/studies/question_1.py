"""Question 1. Is what an optimiser finds a random draw of the zero-loss solutions?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pindown.estimate import Estimate
from pindown.network.compare_samplers import compare_samplers
from pindown.network.ensemble_training import EnsembleOptimiser
from pindown.network.function_sample import FunctionSample
from pindown.network.sampler_results import SamplerComparison
from pindown.rng import child_seed
from pindown.studies.exact_networks import exact_networks
from pindown.studies.labels import Found, clustered_mean, draw_random, make_task, optimiser_record, train_runs
from pindown.studies.margins import Drawn, matched
from pindown.studies.results import Answer, Curve, Figure, NamedComparison, Point, Verdict
from pindown.studies.steps import Step, Workshop
from pindown.studies.tasks import BinaryTask
from pindown.studies.verdicts import alike, gap_closed, slope_differs

__all__ = ["Sizes", "answer_1"]

TITLE = "Is what an optimiser finds a random draw of the zero-loss solutions?"
STOPS = (0, 1, 64)
_LEAST_LEFT = 60  # random solutions of large margins below which nothing is said

OPTIMISERS = (
    EnsembleOptimiser(rate=0.1),
    EnsembleOptimiser(rate=0.02),
    EnsembleOptimiser(rate=0.5),
    EnsembleOptimiser(rate=0.1, batch=32),
    EnsembleOptimiser(rate=0.01, momentum=0.9),
    EnsembleOptimiser("adam", rate=0.003),
)
MORE_OPTIMISERS = (EnsembleOptimiser(rate=0.0125, batch=1), EnsembleOptimiser(rate=0.4, batch=64))
PAIRS = ((0, 7), (1, 8), (4, 9), (2, 3), (5, 6), (3, 8))
MORE_PAIRS = ((0, 6), (1, 7), (2, 7), (5, 9))


@dataclass(frozen=True)
class Sizes:
    """How much is drawn.

    Attributes:
        count: random solutions of each task.
        draws: random networks that are tried for them at most.
        margin_draws: the same for those of large margins.
        split: where rejection finds too few of large margins, optimisers (by number) and stops for which the engine
            goes down to them.
        split_runs: its runs, and the particles of each.
        runs: runs of each optimiser.
        splits: random splits of each comparison.
        train: training-set sizes of the Boolean task, with the number of training sets of each.
        pair_runs: random solutions, and runs, of each pair of digits and width.
    """

    count: int = 2500
    draws: int = 2**29
    margin_draws: int = 2**26
    split: tuple[tuple[int, int], ...] = ((0, 0),)
    split_runs: tuple[int, int] = (8, 150)
    runs: int = 500
    splits: int = 60
    train: tuple[tuple[int, int], ...] = ((64, 1),)
    pair_runs: int = 400
    optimisers: tuple[EnsembleOptimiser, ...] = OPTIMISERS
    widths: tuple[int, ...] = (7, 40, 40, 1)
    pair_widths: tuple[int, ...] = (2, 8, 32)
    pairs: tuple[tuple[int, int], ...] = PAIRS


FULL = Sizes(
    count=10_000, draws=2**33, margin_draws=2**28, split=tuple((k, 0) for k in range(8)), split_runs=(8, 200),
    runs=1000, splits=200, train=((64, 2), (32, 1)), pair_runs=1000, optimisers=(*OPTIMISERS, *MORE_OPTIMISERS),
    pairs=(*PAIRS, *MORE_PAIRS),
)  # fmt: skip


def answer_1(shop: Workshop, *, full: bool, seed: int, sizes: Sizes | None = None) -> Answer:
    """Compare optimisers with random solutions on the built-in tasks."""
    sizes = sizes or (FULL if full else Sizes())
    tasks = [
        {"kind": "boolean", "m": m, "training_set": child_seed(seed, 1, k) % 2**31}
        for m, sets in sizes.train
        for k in range(sets)
    ]
    shop.window(0.0, 0.6)
    first = shop.run([s for i, task in enumerate(tasks) for s in _steps(i, task, sizes, seed)] + _pairs(sizes, seed))
    figures: list[Figure] = []
    comparisons: list[NamedComparison] = []
    runs = {
        (i, k, stop): Found(first[f"q1-{i}-train-{k}"][str(stop)], make_task(task))
        for i, task in enumerate(tasks)
        for k in range(len(sizes.optimisers))
        for stop in STOPS
    }
    medians = {place: float(np.median(found.margins)) for place, found in runs.items() if len(found)}
    shop.window(0.6, 0.2)
    second = shop.run(
        [_margin_step(i, k, tasks[i], margin, sizes, seed) for (i, k, stop), margin in medians.items() if stop == 0]
    )
    shop.window(0.8, 0.2)
    third = shop.run([
        _split_step(i, k, stop, tasks[i], margin, sizes, seed)
        for (i, k, stop), margin in medians.items()
        if (k, stop) in sizes.split and not _enough(*_large(i, k, stop, tasks[i], margin, first, second))
    ])  # fmt: skip
    for i, task in enumerate(tasks):
        own, compared = _compared(i, task, sizes, first, {**second, **third}, seed)
        figures += own
        comparisons += compared
    exact, exact_curves, exact_verdict = exact_networks()
    pair_figures, pair_curves, pair_verdict = _pair_answers(sizes, first, seed)
    figures += [*_coins(first), *exact, *pair_figures]
    return Answer(
        1, TITLE, (*_verdicts(comparisons), exact_verdict, pair_verdict), tuple(figures),
        (*exact_curves, *pair_curves), tuple(comparisons), tuple(_notes(comparisons)), shop.seconds,
    )  # fmt: skip


def _steps(i: int, task: Mapping[str, Any], sizes: Sizes, seed: int) -> list[Step]:
    common = {"task": task, "widths": sizes.widths}
    steps = [
        Step(f"q1-{i}-random", "random solutions", draw_random,
             {**common, "count": sizes.count, "draws": sizes.draws, "seed": child_seed(seed, 2, i)}, 70.0)
    ]  # fmt: skip
    for k, how in enumerate(sizes.optimisers):
        arguments = {
            **common, "how": optimiser_record(how), "runs": sizes.runs, "stops": STOPS,
            "seed": child_seed(seed, 3, i, k),
        }  # fmt: skip
        steps.append(Step(f"q1-{i}-train-{k}", f"training: {how}", train_runs, arguments, 30.0))
    if i == 0:
        coins = {"kind": "boolean", "m": 16, "training_set": task["training_set"]}
        for name, spec in (("labels", coins), ("coins", {**coins, "coins": child_seed(seed, 4)})):
            arguments = {
                "task": spec, "widths": sizes.widths, "count": 200, "draws": sizes.draws // 4,
                "seed": child_seed(seed, 5),
            }  # fmt: skip
            steps.append(Step(f"q1-control-{name}", "16 labels, and 16 coins", draw_random, arguments, 15.0))
    return steps


def _margin_step(i: int, k: int, task: Mapping[str, Any], margin: float, sizes: Sizes, seed: int) -> Step:
    arguments = {
        "task": task, "widths": sizes.widths, "count": sizes.count, "draws": sizes.margin_draws, "margin": margin,
        "seed": child_seed(seed, 6, i, k),
    }  # fmt: skip
    return Step(f"q1-{i}-margin-{k}", "random solutions of large margins", draw_random, arguments, 14.0)


def _split_step(
    i: int, k: int, stop: int, task: Mapping[str, Any], margin: float, sizes: Sizes, seed: int
) -> Step:  # fmt: skip
    arguments = {
        "task": task, "widths": sizes.widths, "count": sizes.count, "margin": margin, "split": sizes.split_runs,
        "seed": child_seed(seed, 10, i, k, stop),
    }  # fmt: skip
    return Step(f"q1-{i}-split-{k}-{stop}", "random solutions of rare margins", draw_random, arguments, 60.0)


def _large(
    i: int, k: int, stop: int, spec: Mapping[str, Any], margin: float, first: Mapping[str, Any],
    deep: Mapping[str, Any],
) -> tuple[Found, NDArray[np.bool_]]:  # fmt: skip
    """Random solutions of at least a margin: among all, or those that were drawn for it where they are more."""
    task = make_task(spec)
    found = Found(first[f"q1-{i}-random"], task)
    best, keep = found, found.margins >= margin
    drawn = [f"q1-{i}-margin-{k}"] if stop == 0 else []
    for other in [Found(deep[key], task) for key in (*drawn, f"q1-{i}-split-{k}-{stop}") if key in deep]:
        if len(other) > int(keep.sum()):
            best, keep = other, np.ones(len(other), dtype=bool)
    return best, keep


def _enough(found: Found, keep: NDArray[np.bool_]) -> bool:
    """Whether there are random solutions enough for a comparison."""
    return int(keep.sum()) >= _LEAST_LEFT and found.distinct_groups(keep) >= 4


def _pairs(sizes: Sizes, seed: int) -> list[Step]:
    steps: list[Step] = []
    for j, digits in enumerate(sizes.pairs):
        for width in sizes.pair_widths:
            common = {
                "task": _pair_task(j, digits, seed),
                "widths": (16, width, 1),
                "seed": child_seed(seed, 8, j, width),
            }
            steps.append(
                Step(f"q1-pair-{j}-{width}-random", "random solutions of pairs of digits", draw_random,
                     {**common, "count": sizes.pair_runs, "draws": sizes.draws // 8}, 6.0)
            )  # fmt: skip
            steps.append(
                Step(f"q1-pair-{j}-{width}-train", "training on pairs of digits", train_runs,
                     {**common, "how": optimiser_record(EnsembleOptimiser(rate=0.02, batch=4)),
                      "runs": sizes.pair_runs, "stops": (0,)}, 3.0)
            )  # fmt: skip
    return steps


def _pair_task(j: int, digits: tuple[int, int], seed: int) -> dict[str, Any]:
    return {"kind": "digits", "digits": digits, "m": 16, "training_set": child_seed(seed, 7, j) % 2**31}


def _compared(
    i: int, spec: Mapping[str, Any], sizes: Sizes, first: Mapping[str, Any], deep: Mapping[str, Any], seed: int
) -> tuple[list[Figure], list[NamedComparison]]:
    task = make_task(spec)
    named = _task_name(i, task.name, sizes)
    random = Found(first[f"q1-{i}-random"], task)
    bits = Estimate.from_dict(first[f"q1-{i}-random"]["bits"])
    group = f"random solutions, {named}"
    figures = [Figure(group, "−log2 P(S)", bits), *_quality(group, random)]
    comparisons: list[NamedComparison] = []
    several = sum(sets for _, sets in sizes.train) > 1
    for k, how in enumerate(sizes.optimisers):
        for stop in STOPS:
            record = first[f"q1-{i}-train-{k}"][str(stop)]
            runs = Found(record, task)
            name = f"{how}; {_stop_words(stop)}"
            own_group = _in_task(name, named, several)
            if len(runs) < 2 or random.distinct_groups(np.ones(len(random), dtype=bool)) < 4:
                continue
            figures += [
                Figure(own_group, "share of runs that fit", _share(len(runs), runs.attempted)),
                *_quality(own_group, runs),
                Figure(own_group, "median margin", Estimate(float(np.median(runs.margins)), 0.0, "1", "exact")),
            ]
            threshold = float(np.median(runs.margins))
            pairs = {"all": (runs.sample(), random.sample())}
            near = _large(i, k, stop, spec, threshold, first, deep)
            if _enough(*near):
                pairs["margins as large"] = runs.sample(), near[0].sample(near[1])
                figures.append(_target_share(own_group, "margins as large", near[0].sample(near[1]), task))
            rare = [Drawn(near[0], threshold)] if near[0] is not random else []
            cases: list[tuple[str, Literal["margins", "scaled"], list[Drawn]]] = [
                ("the same margins", "margins", [Drawn(random), *rare]),
                ("the same margins for their size", "scaled", [Drawn(random)]),
            ]
            for words, of, sources in cases:
                both = matched(runs, sources, of, child_seed(seed, 11, i, k, stop))
                if both is None:
                    continue
                pairs[words] = both.runs, both.random
                figures.append(_target_share(own_group, words, both.random, task))
                if not both.whole:
                    pairs[f"all, the runs of {words}"] = both.runs, random.sample()
            for words, (mine, theirs) in pairs.items():
                own = child_seed(seed, 9, i, k, stop)
                found = compare_samplers(mine, theirs, task.x, splits=sizes.splits, seed=own)
                comparisons.append(NamedComparison(name, named, words, _shortened(found)))
    return figures, comparisons


def _task_name(i: int, name: str, sizes: Sizes) -> str:
    """The task's name, with the number of its training set where there are several of a size."""
    sets = [(m, k, n) for m, n in sizes.train for k in range(n)]
    _, k, n = sets[i]
    return f"{name}, training set {k + 1}" if n > 1 else name


def _shortened(found: SamplerComparison) -> SamplerComparison:
    """With the functions that a chart can show."""
    return replace(found, counts=found.counts[:60])


def _quality(group: str, found: Found) -> list[Figure]:
    return [
        Figure(group, "share with every label of the task", found.mean(found.exact, "fitting networks")),
        Figure(group, "mean error on the other inputs", found.mean(found.errors, "fitting networks")),
    ]


def _target_share(name: str, among: str, sample: FunctionSample, task: BinaryTask) -> Figure:
    """How many of the random solutions that a comparison is with have every label of the task."""
    exact = (sample.labels == task.y.numpy()).all(1)
    value = clustered_mean(exact, sample.groups, "random solutions")
    return Figure(name, f"share with every label of the task, random solutions: {among}", value)


def _share(some: int, of: int) -> Estimate:
    p = (some + 2) / (of + 4)  # Agresti and Coull (1998): the error stays above zero at the ends
    return Estimate(some / of, math.sqrt(p * (1 - p) / (of + 4)), "1", reference="runs started", support=(0.0, 1.0))


def _stop_words(stop: int) -> str:
    return "first fit" if stop == 0 else f"{stop} epoch{'s' if stop > 1 else ''} later"


def _verdicts(comparisons: Sequence[NamedComparison]) -> list[Verdict]:
    at = {s: [c for c in comparisons if c.name.endswith(_stop_words(s)) and c.among == "all"] for s in STOPS}
    out = [
        alike("At the first fit, optimisers draw functions as random solutions do.", _named(at[0])),
        alike("64 epochs after the first fit, optimisers draw functions as random solutions do.", _named(at[64])),
    ]
    several = len({c.task for c in comparisons}) > 1
    of = {(c.name, c.task, c.among): c.comparison for c in comparisons}
    for among, claim in (
        ("margins as large", "Random solutions of margins at least as large as the optimiser’s median are drawn as the "
         "optimiser’s are."),
        ("the same margins", "Random solutions of the optimiser’s own margins are drawn as the optimiser’s are."),
        ("the same margins for their size", "Random solutions of the optimiser’s own margins, each over the network’s "
         "output size, are drawn as the optimiser’s are."),
    ):  # fmt: skip
        out.append(gap_closed(claim, [
            (
                _in_task(c.name, c.task, several),
                of.get((c.name, c.task, f"all, the runs of {among}"), of[c.name, c.task, "all"]), c.comparison,
            )
            for c in comparisons if c.among == among
        ]))  # fmt: skip
    return out


def _named(compared: Sequence[NamedComparison]) -> list[tuple[str, SamplerComparison]]:
    """Comparisons with their names, and the task where there are several."""
    several = len({c.task for c in compared}) > 1
    return [(_in_task(c.name, c.task, several), c.comparison) for c in compared]


def _in_task(name: str, task: str, several: bool) -> str:
    return f"{name} ({task})" if several else name


def _coins(first: Mapping[str, Any]) -> list[Figure]:
    """The negative control: labels without a rule cost about a bit each, or more."""
    out: list[Figure] = []
    for name, words in (("labels", "16 labels of the task"), ("coins", "16 coins in their place")):
        bits = Estimate.from_dict(first[f"q1-control-{name}"]["bits"])
        out.append(
            Figure("control", f"bits a label, {words}", replace(bits, value=bits.value / 16, stderr=bits.stderr / 16))
        )
    return out


def _pair_answers(sizes: Sizes, first: Mapping[str, Any], seed: int) -> tuple[list[Figure], list[Curve], Verdict]:
    """Error of both samplers against width, few training examples (Peleg and Hein 2024)."""
    means: dict[str, list[Estimate]] = {"random": [], "train": []}
    names = {"random": "random solutions", "train": "SGD, first fit"}
    changes: dict[str, list[float]] = {"random": [], "train": []}
    for sampler, rows in means.items():
        for width in sizes.pair_widths:
            each = [_pair_error(first, j, width, sampler, sizes, seed) for j in range(len(sizes.pairs))]
            rows.append(_mean([e.value for e in each], [e.stderr for e in each]))
        for j in range(len(sizes.pairs)):
            ends = (sizes.pair_widths[0], sizes.pair_widths[-1])
            low, high = (_pair_error(first, j, w, sampler, sizes, seed) for w in ends)
            changes[sampler].append(high.value - low.value)
    figures = [
        Figure(f"pairs of digits, width {w}", f"mean error, {names[s]}", e)
        for s, rows in means.items()
        for w, e in zip(sizes.pair_widths, rows, strict=True)
    ]
    curves = [
        Curve("Pairs of digits, 16 examples", names[s], "hidden units", "error on the other images",
              tuple(Point(float(w), e) for w, e in zip(sizes.pair_widths, rows, strict=True)))
        for s, rows in means.items()
    ]  # fmt: skip
    over_pairs = {s: _spread(values) for s, values in changes.items()}
    claim = "With few examples, width helps SGD and not random solutions."
    return figures, curves, slope_differs(claim, over_pairs["train"], over_pairs["random"])


def _pair_error(first: Mapping[str, Any], j: int, width: int, sampler: str, sizes: Sizes, seed: int) -> Estimate:
    record = first[f"q1-pair-{j}-{width}-{sampler}"]
    found = Found(record["0"] if sampler == "train" else record, make_task(_pair_task(j, sizes.pairs[j], seed)))
    return found.mean(found.errors, "fitting networks")


def _mean(values: Sequence[float], errors: Sequence[float]) -> Estimate:
    n = len(values)
    return Estimate(float(np.mean(values)), math.sqrt(sum(e * e for e in errors)) / n, "1", reference="mean over pairs")


def _spread(values: Sequence[float]) -> Estimate:
    """The mean over pairs with the error of their spread."""
    n = len(values)
    error = float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Estimate(float(np.mean(values)), error, "1", reference="over pairs", dof=float(max(n - 1, 1)))


def _notes(comparisons: Sequence[NamedComparison]) -> list[str]:
    names = {(c.name, c.task) for c in comparisons if c.among == "all"}
    large = {(c.name, c.task) for c in comparisons if c.among == "margins as large"}
    near = {(c.name, c.task) for c in comparisons if c.among == "the same margins for their size"}
    out = [
        "Random weights are drawn from the distribution that training starts from; another prior has another P_B.",
        "Runs that had no training error at the first fit and have one later are left out at the later stop; the share "
        "that fits says how many there are.",
    ]
    if names - large:
        out.append(
            f"For {len(names - large)} of {len(names)} optimisers and stops fewer than {_LEAST_LEFT} random "
            "solutions have margins as large: whether they are drawn as the optimiser’s are is not measured."
        )
    if names - near:
        out.append(
            f"For {len(names - near)} of {len(names)} too few random solutions have the margins for their size that "
            "three quarters of the runs have: whether the same margins close their gap is not measured."
        )
    return out
