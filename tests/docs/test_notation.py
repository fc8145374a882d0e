"""What the documentation builder is told about docstrings and mathematics."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HOOK = Path(__file__).parents[2] / "docs" / "hooks" / "notation.py"


@pytest.fixture(scope="module")
def notation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notation", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("docstring", "markdown"),
    [
        (":meth:`~pindown.Profile.bits` and :func:`fingerprint`", "`pindown.Profile.bits` and `fingerprint`"),
        (".. math:: a = b,\n\nText.", "\\[a = b,\\]\n\nText."),
        (".. math::\n    a\n    = b\n\nText.", "\\[a = b\\]\n\nText."),
        (
            "Example:\n    >>> f(\n    ...     1)\n    2\n\nText.",
            "Example:\n    ```pycon\n    >>> f(\n    ...     1)\n    2\n    ```\n\nText.",
        ),
        ("``x`` stays", "``x`` stays"),
    ],
)
def test_docstrings_become_markdown(notation: ModuleType, docstring: str, markdown: str) -> None:
    assert notation.to_markdown(docstring) == markdown


def test_mathematics_is_drawn_without_a_script(notation: ModuleType) -> None:
    html = notation.on_page_content(r'<p>a <span class="arithmatex">\(x \le 2\)</span></p>')
    assert html.startswith("<p>a <math")
    assert "script" not in html
    assert r"\(" not in html


def test_html_without_mathematics_is_left_alone(notation: ModuleType) -> None:
    html = "<p>f(x) costs $5</p>"
    assert notation.on_page_content(html) == html
