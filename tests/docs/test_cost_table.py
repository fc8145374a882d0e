"""The costs at scale in the guide to many machines: what they follow from, and that they do."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pindown.network.cost import cost_at_scale

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
STEPS = 2000


def rate() -> float:
    """Operations a second as the guide computes them, from the time in the benchmark's record."""
    (row,) = [
        r
        for r in json.loads((ROOT / "benchmarks/results/device.json").read_text(encoding="utf-8"))["gpu"]
        if r["network"] == "256-1024-768-10" and r["together"] == 64
    ]
    found = re.search(r"rate = (.*)/ (\S+e-3) ", GUIDE)
    assert found is not None
    assert float(found[2]) == pytest.approx(row["milliseconds"] / 1e3, rel=2e-3)
    widths = (256, 1024, 768, 10)
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    behind = sum(a * b for a, b in pairwise(widths[1:]))
    assert f"2 * 2000 * (2 * {weights:_} + {behind:_})" in found[1]
    return 2 * 2000 * (2 * weights + behind) / float(found[2])


def test_every_row_of_the_table_is_computed_from_the_measured_rate() -> None:
    rows = re.findall(r"^\| (1e\+\d\d) \| ([\d,]+) \| (\d+) \| (\S+) \| (\S+) \| (\S+) \|$", GUIDE, re.MULTILINE)
    assert len(rows) == 12
    for parameters, examples, chains, flops, hours, memory in rows:
        cost = cost_at_scale(
            float(parameters), float(examples.replace(",", "")), int(chains), steps=STEPS, flops_a_second=rate()
        )
        assert cost.flops == pytest.approx(float(flops), rel=0.03)  # two digits
        assert cost.hours == pytest.approx(float(hours), rel=6e-3)  # three
        assert cost.gigabytes == pytest.approx(float(memory))
    assert f"{STEPS:,} gradients a chain" in GUIDE


@pytest.mark.parametrize("widths", [(64, 128, 128, 10), (256, 256, 256, 256, 256)])
def test_a_gradient_takes_six_operations_for_each_weight_and_example(widths: tuple[int, ...]) -> None:
    """As torch counts them. The first layer needs no gradient of its inputs: two less for each of its weights."""
    layers = [torch.nn.Linear(a, b, bias=False) for a, b in pairwise(widths)]
    network, examples = torch.nn.Sequential(*layers), 32
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(examples, widths[0])).sum().backward()
    parameters = sum(p.numel() for p in network.parameters())
    claimed = cost_at_scale(parameters, examples, 1, steps=1, flops_a_second=1.0).flops
    assert counter.get_total_flops() == claimed - 2 * examples * widths[0] * widths[1]
