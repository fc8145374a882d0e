"""The compression study: does optimisation compress by default? Questions, answered by measurement."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pindown.errors import InputError
from pindown.network.progress import rising
from pindown.studies.own_samples import own_answer_1
from pindown.studies.question_1 import answer_1
from pindown.studies.question_2 import answer_2, own_answer_2
from pindown.studies.question_3 import answer_3, own_answer_3
from pindown.studies.question_4 import answer_4, own_answer_4
from pindown.studies.results import Answer, CompressionStudy
from pindown.studies.steps import Workshop
from pindown.studies.study_subject import StudySubject

__all__ = ["OWN_QUESTIONS", "QUESTIONS", "CompressionStudy", "compression"]

Progress = Callable[[float, str], None]
QUESTIONS: Mapping[int, Callable[..., Answer]] = {1: answer_1, 2: answer_2, 3: answer_3, 4: answer_4}
OWN_QUESTIONS: Mapping[int, Callable[..., Answer]] = {
    1: own_answer_1, 2: own_answer_2, 3: own_answer_3, 4: own_answer_4,
}  # fmt: skip


def compression(
    questions: Sequence[int] | int | None = None,
    *,
    own: StudySubject | None = None,
    full: bool = False,
    seed: int = 0,
    jobs: int | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    sizes: Mapping[int, Any] | None = None,
) -> CompressionStudy:
    """Answer the study's questions by measurement.

    Every verdict follows from the figures by a rule that the record states, and can be *supported*, *refuted* or
    *undecided*.

    Args:
        questions: their numbers; by default all.
        own: a model and its training in place of the built-in ones.
        full: larger samples, more tasks and optimisers: hours on one machine. Steps are independent and go through
            joblib, so that ``joblib.parallel_config`` spreads them over a cluster.
        seed: everything random follows from it.
        jobs: worker processes; by default one for each core.
        checkpoint: folder for finished steps; the same call with it goes on from there to the same answer.
        progress: called with the share done and a text.
        sizes: for a question its own sizes, in place of the default ones; for the first question of an own model the
            number of runs.

    Raises:
        InputError: for a question that there is not.
        CheckpointError: for a checkpoint that is damaged or of another call.
    """
    wanted = list(QUESTIONS) if questions is None else [questions] if isinstance(questions, int) else list(questions)
    unknown = [q for q in wanted if q not in QUESTIONS]
    if unknown or not wanted:
        raise InputError(f"questions {wanted}", f"one or more of {', '.join(map(str, QUESTIONS))}")
    began = time.perf_counter()
    tell = None if progress is None else rising(progress)
    answers: list[Answer] = []
    for i, question in enumerate(sorted(set(wanted))):
        shop = Workshop(checkpoint, _part(tell, i, len(set(wanted)), question), jobs)
        given = {} if sizes is None or question not in sizes else {"sizes": sizes[question]}
        if own is None:
            answers.append(QUESTIONS[question](shop, full=full, seed=seed, **given))
        else:
            answers.append(OWN_QUESTIONS[question](shop, own, full=full, seed=seed, **given))
    if tell is not None:
        tell(1.0, "done")
    subject = "built-in tasks" if own is None else own.name or "an own model"
    return CompressionStudy(
        subject, tuple(answers), seed, full, time.perf_counter() - began,
        datetime.now(UTC).isoformat(timespec="seconds"), version("pindown"),
        {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine(),
         "processor": _processor(), "cores": str(joblib_cores())},
    )  # fmt: skip


def joblib_cores() -> int:
    """Cores that work is spread over by default."""
    from joblib import cpu_count

    return int(cpu_count())


def _processor() -> str:
    """The processor's name, as Linux tells it, or what Python knows."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _part(tell: Progress | None, i: int, n: int, question: int) -> Progress | None:
    if tell is None:
        return None
    return lambda share, text: tell((i + share) / n, f"question {question}: {text}")
