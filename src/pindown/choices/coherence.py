"""The front door: are these choices coherent, how far from it, and how surprising is that."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pindown import __version__
from pindown.choices import chance, items_coherence, policy_coherence, value_coherence
from pindown.choices.axioms import Relation
from pindown.choices.bets import Bets
from pindown.choices.budget_coherence import parts_of_budgets
from pindown.choices.budgets import Budgets
from pindown.choices.coherence_result import Coherence
from pindown.choices.lotteries import Lotteries
from pindown.choices.lottery_coherence import of_lotteries, parts_of_lotteries
from pindown.choices.menus import Menus
from pindown.choices.pairs import Pairs
from pindown.choices.policy import Policy
from pindown.choices.reading import Observed, read_choices
from pindown.choices.trades import Trades
from pindown.choices.unfinished import keep_in, table_mark
from pindown.choices.value_cache import ValueCache
from pindown.choices.watched import watched
from pindown.errors import InputError
from pindown.rng import child_seed

__all__ = ["coherence"]

Progress = Callable[[float, str], None]


def coherence(
    observed: Observed | str | Path | Any,
    seed: int = 0,
    *,
    surprise: bool = True,
    seconds: float = 20.0,
    particles: int = 400,
    repeats: int = 4,
    subject: str = "",
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> Coherence:
    r"""Whether choices are coherent, with a certificate, and where not, a way in which they lose.

    Budgets are coherent where they satisfy GARP (Afriat 1967; Varian 1982): some utility explains them. Menus,
    majorities of pairs and accepted trades are where some order does; bets where some probabilities do (de Finetti
    1937); choices between lotteries where an expected utility gives them (von Neumann and Morgenstern 1944); a policy
    where no final states are preferred to each other in a ring; a cache of values where every entry is
    its own backup. The decision is exact, and the certificate was checked again in fractions.

    Args:
        observed: a table such as :class:`~pindown.Budgets`, or a file or data frame with one.
        seed: everything random follows from it.
        surprise: whether to measure how surprising the answer is; without it the bits are *unsupported*.
        seconds: the longest that each index which is hard to compute may take; it then gives both bounds.
        particles: particles of each splitting run that measures the surprise.
        repeats: how many such runs.
        subject: a name to carry.
        progress: called with the share done and a text; in searches with the bounds so far.
        checkpoint: folder for unfinished work: what the searches for hard indices have learnt, and the runs that
            measure the surprise. The same call with the same folder goes on; with more ``seconds`` it searches on.

    Returns:
        The verdict, its certificate, the indices and the bits.

    Raises:
        InputError: for a table that cannot be used.
        CheckpointError: where the checkpoint folder belongs to another call or is damaged.

    Example:
        >>> from pindown import Budgets, coherence
        >>> found = coherence(Budgets([[1, 1], [2, 1]], [[2, 2], [3, 0]]))
        >>> found.coherent, found.pump.cycle, found.pump.loss
        (False, ('1', '2'), 1.0)
    """
    began = time.perf_counter()
    child_seed(seed)  # refuses what is no seed before any work
    if not seconds > 0:
        raise InputError(f"seconds = {seconds!r}", "a number above 0")
    table = observed if isinstance(observed, _TABLES) else read_choices(observed)
    sizes: dict[str, Any] = {"particles": particles, "repeats": repeats}
    if checkpoint is not None:
        sizes["checkpoint"] = Path(checkpoint) / "surprise"
    mark = "" if checkpoint is None else table_mark(table, seed, particles, repeats)
    with keep_in(checkpoint, mark), watched(progress):
        parts = _parts(table, seconds, surprise, seed, progress, sizes)
    return Coherence(
        kind=table.kind, observations=len(table), subject=subject, seed=seed, seconds=time.perf_counter() - began,
        version=__version__, **parts,
    )  # fmt: skip


_TABLES = (Budgets, Menus, Pairs, Bets, Lotteries, Trades, Policy, ValueCache)
_RANDOM = ("budgets", "menus", "pairs", "lotteries", "trades", "policy")


def _parts(
    table: Observed, seconds: float, surprise: bool, seed: int, progress: Progress | None, sizes: dict[str, Any]
) -> dict[str, Any]:
    if isinstance(table, Budgets):
        relation = Relation(table)
        parts = parts_of_budgets(relation, seconds)
        found = parts["ccei"].value if parts["ccei"].stated else float("nan")
        measured = surprise and parts["ccei"].stated
        luck = chance.of_budgets(relation.spending, found, seed, progress, **sizes) if measured else None
    elif isinstance(table, Menus):
        parts = items_coherence.parts_of_menus(table, seconds)
        luck = chance.of_menus(table, seed, progress, **sizes) if surprise else None
    elif isinstance(table, Pairs):
        parts = items_coherence.parts_of_pairs(table, seconds)
        luck = chance.of_pairs(table, seed, progress, **sizes) if surprise else None
    elif isinstance(table, Trades):
        parts = items_coherence.parts_of_trades(table, seconds)
        luck = chance.of_trades(table, seed, progress, **sizes) if surprise else None
    elif isinstance(table, Lotteries):
        parts = parts_of_lotteries(table, seconds)
        luck = of_lotteries(table, parts["coherent"], seed, progress, **sizes) if surprise else None
    elif isinstance(table, Policy):
        parts, relation = policy_coherence.parts_of_policy(table)
        parts = value_coherence.parts_unstated() | parts
        luck = chance.of_policy(relation, seed, progress, **sizes) if surprise else None
    elif isinstance(table, Bets):
        parts, luck = value_coherence.parts_of_bets(table), None
    else:
        parts, luck = value_coherence.parts_of_cache(table, seconds), None
    if luck is None:
        why = "it was not asked for" if table.kind in _RANDOM else "there is no random chooser for this kind of choices"
        if surprise and isinstance(table, Budgets):
            why = "there are too many observations"
        luck = chance.unmeasured(table.kind, why)
    return parts | {
        "surprise": luck.surprise, "vacuous": luck.vacuous, "measure": luck.measure, "observed": luck.observed,
        "drawn": luck.drawn, "method": luck.method,
    }  # fmt: skip
