"""Functions that a user's own training finds, and random weights without training error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pindown.engine.measure import measure
from pindown.errors import EstimationError, InputError
from pindown.estimate import Estimate, Status
from pindown.estimate import bits as bits_of
from pindown.network.compare_samplers import compare_samplers
from pindown.network.function_sample import FunctionSample
from pindown.network.plan import default_settings, margin_settings
from pindown.network.sampler_results import SamplerComparison
from pindown.network.subject import Subject
from pindown.rng import child_seed, torch_generator
from pindown.studies.results import Answer, Figure, NamedComparison, Verdict
from pindown.studies.steps import Step, Workshop
from pindown.studies.study_subject import StudySubject
from pindown.studies.verdicts import alike

__all__ = ["own_answer_1", "own_comparison", "random_functions", "sample_steps", "trained_functions"]

_REPEATS = 6
_BATCH, _PILOT, _TRIES = 1024, 2**12, 2**15  # networks tried at once, without any success, and at most
_FEWEST = 50  # of them without error for rejection to be enough


def own_answer_1(shop: Workshop, own: StudySubject, *, full: bool, seed: int, sizes: int | None = None) -> Answer:
    """A user's trained networks against random weights of the same zero training error, at the narrow width."""
    width = own.widths[0]
    runs = sizes or (400 if full else 40)
    done = shop.run(sample_steps(own, width, question=1, runs=runs, count=20 * runs, seed=seed))
    figures: list[Figure] = []
    named: list[NamedComparison] = []
    notes: list[str] = []
    name = own.name or "own model"
    bits = done.get(_random_key(1, width), {}).get("bits")
    if bits is not None:
        figures.append(Figure(f"random weights, width {width}", "−log2 P(no training error)", Estimate.from_dict(bits)))
    for treatment in own.treatments:
        found, why = own_comparison(own, 1, width, treatment, done, seed)
        if found is None:
            notes.append(f"{treatment}: {why}")
        else:
            named.append(NamedComparison(treatment, name, "all", found))
    claim = f"Training of {name} draws functions as random weights without training error do."
    verdicts: list[Verdict] = [alike(claim, [(c.name, c.comparison) for c in named])]
    notes.append(f"Functions are told apart by their labels on {own.inputs} held-out inputs.")
    return Answer(
        1, "Is what an optimiser finds a random draw of the zero-loss solutions?", tuple(verdicts), tuple(figures), (),
        tuple(named), tuple(notes), shop.seconds,
    )  # fmt: skip


def sample_steps(own: StudySubject, width: int, *, question: int, runs: int, count: int, seed: int) -> list[Step]:
    """Steps that find the functions of each treatment's runs, and of random weights."""
    common = {"family": own, "width": width, "seed": seed}
    steps = [Step(_random_key(question, width), "random solutions", random_functions, {**common, "count": count}, 60.0)]
    for t in own.treatments:
        arguments = {**common, "treatment": t, "runs": runs}
        steps.append(Step(_runs_key(question, width, t), f"training: {t}", trained_functions, arguments, 1.0 * runs))
    return steps


def _random_key(question: int, width: int) -> str:
    return f"q{question}-own-random-{width}"


def _runs_key(question: int, width: int, treatment: str) -> str:
    return f"q{question}-own-runs-{width}-" + "".join(c if c.isalnum() else "-" for c in treatment)


def trained_functions(*, family: StudySubject, width: int, treatment: str, runs: int, seed: int) -> dict[str, Any]:
    """Labels of the runs that have no training error."""
    why = _unfit(family, family.subject(width))
    if why:
        return {"why": why}
    labels: list[list[int]] = []
    groups: list[int] = []
    for r in range(runs):
        try:
            subject = family.trained(width, child_seed(seed, 0x32, r) % 2**31, treatment)
        except EstimationError:  # counted among the runs that do not fit
            continue
        point = subject.solutions[0].point.unsqueeze(0)
        if float(subject.errors(point)[0]) == 0.0:
            labels.append(_labels(family, subject, point)[0])
            groups.append(r)
    return {"labels": labels, "groups": groups, "attempted": runs}


def random_functions(*, family: StudySubject, width: int, count: int, seed: int) -> dict[str, Any]:
    """Labels of random weights without training error, with the independent draw or run that each comes from.

    By rejection where a network in some hundreds fits, else by the engine.
    """
    subject = family.subject(width)
    why = _unfit(family, subject)
    if why:
        return {"why": why}
    plain = _rejection(subject, count, seed)
    if plain is not None:
        points, bits = plain
        labels = _labels(family, subject, points)
        return {"bits": bits.to_dict(), "labels": labels, "groups": list(range(len(labels)))}
    found = measure(
        subject.space(), subject.margin_objective(), tolerance=0.0, repeats=_REPEATS, jobs=1,
        seed=child_seed(seed, 0x50, width) % 2**31,
        settings=margin_settings(default_settings(subject.space().dim, full=False)),
    )  # fmt: skip
    record: dict[str, Any] = {"bits": found.bits(0.0).to_dict(), "labels": [], "groups": []}
    try:
        drawn = found.draw(0.0, count, seed)
    except InputError:
        if found.status is Status.REACHED:
            raise
        record["why"] = f"no random weights without training error were reached ({found.status})."
        return record
    groups = torch.as_tensor(drawn.runs)
    good = subject.errors(drawn.points) == 0
    record["labels"] = _labels(family, subject, drawn.points[good])
    record["groups"] = groups[good.cpu()].tolist()
    return record


def _rejection(subject: Subject, count: int, seed: int) -> tuple[Tensor, Estimate] | None:
    """Draws of the prior without training error, and −log2 of their share; None where they are too rare."""
    rng = torch_generator(seed, 0x52)
    kept: list[Tensor] = []
    tried = found = 0
    while tried < _TRIES and found < count:
        points = subject.space().sample(_BATCH, rng=rng).to(subject.device)
        good = points[subject.errors(points) == 0]
        kept.append(good)
        tried, found = tried + _BATCH, found + len(good)
        if not found and tried >= _PILOT:
            return None
    if found < _FEWEST:
        return None
    share = found / tried
    error = bits_of(math.sqrt((1.0 - share) / found))
    return torch.cat(kept), Estimate(-math.log2(share), error, "bits", reference=subject.space().reference)


def _unfit(family: StudySubject, subject: Subject) -> str:
    if subject.task != "classification":
        return "functions are told apart by labels, and this is no classification task."
    if not subject.held_out_size:
        return "functions are told apart on held-out inputs, and there are none."
    return ""


def _labels(family: StudySubject, subject: Subject, points: Tensor) -> list[list[int]]:
    inputs, _ = subject.batches(held_out=True).head(family.inputs)
    out = subject.outputs(points, inputs)
    return out.argmax(2).reshape(len(points), -1).tolist()


def own_comparison(
    own: StudySubject, question: int, width: int, treatment: str, done: Mapping[str, Any], seed: int
) -> tuple[SamplerComparison | None, str]:  # fmt: skip
    """Runs of a treatment against random weights; where they cannot be compared, why."""
    runs, random = done[_runs_key(question, width, treatment)], done[_random_key(question, width)]
    for record in (runs, random):
        if "why" in record:
            return None, record["why"]
    if len(runs["labels"]) < 2:
        return None, f"{len(runs['labels'])} of {runs['attempted']} runs have no training error."
    if len(set(random["groups"])) < 4:
        return None, f"random weights come from {len(set(random['groups']))} independent runs, of which 4 are needed."
    number = own.treatments.index(treatment)
    return compare_samplers(
        _sample(runs["labels"], runs["groups"], runs["attempted"]),
        _sample(random["labels"], random["groups"], len(random["labels"])),
        np.zeros((len(runs["labels"][0]), 1)), splits=60, seed=child_seed(seed, 0x51, number),
    ), ""  # fmt: skip


def _sample(labels: Sequence[Sequence[int]], groups: Sequence[int], attempted: int) -> FunctionSample:
    return FunctionSample(np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.int64), attempted)
