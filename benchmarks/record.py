"""What every benchmark keeps beside its figures: the machine, the date, the files."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["described", "keep", "machine", "now"]


def machine(*libraries: str) -> dict[str, Any]:
    """Where the figures come from, with the versions of these libraries."""
    import torch  # late: what a benchmark starts in processes of its own has no need of it

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "threads": torch.get_num_threads(), "platform": platform.system(), "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("torch", *libraries)},
    }  # fmt: skip


def now() -> str:
    """Date and time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def described(where: Mapping[str, Any]) -> str:
    """A machine in half a sentence."""
    versions = ", ".join(f"{name} {v}" for name, v in where["versions"].items())
    threads = "1 thread" if where["threads"] == 1 else f"{where['threads']} threads"
    return (
        f"{where['cpu']}, {where['cores']} cores, {threads}, Python {where['python']}, {versions}; load average at the "
        f"start {where['load_average']:.1f}"
    )


def keep(folder: Path, name: str, record: Mapping[str, Any], page: str) -> None:
    """Write ``NAME.json`` and ``NAME.md``, and print the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for ending, text in (("json", json.dumps(record, indent=1) + "\n"), ("md", page)):
        part = folder / f"{name}.{ending}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / f"{name}.{ending}")
    print(page)
