"""The public names: each listed once, found where it is defined, and seen by type checkers alike."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import pindown

SOURCE = Path(pindown.__file__)
LAZY: dict[str, str] = vars(pindown)["_HOME"]
DOORS: tuple[str, ...] = vars(pindown)["_DOORS"]


def names_for_the_type_checker() -> dict[str, str]:
    """Name to module of the imports under ``if TYPE_CHECKING``."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    branch = next(n for n in tree.body if isinstance(n, ast.If))
    imports = [n for n in branch.body if isinstance(n, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    assert names_for_the_type_checker() == LAZY
    assert set(pindown.__all__) == {*LAZY, *DOORS, "__version__"}
    assert len(pindown.__all__) == len(set(pindown.__all__))  # ruff keeps them in order
    assert set(pindown.__all__) <= set(dir(pindown))


@pytest.mark.parametrize("name", sorted(LAZY))
def test_a_name_comes_from_the_module_that_defines_it(name: str) -> None:
    thing = getattr(pindown, name)
    assert thing is getattr(import_module(LAZY[name]), name)
    assert thing.__module__ == LAZY[name]
    assert thing.__doc__


@pytest.mark.parametrize("name", DOORS)
def test_a_door_is_a_package_whose_names_are_all_there(name: str) -> None:
    door = getattr(pindown, name)
    assert door is import_module(f"pindown.{name}")
    assert door.__doc__
    assert door.__all__ == sorted(door.__all__)
    assert all(getattr(door, n).__doc__ for n in door.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = pindown.nonsense  # type: ignore[attr-defined]
