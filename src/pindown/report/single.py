"""Sections of one answer about one network, where it was asked by itself and not by an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pindown.report.blocks import Section
from pindown.report.depth import depth_sections
from pindown.report.depth_coefficient import coefficient_section
from pindown.report.depth_pruning import pruning_section
from pindown.report.depth_records import Basin, Coefficient, Depth, LearningCurve, Spectrum, read_depth
from pindown.report.depth_spectrum import spectrum_section
from pindown.report.reader import Reader, read_as
from pindown.report.weight_records import Concentration, Noise, Pruning, WaterFilling

__all__ = ["basin_sections", "coefficient_sections", "in_depth_sections", "spectrum_sections", "training_sections"]
__all__ += ["weights_sections"]

_NETWORK = "the network"
_EMPTY = Depth("", None, {}, None, None, None, None, None, None, None, None, None, None)
_WEIGHTS: Mapping[str, tuple[str, type[Any]]] = {
    "pindown/pruning/1": ("pruning", Pruning),
    "pindown/noise-tolerance/1": ("noise_tolerance", Noise),
    "pindown/concentration/1": ("concentration", Concentration),
    "pindown/water-filling/1": ("water_filling", WaterFilling),
}


def in_depth_sections(record: Mapping[str, Any]) -> list[Section]:
    """Everything that was asked of one network.

    Args:
        record: schema ``pindown/in-depth/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    depth = read_depth(Reader(record, "record"))
    return depth_sections([(0, depth.solution or _NETWORK, depth)])


def weights_sections(record: Mapping[str, Any]) -> list[Section]:
    """Pruning, noise tolerance, concentration or water-filling by itself.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    r = Reader(record, "record")
    field, kind = _WEIGHTS.get(str(record.get("schema")), ("pruning", Pruning))
    answer = read_as(kind, r)
    depth = replace(_EMPTY, epsilon=getattr(answer, "epsilon", None), **{field: answer})
    return [pruning_section([(0, _NETWORK, depth)])]


def coefficient_sections(record: Mapping[str, Any]) -> list[Section]:
    """A local learning coefficient, schema ``pindown/learning-coefficient/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    c = read_as(Coefficient, Reader(record, "record"))
    return [coefficient_section([(0, c.name or _NETWORK, c)])]


def training_sections(record: Mapping[str, Any]) -> list[Section]:
    """Learning coefficients over training, schema ``pindown/learning-curve/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    return [coefficient_section([], [(0, _NETWORK, read_as(LearningCurve, Reader(record, "record")))])]


def spectrum_sections(record: Mapping[str, Any]) -> list[Section]:
    """A spectrum, schema ``pindown/spectrum/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    section = spectrum_section([(0, _NETWORK, read_as(Spectrum, Reader(record, "record")))], [])
    return [replace(section, title="Spectrum")]


def basin_sections(record: Mapping[str, Any]) -> list[Section]:
    """A basin, schema ``pindown/basin/1``.

    Raises:
        CheckpointError: where the record is of another schema or damaged; the place is named.
    """
    section = spectrum_section([], [(0, _NETWORK, read_as(Basin, Reader(record, "record")))])
    return [replace(section, title="Basin")]
