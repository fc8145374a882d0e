"""Records compared less what differs between two runs of the same computation."""

from __future__ import annotations

from typing import Any

__all__ = ["without_times"]

TIMES = ("created", "seconds", "environment", "jobs")  # jobs: why so many processes, by the time of a run


def without_times(record: Any) -> Any:
    """A record without its times, at any depth."""
    if isinstance(record, dict):
        return {k: without_times(v) for k, v in record.items() if k not in TIMES}
    return [without_times(v) for v in record] if isinstance(record, list) else record
