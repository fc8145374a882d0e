"""Sets the kept tables of the benchmarks into a page: a line ``<!-- benchmark: NAME -->`` becomes that table's page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
_HERE = re.compile(r"^<!-- benchmark: (\w+) -->$", re.MULTILINE)
_HEADING = re.compile(r"^#", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put each kept page in its place, its headings a level down."""
    return _HERE.sub(
        lambda m: _HEADING.sub("##", (RESULTS / f"{m[1]}.md").read_text(encoding="utf-8")).rstrip(), markdown
    )
