"""What a GPU gains: the loss with its gradient of several networks at a time, beside the same machine's processor.

    python benchmarks/device.py [--device cuda] [--out FOLDER]

One run, same networks, same data, float32. The share is of the device's own rate on square float32 products, measured
in the same run. Writes ``device.json`` and ``device.md``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import pindown
from record import described, keep, machine, now

HERE = Path(__file__).parent
NETWORKS = {"64-100-10": (500, (64, 100, 10)), "256-1024-768-10": (2000, (256, 1024, 768, 10))}
ROWS = (1, 4, 16, 64)
PEAK_SIZE = 8192


def subject(examples: int, widths: tuple[int, ...], device: str) -> pindown.Subject:
    """A perceptron under He's normal prior; what it was taught does not matter here."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(examples, widths[0], generator=rng)
    y = torch.randint(0, widths[-1], (examples,), generator=rng)
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.ReLU()] * (i > 0) + [nn.Linear(a, b)]
    return pindown.Subject(nn.Sequential(*layers), "cross_entropy", (x, y), prior="he", device=device)


def flops(examples: int, widths: tuple[int, ...]) -> float:
    """Of the matrix products of one loss with gradient: a layer's forward, its weights' gradient, its inputs'."""
    products = [(a + 1) * b for a, b in pairwise(widths)]
    return 2.0 * examples * (2 * sum(products) + sum(a * b for a, b in pairwise(widths[1:])))


def seconds(call: Callable[[], Any], device: str, least: float = 1.0) -> float:
    """The best of repeated calls, over ``least`` seconds or three calls."""

    def once() -> float:
        began = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    once()
    best, spent, calls = float("inf"), 0.0, 0
    while spent < least or calls < 3:
        took = once()
        best, spent, calls = min(best, took), spent + took, calls + 1
    return best


def peak(device: str) -> float:
    """FLOP a second of float32 products."""
    size = PEAK_SIZE if device != "cpu" else PEAK_SIZE // 4
    a = torch.randn(size, size, device=device)
    out = torch.empty_like(a)
    return 2.0 * size**3 / seconds(lambda: torch.mm(a, a, out=out), device)


def rows(device: str) -> list[dict[str, Any]]:
    """Milliseconds a network, for each size and number of networks at a time."""
    best = peak(device)
    out: list[dict[str, Any]] = []
    for name, (examples, widths) in NETWORKS.items():
        one = subject(examples, widths, device)
        objective = one.objective()
        for n in ROWS:
            x: Tensor = one.space().sample(n, rng=torch.Generator().manual_seed(1)).to(one.device)
            took = seconds(lambda x=x, f=objective: f.value_and_gradient(x), device) / n
            share = flops(examples, widths) / took / best
            out.append({"network": name, "together": n, "device": device, "milliseconds": 1e3 * took, "share": share})
            print(out[-1], flush=True)
    return out


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    m = record["machine"]
    lines = [
        "# A loss with its gradient, on a GPU and on the processor beside it", "",
        f"{record['date']}, {m['gpu']}; processor: {described(m)}. "
        "Milliseconds a network; the share is of the device's own rate on square float32 products.", "",
        "| network | at a time | GPU, ms | share | processor, ms | share | processor / GPU |",
        "|" + " ---: |" * 7,
    ]  # fmt: skip
    for a, b in zip(record["gpu"], record["cpu"], strict=True):
        lines.append(
            f"| {a['network']} | {a['together']} | {a['milliseconds']:.3f} | {a['share']:.0%} | "
            f"{b['milliseconds']:.3f} | {b['share']:.0%} | {b['milliseconds'] / a['milliseconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    record = {
        "schema": "pindown/device-benchmark/1", "date": now(),
        "machine": machine() | {"gpu": torch.cuda.get_device_name(args.device)},
        "gpu": rows(args.device), "cpu": rows("cpu"),
    }  # fmt: skip
    keep(args.out, "device", record, markdown(record))


if __name__ == "__main__":
    main()
