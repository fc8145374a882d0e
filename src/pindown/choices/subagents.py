"""The front door: the fewest agents that explain choices, and whether several pay for themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pindown import __version__
from pindown.choices.bets import Bets
from pindown.choices.budgets import Budgets
from pindown.choices.committee import Committee
from pindown.choices.divided import divide_budgets, divide_menus
from pindown.choices.lotteries import Lotteries
from pindown.choices.menus import Menus
from pindown.choices.pairs import Pairs
from pindown.choices.policy import Policy
from pindown.choices.reading import Observed, read_choices
from pindown.choices.trade_committee import committee_of_trades
from pindown.choices.trades import Trades
from pindown.choices.unfinished import keep_in, table_mark
from pindown.choices.value_cache import ValueCache
from pindown.choices.watched import watched
from pindown.errors import InputError
from pindown.estimate import Estimate, Status
from pindown.rng import child_seed

__all__ = ["subagents"]

Progress = Callable[[float, str], None]
_MOST_COMPARISONS = 5000
_TABLES = (Budgets, Menus, Pairs, Bets, Lotteries, Trades, Policy, ValueCache)


def subagents(
    observed: Observed | str | Path | Any,
    seed: int = 0,
    *,
    trade_probabilities: float | Mapping[tuple[str, str], float] | None = None,
    start: str | None = None,
    discount: float = 0.99,
    seconds: float = 60.0,
    subject: str = "",
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
) -> Committee:
    r"""The smallest group of agents that explains choices, with the description length of every explanation.

    Trades are explained by a committee whose members all have to gain: it exists where accepted trades have no cycle
    and no refused one lies in their transitive closure, and its size is an order dimension (Dushnik and Miller 1941).
    Menus, pairs and budgets are divided between agents of whom each is coherent (Kalai, Rubinstein and Spiegler 2002;
    Crawford and Pendakur 2013).

    Args:
        observed: :class:`~pindown.Trades`, :class:`~pindown.Menus`, :class:`~pindown.Pairs` or
            :class:`~pindown.Budgets`, or a file or data frame with one of them.
        seed: everything random follows from it.
        trade_probabilities: for the contract between members, the chance in each round of each offer ``(have,
            offered)``; one number for every offer observed; by default each offer by its share of those made while its
            item was held.
        start: the item held at first; by default each with the same chance.
        discount: weight of each further round in the contract's value.
        seconds: the longest that the search for fewer members may take; the result then says that it is not proved.
        subject: a name to carry.
        progress: called with the share done and a text; in searches with the bounds so far.
        checkpoint: folder for unfinished work: what the search for fewer members has proved and learnt, and the runs
            that measure bits. The same call with the same folder goes on; with more ``seconds`` it searches on.

    Raises:
        InputError: for a table that cannot be used, or of another kind.
        CheckpointError: where the checkpoint folder belongs to another call or is damaged.

    Example:
        >>> from pindown import Trades, subagents
        >>> log = Trades(["cheese", "cheese", "ham", "olives"], ["ham", "olives", "olives", "ham"], [1, 1, 0, 0])
        >>> found = subagents(log)
        >>> found.size, [member.order for member in found.members]
        (2, [('ham', 'olives', 'cheese'), ('olives', 'ham', 'cheese')])
    """
    began = time.perf_counter()
    child_seed(seed)
    if not seconds > 0:
        raise InputError(f"seconds = {seconds!r}", "a number above 0")
    tables = (Trades, Menus, Pairs, Budgets)
    table = observed if isinstance(observed, _TABLES) else read_choices(observed)
    if not isinstance(table, tables):
        raise InputError(f"a committee for {table.kind}", "trades, menus, pairs or budgets")
    if not isinstance(table, Trades) and (trade_probabilities is not None or start is not None):
        raise InputError(f"trade probabilities or a start for {table.kind}", "trades", "leave them out")
    settings = sorted(trade_probabilities.items()) if isinstance(trade_probabilities, Mapping) else trade_probabilities
    mark = "" if checkpoint is None else table_mark(table, "subagents", seed, settings, start, discount)
    with keep_in(checkpoint, mark), watched(progress):
        parts = _parts(table, seed, trade_probabilities, start, discount, seconds, progress)
    return Committee(
        kind=table.kind, observations=len(table), subject=subject, seed=seed, seconds=time.perf_counter() - began,
        version=__version__, **parts,
    )  # fmt: skip


def _parts(
    table: Trades | Menus | Pairs | Budgets, seed: int, trade_probabilities: Any, start: str | None, discount: float,
    seconds: float, progress: Progress | None,
) -> dict[str, Any]:  # fmt: skip
    if isinstance(table, Trades):
        parts = committee_of_trades(table, trade_probabilities, start, discount, seconds)
    else:
        divided = divide_budgets if isinstance(table, Budgets) else divide_menus
        menus = _as_menus(table) if isinstance(table, Pairs) else table
        parts = divided(menus, seconds, seed, progress)  # type: ignore[arg-type]
        if isinstance(table, Pairs):
            parts["description_bits"].pop("hidden state", None)  # counts do not tell the order of the comparisons
        parts["contract_gain"] = Estimate(math.nan, math.nan, "utility", "estimate", Status.UNSUPPORTED, "vetoing")
        parts |= {"contract": (), "gains": (), "weights": (), "proof": math.nan}
    return parts


def _as_menus(pairs: Pairs) -> Menus:
    """Every single comparison as a choice from a menu of two."""
    total = int(pairs.counts.sum())
    if total > _MOST_COMPARISONS:
        raise InputError(f"{total:,} comparisons", f"at most {_MOST_COMPARISONS:,}", "give a sample of them")
    menus: list[tuple[str, str]] = []
    choices: list[str] = []
    for i, j in pairs.compared:
        for a, b in ((i, j), (j, i)):
            times = int(pairs.counts[a, b])
            menus += [(pairs.items[i], pairs.items[j])] * times
            choices += [pairs.items[a]] * times
    return Menus(menus, choices)
