"""The section on curvature and the basin: eigenvalues, sums over the spectrum, bits against the cutoff."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pindown.report import charts, notation
from pindown.report import depth_text as told
from pindown.report.blocks import Block, Column, Figure, Notice, Row, Section, Table
from pindown.report.depth_records import Basin, Spectrum

__all__ = ["Basins", "Spectra", "spectrum_section"]

Spectra = tuple[int, str, Spectrum]
Basins = tuple[int, str, Basin]
"""Its series, its subject's name, what was found."""

_STEPS = 300  # corners of a density that a chart can show
_LOOSE = 5.0  # bits of spread over rays above which the mean rests on the luckiest


def spectrum_section(spectra: Sequence[Spectra], basins: Sequence[Basins], notices: Sequence[Notice] = ()) -> Section:
    """Curvature at the trained weights and the basin around them."""
    blocks: list[Block] = [*notices, *_warnings(spectra, basins)]
    if any(s.eigenvalues for _, _, s in spectra):
        blocks.append(_eigenvalues(spectra))
    if any(s.nodes for _, _, s in spectra):
        blocks.append(_density(spectra))
    if any(len(b.curve) > 1 for _, _, b in basins):  # one cutoff is no curve: the table below holds it
        blocks.append(_basin(basins))
    blocks += [*_figures(spectra), *_cutoffs(basins)]
    return Section(
        "Spectrum and basin",
        [*(_said(name, b, named=len(basins) > 1) for _, name, b in basins if b.curve)],
        blocks,
        method=told.SPECTRUM_METHOD,
        limits=told.SPECTRUM_LIMITS,
    )


def _said(name: str, b: Basin, *, named: bool) -> str:
    point = min(b.curve, key=lambda p: abs(p.cutoff - b.cutoff))
    e = point.bits if point.bits is not None else point.radial
    words = notation.with_error(e).replace("≥", "at least").replace("≤", "at most") if e is not None else "not measured"
    interval = f" ({notation.labelled_interval(e)})" if e is not None and e.kind == "estimate" else ""
    text = f"the basin around the weights, {b.loss} at most {notation.number(point.cutoff)}, has {words}{interval}"
    if e is not None and not e.status.ok:
        text += f"; {notation.status_words(e.status)}"
    return f"{name}: {text}." if named else text[:1].upper() + text[1:] + "."


def _warnings(spectra: Sequence[Spectra], basins: Sequence[Basins]) -> Iterator[Notice]:
    for _, name, s in spectra:
        if s.warnings:
            yield Notice("caution", f"{name}:", " ".join(s.warnings))
    for _, name, b in basins:
        if b.remarks:
            yield Notice("caution", f"{name}:", " ".join(b.remarks))
    spread = [
        (name, max(p.radial_spread or 0.0 for p in b.curve))
        for _, name, b in basins
        if b.curve and all(p.bits is None for p in b.curve)
    ]
    loose = [(name, x) for name, x in spread if x > _LOOSE]
    if loose:
        said = ", ".join(f"{notation.number(x, 2)} bits in {name}" for name, x in loose)
        yield Notice(
            "caution",
            "The bounds from rays are loose.",
            f"Single rays differ by {said} (one standard deviation), so that a bound rests on the luckiest rays and "
            "lies far above the truth. The bridge estimates the bits themselves.",
        )
    for _, name, b in basins:
        found = {e.status for p in b.curve for e in (p.bits, p.radial) if e is not None and not e.status.ok}
        for status in found:
            yield Notice("caution", f"{name}, basin: {notation.status_words(status)}.", status.message)


def _eigenvalues(spectra: Sequence[Spectra]) -> Figure:
    """The largest eigenvalues by rank."""
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    values: list[float] = []
    for i, name, s in spectra:
        texts = [f"{name}, {_ordinal(k)} eigenvalue: {charts.figure_text(e)}" for k, e in enumerate(s.eigenvalues, 1)]
        ranks = [float(k) for k in range(1, len(s.eigenvalues) + 1)]
        traces += charts.estimates(ranks, s.eigenvalues, i, name, texts=texts, joined=True)
        values += [e.value for e in s.eigenvalues]
        rows += [[name, k, e] for k, e in enumerate(s.eigenvalues, 1)]
    most = max(len(s.eigenvalues) for _, _, s in spectra)
    return Figure(
        title="Largest eigenvalues",
        spec={
            "data": traces,
            "layout": {
                "showlegend": len(spectra) > 1,
                "xaxis": charts.axis("rank", range=[0.5, most + 0.5], dtick=max(1, most // 10)),
                "yaxis": charts.numeric_axis(f"eigenvalue of the {_matrix(spectra)}", values),
            },
        },
        summary="; ".join(
            f"{name}: " + ", ".join(notation.value_text(e) for e in s.eigenvalues) for _, name, s in spectra
        )
        + ".",
        table=Table(
            "Largest eigenvalues",
            [Column("subject"), Column("rank", digits=0), Column("eigenvalue", estimate=True)],
            rows,
        ),
        caption="Bars: 95% intervals; where the eigenvalues are from Lanczos’ method their error is the residual, "
        "within which one is certain to lie. Without bars: exact to rounding.",
        height=340,
        half=True,
    )


def _matrix(spectra: Sequence[Spectra]) -> str:
    kinds = {s.matrix for _, _, s in spectra}
    names = {"hessian": "Hessian", "gauss-newton": "Gauss–Newton matrix"}
    return names.get(next(iter(kinds)), "matrix") if len(kinds) == 1 else "matrix"


def _ordinal(k: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{k}{'th' if k % 100 in (11, 12, 13) else endings.get(k % 10, 'th')}"


def _density(spectra: Sequence[Spectra]) -> Figure:
    """How many eigenvalues are above h, from the density as points."""
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    below: list[str] = []
    heights: list[float] = []
    for i, name, s in spectra:
        corners = _above(s)
        if not corners:
            continue
        x, y = [h for h, _ in corners], [n for _, n in corners]
        heights += y
        texts = [f"{name}: {notation.number(n, 3)} eigenvalues from {notation.number(h, 3)} up" for h, n in corners]
        line = charts.line(x, y, i, texts=texts)
        line |= {"name": charts.plain(name), "showlegend": len(spectra) > 1}
        line["line"] |= {"shape": "vh"}
        traces.append(line)
        rows += [[name, h, n] for h, n in corners]
        if s.negative_directions is not None:
            below.append(f"{name}: {notation.with_error(s.negative_directions)} are negative")
    marks = [h for t in traces for h in t["x"]]
    quadrature = [name for _, name, s in spectra if s.method != "dense" and s.nodes]
    caption = "Only eigenvalues above the precision of the format or of the steps are shown."
    if quadrature:
        caption += (
            f" {', '.join(quadrature)}: from stochastic quadrature, an approximation without an interval of its own; "
            "the sums in the table have theirs."
        )
    return Figure(
        title="Spectral density: how many eigenvalues lie above",
        spec={
            "data": traces,
            "layout": {
                "showlegend": len(spectra) > 1,
                "xaxis": charts.numeric_axis("eigenvalue h", marks),
                "yaxis": charts.numeric_axis("eigenvalues above h", heights),
            },
        },
        summary="; ".join(below) + "." if below else "How many eigenvalues are above each value.",
        table=Table("Eigenvalues above h", [Column("subject"), Column("h"), Column("eigenvalues", digits=3)], rows),
        caption=caption,
        height=340,
        half=True,
    )


def _above(s: Spectrum) -> list[tuple[float, float]]:
    """Corners (h, number of eigenvalues at h or above) for h above the precision, thinned to what a chart shows."""
    size = s.parameters or float(len(s.nodes))
    least = max(s.precision or 0.0, 0.0)
    points = sorted(((h, w) for h, w in zip(s.nodes, s.weights, strict=False) if h > least and w > 0), reverse=True)
    out: list[tuple[float, float]] = []
    total = 0.0
    for h, w in points:
        total += w * size
        if math.isfinite(total):
            out.append((h, total))
    if len(out) <= _STEPS:
        return out
    # The largest stay single corners; the rest is thinned evenly over ln h.
    head, tail = out[: _STEPS // 3], out[_STEPS // 3 :]
    low, high = math.log(tail[-1][0]), math.log(tail[0][0])
    most = _STEPS - len(head) - 1
    kept = {round(most * (math.log(h) - low) / max(high - low, 1e-300)): (h, n) for h, n in tail}
    return [*head, *kept.values()]


def _basin(basins: Sequence[Basins]) -> Figure:
    """Bits of the basin against the cutoff: the bridge's figures, and the bounds from rays."""
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    points = [p for _, _, b in basins for p in b.curve]
    figures = [e for p in points for e in (p.bits, p.radial) if e is not None]
    losses = sorted({b.loss for _, _, b in basins if b.loss})
    x_axis, place = charts.tolerance_axis(
        f"cutoff on the {losses[0] if len(losses) == 1 else 'loss'}", [p.cutoff for p in points]
    )
    top = max((e.value for e in figures if math.isfinite(e.value)), default=1.0)
    stem = 0.09 * top
    for i, name, b in basins:
        curve = sorted(b.curve, key=lambda p: p.cutoff)
        x = [place(p.cutoff) for p in curve]
        for what, picked, joined, symbol in (
            ("by the bridge", [p.bits for p in curve], True, ""),
            ("bound from rays", [p.radial for p in curve], False, "diamond-tall"),
        ):
            if not any(e is not None for e in picked):
                continue
            label = f"{name}, {what}"
            texts = [
                f"{label}, {notation.number(p.cutoff)}: {charts.figure_text(e)}"
                for p, e in zip(curve, picked, strict=True)
            ]
            marks = charts.estimates(x, picked, i, label, texts=texts, joined=joined, stem=stem, symbol=symbol)
            traces += [t | {"legendgroup": label} for t in marks]
        rows += [[name, p.cutoff, p.bits, p.radial] for p in curve]
    return Figure(
        title="Bits of the basin around the weights against the cutoff",
        spec={
            "data": traces,
            "layout": {
                "showlegend": True,
                "xaxis": x_axis,
                "yaxis": charts.axis("bits of the basin", range=[0, 1.08 * top], tickformat=",d"),
            },
        },
        summary="; ".join(
            f"{name}: "
            + ", ".join(
                f"{charts.figure_text(p.bits if p.bits is not None else p.radial)} below {notation.number(p.cutoff)}"
                for p in b.curve
            )
            for _, name, b in basins
        )
        + ".",
        table=Table(
            "Bits of the basin",
            [
                Column("subject"),
                Column("cutoff"),
                Column("by the bridge", estimate=True),
                Column("bound from rays", estimate=True),
            ],
            rows,
        ),
        caption="Bars: 95% intervals. Open marks with an arrow are bounds: the true bits lie where the arrow points."
        + charts.zero_note(x_axis),
        height=360,
    )


def _figures(spectra: Sequence[Spectra]) -> list[Table]:
    rows: list[Row] = []
    for _, name, s in spectra:
        shift = "" if s.shift is None else f"ln det(H + {notation.number(s.shift, 3)} I), in nats"
        named = [
            ("trace", s.trace, ""),
            (shift or "log-determinant", s.log_determinant, f"shift: {s.shift_reason}" if s.shift_reason else ""),
            ("half the effective number of parameters at the shift", s.effective, "λ as the tether leaves it"),
            ("λ by Laplace, half the rank", s.laplace, "only at a minimum without flat directions"),
            ("lowest eigenvalue", s.lowest, ""),
            ("negative directions", s.negative_directions, ""),
            (
                "zero directions",
                s.zero_directions,
                f"|h| at most {notation.number(s.precision, 2)}" if s.precision else "",
            ),
        ]
        how = (
            f"all {notation.count(s.parameters)} eigenvalues"
            if s.method == "dense"
            else f"{notation.count(s.probes)} probes for the trace, {notation.count(s.quadrature_probes)} of "
            f"{notation.count(s.steps)} Lanczos steps"
        )
        rows += [[name, what, e, note or None, how] for what, e, note in named if e is not None]
    columns = [Column("subject"), Column("figure"), Column("value", estimate=True), Column("note"), Column("from")]
    return [Table("Curvature at the trained weights", columns, rows)] if rows else []


def _cutoffs(basins: Sequence[Basins]) -> list[Table]:
    rows: list[Row] = [
        [name, p.cutoff, p.bits, p.radial, p.radial_spread, p.radial_size, b.reference or None]
        for _, name, b in basins
        for p in b.curve
    ]
    columns = [
        Column("subject"), Column("cutoff"), Column("bits by the bridge", estimate=True),
        Column("bound from rays", estimate=True), Column("spread of the rays, bits", digits=2),
        Column("effective number of rays", digits=3), Column("prior"),
    ]  # fmt: skip
    return [Table("The basin at each cutoff", columns, rows)] if rows else []
