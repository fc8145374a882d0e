"""basin-volume (tyche 0.1.0) on an ellipsoid, under its own interpreter; prints a JSON line. No pindown here.

PEERS_PYTHON basin_peer.py PROBLEM.npz SETTINGS_JSON
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import torch


def main() -> None:
    """Run from the command line."""
    warnings.filterwarnings("ignore")
    settings = json.loads(sys.argv[2])
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as file:
        scales, cutoff = torch.as_tensor(file["scales"]).float(), float(file["cutoff"])
    from tyche import aggregate, diag_preconditioner, get_estimates_vectorized_gauss

    calls = 0

    def loss(w: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return (scales * w.square()).sum()

    # At its documented exponent of a half the proposals have the ellipsoid's own shape; eps is its default.
    shape = diag_preconditioner(scales) if settings["preconditioned"] else None
    began = time.perf_counter()
    found = get_estimates_vectorized_gauss(
        settings["rays"], 1.0, unary_fn=loss, params=torch.zeros(len(scales)), cutoff=cutoff, seed=settings["seed"],
        preconditioner=shape, with_tqdm=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    each = (-found.estimates / math.log(2)).tolist()
    record = {
        "bits": -float(aggregate(found.estimates)) / math.log(2), "lowest": min(each), "highest": max(each),
        "evaluations": calls, "seconds": seconds, "versions": {n: version(n) for n in ("tyche", "torch")},
    }  # fmt: skip
    print("RECORD " + json.dumps(record))


if __name__ == "__main__":
    main()
