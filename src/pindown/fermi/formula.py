"""Formulas as text: written from quantities, and read back without evaluating anything but the listed operations."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping

from pindown.errors import InputError
from pindown.fermi.distributions import Constant
from pindown.fermi.operations import FUNCTIONS
from pindown.fermi.quantity import Number, Quantity, as_quantity, computed, is_random

__all__ = ["formula", "identifiers", "named_in", "read_formula", "written_out"]

_SIGNS = {"add": ("+", 1), "subtract": ("-", 1), "multiply": ("*", 2), "divide": ("/", 2)}
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide",
}  # fmt: skip
_SEVERAL = ("minimum", "maximum")
_SHOWN = 80


def identifiers(names: Mapping[Quantity, str]) -> dict[Quantity, str]:
    """A name for each quantity that a formula can hold, such as ``functional_share``.

    >>> from pindown import fermi
    >>> q = fermi.constant(1.0)
    >>> identifiers({q: "functional share"})[q]
    'functional_share'
    """
    taken: set[str] = set()
    out: dict[Quantity, str] = {}
    for q, name in names.items():
        base = re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") or "x"
        base = f"x_{base}" if base[0].isdigit() or base in FUNCTIONS or base in _SEVERAL else base
        word, number = base, 2
        while word in taken:
            word, number = f"{base}_{number}", number + 1
        taken.add(word)
        out[q] = word
    return out


def written_out(q: Quantity) -> bool:
    """Whether a formula writes a quantity out instead of naming it: plain numbers and unnamed steps."""
    if q.distribution is not None:
        plain = isinstance(q.distribution, Constant) and q.unit == "1" and q.bound == "exact"
        return plain and not q.name and not q.source
    return not q.name and not is_random(q)


def formula(q: Quantity, words: Mapping[Quantity, str], inline: Callable[[Quantity], bool]) -> str:
    """What a quantity is computed by; steps for which ``inline`` holds are written out."""
    return _text(q, words, inline)[0]


def _text(q: Quantity, words: Mapping[Quantity, str], inline: Callable[[Quantity], bool]) -> tuple[str, int]:
    """The text and how tightly it binds."""
    step = q.step
    assert step is not None

    def part(p: Quantity) -> tuple[str, int]:
        if not inline(p):
            return words[p], 4
        if isinstance(p.distribution, Constant):
            value = p.distribution.value
            return _number(value), 4 if value >= 0 else 1
        return _text(p, words, inline)

    parts = [part(p) for p in q.parts]
    if step.kind == "same":
        return parts[0]
    if step.kind in _SIGNS:
        sign, level = _SIGNS[step.kind]
        (left, a), (right, b) = parts
        left = f"({left})" if a < level else left
        right = f"({right})" if b <= level else right
        return f"{left} {sign} {right}", level
    if step.kind == "power":
        base, binds = parts[0]
        exponent = _number(step.number)
        return f"{base if binds > 3 else f'({base})'} ** {exponent}", 3
    return f"{step.kind}({', '.join(text for text, _ in parts)})", 4


def _number(x: float) -> str:
    return repr(x).removesuffix(".0")


def read_formula(text: str, known: Callable[[str], Quantity], where: str) -> Quantity:
    """The quantity that a formula describes.

    Args:
        text: such as ``"genome * functional_share"``.
        known: gives the quantity of a name.
        where: the place, for messages.

    Raises:
        InputError: for anything but names, numbers, ``+ - * / **`` and the functions of this package.

    >>> from pindown import fermi
    >>> a = fermi.constant(3.0, unit="bit")
    >>> read_formula("minimum(a, 2 * a) ** 2", lambda name: a, "here").unit
    'bit ** 2'
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError | MemoryError) else error
        raise InputError(
            f"{where}: the formula {_short(text)} cannot be read ({why})", "such as 'a * b / 2'"
        ) from error
    try:
        return as_quantity(_read(tree.body, known, where, text))
    except RecursionError as error:
        raise InputError(
            f"{where}: the formula {_short(text)} is nested too deeply", "a shorter one", "name some of its parts"
        ) from error


def named_in(text: str) -> list[str]:
    """The names that a formula uses, in order; none where it cannot be read.

    >>> named_in("minimum(a, 2 * b) ** 2")
    ['minimum', 'a', 'b']
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    return list(dict.fromkeys(n.id for n in sorted(found, key=lambda n: (n.lineno, n.col_offset))))


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _read(node: ast.expr, known: Callable[[str], Quantity], where: str, text: str) -> Quantity | Number:
    def inner(n: ast.expr) -> Quantity | Number:
        return _read(n, known, where, text)

    if isinstance(node, ast.Name):
        return known(node.id)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = inner(node.operand)
        return value if isinstance(node.op, ast.UAdd) else -value
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return computed(_BINARY[type(node.op)], inner(node.left), inner(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        exponent = inner(node.right)
        if not isinstance(exponent, (int, float)):
            raise InputError(
                f"{where}: a quantity as an exponent in {_short(text)}", "a number", "write exp(b * ln(a))"
            )
        return as_quantity(inner(node.left)) ** exponent
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        parts = [inner(a) for a in node.args]
        name = node.func.id
        if name in _SEVERAL and parts:
            return computed(name, *parts)
        if name in FUNCTIONS and len(parts) == 1:
            return computed(name, *parts)
    raise InputError(
        f"{where}: {_short(ast.unparse(node))} in the formula {_short(text)}",
        f"names, numbers, + - * / **, {', '.join((*_SEVERAL, *FUNCTIONS))}",
    )
