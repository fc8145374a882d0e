"""Which records the report knows: one line for each schema, its sections imported only when such a record is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pindown.errors import CheckpointError
from pindown.report.blocks import Section

__all__ = ["KINDS", "NO_RESULTS", "Kind", "kind_of"]


@dataclass(frozen=True)
class Kind:
    """One kind of record.

    Attributes:
        schema: with its version, as the record states it.
        part: what it is called in a joined report.
        sections: ``module:function`` below ``pindown.report``; the function makes sections from a record.
        made_by: what to run for such a record.
        named: the record's keys that may hold the name of what was measured, the first that has one first; a list
            there holds things with names.
    """

    schema: str
    part: str
    sections: str
    made_by: str
    named: tuple[str, ...] = ("name",)

    @property
    def family(self) -> str:
        """The schema without its version."""
        return self.schema.rpartition("/")[0]

    def make(self, record: Mapping[str, Any]) -> list[Section]:
        """The sections of one record.

        Raises:
            CheckpointError: where the record is damaged; the place is named.
        """
        module, _, function = self.sections.partition(":")
        return getattr(import_module(f"pindown.report.{module}"), function)(record)

    def name(self, record: Mapping[str, Any]) -> str:
        """What was measured, where the record says it."""
        for key in self.named:
            found = record.get(key)
            several = found if isinstance(found, list) else [{"name": found}]
            names = [one.get("name") for one in several if isinstance(one, Mapping)]
            texts = [" ".join(name.split()) for name in names if isinstance(name, str) and name.strip()]
            if texts:
                return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]
        return ""


KINDS: tuple[Kind, ...] = (
    Kind("pindown/profile/1", "Measurement", "profile:profile_sections", "pindown.measure", ("reference",)),
    Kind("pindown/audit/1", "Audit", "audit:audit_sections", "pindown audit", ("subjects",)),
    Kind("pindown/in-depth/1", "One network in depth", "single:in_depth_sections", "pindown audit", ("solution",)),
    Kind("pindown/bitplanes/1", "Bit planes", "bitplanes:bitplanes_sections", "pindown bitplanes", ("subject",)),
    Kind("pindown/pruning/1", "Pruning", "single:weights_sections", "pindown.pruning"),
    Kind("pindown/noise-tolerance/1", "Noise tolerance", "single:weights_sections", "pindown.noise_tolerance"),
    Kind("pindown/concentration/1", "Concentration", "single:weights_sections", "pindown.concentration"),
    Kind("pindown/water-filling/1", "Water-filling", "single:weights_sections", "pindown.water_filling"),
    Kind("pindown/learning-coefficient/1", "Local learning coefficient", "single:coefficient_sections",
         "pindown.learning_coefficient"),
    Kind("pindown/learning-curve/1", "Learning coefficient over training", "single:training_sections",
         "pindown.learning_coefficient_over_training"),
    Kind("pindown/spectrum/1", "Spectrum", "single:spectrum_sections", "pindown.spectrum"),
    Kind("pindown/basin/1", "Basin", "single:basin_sections", "pindown.basin"),
    Kind("pindown/network-comparison/1", "Networks compared", "networks:comparison_sections", "pindown.compare",
         ("networks",)),
    Kind("pindown/sampler-comparison/1", "Optimiser against random solutions", "networks:samplers_sections",
         "pindown.compare_samplers", ()),
    Kind("pindown/compression-study/2", "Compression study", "study:study_sections", "pindown study compression",
         ("subject",)),
    Kind("pindown/coherence/1", "Coherence", "coherence:coherence_sections", "pindown coherence", ("subject", "kind")),
    Kind("pindown/coherence-panel/1", "Coherence of many subjects", "choice_panel:panel_sections",
         "pindown coherence --by", ()),
    Kind("pindown/committee/1", "Subagents", "committee:committee_sections", "pindown subagents", ("subject", "kind")),
    Kind("pindown/ledger/1", "Values", "values:ledger_sections", "pindown values"),
    Kind("pindown/overoptimisation/1", "Over-optimisation", "values:overoptimisation_sections",
         "pindown.overoptimisation"),
    Kind("pindown/arrangements/1", "Arrangements", "arrangements:arrangement_sections", "pindown values arrangements"),
    Kind("pindown/convergence/1", "Resources", "resources:convergence_sections", "pindown resources", ("problem",)),
    Kind("pindown/power/1", "Power", "options:power_sections", "pindown.power", ()),
    Kind("pindown/empowerment/1", "Empowerment", "options:empowerment_sections", "pindown.empowerment", ()),
    Kind("pindown/landscape/1", "Search landscape", "landscape:landscape_sections", "pindown landscape", ("problem",)),
    Kind("pindown/fermi/1", "Fermi estimate", "fermi:fermi_sections", "pindown fermi", ("title",)),
)  # fmt: skip
"""In the order in which a joined report shows them. A new kind is a new line here."""

NO_RESULTS: Mapping[str, str] = {
    "pindown/checkpoint": "unfinished work: go on from it with --resume",
    "pindown/study-step": "unfinished work: go on from it with --resume",
    "pindown/elicitation": "the answers of a session: run `pindown values` with them for a ledger",
    "pindown/estimate": "one figure by itself: hand over the record that it stands in",
    "pindown/two-sided": "a part of a record: hand over the record that it stands in",
}
"""Records of pindown that are no results, and what to do with them."""


def kind_of(record: object) -> Kind:
    """The kind of a record, by its schema.

    Raises:
        CheckpointError: where it is no result of pindown, or one of a version that this one does not read.

    Example:
        >>> kind_of({"schema": "pindown/fermi/1"}).part
        'Fermi estimate'
    """
    if not isinstance(record, Mapping):
        raise CheckpointError(f"a JSON {_json_kind(record)}", "a result of pindown: an object with a schema")
    schema = record.get("schema")
    if not isinstance(schema, str) or not schema.startswith("pindown/"):
        stated = f"the schema {schema!r}" if "schema" in record else "no schema"
        raise CheckpointError(
            f"{stated}: not a result of pindown", "a record that a command wrote, or .to_dict() of a result"
        )
    family = schema.rpartition("/")[0]
    found = next((kind for kind in KINDS if kind.schema == schema), None)
    if found is not None:
        return found
    if family in NO_RESULTS:
        raise CheckpointError(f"a record of schema {schema!r}", "a result", f"this is {NO_RESULTS[family]}")
    same = next((kind for kind in KINDS if kind.family == family), None)
    if same is not None:
        raise CheckpointError(
            f"a record of schema {schema!r}, which this version of pindown does not read", repr(same.schema),
            f"run {same.made_by} again, or use the version of pindown that wrote it",
        )  # fmt: skip
    known = ", ".join(sorted(kind.family.removeprefix("pindown/") for kind in KINDS))
    raise CheckpointError(
        f"a record of schema {schema!r}, which this version of pindown does not know", f"one of {known}"
    )


def _json_kind(value: object) -> str:
    kinds = {list: "list", str: "text", bool: "truth value", int: "number", float: "number"}
    return next((word for kind, word in kinds.items() if type(value) is kind), "null")
