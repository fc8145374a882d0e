"""Two or more trained networks side by side, on everything that can be asked of one."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.network.compare_measures import Measure, Options, Reading, as_measures, paired_difference
from pindown.network.compare_results import ComparedMeasure, ComparedNetwork, Difference, NetworkComparison
from pindown.network.comparison import clustered_mean, difference
from pindown.network.progress import Progress
from pindown.network.subject import Subject, as_subjects
from pindown.rng import child_seed

__all__ = ["NetworkComparison", "Reading", "compare"]

_EPSILON = 0.1  # nats: the likelihood of a label falls by a tenth


def compare(
    subjects: Subject | Sequence[Subject],
    *,
    measures: Sequence[str] | Mapping[str, Callable[[Subject, int], Estimate | Reading]] | str | None = None,
    epsilon: float | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> NetworkComparison:
    r"""Compare trained networks: checkpoints of one, optimisers, with and without dropout.

    Each measure is taken of every trained network, and every subject after the first is compared with the first. How
    far a difference can be trusted depends on what there is:

    * **Several training runs** of each subject (its ``solutions``): figures are means over runs and errors count runs,
      :math:`s/\sqrt R`. Where both subjects have runs of the same seeds, differences are taken seed by seed first.
    * **One network** of each: the error is that of the measurement, paired wherever both were measured on the same
      examples, resamplings or noise (:func:`pindown.network.compare_measures.paired_difference`). The difference is
      then one between these two networks, not between two ways to train.

    Outcomes are at the level at which all intervals hold together with 95% (Bonferroni over the differences).

    Args:
        subjects: two or more, whose first is what the others are compared with; or one, whose solutions are compared.
        measures: names, ``"all"``, or ``{name: measure(subject, seed)}`` for measures of your own, which return an
            Estimate, or a :class:`Reading` with what it takes to be paired. By default: training and held-out loss and
            error, concentration, noise tolerance, pruning and water-filling. By name also, where they are there:
            ``learning_coefficient``, ``basin_bits``, ``hessian_trace``, ``effective_parameters``, ``bit_planes``.
        epsilon: the rise of the loss for noise, pruning and bits; 0.1 nats by default for cross-entropy.
        seed: everything random follows from it. Run i of each subject gets the same probes.
        checkpoint: folder for unfinished work; the same call with it goes on from there to the same answer.
        progress: called with the share done and a text.

    Returns:
        All figures and differences. A measure that fails on one network is shown with its status; differences with it
        are
        *not resolved*.

    Raises:
        InputError: for fewer than two networks, another loss in one of them, or a measure that is not known.

    Example:
        >>> import torch
        >>> from pindown import Subject, compare
        >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        >>> good, bad = torch.nn.Linear(3, 1, bias=False), torch.nn.Linear(3, 1, bias=False)
        >>> _ = torch.nn.init.constant_(good.weight, 1.0), torch.nn.init.constant_(bad.weight, 0.9)
        >>> data = (x, x.sum(1, keepdim=True))
        >>> two = [Subject(m, "mse", data, name=n) for m, n in ((good, "good"), (bad, "bad"))]
        >>> row = compare(two, measures=["training_loss"], epsilon=0.1).measure("training_loss").differences[0]
        >>> row.outcome, row.paired, row.difference.value > 0.02
        ('above', 'examples', True)
    """
    began = time.perf_counter()
    several = _networks(subjects)
    wanted = as_measures(measures)
    limit = _limit(several, epsilon)
    tell = progress or (lambda share, text: None)
    used = [m for m in wanted if all(m.fits(s) for s in several)]
    skipped = [f"{m.name}: not every network has {m.needs.replace(' ', ' and ')}" for m in wanted if m not in used]
    level = 1.0 - 0.05 / max(1, len(used) * (len(several) - 1))
    rows: list[ComparedMeasure] = []
    done, total = 0, len(used) * sum(len(s.solutions) for s in several)
    for m in used:
        readings: list[list[Reading]] = []
        for i, subject in enumerate(several):
            runs: list[Reading] = []
            for j, solution in enumerate(subject.solutions):
                tell(done / total, f"{m.name}: {subject.name}")
                folder = None if checkpoint is None else Path(checkpoint) / f"{i}-{j}-{_slug(m.name)}"
                own = subject.with_solutions([solution])
                options = Options(limit, child_seed(seed, j) % 2**31, folder)
                runs.append(m.read(own, options))
                done += 1
            readings.append(runs)
        rows.append(_row(m, several, readings, level))
    tell(1.0, "done")
    return NetworkComparison(
        networks=tuple(
            ComparedNetwork(s.name, s.architecture, s.space().dim, tuple(o.name for o in s.solutions)) for s in several
        ),
        measures=tuple(rows), skipped=tuple(skipped), epsilon=limit, level=level, seed=seed,
        seconds=time.perf_counter() - began, version=version("pindown"), notes=tuple(_notes(several, rows)),
    )  # fmt: skip


def _networks(subjects: Subject | Sequence[Subject]) -> list[Subject]:
    several = as_subjects(subjects)
    if len(several) == 1:
        several = [_named(several[0].with_solutions([s]), s.name) for s in several[0].solutions]
    if len(several) < 2:
        raise InputError("one trained network", "two or more", "give two subjects, or one with solutions=")
    heads = {s.head.name for s in several}
    if len(heads) > 1:
        raise InputError(f"networks with the losses {', '.join(sorted(heads))}", "one loss")
    seen: dict[str, int] = {}
    out: list[Subject] = []
    for s in several:
        seen[s.name] = seen.get(s.name, 0) + 1
        out.append(s if seen[s.name] == 1 else _named(s.with_solutions(s.solutions), f"{s.name} ({seen[s.name]})"))
    return out


def _named(subject: Subject, name: str) -> Subject:
    subject.name = name
    return subject


def _limit(several: Sequence[Subject], epsilon: float | None) -> float:
    if epsilon is None:
        if several[0].head.name != "cross-entropy":
            raise InputError(
                f"a comparison by {several[0].head.name} without epsilon", "the rise of the loss that matters",
                "give compare(…, epsilon=…)",
            )  # fmt: skip
        return _EPSILON
    if not 0.0 < epsilon < math.inf:
        raise InputError(f"epsilon {epsilon}", "a finite rise above zero")
    return float(epsilon)


def _row(m: Measure, several: Sequence[Subject], readings: list[list[Reading]], level: float) -> ComparedMeasure:
    single = tuple(tuple(r.estimate for r in runs) for runs in readings)
    figures = tuple(e[0] if len(e) == 1 else _mean(e) for e in single)
    differences: list[Difference] = []
    for i in range(1, len(several)):
        if len(single[0]) == len(single[i]) == 1:
            d, paired = paired_difference(readings[i][0], readings[0][0])
        else:
            d, paired = _over_runs(several[i], several[0], single[i], single[0], figures[i], figures[0])
        differences.append(Difference(several[i].name, several[0].name, d, paired, _outcome(d, level)))
    return ComparedMeasure(m.name, m.words, m.level, figures, single, tuple(differences))


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over training runs; a run without a usable figure spoils it, and is not left out."""
    bad = next((e for e in estimates if not e.status.ok or e.kind not in ("estimate", "exact")), None)
    e = clustered_mean([v.value for v in estimates], None, f"{len(estimates)} training runs", estimates[0].unit)
    if bad is None:
        return e
    status = Status.NOT_CONVERGED if bad.status.ok else bad.status
    return Estimate(e.value, math.nan, e.unit, status=status, reference=e.reference)


def _over_runs(
    a: Subject, b: Subject, x: Sequence[Estimate], y: Sequence[Estimate], mean_a: Estimate, mean_b: Estimate
) -> tuple[Estimate, str]:
    """The difference of means over runs, seed by seed where both have the same seeds."""
    if len(x) < 2 or len(y) < 2:
        # One network against a mean over runs: the spread of runs is known for one side alone.
        d = difference(mean_a, mean_b)
        return Estimate(d.value, math.nan, d.unit, status=d.status, reference=d.reference), ""
    seeds_a, seeds_b = ([s.seed for s in o.solutions] for o in (a, b))
    usable = mean_a.status.ok and mean_b.status.ok
    if usable and None not in seeds_a and len(set(seeds_a)) == len(seeds_a) and sorted(seeds_a) == sorted(seeds_b):  # type: ignore[type-var]
        by_seed = {s: e.value for s, e in zip(seeds_b, y, strict=True)}
        d = np.array([e.value - by_seed[s] for s, e in zip(seeds_a, x, strict=True)])
        return clustered_mean(d, None, f"{len(d)} pairs of training runs of one seed each", mean_a.unit), "runs"
    return difference(mean_a, mean_b), ""


def _outcome(d: Estimate, level: float) -> str:
    low, high = d.interval(level)
    return "not resolved" if not d.status.ok else "above" if low > 0 else "below" if high < 0 else "not resolved"


def _notes(several: Sequence[Subject], rows: Sequence[ComparedMeasure]) -> list[str]:
    out: list[str] = []
    if all(len(s.solutions) == 1 for s in several):
        out.append(
            "Differences are between these networks: another training run of each may come out otherwise. Give each "
            "subject several solutions to compare ways of training."
        )
    weights = [m.name for m in rows if m.level == "weights"]
    if weights:
        out.append(
            f"{', '.join(weights)} are figures of the weights, not of the function: rescaling the units of a ReLU "
            "layer keeps every output and moves them (Dinh et al. 2017)."
        )
    sizes = {s.space().dim for s in several}
    if len(sizes) > 1:
        out.append("The networks differ in size: shares and bits a weight are of different numbers of weights.")
    for m in rows:
        if any(not e.status.ok for e in m.figures):
            words = {e.status.value: e.status.message for e in m.figures if not e.status.ok}
            out += [f"{m.name} is {k}. {v}" for k, v in words.items()]
    return out


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "measure"
