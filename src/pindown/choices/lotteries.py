"""Choices between lotteries: of these chances of named outcomes, this one was taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from pindown.choices.cells import as_fraction, different_names, name_of, number_of, refuse_cell
from pindown.choices.trades import truth_of
from pindown.errors import DataError, InputError
from pindown.estimate import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Lotteries"]

_NEARLY_ONE = Fraction(1, 10**6)
_LONGEST_TEXT = 60


@dataclass(frozen=True)
class Comparison:
    """One lottery that was taken beside one that could have been.

    Attributes:
        observation: the number of the observation.
        other: the number of the lottery that was refused, in its menu.
        difference: the chances of each outcome under the one taken less those under the other, in the table's unit.
        strict: whether the one taken is preferred strictly.
    """

    observation: int
    other: int
    difference: tuple[int, ...]
    strict: bool


class Lotteries:
    """Lotteries chosen from menus of lotteries over named outcomes, one an observation.

    Args:
        menus: for each observation the lotteries on offer by name, each a mapping of outcomes to probabilities:
            numbers, fractions, or text such as ``"1/3"``. Probabilities are the decimals that they print as; a sum that
            misses 1 by less than a millionth is scaled to 1.
        choices: for each observation the name of the lottery that was taken.
        strict: whether what was taken is strictly preferred to all else on offer, for all observations or for each.
            Where it is not, the taker may have been indifferent.
        names: names of the observations, all different; by default their numbers, from 1.

    Attributes:
        outcomes: all outcomes, in the order of their first appearance.
        offered: for each observation the names of its lotteries.
        chances: for each observation and lottery the probability of each outcome.
        taken: for each observation the number of the lottery taken.
        unit: the whole number of which every probability is a multiple of its inverse.

    Raises:
        InputError: where the lengths differ.
        DataError: for an empty table or menu, probabilities below 0 or that do not add up to 1, the same lottery twice
            in a menu, or a choice that is not in its menu.

    Example:
        >>> from pindown import Lotteries
        >>> sure, risky = {"sure": {"1M": 1}}, {"risky": {"5M": "1/10", "1M": 0.89, "nothing": "1/100"}}
        >>> Lotteries([sure | risky], ["sure"])
        Lotteries(1 observation, 3 outcomes)
    """

    kind: ClassVar[str] = "lotteries"

    def __init__(
        self,
        menus: Iterable[Mapping[Any, Mapping[Any, Any]]],
        choices: Iterable[Any],
        *,
        strict: bool | Iterable[Any] = True,
        names: Sequence[str] | None = None,
    ) -> None:
        rows, picked = list(menus), list(choices)
        firm = [strict] * len(rows) if isinstance(strict, bool) else list(strict)
        if len({len(rows), len(picked), len(firm)}) != 1:
            raise InputError(
                f"{len(rows)} menus, {len(picked)} choices and {len(firm)} answers whether they are strict",
                "one of each an observation",
            )
        if not rows:
            raise DataError("an empty table of lotteries", "at least one observation")
        self.names = different_names(names, len(rows), "observation")
        self.strict = tuple(truth_of(s, i, "strict") for i, s in enumerate(firm))
        numbers: dict[str, int] = {}
        read = [self._menu(menu, i, numbers) for i, menu in enumerate(rows)]
        self.outcomes = tuple(numbers)
        self.offered = [tuple(menu) for menu in read]
        self.chances = [
            [tuple(lottery.get(k, Fraction(0)) for k in range(len(numbers))) for lottery in menu.values()]
            for menu in read
        ]
        self.taken: list[int] = []
        for i, (menu, choice) in enumerate(zip(self.offered, picked, strict=True)):
            name = name_of(choice, i, "choice")
            if name not in menu:
                raise refuse_cell(i, "choice", choice, f"a lottery of its menu, {', '.join(menu)}")
            self.taken.append(menu.index(name))
        self.unit = math.lcm(*(p.denominator for menu in self.chances for lottery in menu for p in lottery))
        self._labels = self._named()

    def _menu(self, menu: Any, row: int, numbers: dict[str, int]) -> dict[str, dict[int, Fraction]]:
        if not isinstance(menu, Mapping) or not all(isinstance(lottery, Mapping) for lottery in menu.values()):
            raise refuse_cell(row, "menu", menu, "lotteries by name, each a mapping of outcomes to probabilities")
        if not menu:
            raise refuse_cell(row, "menu", "", "at least one lottery")
        out: dict[str, dict[int, Fraction]] = {}
        for label, lottery in menu.items():
            name = name_of(label, row, "lottery")
            if name in out:
                raise refuse_cell(row, "lottery", label, "each lottery of a menu once")
            chances: dict[int, Fraction] = {}
            for outcome, p in lottery.items():
                k = numbers.setdefault(name_of(outcome, row, "outcome"), len(numbers))
                if k in chances:
                    raise refuse_cell(row, "outcome", outcome, f"each outcome of lottery {name!r} once")
                chances[k] = _probability(p, row)
            total = sum(chances.values(), Fraction(0))
            if abs(total - 1) > _NEARLY_ONE:
                raise DataError(
                    f"observation {self.names[row]}: probabilities of {name!r} that add up to {float(total):.6g}",
                    "1",
                    "write fractions as text, such as 1/3",
                )
            out[name] = {k: p / total for k, p in chances.items() if p}
            for before, other in out.items():
                if before != name and other == out[name]:
                    raise DataError(
                        f"observation {self.names[row]}: lotteries {before!r} and {name!r} are the same", "each once"
                    )
        return out

    def _named(self) -> list[list[str]]:
        """A name for each lottery that is told apart from the others: its own where all of that name are the same."""
        meant: dict[str, set[tuple[Fraction, ...]]] = {}
        for menu, chances in zip(self.offered, self.chances, strict=True):
            for name, lottery in zip(menu, chances, strict=True):
                meant.setdefault(name, set()).add(lottery)
        return [
            [name if len(meant[name]) == 1 else f"{name} of {self.names[i]}" for name in menu]
            for i, menu in enumerate(self.offered)
        ]

    def label(self, observation: int, lottery: int) -> str:
        """The name of a lottery; with that of the observation where the name means others elsewhere."""
        return self._labels[observation][lottery]

    def differences(self, observation: int, taken: int) -> list[Comparison]:
        """What taking this lottery in this observation says: a comparison with each other one on offer."""
        chances = self.chances[observation]
        return [
            Comparison(
                observation,
                k,
                tuple(int((a - b) * self.unit) for a, b in zip(chances[taken], other, strict=True)),
                self.strict[observation],
            )
            for k, other in enumerate(chances)
            if k != taken
        ]

    def comparisons(self) -> list[Comparison]:
        """All comparisons of what was taken with what was not, by observation."""
        return [c for i, taken in enumerate(self.taken) for c in self.differences(i, taken)]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Lotteries:
        """From one row for each observation, lottery and outcome: ``observation``, ``lottery``, ``outcome``,
        ``probability``, ``chosen``, and maybe ``strict``.

        Raises:
            DataError: for an empty table, an outcome twice in a lottery, rows of one lottery that differ in whether it
                was chosen, or an observation in which not exactly one was.
        """
        menus: dict[str, dict[str, dict[str, Any]]] = {}
        chosen: dict[str, dict[str, bool]] = {}
        firm: dict[str, bool] = {}
        for i, row in enumerate(rows):
            name, lottery = name_of(row["observation"], i, "observation"), name_of(row["lottery"], i, "lottery")
            outcome = name_of(row["outcome"], i, "outcome")
            chances = menus.setdefault(name, {}).setdefault(lottery, {})
            if outcome in chances:
                raise refuse_cell(i, "outcome", outcome, f"each outcome of lottery {lottery!r} once")
            chances[outcome] = _probability(row["probability"], i)
            yes = truth_of(row["chosen"], i, "chosen")
            if chosen.setdefault(name, {}).setdefault(lottery, yes) != yes:
                raise refuse_cell(i, "chosen", row["chosen"], f"the same in all rows of lottery {lottery!r}")
            if "strict" in row:
                sure = truth_of(row["strict"], i, "strict")
                if firm.setdefault(name, sure) != sure:
                    raise refuse_cell(i, "strict", row["strict"], f"the same in all rows of observation {name!r}")
        if not menus:
            raise DataError("an empty table of lotteries", "at least one observation")
        picked: list[str] = []
        for name, answers in chosen.items():
            taken = [lottery for lottery, yes in answers.items() if yes]
            if len(taken) != 1:
                raise DataError(f"observation {name!r} with {len(taken)} lotteries chosen", "one")
            picked.append(taken[0])
        return cls(menus.values(), picked, strict=[firm.get(n, True) for n in menus], names=list(menus))

    def __len__(self) -> int:
        return len(self.taken)

    def __repr__(self) -> str:
        n, m = len(self), len(self.outcomes)
        return f"Lotteries({counted(n, 'observation')}, {counted(m, 'outcome')})"

    def take(self, rows: Sequence[int]) -> Lotteries:
        """The observations of these rows."""
        menus = [
            {
                name: {self.outcomes[k]: p for k, p in enumerate(lottery) if p}
                for name, lottery in zip(self.offered[i], self.chances[i], strict=True)
            }
            for i in rows
        ]
        return Lotteries(
            menus, [self.offered[i][self.taken[i]] for i in rows], strict=[self.strict[i] for i in rows],
            names=[self.names[i] for i in rows],
        )  # fmt: skip

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each observation, lottery and outcome that it can give; probabilities as text where no short
        decimal is the fraction.
        """
        import pandas as pd

        rows = [
            (name, lottery, self.outcomes[s], _shown(p), self.taken[i] == k, self.strict[i])
            for i, name in enumerate(self.names)
            for k, lottery in enumerate(self.offered[i])
            for s, p in enumerate(self.chances[i][k])
            if p
        ]
        return pd.DataFrame(rows, columns=["observation", "lottery", "outcome", "probability", "chosen", "strict"])


def _probability(value: Any, row: int) -> Fraction:
    wanted = "a probability: a number from 0 to 1, or a fraction such as 1/3"
    if isinstance(value, Fraction):
        p = value
    elif isinstance(value, str) and "/" in value:
        try:
            p = Fraction(value.strip()) if len(value) <= _LONGEST_TEXT else Fraction(-1)
        except (ValueError, ZeroDivisionError):
            raise refuse_cell(row, "probability", value, wanted) from None
    else:
        p = as_fraction(number_of(value, row, "probability", wanted))
    if not 0 <= p <= 1:
        raise refuse_cell(row, "probability", value, wanted)
    return p


def _shown(p: Fraction) -> str:
    decimal = repr(float(p))
    return decimal if Fraction(decimal) == p else str(p)
