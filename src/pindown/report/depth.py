"""The sections on what was asked of one trained network in depth, several networks side by side."""

from __future__ import annotations

from collections.abc import Sequence

from pindown.report.blocks import Notice, Section
from pindown.report.depth_coefficient import coefficient_section
from pindown.report.depth_planes import planes_section
from pindown.report.depth_pruning import Deep, pruning_section
from pindown.report.depth_spectrum import spectrum_section
from pindown.report.records import Subject

__all__ = ["depth_sections", "in_depth_sections"]

_QUESTIONS = {
    "bitplanes": "bit planes",
    "pruning": "pruning",
    "noise_tolerance": "noise tolerance",
    "concentration": "concentration of the weights",
    "water_filling": "water-filling",
    "learning_coefficient": "learning coefficient",
    "over_training": "learning coefficient over training",
    "spectrum": "spectrum",
    "basin": "basin",
}


def in_depth_sections(subjects: Sequence[Subject]) -> list[Section]:
    """One section a group of questions, for what any of the subjects was asked.

    Args:
        subjects: in the order of the report; their place decides colour and mark.
    """
    return depth_sections([(i, s.name, s.in_depth) for i, s in enumerate(subjects) if s.in_depth is not None])


def depth_sections(deep: Sequence[Deep]) -> list[Section]:
    """The same for answers by themselves: series, name and what was asked of each network."""
    planes = [(i, name, d.bitplanes) for i, name, d in deep if d.bitplanes is not None]
    spectra = [(i, name, d.spectrum) for i, name, d in deep if d.spectrum is not None]
    basins = [(i, name, d.basin) for i, name, d in deep if d.basin is not None]
    lambdas = [(i, name, d.learning_coefficient) for i, name, d in deep if d.learning_coefficient is not None]
    training = [(i, name, d.over_training) for i, name, d in deep if d.over_training is not None]
    weights = [x for x in deep if x[2].pruning or x[2].noise_tolerance or x[2].concentration or x[2].water_filling]
    sections: list[Section] = []
    for names, anything, build in (
        (("bitplanes",), planes, lambda n: planes_section(planes, n)),
        (
            ("pruning", "noise_tolerance", "concentration", "water_filling"),
            weights,
            lambda n: pruning_section(weights, n),
        ),
        (
            ("learning_coefficient", "over_training"),
            [*lambdas, *training],
            lambda n: coefficient_section(lambdas, training, n),
        ),
        (("spectrum", "basin"), [*spectra, *basins], lambda n: spectrum_section(spectra, basins, n)),
    ):
        notices = _unmeasured(deep, names)
        if anything or notices:
            sections.append(build(notices))
    return sections


def _unmeasured(deep: Sequence[Deep], names: Sequence[str]) -> list[Notice]:
    """What could not be asked of a network, and why."""
    return [
        Notice("caution", f"{name}: {_QUESTIONS[question]} not measured.", d.unmeasured[question])
        for question in names
        for _, name, d in deep
        if question in d.unmeasured
    ]
