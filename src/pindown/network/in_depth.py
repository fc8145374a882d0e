"""Everything that is asked of one trained network, together: what :func:`pindown.audit` runs on each subject's best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pindown.errors import CheckpointError, EstimationError, InputError
from pindown.network.basin import basin
from pindown.network.basin_result import Basin
from pindown.network.bitplanes import BitPlanes, bitplanes
from pindown.network.concentration import Concentration, concentration
from pindown.network.learning_coefficient import learning_coefficient
from pindown.network.learning_coefficient_result import LearningCoefficient
from pindown.network.noise_results import NoiseTolerance
from pindown.network.noise_tolerance import noise_tolerance
from pindown.network.over_training import LearningCurve, learning_coefficient_over_training
from pindown.network.progress import Progress, window
from pindown.network.pruning import pruning
from pindown.network.pruning_results import Pruning
from pindown.network.record import Record
from pindown.network.spectrum import spectrum
from pindown.network.spectrum_result import Spectrum
from pindown.network.subject import Subject
from pindown.network.water_filling import water_filling
from pindown.network.water_results import WaterFilling
from pindown.rng import child_seed

__all__ = ["QUESTIONS", "InDepth", "in_depth", "read_questions"]

EPSILON = 0.01


@dataclass(frozen=True)
class InDepth(Record, schema="pindown/in-depth/1"):
    """What was found about one trained network; None for what was not asked or could not be measured.

    Attributes:
        solution: its name.
        epsilon: the rise of the mean loss that bit planes, pruning, noise and water-filling allow.
        unmeasured: why, for each question that could not be answered.
        seconds: wall time.
        learning_coefficient, basin, spectrum, bitplanes, pruning, noise_tolerance, concentration, water_filling: the
            answers, each with its own summary, table and record.
        over_training: the learning coefficient at each checkpoint of a training run, where there were any.
    """

    solution: str
    epsilon: float
    unmeasured: Mapping[str, str]
    seconds: float
    learning_coefficient: LearningCoefficient | None = None
    basin: Basin | None = None
    spectrum: Spectrum | None = None
    bitplanes: BitPlanes | None = None
    pruning: Pruning | None = None
    noise_tolerance: NoiseTolerance | None = None
    concentration: Concentration | None = None
    water_filling: WaterFilling | None = None
    over_training: LearningCurve | None = None

    def summary(self) -> str:
        """The summaries of all answers, one after the other."""
        answered = [getattr(self, name) for name in _RESULTS]
        lines = [f"In depth: {self.solution}", *(a.summary() for a in answered if a is not None)]
        return "\n".join([*lines, *(f"{name} not measured: {why}" for name, why in self.unmeasured.items())])


_RESULTS: dict[str, Any] = {
    "learning_coefficient": LearningCoefficient,
    "basin": Basin,
    "spectrum": Spectrum,
    "bitplanes": BitPlanes,
    "pruning": Pruning,
    "noise_tolerance": NoiseTolerance,
    "concentration": Concentration,
    "water_filling": WaterFilling,
    "over_training": LearningCurve,
}
_MEASURES: dict[str, Callable[..., Any]] = {
    "learning_coefficient": learning_coefficient,
    "basin": basin,
    "spectrum": spectrum,
    "bitplanes": bitplanes,
    "pruning": pruning,
    "noise_tolerance": noise_tolerance,
    "concentration": concentration,
    "water_filling": water_filling,
}
QUESTIONS = tuple(_MEASURES)
"""What can be asked, in the order of the answers."""
_WITH_EPSILON = {"bitplanes", "pruning", "noise_tolerance", "water_filling"}
_AT_ONCE = {"concentration"}  # no progress and nothing to keep


def read_questions(asked: bool | Iterable[str]) -> tuple[str, ...]:
    """The questions that ``True``, ``False``, or names mean, in order.

    Raises:
        InputError: for a name that is none of :data:`QUESTIONS`.
    """
    if isinstance(asked, bool):
        return QUESTIONS if asked else ()
    names = [asked] if isinstance(asked, str) else list(asked)
    unknown = [n for n in names if n not in QUESTIONS]
    if unknown:
        raise InputError(f"the questions {', '.join(map(str, unknown))}", f"some of {', '.join(QUESTIONS)}")
    return tuple(n for n in QUESTIONS if n in names)


def in_depth(
    subject: Subject,
    *,
    solution: int = 0,
    questions: bool | Iterable[str] = True,
    epsilon: float = EPSILON,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    checkpoints: str | Path | Iterable[Any] | Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> InDepth:
    """Ask everything of one trained network.

    A question that the network cannot be asked (a loss without a gradient has no spectrum) is listed with the reason;
    it does not stop the others.

    Args:
        subject: the network with its loss and data.
        solution: which of the subject's solutions.
        questions: which of :data:`QUESTIONS`.
        epsilon: the rise of the mean loss that counts as harmless.
        seed: everything random follows from it.
        options: further arguments, for each question by name; ``"over_training"`` for ``checkpoints``, on top of those
            for ``"learning_coefficient"``.
        checkpoints: a training run, as :func:`pindown.learning_coefficient_over_training` takes it: its learning
            coefficient is measured all along.
        checkpoint: folder for unfinished work; the same call with it resumes.
        progress: called with the share done and a text.

    Raises:
        InputError: for an unknown question or solution, or an ε that is not above 0.

    Example:
        >>> import torch
        >>> from pindown import Subject
        >>> x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
        >>> model = torch.nn.Linear(3, 1)
        >>> subject = Subject(model, "mse", (x, model(x).detach()))
        >>> answers = in_depth(subject, questions=["spectrum", "concentration"])
        >>> answers.concentration.whole.weights, answers.basin
        (4, None)
    """
    began = time.perf_counter()
    asked = read_questions(questions)
    if not epsilon > 0.0:
        raise InputError(f"epsilon = {epsilon}", "a rise of the loss above 0")
    if not 0 <= solution < len(subject.solutions):
        raise InputError(f"solution {solution}", f"a number from 0 to {len(subject.solutions) - 1}")
    one = subject.at(solution)
    extra = dict(options or {})
    measures: dict[str, Callable[..., Any]] = {name: _MEASURES[name] for name in asked}
    if checkpoints is not None:
        measures["over_training"] = learning_coefficient_over_training
        asked_too = {**extra.get("learning_coefficient", {}), **extra.get("over_training", {})}
        extra["over_training"] = {"checkpoints": checkpoints, **asked_too}
    answers: dict[str, Any] = {}
    unmeasured: dict[str, str] = {}
    for i, (name, measure) in enumerate(measures.items()):
        given: dict[str, Any] = {"seed": child_seed(seed, list(_RESULTS).index(name)) % 2**31}
        if name in _WITH_EPSILON:
            given["epsilon"] = epsilon
        if name not in _AT_ONCE:
            words, width = name.replace("_", " "), 1.0 / len(measures)
            given["progress"] = None if progress is None else window(progress, i * width, width, words)
            given["checkpoint"] = None if checkpoint is None else Path(checkpoint) / name
        try:
            answers[name] = measure(one, **given, **extra.get(name, {}))
        except CheckpointError:
            raise  # a damaged checkpoint is the user's to look at, not a property of the network
        except (InputError, EstimationError) as error:
            unmeasured[name] = str(error)
    return InDepth(
        subject.solutions[solution].name, epsilon, unmeasured, time.perf_counter() - began, **answers
    )  # fmt: skip
