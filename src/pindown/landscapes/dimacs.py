"""DIMACS files of Boolean formulas, read line by line so that what is wrong has its line number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pindown.errors import DataError

__all__ = ["parse_dimacs", "read_dimacs"]

Clause = tuple[int, ...]
_MOST_VARIABLES = 1_000_000


def read_dimacs(path: str | Path) -> tuple[int, list[Clause]]:
    """Read a formula in conjunctive normal form.

    A clause ends with 0 and may go over several lines; lines that begin with ``c`` are comments, and a line ``%`` ends
    the formula, as in the SATLIB files.

    Returns:
        The number of variables and the clauses as the file has them.

    Raises:
        DataError: for a file that cannot be read, with the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", "a text file in DIMACS format") from error
    return parse_dimacs(lines, str(path))


def parse_dimacs(lines: Sequence[str], where: str) -> tuple[int, list[Clause]]:
    """The same from lines, with the name that errors call them by.

    >>> parse_dimacs(["c a comment", "p cnf 2 2", "1 -2 0 2", "0"], "text")
    (2, [(1, -2), (2,)])
    """
    return _Reader(where).read(lines)


class _Reader:
    def __init__(self, path: str) -> None:
        self.path, self.line = path, 0
        self.header: tuple[int, int] | None = None
        self.clauses: list[Clause] = []
        self.open: list[int] = []

    def read(self, lines: Sequence[str]) -> tuple[int, list[Clause]]:
        for self.line, text in enumerate(lines, 1):
            words = text.split()
            if not words or words[0].startswith("c"):
                continue
            if words == ["%"]:
                break
            if words[0] == "p":
                self.head(words)
            else:
                self.literals(words)
        return self.end()

    def head(self, words: list[str]) -> None:
        if self.header is not None:
            raise self.wrong("a second line that begins with 'p'", "one")
        if len(words) != 4 or words[1] != "cnf":
            raise self.wrong(" ".join(words), "'p cnf VARIABLES CLAUSES'")
        variables, clauses = self.whole(words[2]), self.whole(words[3])
        if not 1 <= variables <= _MOST_VARIABLES or clauses < 0:
            raise self.wrong(
                f"{variables} variables and {clauses} clauses",
                f"1 to {_MOST_VARIABLES:,} variables and 0 clauses or more",
            )
        self.header = variables, clauses

    def literals(self, words: list[str]) -> None:
        if self.header is None:
            raise self.wrong(repr(words[0]), "the line 'p cnf VARIABLES CLAUSES' first")
        for word in words:
            literal = self.whole(word)
            if abs(literal) > self.header[0]:
                raise self.wrong(f"variable {abs(literal)}", f"1 to {self.header[0]}, as the line 'p' says")
            if literal:
                self.open.append(literal)
                continue
            if not self.open:
                raise self.wrong("an empty clause", "at least one literal before the 0")
            if len(self.clauses) == self.header[1]:
                raise self.wrong(f"clause {len(self.clauses) + 1}", f"{self.header[1]}, as the line 'p' says")
            self.clauses.append(tuple(self.open))
            self.open = []

    def whole(self, word: str) -> int:
        digits = word[1:] if word[:1] in ("-", "+") else word
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > 9:
            raise self.wrong(repr(word[:20]), "a whole number")
        return int(word)

    def end(self) -> tuple[int, list[Clause]]:
        if self.header is None:
            raise self.wrong("no line 'p cnf VARIABLES CLAUSES'", "one before the clauses")
        if self.open:
            raise self.wrong("the end of the file within a clause", "a 0 behind the last clause")
        if len(self.clauses) != self.header[1]:
            raise self.wrong(f"{len(self.clauses)} clauses", f"{self.header[1]}, as the line 'p' says")
        return self.header[0], self.clauses

    def wrong(self, got: str, wanted: str) -> DataError:
        return DataError(f"{self.path}, line {self.line}: {got}", wanted)
