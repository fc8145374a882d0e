"""``pindown values``: bits about values needed, supplied and missing; ``ask`` asks; ``arrangements`` compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pindown.cli._console import Interrupted, show
from pindown.cli._options import Checkpoint, Json, Quiet, Resume, Seed, Unfinished
from pindown.cli._output import check_folder
from pindown.cli._places import STDOUT, deliver
from pindown.errors import InputError

if TYPE_CHECKING:
    from pindown.values.elicitation import Elicitation
    from pindown.values.problem import Answer, ValueProblem
    from pindown.values.questions import Criterion, Question

__all__ = ["values"]

_RECORD, _ARRANGED, _REPORT, _ANSWERS = "values.json", "arrangements.json", "report.html", "answers.json"
_STOP = ("q", "quit", "stop")


def values(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[ask|arrangements] PROBLEM.toml",
            help="A value problem; after 'ask' ask until its gap is closed, after 'arrangements' compare who decides.",
            show_default=False,
        ),
    ],
    by: Annotated[str, typer.Option(help="Choose questions by 'decision' or 'total' information.")] = "decision",
    answers: Annotated[
        Path | None,
        typer.Option(help="Of 'ask': file of the answers; a session goes on from it.", show_default="inside --out"),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(help="Of 'arrangements': how many values are drawn.", min=20, show_default="200, or the file's"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the record and the report.")] = Path("pindown-values"),
    json: Json = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Tell the bits about values that a decision needs, what each source supplies, what is missing, and what to ask.

    After 'arrangements' tell what different arrangements of who decides make of the same answers.
    """
    doing, file = _words(words)
    unfinished = Unfinished(out, checkpoint, "checkpoint-arrangements" if doing == "arrangements" else "checkpoint")
    unfinished.check(json, resume=resume)
    if answers is not None:
        check_folder(answers.parent, "--answers")
    if by not in ("decision", "total"):
        raise InputError(f"--by {by}", "'decision' or 'total'")

    if episodes is not None and doing != "arrangements":
        raise InputError(f"--episodes {episodes} without 'arrangements'", "pindown values arrangements PROBLEM.toml")

    from pindown.values.elicitation import Elicitation
    from pindown.values.ledger import ledger
    from pindown.values.problem_file import read_problem

    problem, recorded = read_problem(file)
    goal: Criterion = "total" if by == "total" else "decision"
    kept = answers or out / _ANSWERS
    if doing == "ask":
        session = Elicitation(problem, seed, by=goal, file=kept, answers=recorded)
        _ask(session, kept, error=json == STDOUT)
        recorded = tuple(session.answers)
    elif answers is not None:
        recorded = tuple(Elicitation(problem, seed, by=goal, file=answers, answers=recorded).answers)
    if doing == "arrangements":
        _arrange(problem, recorded, file, episodes, unfinished, json, seed, quiet)
        return
    result = unfinished.run(
        lambda progress: ledger(problem, recorded, seed, progress=progress, checkpoint=unfinished.folder), quiet=quiet
    )

    from pindown.report.values import write_values_report

    deliver(result, write_values_report, out / _RECORD, out / _REPORT, json=json, quiet=quiet)
    unfinished.done()


def _words(words: list[str]) -> tuple[str, Path]:
    doing = words[0] if words[0] in ("ask", "arrangements") else ""
    files = words[1:] if doing else words
    if len(files) != 1:
        raise InputError(
            f"pindown values {' '.join(words)}", "one problem file, or 'ask' or 'arrangements' and one problem file"
        )
    return doing, Path(files[0])


def _arrange(
    problem: ValueProblem, recorded: tuple[Answer, ...], file: Path, episodes: int | None, unfinished: Unfinished,
    json: str | None, seed: int, quiet: bool,
) -> None:  # fmt: skip
    from pindown.report.arrangements import write_arrangements_report
    from pindown.values.arrangements import arrangements
    from pindown.values.arranging import standard
    from pindown.values.coupling import Blocks, CoupledBlocks
    from pindown.values.problem_file import read_arrangement_options

    options = read_arrangement_options(file)
    compared = list(standard())
    if "choices" in options:
        blocks = Blocks(options.pop("choices"))
        compared.append(CoupledBlocks(blocks, options.pop("owners", None), options.pop("coupling", None)))
    elif {"owners", "coupling"} & set(options):
        raise InputError("owners or coupling without choices in [arrangements]", "choices = [[…], …], one row a plan")
    transcript = options.pop("transcript", "recorded")
    if episodes is not None:
        options["episodes"] = episodes
    result = unfinished.run(
        lambda progress: arrangements(
            problem, compared, answers=recorded if transcript == "recorded" else None, seed=seed, progress=progress,
            checkpoint=unfinished.folder, **options,
        ),
        quiet=quiet,
    )  # fmt: skip
    out = unfinished.out
    deliver(result, write_arrangements_report, out / _ARRANGED, out / _REPORT, json=json, quiet=quiet)
    unfinished.done()


def _ask(session: Elicitation, kept: Path, *, error: bool) -> None:
    """Questions on the terminal, one line an answer, until the gap is closed or the person stops."""
    from pindown.errors import DataError

    if session.answers:
        show(f"Going on after {_answers(len(session.answers))}.", error=error)
    show("Answer by number or by text; q stops.", error=error)
    while (question := session.next()) is not None:
        show(_asked(session, question), error=error)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt as interrupt:
            raise Interrupted(_stopped(session, kept)) from interrupt
        said = line.strip()
        if not line or said.lower() in _STOP:
            show(_stopped(session, kept), error=error)
            return
        choice = _choice(question, said)
        if choice is None:
            show(f"{said!r} is no answer: give its number or its text, or q to stop.", error=error)
            continue
        try:
            session.answer(question, choice)
        except DataError as contradiction:
            show(f"Not taken: {contradiction}", error=error)
    why = "The gap is closed" if session.missing.value == 0.0 else "No question tells anything more"
    told = f"{_answers(len(session.answers))} for a price of {session.paid:g}"
    show(f"\n{why} after {told}. Best plan: {session.best_plan} ({session.chance} to be acceptable).", error=error)


def _stopped(session: Elicitation, kept: Path) -> str:
    if not session.answers:
        return "Stopped before the first answer."
    return f"Stopped. The answers are kept in {kept}: the same command goes on from there."


def _answers(n: int) -> str:
    return f"{n} answer{'s' * (n != 1)}"


def _asked(session: Elicitation, question: Question) -> str:
    options = "  ".join(f"[{i + 1}] {text}" for i, text in enumerate(question.answers))
    worth = f"{question.decision.value:.2f} bits about the decision, {question.total.value:.2f} in all"
    missing = f"at least {session.missing.value:.2f} bits missing"
    head = f"{len(session.answers) + 1}. {question.source} (price {question.price:g}; {worth}; {missing})"
    return f"\n{head}\n{question.text}\n  {options}"


def _choice(question: Question, said: str) -> int | None:
    if said in question.answers:
        return question.answers.index(said)
    if said.isdecimal() and 1 <= int(said) <= len(question.answers):
        return int(said) - 1
    return None
