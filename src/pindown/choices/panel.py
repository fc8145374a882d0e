"""Many subjects: the coherence of each, and of all of them together."""

from __future__ import annotations

import html
import json
import math
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joblib import Parallel, delayed

from pindown.choices.coherence import coherence
from pindown.choices.coherence_result import INDICES, Coherence, Graph
from pindown.choices.indices import Index
from pindown.choices.reading import Observed
from pindown.choices.unfinished import keep_in, kept, table_mark
from pindown.engine.cluster import configured_elsewhere
from pindown.errors import CheckpointError, DataError
from pindown.estimate import Estimate
from pindown.stats import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Panel", "coherence_panel"]

SCHEMA = "pindown/coherence-panel/1"
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Panel:
    """Results of many subjects.

    Attributes:
        subjects: one result each, by name.
    """

    subjects: Mapping[str, Coherence]

    @property
    def coherent(self) -> int:
        """How many subjects are coherent."""
        return sum(c.coherent for c in self.subjects.values())

    @property
    def share(self) -> Estimate:
        """The share of subjects that are coherent, with half the width of Wilson's 68% interval as its error."""
        n = len(self.subjects)
        low, high = wilson_interval(self.coherent, n, 0.6827)
        return Estimate(self.coherent / n, (high - low) / 2.0, "1", "estimate", reference="subjects like these")

    def __getitem__(self, name: str) -> Coherence:
        return self.subjects[name]

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def worst(self) -> Coherence | None:
        """The subject who loses the greatest share; where no money is seen, whose choices are least kept."""
        bad = [c for c in self.subjects.values() if not c.coherent]
        if not bad:
            return None
        return max(bad, key=lambda c: (_or(c.money_pump_index, 0.0), 1.0 - _or(c.houtman_maks, 1.0)))

    @property
    def verdict(self) -> str:
        """The answer in a few sentences."""
        n = len(self)
        vacuous = sum(c.vacuous for c in self.subjects.values())
        who = "subject is" if n == 1 else "subjects are"
        told = f"{self.coherent:,} of {n:,} {who} coherent ({100 * self.share.value:.1f}%)."
        if vacuous:
            told += f" {vacuous:,} would be whatever was chosen (vacuous)."
        worst = self.worst
        if worst is not None and worst.pump is not None:
            told += f" The one who loses most, {worst.subject}, {worst.pump.sentence}."
        return told

    def summary(self) -> str:
        """The verdict and the medians as plain text."""
        lines = [self.verdict, "", f"  {'index':<26} {'median':>8} {'lowest':>8} {'highest':>8}  not proved"]
        for name, words in INDICES.items():
            found = [getattr(c, name) for c in self.subjects.values()]
            values = [i.value for i in found if i.stated]
            if values:
                open_ones = sum(not i.optimal for i in found if i.stated)
                lines.append(
                    f"  {words:<26} {statistics.median(values):8.4g} {min(values):8.4g} {max(values):8.4g}  {open_ones}"
                )
        bits = [c.surprise.value for c in self.subjects.values() if not math.isnan(c.surprise.value)]
        if bits:
            lines.append(f"  {'surprise, bits':<26} {statistics.median(bits):8.4g} {min(bits):8.4g} {max(bits):8.4g}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The panel as plain JSON values under the schema ``pindown/coherence-panel/1``."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "share": self.share.to_dict(),
            "subjects": [c.to_dict() for c in self.subjects.values()],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Panel:
        """Read back what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: where the record is of another schema or damaged.
        """
        schema = record.get("schema") if isinstance(record, Mapping) else None
        if schema != SCHEMA:
            raise CheckpointError(f"a record of schema {schema!r}", SCHEMA)
        if not isinstance(record.get("subjects"), list):
            raise CheckpointError("a panel record without its subjects", SCHEMA)
        found = [Coherence.from_dict(c) for c in record["subjects"]]
        return cls({c.subject: c for c in found})

    def to_dataframe(self) -> pd.DataFrame:
        """One row a subject: whether it is coherent, the indices, and the bits."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, c in self.subjects.items():
            row: dict[str, Any] = {"subject": name, "observations": c.observations, "coherent": c.coherent}
            row |= {k: getattr(c, k).value for k in INDICES if getattr(c, k).stated}
            rows.append(row | {"vacuous": c.vacuous, "surprise": c.surprise.value})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.verdict)}</p>{self.to_dataframe().round(4).to_html(index=False)}"


def coherence_panel(
    panel: Mapping[str, Observed], seed: int = 0, *, surprise: bool = False, progress: Progress | None = None,
    checkpoint: str | Path | None = None, **options: Any,
) -> Panel:  # fmt: skip
    """:func:`pindown.coherence` of each subject; graphs are kept of the one who loses most only.

    Args:
        panel: a table for each subject, as :func:`~pindown.choices.reading.read_panel` gives them.
        seed: the seed of every subject's measurement.
        surprise: whether to measure the surprise of each, which takes most of the time.
        progress: called with the share done and a text.
        checkpoint: folder for unfinished work. The same call with the same folder goes on with the first subject that
            is not done.
        options: further options of :func:`pindown.coherence`.

    Raises:
        DataError: for an empty panel.
        CheckpointError: where the checkpoint folder belongs to another call or is damaged.
    """
    if not panel:
        raise DataError("a panel without subjects", "at least one")
    found: dict[str, Coherence] = {}
    places = [None if checkpoint is None else Path(checkpoint).absolute() / str(k) for k in range(len(panel))]
    work = zip(panel.items(), places, strict=True)
    # One after the other in this process, unless joblib is told of another place.
    each: Any = (
        Parallel(return_as="generator")(delayed(_one)(n, t, seed, surprise, p, options) for (n, t), p in work)
        if configured_elsewhere()
        else (_one(n, t, seed, surprise, p, options) for (n, t), p in work)
    )
    if progress is not None:
        progress(0.0, next(iter(panel)))
    for k, (name, result) in enumerate(zip(panel, each, strict=True), 1):
        found[name] = result
        if progress is not None:
            progress(k / len(panel), name)
    result = Panel(found)
    worst = result.worst
    for name, c in found.items():
        if worst is None or name != worst.subject:
            found[name] = replace(c, graph=Graph((), (), ()), breaks=(), drawn=())
    return Panel(found)


def _one(
    name: str, table: Observed, seed: int, surprise: bool, place: Path | None, options: Mapping[str, Any]
) -> Coherence:
    """One subject, from its folder of unfinished work where it is done."""
    mark = "" if place is None else table_mark(table, seed, surprise, name, sorted(options.items()))
    with keep_in(place, mark):
        done = kept("result")
        record = None if done is None else done.load()
        if record is not None:
            return Coherence.from_dict(json.loads(record["record"]))
        inner = None if place is None else place / "work"
        found = coherence(table, seed, surprise=surprise, subject=name, checkpoint=inner, **options)
        if done is not None and place is not None:
            done.save({"record": json.dumps(found.to_dict(), allow_nan=False)}, final=True)
            shutil.rmtree(place / "work")
        return found


def _or(index: Index, other: float) -> float:
    return index.value if index.stated else other
