"""One peer on one problem, under the peer's own interpreter: reads a problem, prints a JSON line. No pindown here.

PEERS_PYTHON learning_coefficient_peer.py PEER PROBLEM.npz SETTINGS_JSON
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import nn


def model_of(problem: dict[str, Any]) -> nn.Sequential:
    """The trained network."""
    layers: list[nn.Module] = []
    count, bias = int(problem["layers"]), bool(problem["bias"])
    for i in range(count):
        weight = torch.as_tensor(problem[f"weight{i}"])
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
        with torch.no_grad():
            layer.weight.copy_(weight)
            if bias:
                layer.bias.copy_(torch.as_tensor(problem[f"bias{i}"]))
        layers += [layer, nn.ReLU()] if bool(problem["relu"]) and i < count - 1 else [layer]
    return nn.Sequential(*layers)


def devinterp(problem: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """``devinterp.slt.llc.llc``; examples are handed over by their number, as its data sets hold tokens only."""
    import datasets
    from devinterp.slt.llc import llc

    datasets.disable_progress_bars()
    x, y = torch.as_tensor(problem["x"]), torch.as_tensor(problem["y"])
    data = datasets.Dataset.from_dict({"input_ids": [[i, 0] for i in range(len(x))]}).with_format("torch")
    squared = y.is_floating_point()

    def loss(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
        rows = ids[:, 0]
        out = model(x[rows])
        if squared:
            return (out - y[rows]).square().mean(1, keepdim=True)
        return nn.functional.cross_entropy(out, y[rows], reduction="none").unsqueeze(1)

    began, busy = time.perf_counter(), time.process_time()
    found = llc(model_of(problem), data, {"train": data}, loss_fn=loss, device="cpu", batches_per_draw=1, **settings)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    chains = np.asarray(found["llc_per_chain"])
    return {"value": float(found["llc_mean"]), "chains": chains.tolist(), "seconds": seconds, "cpu_seconds": cpu}


def canonical(problem: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """``canonical_interp.slt.LLCEstimator``."""
    from canonical_interp.slt import LLCEstimator
    from torch.utils.data import DataLoader, TensorDataset

    x, y = torch.as_tensor(problem["x"]), torch.as_tensor(problem["y"])
    batch = settings.pop("batch_size")
    loader = DataLoader(
        TensorDataset(x, y), batch_size=batch, shuffle=True, drop_last=True,
        generator=torch.Generator().manual_seed(settings["seed"]),
    )  # fmt: skip
    criterion = nn.functional.mse_loss if y.is_floating_point() else nn.functional.cross_entropy
    seed = settings.pop("seed")
    estimator = LLCEstimator(**settings)
    began, busy = time.perf_counter(), time.process_time()
    estimator.estimate_llc(model_of(problem), loader, criterion, seed=seed, show_progress=False)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    chains = estimator._metrics["llcs"]
    return {"value": float(chains.mean()), "chains": chains.tolist(), "seconds": seconds, "cpu_seconds": cpu}


def main() -> None:
    """Run from the command line."""
    warnings.filterwarnings("ignore")
    peer, path, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    torch.set_num_threads(int(settings.pop("threads")))
    with np.load(path) as file:
        problem = {k: file[k] for k in file.files}
    record = {"devinterp": devinterp, "canonical-interp": canonical}[peer](problem, settings)
    record["versions"] = {name: version(name) for name in (peer, "torch", "zarr")}
    print("RECORD " + json.dumps(record))


if __name__ == "__main__":
    main()
