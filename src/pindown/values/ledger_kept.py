"""What a ledger keeps on the way: the stages that are done, and the belief after the answers taken in so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pindown.engine.checkpoint import Checkpoint
from pindown.estimate import Estimate
from pindown.values.belief import Belief
from pindown.values.earned import Prequential
from pindown.values.information import Supply
from pindown.values.mark import problem_mark
from pindown.values.problem import Answer, ValueProblem

__all__ = ["KeptLedger"]

Cuts = dict[str, tuple[float, float]]


class KeptLedger:
    """The file ``ledger.pt`` of a checkpoint folder; without a folder everything is done anew.

    Args:
        folder: the checkpoint folder, or None.
        problem: what is accounted for.
        given: the answers in the order in which they are taken in.
        seed: of the call.

    Raises:
        CheckpointError: where the file is damaged or of another problem, other answers or another seed.
    """

    def __init__(self, folder: str | Path | None, problem: ValueProblem, given: list[Answer], seed: int) -> None:
        self.file: Checkpoint | None = None
        self.content: dict[str, Any] = {}
        if folder is not None:
            mark = problem_mark(problem, seed, "ledger", [[a.source, a.question, a.answer] for a in given])
            self.file = Checkpoint(folder, "ledger", mark)
            self.content = self.file.load() or {}

    def required(self, find: Callable[[], Estimate]) -> Estimate:
        """The requirement, found once."""
        if "required" not in self.content:
            found = find()
            self._put("required", found.to_dict(), final=True)
            return found
        return Estimate.from_dict(self.content["required"])

    def supplies(self, find: Callable[[], list[Supply]]) -> list[Supply]:
        """What the sources are expected to supply, found once."""
        if "supplies" not in self.content:
            found = find()
            rows = [[e.to_dict() for e in (s.supplied, s.usable, s.lost)] for s in found]
            self._put("supplies", rows, final=True)
            return found
        return [Supply(*map(Estimate.from_dict, row)) for row in self.content["supplies"]]

    def answered(self, belief: Belief, prequential: Prequential, cuts: Cuts, *, final: bool) -> None:
        """Keep where the belief stands; unless ``final`` not oftener than every few seconds."""
        if self.file is None:
            return
        state: dict[str, Any] = {
            "taken": len(belief.history), "points": torch.from_numpy(belief.population.points.copy()),
            "log_weights": torch.from_numpy(belief.log_weights.copy()),
            "numbers": [belief.log_evidence, belief.evidence_variance, belief.scale], "rounds": belief.rounds,
            "prequential": {k: list(v) for k, v in prequential.__dict__.items()},
            "cuts": {k: list(v) for k, v in cuts.items()},
        }  # fmt: skip
        self._put("answers", state, final=final)

    def resume(self, belief: Belief, prequential: Prequential, given: list[Answer]) -> Cuts:
        """Put the belief where it stood; what each source had added to the log-evidence."""
        state = self.content.get("answers")
        if state is None:
            return {}
        belief.population = belief.population.at(state["points"].numpy())
        belief.log_weights = state["log_weights"].numpy()
        belief.log_evidence, belief.evidence_variance, belief.scale = state["numbers"]
        belief.rounds, belief.history = int(state["rounds"]), list(given[: int(state["taken"])])
        for name, kept in state["prequential"].items():
            setattr(prequential, name, list(kept))
        return {name: (float(a), float(b)) for name, (a, b) in state["cuts"].items()}

    def _put(self, name: str, what: Any, *, final: bool) -> None:
        self.content[name] = what
        if self.file is not None:
            self.file.save(self.content, final=final)
