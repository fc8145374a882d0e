"""What a report section is made of: plain values that any command can build and the page knows how to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pindown.errors import InputError
from pindown.estimate import Estimate

__all__ = ["Block", "Card", "CardGroup", "Cards", "Column", "Figure", "Notice", "Row", "Section", "Table", "Value"]

Value = str | int | float | Estimate | None
Row = Sequence[Value]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        title: what stands above the column.
        estimate: True where the cells are Estimates (or None); the CSV copy then has the standard error, the 95%
            interval, the kind and the status in columns of their own.
        percent: shares that are shown as percentages. The CSV copy keeps the share.
        digits: significant digits of plain numbers; 0 for whole numbers in full.
    """

    title: str
    estimate: bool = False
    percent: bool = False
    digits: int = 4


@dataclass(frozen=True)
class Table:
    """A table that the reader can sort and copy as CSV; ``folded`` where it is opened only on demand and on paper.

    Raises:
        InputError: where a row has another number of cells than there are columns.
    """

    template: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""
    folded: bool = False

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(f"row {i} of table {self.caption!r} has {len(row)} cells", f"{len(self.columns)}")


@dataclass(frozen=True)
class Figure:
    """A Plotly chart with its alternative in words and figures.

    Attributes:
        title: what is shown.
        spec: Plotly's ``{"data": [...], "layout": {...}}`` as plain values. Under keys that name a colour, ``"@s1"``
            to ``"@s6"``, ``"@ink"``, ``"@muted"``, ``"@grid"`` and ``"@paper"`` stand for the page's light or dark
            palette, and ``"@s1/0.2"`` for one with an opacity.
        summary: what a reader who cannot see the chart needs to know of it.
        table: the figures behind the chart.
        caption: how to read it.
        height: in CSS pixels.
        half: True lets two such figures stand side by side where there is room.
    """

    template: ClassVar[str] = "figure"
    title: str
    spec: Mapping[str, Any]
    summary: str
    table: Table
    caption: str = ""
    height: int = 400
    half: bool = False


@dataclass(frozen=True)
class Card:
    """One headline figure."""

    label: str
    value: Estimate | None
    of: str = ""
    percent: bool = False


@dataclass(frozen=True)
class CardGroup:
    """The headline figures of one thing that was measured, under its name and its mark in the charts.

    ``link`` is the place on the page that its name leads to, such as ``#p1``; none where it is empty.
    """

    title: str
    subtitle: str
    cards: Sequence[Card]
    series: int | None = None
    sentences: Sequence[str] = ()
    link: str = ""


@dataclass(frozen=True)
class Cards:
    """Headline figures side by side."""

    template: ClassVar[str] = "cards"
    groups: Sequence[CardGroup]


@dataclass(frozen=True)
class Notice:
    """One sentence that must not be missed, such as a status that is not *reached*."""

    template: ClassVar[str] = "notice"
    tone: Literal["good", "caution", "bad"]
    title: str
    text: str


Block = Table | Figure | Cards | Notice


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes:
        title: its heading.
        verdict: sentences in plain words, with intervals.
        blocks: charts, tables and cards, in order.
        method: how it was measured.
        limits: what the figures do not say.
        part: the part of a joined report that it belongs to; what belongs to none stands on its own.
    """

    title: str
    verdict: Sequence[str] = ()
    blocks: Sequence[Block] = ()
    method: Sequence[str] = ()
    limits: Sequence[str] = ()
    part: str = ""
