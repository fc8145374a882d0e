"""How complex are human values? Several routes to the length of a description, none of which bounds it from below."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pindown.fermi.build import binary_entropy, constant, interval, minimum
from pindown.fermi.model import Model
from pindown.fermi.quantity import Quantity

__all__ = ["human_values"]

_DAYS = 365.25


def human_values(*, points: bool = False) -> Model:
    r"""Bits that it takes to describe what a person values, as upper bounds by several routes.

    What is inborn passes through the genome, so that the genome's length, what of it is functional, its genes, its size
    when compressed, and what selection can keep against mutation each bound it from above: five routes, narrowed by the
    share that is specific to the brain and the share of that which bears on values. What is learnt passes through what
    a person takes in. The answer is the least of the five plus what is learnt. **No route bounds it from below.**

    Beside it stand the decoder (a description of values is read by something, which is not in it) and what each kind of
    answer can say in a lifetime: at most :math:`n(1 - h(\varepsilon))` bits by n comparisons of which ε are wrong,
    at most :math:`n(\log_2 k - h(\varepsilon) - \varepsilon\log_2(k-1))` by n choices among k (the capacity of a
    symmetric channel; Cover and Thomas, Elements of Information Theory, 2nd ed., 7.2).

    Args:
        points: one value for each input in place of its range, for a calculation by hand.

    Returns:
        The model; :func:`~pindown.fermi.estimate` estimates it, :func:`~pindown.fermi.to_toml` writes it down.

    Example:
        >>> from pindown import fermi
        >>> by_hand = fermi.estimate(fermi.human_values(points=True), samples=256)
        >>> {n.name: n.middle for n in by_hand.nodes}["genome"]
        6000000000.0
    """

    def between(low: float, high: float, point: float, **more: Any) -> Quantity:
        if not points:
            return interval(low, high, **more)
        return constant(point, **{"bound": "guess", **more})

    pair = constant(2.0, unit="bit / base_pair", name="bits for each base pair", source="four letters: log2 4")
    length = constant(
        3e9, unit="base_pair", name="length of the genome", bound="upper",
        source="Nurk et al. 2022: 3.055e9 in all chromosomes but Y, here rounded",
    )  # fmt: skip
    genome = (length * pair).named("genome")
    share = between(
        0.10, 0.15, 0.125, name="functional share",
        source="Graur 2017: 10% to 15%, at most 25%; Rands et al. 2014 find less, 7.1% to 9.2%",
    )  # fmt: skip
    functional = (genome * share).named("functional genome")
    genes = between(
        19_000, 26_000, 26_000, unit="gene", name="genes",
        source="Ezkurdia et al. 2014: maybe 19,000; Clamp et al. 2007: 20,500; 26,000 in 2001 (not verified)",
    )  # fmt: skip
    bases = between(
        1_500, 3_500, 3_000, unit="base_pair / gene", name="bases in a gene", bound="upper",
        source="Piovesan et al. 2016: eleven exons of 309 bases on average; the lower end is a guess",
    )  # fmt: skip
    coding = (genes * bases * pair).named("genes alone")
    compressed = between(
        30, 100, 60, unit="megabyte", name="compressed genome", bound="upper",
        source="a guess: what of the functional part is left after its redundancy",
    ).named("compressed genome in bits", unit="bit")  # fmt: skip
    selected = between(
        0.3, 3.0, 1.0, unit="bit / generation", name="what selection adds", bound="upper",
        source="Worden 1995: a few bits a generation in all, a small part of one for a part of the phenotype",
    )  # fmt: skip
    mutation = between(
        0.9e-8, 1.5e-8, 1e-8, unit="1 / generation", name="mutations of a base",
        source="Kong et al. 2012: 1.20e-8",
    )  # fmt: skip
    capacity = (selected / mutation).named("what selection can keep")

    brain = between(
        0.05, 0.5, 0.15, name="brain-specific share",
        source="a guess; most genes are expressed somewhere in the brain, far fewer only there",
    )  # fmt: skip
    relevant = between(0.01, 0.3, 0.05, name="value-relevant share", source="a guess without a source")
    narrowing = brain * relevant
    sizes = {
        "by the genome": genome,
        "by its functional part": functional,
        "by its genes": coding,
        "by its compressed size": compressed,
        "by what selection can keep": capacity,
    }
    routes = tuple((size * narrowing).named(f"inborn, {how}") for how, size in sizes.items())
    inborn = minimum(*routes, name="inborn")

    rate = between(
        5, 50, 10, unit="bit / second", name="taken in", bound="upper",
        source="Zheng and Meister 2025: behaviour shows about 10 bits a second",
    )  # fmt: skip
    years = between(18, 80, 40, unit="year", name="years of learning", source="a guess")
    awake = constant(2 / 3, name="share of the day awake", bound="guess", source="16 hours of 24")
    kept = between(
        0.01, 0.3, 0.1, name="share that is kept",
        source="a guess; in what Landauer 1986 reviews nobody kept more than 2 bits a second (as Minsky 1994 tells it)",
    )  # fmt: skip
    of_values = between(0.01, 0.3, 0.05, name="value-relevant share of what is learnt", source="a guess")
    learnt = (rate * years * awake * kept * of_values).named("learnt", unit="bit")
    values = (inborn + learnt).named("human values")
    decoder = (functional * brain).named("decoder (reads the description; apart)")
    return Model(
        target=values,
        routes=routes,
        beside=(learnt, decoder, *_supplies(between)),
        title="How complex are human values?",
        notes=(
            "Every route is an upper bound and none a lower one: nothing here says that values are complex.",
            "No figure is attributed to a talk or an essay on the question: none could be verified there.",
            "That selection keeps no more than a bit a generation over the mutation rate is disputed: with"
            " recombination MacKay 1999 has gains that grow as the root of the genome's size, and Worden 2022 doubts"
            " his model. Without that route the bound is looser.",
            "A description also needs its interpreter. The decoder stands beside the answer and is not added to it.",
            "What answers can supply and what a description takes are bits of different kinds: they share an axis and"
            " are never added. A channel's capacity is at most what is said, so that the gap is no proof either way.",
        ),
    )


def _supplies(ask: Callable[..., Quantity]) -> tuple[Quantity, ...]:
    """What each kind of answer can say in a lifetime of answering."""
    years = ask(5, 60, 20, name="years of answering", source="a guess")
    days = (years * _DAYS).named("days of answering")
    error = ask(0.05, 0.3, 0.15, name="share of wrong answers", source="a guess")
    error = error if error.support[1] <= 0.5 else error.truncated(high=0.5)
    lost = binary_entropy(error)
    one = constant(1.0, unit="1 / answer", name="for each answer", source="what is told and lost is for one answer")
    among = {k: constant(math.log2(k), unit="bit", name=f"bits among {k}", source=f"log2 {k}") for k in _NUMBERS}
    out: list[Quantity] = []
    for name, low, high, point, k in _KINDS:
        count = ask(low, high, point, unit="answer", name=f"{name} a day", source="a guess")
        told = among[k] - lost
        if k > 2:  # which of the wrong ones it was is lost too
            told = told - error * among[k - 1]
        out.append((count * days * (told * one)).named(f"{name} in a lifetime", bound="upper"))
    return tuple(out)


_KINDS = (
    ("comparisons", 10, 1000, 100, 2),
    ("choices among ten", 10, 1000, 100, 10),
    ("demonstrations", 1, 20, 5, 1000),
    ("corrections", 1, 50, 10, 2),
)
"""Kind of answer, how many a day at 5%, at 95% and as one point, among how many (demonstrations: of plans)."""
_NUMBERS = sorted({n for *_, k in _KINDS for n in (k, k - 1) if n > 1})
