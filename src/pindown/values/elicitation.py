"""An elicitation session: the next question, its answer, what is still missing; kept in a file and resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pindown.errors import CheckpointError, DataError
from pindown.estimate import Estimate
from pindown.files import write_atomically
from pindown.values.belief import Belief
from pindown.values.ledger import ledger, posterior_gap, spent_questions
from pindown.values.ledger_result import Ledger
from pindown.values.mark import problem_mark
from pindown.values.problem import Answer, ValueProblem
from pindown.values.questions import Criterion, Question, best_batch, best_question, check_criterion

__all__ = ["Elicitation"]

SCHEMA = "pindown/elicitation/1"


class Elicitation:
    """Questions one after another until the gap is closed.

    Args:
        problem: what is asked about.
        seed: everything random follows from it.
        by: ``"decision"`` or ``"total"`` information per price.
        file: where answers are kept, written anew after each; a session with the same problem and file goes on.
        answers: answers that were recorded before.

    Raises:
        CheckpointError: where the file is damaged or of another problem, seed or criterion.

    Example:
        >>> from pindown import ValueProblem
        >>> from pindown.values.choice_sources import Comparisons
        >>> session = Elicitation(ValueProblem(3, [[2, 1, 0], [0, 1, 2]], 0.0, [Comparisons()]))
        >>> while (question := session.next()) is not None:
        ...     print(question.text)
        ...     session.answer(question, 1)
        Which is better: 1 or 2?
        >>> session.best_plan
        '3'
    """

    def __init__(
        self,
        problem: ValueProblem,
        seed: int = 0,
        *,
        by: Criterion = "decision",
        file: str | Path | None = None,
        answers: Any = None,
    ) -> None:
        check_criterion(by)
        self.problem, self.seed = problem, seed
        self.by: Criterion = by
        self.file = None if file is None else Path(file)
        self.answers: list[Answer] = []
        self.mark = problem_mark(problem, seed, by)
        self.belief = Belief(problem, seed)
        kept = self._load()
        for answer in problem.answers(answers) if kept is None else kept:
            self._take(answer)

    @property
    def missing(self) -> Estimate:
        """Missing bits now."""
        return posterior_gap(self.belief)[0]

    @property
    def best_plan(self) -> str:
        """The plan most likely to be acceptable now."""
        return self.problem.plans.names[posterior_gap(self.belief)[2]]

    @property
    def chance(self) -> Estimate:
        """Its probability to be acceptable."""
        return posterior_gap(self.belief)[1]

    @property
    def paid(self) -> float:
        """Price of the answers so far."""
        return sum(self.problem.sources[a.source].price for a in self.answers)

    def next(self) -> Question | None:
        """What to ask next; None where the gap is closed, or where no question tells anything any more."""
        if self.missing.value == 0.0 or not self.problem.sources:
            return None
        return best_question(self.belief, self.by, spent_questions(self.problem, self.answers))

    def batch(self, size: int) -> list[Question]:
        """Questions to ask at once; none where the gap is closed."""
        return [] if self.missing.value == 0.0 else best_batch(self.belief, size, self.by)

    def answer(self, question: Question | tuple[str, int], answer: int | str) -> None:
        """Take in an answer, by its number or its text.

        Raises:
            InputError: for an answer that there is not; nothing is changed.
            DataError: for one that contradicts those before it; nothing is changed.
        """
        asked = (question.source, question.question) if isinstance(question, Question) else question
        (one,) = self.problem.answers([(*asked, answer)])
        before = list(self.answers)
        try:
            self._take(one)
        except DataError:
            self.belief = Belief(self.problem, self.seed)
            self.answers = []
            for old in before:
                self._take(old)
            raise
        self._save()

    def ledger(self) -> Ledger:
        """The full account of the session so far."""
        return ledger(self.problem, self.answers, self.seed)

    def _take(self, answer: Answer) -> None:
        self.belief.update(answer)
        self.answers.append(answer)

    def _save(self) -> None:
        if self.file is None:
            return
        rows = [[a.source, a.question, a.answer] for a in self.answers]
        text = json.dumps({"schema": SCHEMA, "mark": self.mark, "answers": rows}, ensure_ascii=False)
        write_atomically(self.file, text + "\n")

    def _load(self) -> tuple[Answer, ...] | None:
        if self.file is None or not self.file.exists():
            return None
        remedy = "remove it to start anew, or give another file"
        try:
            record = json.loads(self.file.read_text(encoding="utf-8"))
            schema, mark, rows = record["schema"], record["mark"], record["answers"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.file} is damaged ({type(error).__name__})", "a session's file", remedy
            ) from error
        if schema != SCHEMA:
            raise CheckpointError(f"{self.file} has schema {schema!r}", SCHEMA, remedy)
        if mark != self.mark:
            raise CheckpointError(
                f"{self.file} belongs to another session", "the same problem, seed and criterion", remedy
            )
        return self.problem.answers([tuple(row) for row in rows])
