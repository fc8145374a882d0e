"""Structured pruning beside torch-pruning's own pruner: the loss at equal sparsity, and evaluations to a threshold.

    python -m benchmarks.network_peers.pruning              # about two minutes on one core

Both remove whole channels by torch-pruning's dependency graph, without retraining, so that what differs is the order
and the search. The peer's pruner is run with its group magnitude, Taylor and optimal-brain-damage (Hessian) importances
and global ranking, as its documentation does, at a grid of ratios; gradients come from the whole training set. Ours is
run by magnitude and by saliency. Losses are compared at the peer's own shares of parameters kept, on the training and
the held-out examples. To reach a threshold the peer has no search: it is given a sweep that removes one channel at a
time, which is what finding the same answer takes.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from benchmarks.record import described, keep, machine, now
from torch import nn

import pindown
from pindown.network.digits import digits_data, digits_subject
from pindown.network.pruning_results import Pruning

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
EPSILON = 0.1
SEEDS = 3
PERCEPTRON = "perceptron 64-100-10"


def convolutional(seed: int) -> tuple[nn.Module, pindown.Subject]:
    """A small convolutional network on the digits, trained to a training loss of about 0.02."""
    (x, y), (held_x, held_y) = digits_data(0)
    x, held_x = x.view(-1, 1, 8, 8), held_x.view(-1, 1, 8, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10),
        )  # fmt: skip
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(12):
            for rows in torch.randperm(len(x)).split(50):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
                optimiser.step()
    model.eval()
    return model, pindown.Subject(
        model, "cross_entropy", (x, y), held_out=(held_x, held_y), name="digits, convolutional"
    )


def perceptron(seed: int) -> tuple[nn.Module, pindown.Subject]:
    """The built-in 64-100-10 network."""
    subject = digits_subject(100, seed=seed, runs=1)
    model = copy.deepcopy(subject.module)
    model.load_state_dict(subject.space().unflatten(subject.solutions[0].point))
    return model, subject


def losses(model: nn.Module, subject: pindown.Subject) -> tuple[float, float]:
    """Mean training and held-out loss."""
    out = []
    with torch.no_grad():
        for held_out in (False, True):
            batches = subject.batches(held_out=held_out)
            total = sum(float(nn.functional.cross_entropy(model(x), y, reduction="sum")) for x, y in batches)
            out.append(total / batches.size)
    return out[0], out[1]


def peer_pruned(model: nn.Module, subject: pindown.Subject, importance: str, ratio: float, steps: int = 1) -> Any:
    """The peer's pruner on a copy, with the gradients that its importance asks for."""
    twin = copy.deepcopy(model)
    for p in twin.parameters():
        p.requires_grad_(True)
    kinds: dict[str, Callable[[], Any]] = {
        "magnitude": tp.importance.GroupMagnitudeImportance,
        "Taylor": tp.importance.GroupTaylorImportance,
        "Hessian": tp.importance.GroupHessianImportance,
    }
    judge = kinds[importance]()
    x, y = subject.batches().items[0]
    last = [m for m in twin.modules() if isinstance(m, nn.Linear)][-1]
    pruner = tp.pruner.BasePruner(
        twin, x[:2], importance=judge, global_pruning=True, pruning_ratio=ratio, ignored_layers=[last],
        iterative_steps=steps,
    )  # fmt: skip
    if importance == "Taylor":
        nn.functional.cross_entropy(twin(x), y).backward()
    if importance == "Hessian":
        loss = nn.functional.cross_entropy(twin(x), y, reduction="none")
        judge.zero_grad()
        for one in loss:
            twin.zero_grad()
            one.backward(retain_graph=True)
            judge.accumulate_grad(twin)
    return twin, pruner


def kept(model: nn.Module, whole: int) -> float:
    return sum(p.numel() for p in model.parameters()) / whole


def at_share(found: Pruning, share: float) -> tuple[float, float]:
    """Our training and held-out rise at a share kept, between measured points by straight lines."""
    points = sorted(found.curve.points, key=lambda p: p.kept)
    shares = [p.kept for p in points]
    held = [p.held_out_rise.value if p.held_out_rise else float("nan") for p in points]
    return float(np.interp(share, shares, [p.rise.value for p in points])), float(np.interp(share, shares, held))


def one(kind: str, make: Callable[[int], tuple[nn.Module, pindown.Subject]], seed: int) -> list[dict[str, Any]]:
    """All rows of one network."""
    model, subject = make(seed)
    base, held_base = losses(model, subject)
    whole = sum(p.numel() for p in model.parameters())
    rows: list[dict[str, Any]] = []
    ours: dict[str, Pruning] = {}
    for order in ("magnitude", "saliency"):
        began = time.process_time()
        ours[order] = pindown.pruning(subject, epsilon=EPSILON, order=order, structured=True, draws=0, seed=seed)
        seconds = time.process_time() - began
        threshold = ours[order].kept
        rows.append(
            {
                "network": kind, "seed": seed, "who": "pindown", "order": order, "kept_at_threshold": threshold.value,
                "stderr": threshold.stderr, "status": threshold.status.value, "channels_gone": ours[order].curve.pruned,
                # networks on the training examples; the same number on the held-out ones
                "evaluations": ours[order].evaluations // 2, "seconds": seconds,
                "falls": len(ours[order].curve.falls),
            }
        )  # fmt: skip
    # The peer's Hessian takes one backward pass an example and ratio: minutes for the convolutional network.
    for importance in ("magnitude", "Taylor", "Hessian") if kind == PERCEPTRON else ("magnitude", "Taylor"):
        points = []
        for ratio in RATIOS:
            twin, pruner = peer_pruned(model, subject, importance, ratio)
            pruner.step()
            share = kept(twin, whole)
            loss, held = losses(twin, subject)
            points.append(
                {"ratio": ratio, "kept": share, "rise": loss - base, "held_out_rise": held - held_base}
                | {
                    f"{o} {w}": v
                    for o, f in ours.items()
                    for w, v in zip(("rise", "held_out"), at_share(f, share), strict=True)
                }
            )
        began = time.process_time()
        channels = ours["magnitude"].curve.units
        gone, evaluations, share = 0, 0, 1.0
        # One channel fewer at a time, until the loss has risen: each step ranks what was given at the start.
        for m in range(1, channels + 1):
            twin, pruner = peer_pruned(model, subject, importance, m / channels)
            pruner.step()
            evaluations += 1
            loss, _ = losses(twin, subject)
            if loss - base > EPSILON:
                break
            gone, share = m, kept(twin, whole)
        rows.append(
            {
                "network": kind, "seed": seed, "who": "torch-pruning", "order": importance, "kept_at_threshold": share,
                "channels_gone": gone, "evaluations": evaluations, "seconds": time.process_time() - began,
                "points": points,
            }
        )  # fmt: skip
    return rows


def markdown(record: dict[str, Any]) -> str:
    """The page."""
    lines = [
        "# Structured pruning beside torch-pruning",
        "",
        f"{record['date']}, {described(record['machine'])}. Networks trained from {SEEDS} seeds each; nothing is "
        "retrained.",
        "",
        "Both remove channels by torch-pruning's dependency graph. The order is what differs: ours by the mean square "
        "of a channel's weights, or by the mean of ½ h w² with the Gauss–Newton diagonal; the peer's by its group "
        "magnitude, Taylor and Hessian importances with global ranking. The rows of the peer are a sweep, one channel "
        f"at a time, to the first rise of the training loss above {EPSILON:g} nats; ours measures the whole curve and "
        "halves its way to the threshold, with an interval. Evaluations are pruned networks on the training examples; "
        "the peer builds its dependency graph for each, as ours does.",
        "",
        "## The threshold",
        "",
        "| network | who | order | share of parameters kept, by seed | evaluations | CPU s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = record["rows"]
    for kind, who, order in dict.fromkeys((r["network"], r["who"], r["order"]) for r in rows):
        own = [r for r in rows if (r["network"], r["who"], r["order"]) == (kind, who, order)]
        shares = ", ".join(
            f"{r['kept_at_threshold']:.3f}" + (f" ± {r['stderr']:.3f}" if "stderr" in r else "") for r in own
        )
        count, seconds = (np.mean([r[k] for r in own]) for k in ("evaluations", "seconds"))
        lines.append(f"| {kind} | {who} | {order} | {shares} | {count:.0f} | {seconds:.1f} |")
    lines += [
        "",
        "## The loss at equal sparsity",
        "",
        "Rise of the training loss in nats at the share of parameters that the peer's pruner leaves, the mean over "
        "seeds; in brackets that of the held-out loss. **Bold** is the smallest.",
    ]
    for kind in dict.fromkeys(r["network"] for r in rows):
        lines += [
            "",
            f"### {kind}",
            "",
            "| order of the peer | ratio | kept | peer | ours, magnitude | ours, saliency |",
        ]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        for order in ("magnitude", "Taylor", "Hessian"):
            own = [r["points"] for r in rows if r["network"] == kind and r["who"] != "pindown" and r["order"] == order]
            if not own:
                continue
            for i, ratio in enumerate(RATIOS):
                mean = {k: float(np.mean([p[i][k] for p in own])) for k in own[0][i]}
                pairs = [
                    (mean["rise"], mean["held_out_rise"]), (mean["magnitude rise"], mean["magnitude held_out"]),
                    (mean["saliency rise"], mean["saliency held_out"]),
                ]  # fmt: skip
                best = min(p[0] for p in pairs)
                cells = [f"**{a:.3f}** ({b:.3f})" if a == best else f"{a:.3f} ({b:.3f})" for a, b in pairs]
                lines.append(f"| {order} | {ratio:g} | {mean['kept']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    where = machine("torch-pruning")
    rows: list[dict[str, Any]] = []
    for kind, make in ((PERCEPTRON, perceptron), ("convolutional", convolutional)):
        for seed in range(SEEDS):
            rows += one(kind, make, seed)
            print(kind, seed, flush=True)
    record = {"date": now(), "machine": where, "epsilon": EPSILON, "rows": rows}
    keep(arguments.out, "network_pruning", record, markdown(record))


if __name__ == "__main__":
    main()
