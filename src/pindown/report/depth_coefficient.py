"""The section on the local learning coefficient: its curve over inverse temperatures, its checks, over training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pindown.estimate import Estimate, Status
from pindown.report import charts, notation
from pindown.report import depth_text as told
from pindown.report.blocks import Block, Card, CardGroup, Cards, Column, Figure, Notice, Row, Section, Table
from pindown.report.depth_records import Coefficient, LearningCurve
from pindown.report.plane_map import row_label

__all__ = ["Coefficients", "coefficient_section"]

Coefficients = tuple[int, str, Coefficient]
"""Its series, its subject's name, what was found."""

_FITS = 1e-3  # least chance of so bad a fit at which the fit is drawn
_MOST_NAMED = 6
_ANSWER = 3.0  # how far right of the last inverse temperature the answer stands, as a factor


def coefficient_section(
    several: Sequence[Coefficients],
    training: Sequence[tuple[int, str, LearningCurve]] = (),
    notices: Sequence[Notice] = (),
) -> Section:
    """The local learning coefficients of one or more networks."""
    named = len(several) > 1
    # What a notice says already is not said again.
    quiet = [(name, () if c.estimate.status is Status.WIDENED else c.notes) for _, name, c in several]
    blocks: list[Block] = [*notices, *_warnings(several)]
    if several:
        blocks.append(_cards(several))
    if any(c.points for _, _, c in several):
        blocks.append(_curve(several))
    blocks += [_groups(i, name, c, half=named) for i, name, c in several if c.groups]
    if training:
        blocks.append(_training(training))
    blocks += [*_points(several), *_choices(several)]
    return Section(
        "Local learning coefficient",
        [*(_said(name, c, named=named) for _, name, c in several), *map(_followed, training)],
        blocks,
        method=told.COEFFICIENT_METHOD,
        limits=[*told.COEFFICIENT_LIMITS, *told.noted(quiet)],
    )


def _said(name: str, c: Coefficient, *, named: bool) -> str:
    e = c.estimate
    interval = notation.labelled_interval(e)
    text = f"λ at the trained weights is {notation.value_text(e)}" + (f" ({interval})" if interval else "")
    if c.dim:
        text += f", of {notation.count(c.dim)} weights"
    if not e.status.ok:
        text += f"; {notation.status_words(e.status)}"
    return f"{name}: {text}." if named else f"{text}."  # a sentence may open with λ, which has no capital here


def _followed(run: tuple[int, str, LearningCurve]) -> str:
    """From where to where λ went, and at which checkpoints there is no figure."""
    _, name, t = run
    ended = [p.estimate.status.ok for p in t.points]
    labels = [t.names[k] if k < len(t.names) else f"checkpoint {k + 1}" for k in range(len(t.points))]
    good = [k for k, ok in enumerate(ended) if ok]
    said = f"{name} over training: "
    if len(good) > 1:
        first, last = (f"{notation.value_text(t.points[k].estimate)} at {labels[k]}" for k in (good[0], good[-1]))
        said += f"λ goes from {first} to {last}"
    elif good:
        said += f"λ is {notation.value_text(t.points[good[0]].estimate)} at {labels[good[0]]}"
    else:
        said += "no checkpoint has a figure that can be used"
    gone = [label for label, ok in zip(labels, ended, strict=True) if not ok]
    if good and gone:
        listed = ", ".join(gone[:_MOST_NAMED]) + (", …" if len(gone) > _MOST_NAMED else "")
        said += f"; {len(gone)} of {len(ended)} checkpoints have no figure that can be used ({listed})"
    return f"{said}."


def _warnings(several: Sequence[Coefficients]) -> Iterator[Notice]:
    """What is not converged and why; a curve that no form fits; a self-check that failed."""
    for _, name, c in several:
        if not c.estimate.status.ok:
            against = list(dict.fromkeys(o for p in c.points for o in p.objections))
            reasons = f"{'; '.join(against)}. " if against else ""
            yield Notice("caution", f"{name}: {c.estimate.status}.", f"{reasons}{c.estimate.status.message}")
        elif c.estimate.status is Status.WIDENED and c.notes:
            yield Notice("caution", f"{name}: the interval was widened.", " ".join(c.notes))
        bad = [n for n, g in c.groups.items() if not g.estimate.status.ok]
        if bad:
            yield Notice("caution", f"{name}: not converged in {', '.join(bad)}.", "The table tells what objects.")
        check = c.self_check
        if check is not None:
            low, high = check.estimate.interval(0.99)
            share = "" if check.error is None else f", an error of {_signed(100 * check.error / check.truth)}%"
            found = f"λ is {notation.number(check.truth)}, found {charts.figure_text(check.estimate)}{share}."
            near = check.error is not None and abs(check.error) <= 0.05 * check.truth
            good = check.estimate.status.ok and (low <= check.truth <= high or near)
            text = f"The same settings on a linear model of like size: {found}"
            if check.localised is not None and abs(lost := check.localised / check.truth - 1.0) >= 0.01:
                text += f" The localisation alone makes {_signed(100 * lost)}% at n/ln n."
            yield Notice("good" if good else "bad", f"{name}: self-check {'passed' if good else 'failed'}.", text)


def _signed(x: float) -> str:
    return ("+" if x > 0 else "") + notation.number(x, 2)


def _cards(several: Sequence[Coefficients]) -> Cards:
    groups: list[CardGroup] = []
    for i, name, c in several:
        cards = [Card("λ at the trained weights", c.estimate, f"of {notation.count(c.dim)} weights" if c.dim else "")]
        if c.self_check is not None:
            cards.append(Card("Self-check", c.self_check.estimate, f"truth {notation.number(c.self_check.truth)}"))
        loss = "" if c.loss_at_weights is None else f"loss {notation.number(c.loss_at_weights)} at the weights, "
        groups.append(CardGroup(name, f"{loss}{c.method or 'sampler not recorded'} chains", cards, i))
    return Cards(groups)


def _curve(several: Sequence[Coefficients]) -> Figure:
    """λ at each inverse temperature, what the curve tends to, and the answer at the right."""
    traces: list[charts.Trace] = []
    shown = [p for _, _, c in several for p in c.points]
    last = max((p.nbeta for p in shown if math.isfinite(p.nbeta)), default=1.0)
    values = [p.estimate for p in shown] + [c.estimate for _, _, c in several]
    stem = 0.12 * charts.span([*(e.value for e in values), 0.0])
    fitted: list[str] = []
    unfitted: list[str] = []
    places: list[float] = []
    for k, (i, name, c) in enumerate(several):
        points = sorted(c.points, key=lambda p: p.nbeta)
        if c.fit is not None and points and (c.fit.p_value or 0.0) >= _FITS:
            traces += _fit(i, name, c, points[0].nbeta, points[-1].nbeta)
            fitted.append(name)
        elif c.fit is not None:
            unfitted.append(name)
        traces += charts.estimates(
            [p.nbeta for p in points], [p.estimate for p in points], i, name,
            texts=[f"{name}, nβ = {notation.number(p.nbeta)}: {charts.figure_text(p.estimate)}" for p in points],
            joined=True, stem=stem,
        )  # fmt: skip
        places.append(_ANSWER * last * 1.35**k)
        traces += charts.estimates(
            places[-1:], [c.estimate], i, name, texts=[f"{name}, the answer: {charts.figure_text(c.estimate)}"],
            legend=False, stem=stem, symbol="star",
        )  # fmt: skip
    x_axis = charts.numeric_axis("inverse temperature nβ", [*(p.nbeta for p in shown), *places])
    if "tickvals" in x_axis:
        kept = [(v, t) for v, t in zip(x_axis["tickvals"], x_axis["ticktext"], strict=True) if v <= 1.05 * last]
        middle = math.sqrt(places[0] * places[-1])
        x_axis |= {"tickvals": [*(v for v, _ in kept), middle], "ticktext": [*(t for _, t in kept), "answer"]}
        low = min(p.nbeta for p in shown)
        x_axis["range"] = [math.log10(low / 1.5), math.log10(places[-1] * 1.5)]
    caption = "Bars: 95% intervals. Stars: the answer, with its interval."
    if fitted:
        caption += f" Shaded: what the curve tends to, from the fit ({', '.join(fitted)})."
    if unfitted:
        caption += f" No form of the curve fits that of {', '.join(unfitted)}: none is drawn."
    return Figure(
        title="λ against the inverse temperature",
        spec={
            "data": traces,
            "layout": {
                "showlegend": len(several) > 1,
                "xaxis": x_axis,
                "yaxis": charts.axis("λ", rangemode="tozero"),
            },
        },
        summary="; ".join(
            f"{name}: "
            + ", ".join(f"{charts.figure_text(p.estimate)} at nβ = {notation.number(p.nbeta)}" for p in c.points)
            + f"; the answer is {charts.figure_text(c.estimate)}"
            for _, name, c in several
        )
        + ".",
        table=Table(
            "λ at each inverse temperature, and the answer",
            [Column("subject"), Column("nβ"), Column("λ", estimate=True)],
            [
                row
                for _, name, c in several
                for row in ([name, "the answer", c.estimate], *([name, p.nbeta, p.estimate] for p in c.points))
            ],
        ),
        caption=caption,
        height=360,
    )  # fmt: skip


def _fit(i: int, name: str, c: Coefficient, low: float, high: float) -> list[charts.Trace]:
    """The limit of the curve as a band over the inverse temperatures."""
    assert c.fit is not None
    below, above = Estimate(c.fit.value, abs(c.fit.stderr), "1").interval()
    m = 1 + max(range(len(c.fit.multiplicity)), key=lambda k: c.fit.multiplicity[k] if c.fit else 0.0, default=0)
    text = f"{name}, the fit: {notation.number(c.fit.value)} ± {notation.number(c.fit.stderr, 2)}, multiplicity {m}"
    line = charts.line([low, high], [c.fit.value] * 2, i, texts=[text, text])
    line["line"] |= {"width": 1, "dash": "dot"}
    return [*charts.band([low, high], [below] * 2, [above] * 2, i), line]


def _groups(i: int, name: str, c: Coefficient, *, half: bool) -> Figure:
    """λ of each group of parameters, the others held."""
    names = list(c.groups)
    figures = [c.groups[n].estimate for n in names]
    title = f"λ of each group of {name}"
    return Figure(
        title=title,
        spec={
            "data": charts.estimates(
                list(range(len(names))),
                figures,
                i,
                name,
                texts=[f"{n}: {charts.figure_text(e)}" for n, e in zip(names, figures, strict=True)],
                sideways=True,
                legend=False,
                stem=0.1 * charts.span([*(e.value for e in figures), 0.0]),
            ),
            "layout": {
                "xaxis": charts.axis("λ, the other weights held", rangemode="tozero"),
                "yaxis": {
                    "range": [len(names) - 0.4, -0.6],
                    "ticks": "",
                    "tickmode": "array",
                    "tickvals": list(range(len(names))),
                    "ticktext": [row_label(n) for n in names],
                },
            },
        },
        summary=f"{name}: "
        + ", ".join(f"{n} {charts.figure_text(e)}" for n, e in zip(names, figures, strict=True))
        + ".",
        table=Table(
            title,
            [Column("group"), Column("weights", digits=0), Column("λ", estimate=True)],
            [[n, c.groups[n].dim, e] for n, e in zip(names, figures, strict=True)],
        ),
        caption="Each group moves alone, so that their λ do not add up to that of the network. Bars: 95% intervals.",
        height=90 + 28 * len(names),
        half=half,
    )


def _training(training: Sequence[tuple[int, str, LearningCurve]]) -> Figure:
    """λ over a training run, and the loss below it."""
    traces: list[charts.Trace] = []
    rows: list[Row] = []
    figures = [p.estimate for _, _, t in training for p in t.points]
    stem = 0.1 * charts.span([*(e.value for e in figures), 0.0])
    losses: list[float] = []
    for i, name, t in training:
        steps = [t.steps[k] if k < len(t.steps) else float(k) for k in range(len(t.points))]
        labels = [t.names[k] if k < len(t.names) else notation.count(steps[k]) for k in range(len(t.points))]
        traces += charts.estimates(
            steps, [p.estimate for p in t.points], i, name,
            texts=[f"{name}, {n}: {charts.figure_text(p.estimate)}" for n, p in zip(labels, t.points, strict=True)],
            joined=True, stem=stem,
        )  # fmt: skip
        found = [math.nan if p.loss_at_weights is None else p.loss_at_weights for p in t.points]
        losses += found
        loss = charts.line(
            steps, found, i,
            texts=[f"{name}, {n}: loss {notation.number(v)}" for n, v in zip(labels, found, strict=True)],
        )  # fmt: skip
        traces.append(
            loss | {"mode": "lines+markers", "yaxis": "y2", "marker": {"size": 5, "color": charts.series(i)[0]}}
        )
        rows += [[name, n, s, p.estimate, p.loss_at_weights] for n, s, p in zip(labels, steps, t.points, strict=True)]
    layout: dict[str, Any] = {
        "showlegend": len(training) > 1,
        "xaxis": charts.axis("step of training", anchor="y2", tickformat=",d"),
        "yaxis": charts.axis("λ", domain=[0.42, 1], rangemode="tozero"),
        "yaxis2": charts.numeric_axis("loss", losses, domain=[0, 0.32]),
    }
    return Figure(
        title="λ over training",
        spec={"data": traces, "layout": layout},
        summary="; ".join(
            f"{name}: from {charts.figure_text(t.points[0].estimate)} to {charts.figure_text(t.points[-1].estimate)} "
            f"over {len(t.points)} checkpoints"
            for _, name, t in training
            if t.points
        )
        + ".",
        table=Table(
            "λ over training",
            [
                Column("subject"),
                Column("checkpoint"),
                Column("step", digits=0),
                Column("λ", estimate=True),
                Column("loss"),
            ],
            rows,
        ),
        caption="Above: λ with 95% intervals, every checkpoint at the same inverse temperatures and localisation. "
        "Below: the loss at the same weights."
        + (" Open marks without an arrow are not converged." if any(map(charts.doubtful, figures)) else ""),
        height=440,
    )


def _points(several: Sequence[Coefficients]) -> list[Table]:
    rows: list[Row] = []
    for _, name, c in several:
        for group, one in {"all weights": c, **c.groups}.items():
            rows += [
                [name, group, p.nbeta, p.estimate, p.acceptance, p.r_hat, p.effective_size, p.step_size,
                 "; ".join(p.objections) or "none"]
                for p in one.points
            ]  # fmt: skip
    columns = [
        Column("subject"), Column("moved"), Column("nβ"), Column("λ", estimate=True),
        Column("acceptance", digits=2), Column("R-hat", digits=3), Column("effective size", digits=3),
        Column("step size", digits=3), Column("objections"),
    ]  # fmt: skip
    return [Table("Every inverse temperature, with its checks", columns, rows)] if rows else []


def _choices(several: Sequence[Coefficients]) -> list[Table]:
    """What the tool chose and why."""
    rows: list[Row] = []
    for _, name, c in several:
        rows += [[name, what, why] for what, why in c.choices.items()]
        if c.chains is not None and c.sweeps is not None:
            chains, sweeps = notation.count(c.chains), notation.count(c.sweeps)
            text = f"{chains} at each inverse temperature, {sweeps} recorded moves each"
            rows.append([name, "chains", text])
    if not rows:
        return []
    return [Table("What was chosen, and why", [Column("subject"), Column("choice"), Column("value and reason")], rows)]
