"""Bit planes: evaluations for each decided tensor against a sweep over all planes, and a transformer of 10⁷ weights.

    python -m benchmarks.network_peers.bitplanes            # both parts
    python -m benchmarks.network_peers.bitplanes --part sweep

The sweep is what a person writes first: randomise the k low-order planes of one tensor for k = 1, 2, … to the whole
length of the format, and average some draws at each. It is run with the same stopping rule as the bracket, so that both
decide at the same confidence, and counted as well with a fixed 16 draws a plane, which is what it takes to decide the
planes next to the answer in most tensors.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from benchmarks.record import described, keep, machine, now
from torch import Tensor, nn

import pindown
from pindown.network.digits import digits_subject
from pindown.network.number_formats import number_format
from pindown.network.plane_search import Randomiser, Rule, level_at
from pindown.network.replaced import ReplacedLoss, weight_tensors
from pindown.spaces.network import Normal

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
FIXED_DRAWS = 16
MOST_DRAWS = 64  # after which a level stays undecided, for both
GUESSES = 5  # losses that a bracket takes besides its levels, at most: two curvatures and the trial of vmap


class Transformer(nn.Module):
    """A decoder on bytes: learned positions, pre-norm blocks, causal attention."""

    def __init__(self, width: int, layers: int, heads: int, length: int, vocabulary: int = 256) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        t = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(t, device=x.device)
        h = self.blocks(self.embed(x) + self.place.weight[:t], mask=mask, is_causal=True)
        return self.out(self.norm(h)).transpose(1, 2)


def text() -> Tensor:
    """The bytes of this project's own pages and modules: a text that is at hand."""
    files = [*sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "src").rglob("*.py"))]
    return torch.tensor(list("\n".join(f.read_text(encoding="utf-8") for f in files).encode()), dtype=torch.long)


def trained_transformer(
    *,
    width: int,
    layers: int,
    heads: int,
    length: int,
    steps: int,
    sequences: int,
    seed: int = 0,
    kept: Path | None = None,
) -> pindown.Subject:
    """A transformer trained on :func:`text` for some steps, with sequences of it as its data.

    Its weights and its data are kept in the file ``kept``, and read from there where it exists.
    """
    data, g = text(), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Transformer(width, layers, heads, length)

    def batch(n: int) -> tuple[Tensor, Tensor]:
        at = torch.randint(0, len(data) - length - 1, (n,), generator=g)
        rows = torch.stack([data[i : i + length + 1] for i in at.tolist()])
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    if kept is not None and kept.exists():
        held = torch.load(kept, weights_only=True)
        model.load_state_dict(held["weights"])
        pair = held["inputs"], held["targets"]
    else:
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(steps):
            x, y = batch(16)
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        pair = batch(sequences)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"weights": model.state_dict(), "inputs": pair[0], "targets": pair[1]}, kept)
    size = sum(p.numel() for p in model.parameters())
    name = f"transformer, {size / 1e6:.3g} million weights"
    return pindown.Subject(model.eval(), "cross_entropy", pair, name=name, prior=Normal(0.0, 0.02))


def sweep(subject: pindown.Subject, form: str, epsilon: float, seed: int) -> dict[str, dict[str, Any]]:
    """Every plane of every tensor with the rule of the bracket: draws, and the most planes below the first refusal."""
    loss, f = ReplacedLoss(subject), number_format(form)
    tensors = [w for w in weight_tensors(subject.module) if w.value is not None]
    codes = {w.name: f.encode(w.value) for w in tensors if w.value is not None}
    exact = frozenset(n for n, c in codes.items() if torch.equal(c.weights(), subject.module.get_parameter(n)))
    draws = Randomiser(loss, codes, exact, seed)
    rule = Rule(epsilon, 0.95, MOST_DRAWS, loss.plain(), 1e-6, "nats")
    out: dict[str, dict[str, Any]] = {}
    for name in codes:
        levels = [
            level_at(rule, f, k, lambda start, n, k=k, name=name: draws.losses({name: k}, start, n))
            for k in range(1, f.bits + 1)
        ]
        refused = next((v.planes for v in levels if v.decision == "not tolerated"), f.bits + 1)
        low = max((v.planes for v in levels if v.decision == "tolerated" and v.planes < refused), default=0)
        out[name] = {"draws": sum(v.draws for v in levels), "low": low, "high": refused - 1, "planes": f.bits}
    return out


def compare(subject: pindown.Subject, form: str, epsilon: float, seed: int) -> dict[str, Any]:
    """Losses for each tensor by the bracket and by the sweep."""
    began = time.perf_counter()
    ours = pindown.bitplanes(subject, epsilon=epsilon, format=form, seed=seed, draws=MOST_DRAWS)
    seconds, began = time.perf_counter() - began, time.perf_counter()
    theirs = sweep(subject, form, epsilon, seed + 1)
    sweep_seconds = time.perf_counter() - began
    rows = []
    for t in ours.measured:
        b, s = t.bracket, theirs[t.name]
        assert b is not None
        rows.append(
            {
                "tensor": t.name, "size": t.size, "decided": b.low == b.high, "bracket": b.draws + GUESSES,
                "sweep": s["draws"], "fixed": FIXED_DRAWS * s["planes"], "low": b.low, "high": b.high,
                "sweep_low": s["low"], "sweep_high": s["high"],
                "agree": b.low <= s["high"] and s["low"] <= b.high,
            }
        )  # fmt: skip
    decided = [r for r in rows if r["decided"]]
    return {
        "subject": ours.subject, "format": form, "epsilon": epsilon, "seed": seed, "tensors": len(rows),
        "decided": len(decided), "agree": sum(r["agree"] for r in rows),
        "bracket_each": fmean(r["bracket"] for r in decided), "sweep_each": fmean(r["sweep"] for r in decided),
        "fixed_each": fmean(r["fixed"] for r in decided),
        "ratio_same_rule": sum(r["sweep"] for r in decided) / sum(r["bracket"] for r in decided),
        "ratio_same_rule_median": median(r["sweep"] / r["bracket"] for r in decided),
        "ratio_fixed": sum(r["fixed"] for r in decided) / sum(r["bracket"] for r in decided),
        "seconds_with_joint_figures": seconds, "sweep_seconds_without": sweep_seconds, "rows": rows,
    }  # fmt: skip


def large(
    form: str,
    epsilon: float,
    seed: int,
    *,
    width: int = 384,
    layers: int = 6,
    steps: int = 40,
    checkpoint: Path | None = None,
) -> dict[str, Any]:
    """Everything that the front door gives for a transformer of about 10⁷ weights, and its time.

    With a checkpoint folder an interrupted run goes on, and the time is that of all its parts.
    """
    kept = None if checkpoint is None else checkpoint / "model.pt"
    subject = trained_transformer(
        width=width, layers=layers, heads=6, length=64, steps=steps, sequences=8, seed=seed, kept=kept
    )
    clock = None if checkpoint is None else checkpoint / "seconds.json"
    wall, cpu = json.loads(clock.read_text()) if clock is not None and clock.exists() else (0.0, 0.0)
    began, busy = time.perf_counter(), time.process_time()
    try:
        found = pindown.bitplanes(
            subject, epsilon=epsilon, format=form, seed=seed,
            checkpoint=None if checkpoint is None else checkpoint / "planes",
        )  # fmt: skip
    finally:
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - busy
        if clock is not None:
            clock.write_text(json.dumps([wall, cpu]))
    a = found.allocation
    together = found.together.rise
    return {
        "subject": found.subject, "weights": sum(t.size for t in found.measured), "tensors": len(found.measured),
        "format": form, "epsilon": epsilon, "seed": seed, "seconds": wall, "cpu_seconds": cpu,
        "evaluations": found.evaluations, "baseline": found.baseline.value,
        "decided": sum(t.tolerated.status.ok for t in found.measured),
        "joint_uniform": [found.joint.low, found.joint.high],
        "allocated_bits_a_weight": a.bits / sum(t.size for t in found.measured), "allocation": a.status.value,
        "verified_rise": a.verified.rise.value, "verified_stderr": a.verified.rise.stderr,
        "predicted_rise": a.predicted.value,
        "single_answers_together_over_epsilon": together.value / epsilon if math.isfinite(together.value) else None,
        "recommendation": found.recommendation,
    }  # fmt: skip


def run(*, part: str = "all", seed: int = 0, epsilon: float = 0.01, checkpoint: Path | None = None) -> dict[str, Any]:
    """The whole benchmark, or one part: ``"sweep"`` or ``"large"``."""
    record: dict[str, Any] = {"machine": machine(), "date": now(), "seed": seed}
    if part in ("all", "sweep"):
        digits = digits_subject(100, seed=seed, runs=1)
        small = trained_transformer(width=48, layers=1, heads=4, length=32, steps=300, sequences=8, seed=seed)
        record["sweep"] = [compare(s, form, epsilon, seed) for s in (digits, small) for form in ("fp32", "bf16")]
    if part in ("all", "large"):
        record["large"] = large("fp32", epsilon, seed, checkpoint=checkpoint)
    return record


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    lines = [
        "# Bit planes: evaluations and time", "",
        f"{record['date']}, {described(record['machine'])}; seed {record['seed']}.", "",
    ]  # fmt: skip
    if "sweep" in record:
        lines += [
            "Losses over all data for each decided tensor. *Bracket* counts everything that a tensor takes: levels,",
            "the level that checks the growth, the first guess. *Fixed* is a sweep over all planes with "
            f"{FIXED_DRAWS} draws each,",
            "*same rule* a sweep that stops at each plane as the bracket does. *Agree*: tensors whose intervals of",
            "planes from bracket and sweep meet; their draws are independent.", "",
            "| subject | format | tensors | decided | agree | bracket | fixed | same rule | fixed ÷ bracket "
            "| same rule ÷ bracket |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        lines += [
            f"| {r['subject']} | {r['format']} | {r['tensors']} | {r['decided']} | {r['agree']} "
            f"| {r['bracket_each']:.1f} | {r['fixed_each']:.0f} | {r['sweep_each']:.1f} | **{r['ratio_fixed']:.1f}** "
            f"| {r['ratio_same_rule']:.1f} |"
            for r in record["sweep"]
        ]
        lines.append("")
    if "large" in record:
        r = record["large"]
        lines += [
            f"The whole answer for a {r['subject']} in {r['tensors']} tensors ({r['format']}, ε = {r['epsilon']:g} "
            f"nats, 512 tokens): **{r['seconds'] / 60:.1f} minutes**, {r['cpu_seconds'] / 60:.1f} minutes of CPU, "
            f"{r['evaluations']:,} losses; "
            f"{r['decided']} tensors decided. "
            f"Allocated jointly {r['allocated_bits_a_weight']:.3g} bits a weight, rise {r['verified_rise']:.4f} ± "
            f"{r['verified_stderr']:.4f} (predicted {r['predicted_rise']:.4f}).", "",
            r["recommendation"], "",
        ]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Run, and write the record and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("all", "sweep", "large"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--checkpoint", type=Path, default=None, help="where an interrupted large part goes on from")
    options = parser.parse_args()
    file = options.out / "network_bitplanes.json"
    record = run(part=options.part, seed=options.seed, checkpoint=options.checkpoint)
    if options.part != "all" and file.exists():  # the other part stays as it was measured
        record = json.loads(file.read_text(encoding="utf-8")) | record
    keep(options.out, file.stem, record, markdown(record))


if __name__ == "__main__":
    main()
