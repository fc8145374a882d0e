"""Every command that the README and the guide show exists, with the options that they give it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pindown.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"^ *```console\n(.*?)^ *```", re.M | re.S)
NAMED = re.compile(r"`(make [a-z]+|pindown [a-z][^`]*)`")


def commands() -> list[tuple[str, str]]:
    """Page and command line of everything after a ``$``, and of every command named in the text."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = [line.strip()[2:] for block in CONSOLE.findall(text) for line in block.splitlines() if "$ " in line]
        found += [(page.name, command.partition(" #")[0].strip()) for command in [*shown, *NAMED.findall(text)]]
    return sorted(set(found))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_that_is_shown_exists(page: str, command: str) -> None:
    program, *words = shlex.split(command)
    if program == "make":
        assert words[0] in make_targets()
        return
    assert program == "pindown"
    name = [word for word in words if not word.startswith("-") and word != "COMMAND"][:1]
    done = CliRunner().invoke(app, [*name, "--help"], terminal_width=200)
    assert done.exit_code == 0, done.output
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", done.stdout), f"{page} gives `pindown {' '.join(name)}` an option {option}"


def test_the_two_commands_of_the_readme_are_shown() -> None:
    assert {("README.md", "make audit"), ("README.md", "make test")} <= set(commands())


def test_every_option_of_the_audit_is_in_the_guide() -> None:
    done = CliRunner().invoke(app, ["audit", "--help"], terminal_width=200)
    guide = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    options = set(re.findall(r"(--[a-z-]+)", done.stdout)) - {"--help"}
    assert {"--out", "--json", "--seed"} <= options
    assert options <= set(re.findall(r"--[a-z-]+", guide))


def test_every_exit_code_is_in_the_guide() -> None:
    from pindown import errors

    guide = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    table = set(re.findall(r"^\| (\d+) \|", guide, re.M))
    codes = {str(kind.exit_code) for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    assert codes | {"0", "130"} == table


def test_every_status_is_in_the_guide_with_its_words() -> None:
    from pindown.estimate import Status
    from pindown.report.notation import status_words

    guide = (
        (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8").partition("\n## Status\n")[2].partition("\n## ")[0]
    )
    heading, *rows = re.findall(r"^\| ([\w -]+) \| ([\w ,]+) \| .* \|$", guide, re.M)
    assert heading == ("status", "in a report")
    assert rows == [(status.value, status_words(status)) for status in Status]
