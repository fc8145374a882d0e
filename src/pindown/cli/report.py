"""``pindown report``: the records of any commands on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pindown.cli._console import show
from pindown.cli._output import check_folder
from pindown.errors import OutputError

__all__ = ["report"]


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES", help="Records that commands wrote, such as pindown-audit/audit.json.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Heading of the page.", show_default="pindown: one report")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing.")] = False,
) -> None:
    """Join the results of any commands on one page."""
    if out.is_dir():
        raise OutputError(f"{out} is a folder", "a file", "give --out a file name, as in report.html")
    if out.resolve() in {file.resolve() for file in files}:
        raise OutputError(f"{out} is one of the results", "another file", "choose another one with --out")
    check_folder(out.parent, "--out")

    from pindown.report.joined import read_results, write_joined_report

    records = read_results(files)
    write_joined_report(records, out, title=title)
    if not quiet:
        show(f"Report of {len(records)} {'result' if len(records) == 1 else 'results'}: {out}")
