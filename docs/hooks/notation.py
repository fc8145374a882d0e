"""Two small translations for the documentation builder.

Docstrings are written to be read in a terminal, with roles such as ``:math:`` and bare doctests. As a griffe extension
this turns both into Markdown; as an MkDocs hook it turns TeX into MathML, which browsers draw themselves, so that the
pages need no script from elsewhere.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import griffe
from latex2mathml.converter import convert

_MATH_BLOCK = re.compile(r"^( *)\.\. math::[ \t]*(.*(?:\n(?:\1 {2,}\S.*))*)", re.MULTILINE)
_MATH = re.compile(r":math:`([^`]+)`")
_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([^`]+)`")
_DOCTEST = re.compile(r"^( *)>>> .*(?:\n\1\S.*|\n\1 +\S.*)*", re.MULTILINE)
_TEX = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def to_markdown(text: str) -> str:
    """A docstring's roles and doctests as Markdown."""
    text = _MATH_BLOCK.sub(lambda m: f"{m[1]}\\[{' '.join(m[2].split())}\\]", text)
    text = _MATH.sub(lambda m: rf"\({m[1]}\)", text)
    text = _ROLE.sub(lambda m: f"`{m[1]}`", text)
    return _DOCTEST.sub(lambda m: f"{m[1]}```pycon\n{m[0]}\n{m[1]}```", text)


class Docstrings(griffe.Extension):
    """Translate every docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def on_page_content(html: str, **_: Any) -> str:
    """Draw the mathematics of a page."""
    return _TEX.sub(lambda m: convert(unescape(m[3]), display="block" if m[2] == "[" else "inline"), html)
