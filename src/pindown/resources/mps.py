"""MPS files, fixed or free, read line by line so that what is wrong has its line number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from pindown.errors import DataError

__all__ = ["MPS", "read_mps"]

_SECTIONS = ("NAME", "OBJSENSE", "ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS", "ENDATA")


@dataclass
class MPS:
    """What a file says: rows with their kind and side, columns with their bounds, and the entries."""

    name: str = ""
    maximise: bool = False
    objective: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    entries: dict[tuple[str, str], float] = field(default_factory=dict)
    rhs: dict[str, float] = field(default_factory=dict)
    ranges: dict[str, float] = field(default_factory=dict)
    lower: dict[str, float] = field(default_factory=dict)
    upper: dict[str, float] = field(default_factory=dict)

    def sides(self, row: str) -> tuple[float, float]:
        """Least and largest activity of a row; a range widens an equation to the side that its sign tells."""
        kind, b = self.rows[row], self.rhs.get(row, 0.0)
        reach = self.ranges.get(row)
        if kind == "E":
            if reach is None:
                return b, b
            return (b, b + reach) if reach >= 0 else (b + reach, b)
        if kind == "L":
            return (-math.inf if reach is None else b - abs(reach)), b
        return b, (math.inf if reach is None else b + abs(reach))


def read_mps(path: str | Path) -> MPS:
    """Read a linear programme in MPS format; names without blanks.

    Raises:
        DataError: for a file that cannot be read, with the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", "a text file in MPS format") from error
    return _Reader(str(path)).read(lines)


class _Reader:
    def __init__(self, path: str) -> None:
        self.path, self.line, self.found = path, 0, MPS()
        self.known: set[str] = set()
        self.free_rows: set[str] = set()

    def read(self, lines: list[str]) -> MPS:
        section = ""
        for self.line, text in enumerate(lines, 1):
            if not text.strip() or text.startswith("*"):
                continue
            words = text.split()
            if not text[0].isspace():
                section = words[0].upper()
                if section not in _SECTIONS:
                    raise self.wrong(f"section {words[0]!r}", f"one of {', '.join(_SECTIONS)}")
                if section == "NAME":
                    self.found.name = " ".join(words[1:2])  # what stands behind a name is remarks
                if section == "OBJSENSE" and len(words) > 1:
                    self.sense(words[1])
                if section == "ENDATA":
                    return self.end()
                continue
            self.take(section, words)
        self.line = len(lines)
        raise self.wrong("the end of the file", "a line ENDATA: the file may have been cut off")

    def take(self, section: str, words: list[str]) -> None:
        if section == "OBJSENSE":
            self.sense(words[0])
        elif section == "ROWS":
            self.row(words)
        elif section == "COLUMNS":
            self.column(words)
        elif section in ("RHS", "RANGES"):
            where = self.found.rhs if section == "RHS" else self.found.ranges
            for row, value in self.pairs(words[len(words) % 2 :], section):
                where[row] = value
        elif section == "BOUNDS":
            self.bound(words)
        else:
            raise self.wrong(f"data under {section or 'no section'}", "a section such as ROWS first")

    def sense(self, word: str) -> None:
        if word.upper() not in ("MAX", "MIN", "MAXIMIZE", "MINIMIZE"):
            raise self.wrong(f"sense {word!r}", "MAX or MIN")
        self.found.maximise = word.upper().startswith("MAX")

    def row(self, words: list[str]) -> None:
        if len(words) != 2 or words[0].upper() not in ("N", "L", "G", "E"):
            raise self.wrong(f"row {' '.join(words)!r}", "a kind, N, L, G or E, and a name")
        kind, name = words[0].upper(), words[1]
        if name in self.found.rows or name in self.free_rows or name == self.found.objective:
            raise self.wrong(f"row {name!r} once more", "a name of its own")
        if kind == "N":
            if self.found.objective:
                self.free_rows.add(name)
            else:
                self.found.objective = name
        else:
            self.found.rows[name] = kind

    def column(self, words: list[str]) -> None:
        if len(words) > 1 and words[1].strip("'").upper() == "MARKER":
            raise self.wrong("a marker of whole-number columns", "a programme without them")
        name = words[0]
        if name not in self.known:
            self.known.add(name)
            self.found.columns.append(name)
        elif name != self.found.columns[-1]:
            raise self.wrong(f"column {name!r} once more", "the entries of a column together")
        if len(words) not in (3, 5):
            raise self.wrong(f"{len(words)} words", "a column with one or two pairs of row and number")
        for row, value in self.pairs(words[1:], "COLUMNS"):
            if row not in self.free_rows:
                if (row, name) in self.found.entries:
                    raise self.wrong(f"entry {row!r}, {name!r} once more", "each entry once")
                self.found.entries[row, name] = value

    def pairs(self, words: list[str], section: str) -> list[tuple[str, float]]:
        if not words or len(words) % 2:
            raise self.wrong(f"{len(words)} words under {section}", "pairs of a row and a number")
        out: list[tuple[str, float]] = []
        for row, text in zip(words[::2], words[1::2], strict=True):
            if row not in self.found.rows and row not in self.free_rows and row != self.found.objective:
                raise self.wrong(f"row {row!r}", "a row that ROWS names")
            out.append((row, self.number(text)))
        return out

    def bound(self, words: list[str]) -> None:
        kind = words[0].upper()
        bare = kind in ("FR", "MI", "PL")
        if kind not in ("LO", "UP", "FX", "FR", "MI", "PL"):
            raise self.wrong(f"bound {words[0]!r}", "LO, UP, FX, FR, MI or PL: columns are real numbers")
        names = words[1:] if bare else words[1:-1]
        if not names or names[-1] not in self.known:
            raise self.wrong(f"bound {' '.join(words)!r}", "a column that COLUMNS names")
        name = names[-1]
        if kind in ("FR", "MI"):
            self.found.lower[name] = -math.inf
        if kind in ("FR", "PL"):
            self.found.upper[name] = math.inf
        if bare:
            return
        value = self.number(words[-1])
        if kind in ("LO", "FX"):
            self.found.lower[name] = value
        if kind in ("UP", "FX"):
            self.found.upper[name] = value
        if kind == "UP" and value < 0 and name not in self.found.lower:
            self.found.lower[name] = -math.inf  # as solvers have it since CPLEX

    def number(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError as error:
            raise self.wrong(repr(text), "a number") from error
        if math.isnan(value):
            raise self.wrong(repr(text), "a number")
        return value

    def end(self) -> MPS:
        if not self.found.objective:
            raise self.wrong("no row of kind N", "one, the objective")
        if not self.found.columns:
            raise self.wrong("no columns", "at least one")
        return self.found

    def wrong(self, got: str, wanted: str) -> DataError:
        return DataError(f"{self.path}, line {self.line}: {got}", wanted)
