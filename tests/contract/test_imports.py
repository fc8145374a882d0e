"""The house rule: imports go downward only, siblings do not import each other, and modules stay small.

Every import counts, also one inside a function or under ``TYPE_CHECKING``. A part that no row names fails the test, so
that a new one is given its place here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "pindown"

LAYERS = [
    {"errors"},
    {"estimate"},
    {"files", "rng", "stats"},
    {"spaces"},
    {"engine"},
    {"network", "choices", "values", "resources", "landscapes", "fermi"},
    {"studies"},
    {"report"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}

# Report sections read results and never sample: of what lies below them they may know these.
REPORT_READS = {"errors", "estimate", "stats", "files", "engine.profile"}
MOST_LINES = 450
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "misc"}
# What `import pindown` and `pindown --help` may not load: each costs a second or is needed by few.
HEAVY = ["torch", "numpy", "scipy", "pandas", "sklearn", "plotly", "joblib", "jinja2", "pint", "SALib"]


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def module_name(path: Path) -> str:
    """``engine.measure`` for src/pindown/engine/measure.py; ``engine`` for its ``__init__``; empty for the top."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Line and target (below ``pindown.``) of every import of the package that ``source`` makes."""
    here = ["pindown", *module.split(".")] if module else ["pindown"]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from pindown.engine import measure` may mean the module or a name in it: the longer reading tells more
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == "pindown" or name.startswith("pindown."):
                yield node.lineno, name.removeprefix("pindown").removeprefix(".")


def objections(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What the house rule holds against a module; empty where it is kept."""
    part = module.split(".")[0]
    if not module:
        return []  # pindown/__init__ re-exports from everywhere
    if part not in HEIGHT:
        return [f"{module}: no layer is named for {part!r}"]
    found: list[str] = []
    for line, target in imports(source, module, is_package=is_package):
        where = f"{module}:{line} imports {target or 'pindown'}"
        to = target.split(".")[0]
        if target == "__version__" or to == part:
            continue
        if to not in HEIGHT:
            found.append(f"{where}: import from the module that defines it, not from the top")
        elif HEIGHT[to] > HEIGHT[part]:
            found.append(f"{where}: upward")
        elif HEIGHT[to] == HEIGHT[part]:
            found.append(f"{where}: siblings")
        elif part == "report" and not any(f"{target}.".startswith(f"{may}.") for may in REPORT_READS):
            found.append(f"{where}: a report reads results and never samples")
    return found


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_imports_go_downward_only(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not objections(source, module_name(path), is_package=path.name == "__init__.py")


@pytest.mark.parametrize(
    ("source", "module", "complaint"),
    [
        ("from pindown.engine.measure import measure", "spaces.box", "upward"),
        ("import pindown.engine.measure", "stats", "upward"),
        ("from pindown.values.ledger import Ledger", "network.audit", "siblings"),
        ("from pindown.stats import r_hat", "rng", "siblings"),
        ("def f():\n    from pindown.cli import app", "report.page", "upward"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pindown.cli import app", "engine", "upward"),
        ("from ..engine import measure", "spaces.box", "upward"),
        ("from .. import engine", "spaces.box", "upward"),
        ("from pindown import measure", "network.audit", "not from the top"),
        ("import pindown", "network.audit", "not from the top"),
        ("from pindown.engine.ladder import ladder", "report.audit", "never samples"),
        ("from pindown.spaces.network import Weights", "report.audit", "never samples"),
        ("from pindown.network import audit", "report.audit", "never samples"),
        ("import math", "toys.box", "no layer"),
    ],
)
def test_a_forbidden_import_is_seen(source: str, module: str, complaint: str) -> None:
    assert [text for text in objections(source, module) if complaint in text]


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from pindown.estimate import Estimate", "engine.profile"),
        ("from pindown.engine.profile import Profile", "report.audit"),
        ("from . import base", "spaces.box"),
        ("from .base import Space", "spaces.box"),
        ("from pindown import __version__", "network.audit"),
        ("import torch\nfrom numpy import pi", "spaces.box"),
        ("from pindown.cli.app import main", "cli.__main__"),
    ],
)
def test_an_allowed_import_passes(source: str, module: str) -> None:
    assert not objections(source, module)


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_modules_are_small_and_named_for_what_they_do(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{module_name(path)} has {lines} lines: is there a part that wants a file of its own?"


COMMAND_LINE = """
import sys
from pindown.cli.app import main
sys.argv = ["pindown", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize(
    "program",
    [
        "import pindown; dir(pindown); pindown.Estimate; pindown.InputError; pindown.__version__",
        COMMAND_LINE.format(arguments=["--help"]),
        COMMAND_LINE.format(arguments=["--version"]),
        COMMAND_LINE.format(arguments=["audit", "--help"]),
    ],
    ids=["import", "help", "version", "audit-help"],
)
def test_what_is_heavy_is_loaded_late(program: str) -> None:
    check = f"\nimport sys; print('loaded', [name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded []"
