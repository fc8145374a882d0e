"""Trace and largest eigenvalues of a network's Hessian beside PyHessian and curvlinops.

One model (64-100-10 ReLU, trained on 500 digits), one set of examples, one process, one thread, the same seeds. The
exact trace comes from explicit Jacobians: outputs of a ReLU network are linear in each weight, so that the Hessian of
the cross-entropy and its Gauss–Newton matrix have the same diagonal. The exact eigenvalues come from
forward-over-reverse products in double precision and ARPACK at a tolerance of 1e-10. Neither uses pindown's products.

    python -m benchmarks.network_peers.curvature [--peers-python PATH]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.record import described, keep, machine, now

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
SEEDS, TOP = 8, 5


def run(peers_python: str | None = None) -> dict[str, Any]:
    """Measure everything in one process of ``peers_python``, where the peers are; pindown needs no install there."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "OMP_NUM_THREADS": "1"}
    command = [peers_python or sys.executable, "-m", "benchmarks.network_peers.curvature", "--here"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"the benchmark failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def here() -> dict[str, Any]:
    """The measurement itself."""
    import torch

    from pindown.network.digits import digits_subject

    torch.set_num_threads(1)
    where = machine()
    subject = digits_subject(100, runs=1)
    exact_trace, exact_top = reference(subject)
    rows = [row(name, call, exact_trace, exact_top) for name, call in methods(subject)]
    return {
        "schema": "pindown/benchmark-network-curvature/1",
        "date": now(),
        "machine": where,
        "what": f"{subject.architecture}, {subject.space().dim} parameters, {subject.train_size} digits",
        "seeds": SEEDS,
        "exact": {"trace": exact_trace, "eigenvalues": exact_top},
        "rows": rows,
    }


def reference(subject: Any) -> tuple[float, list[float]]:
    """The exact trace and largest eigenvalues, independent of pindown's products."""
    import numpy as np
    import torch
    from scipy.sparse.linalg import LinearOperator, eigsh

    model = model_of(subject).double()
    x, y = subject.batches().items[0]
    x = x.double()
    named = {n: p.detach() for n, p in model.named_parameters()}
    total = 0.0
    for part in x.split(50):
        jacobian = torch.func.vmap(
            torch.func.jacrev(lambda w, one: torch.func.functional_call(model, w, (one.unsqueeze(0),))[0]), (None, 0)
        )(named, part)
        j = torch.cat([t.flatten(2) for t in jacobian.values()], 2)
        with torch.no_grad():
            p = model(part).softmax(1)
        # tr(Jᵀ(diag p − ppᵀ)J) = Σ_c p_c |J_c|² − |Σ_c p_c J_c|²
        total += float((p * j.square().sum(2)).sum() - torch.einsum("bc,bcd->bd", p, j).square().sum())
    loss = lambda w: torch.nn.functional.cross_entropy(torch.func.functional_call(model, w, (x,)), y)  # noqa: E731
    sizes = [p.numel() for p in named.values()]

    def product(v: Any) -> Any:
        flat = torch.as_tensor(np.asarray(v).ravel()).split(sizes)
        tangent = {n: t.view_as(p) for (n, p), t in zip(named.items(), flat, strict=True)}
        out = torch.func.jvp(torch.func.grad(loss), (named,), (tangent,))[1]
        return torch.cat([out[n].flatten() for n in named]).numpy()

    dim = sum(sizes)
    top = eigsh(LinearOperator((dim, dim), matvec=product, dtype=np.float64), k=TOP, which="LA", tol=1e-10)[0]
    return total / len(x), sorted(map(float, top), reverse=True)


def model_of(subject: Any) -> Any:
    """The trained network as a module of its own."""
    import copy

    model = copy.deepcopy(subject.module)
    model.load_state_dict(subject.space().unflatten(subject.solutions[0].point))
    return model


Answer = dict[str, Any]


def methods(subject: Any) -> list[tuple[str, Callable[[int], Answer]]]:
    """Each library's answer as a function of the seed."""
    import torch

    import pindown

    model, (x, y) = model_of(subject), subject.batches().items[0]
    criterion = torch.nn.CrossEntropyLoss()

    def ours(steps: int, accuracy: float) -> Callable[[int], Answer]:
        def call(seed: int) -> Answer:
            found = pindown.spectrum(subject, eigenvalues=TOP, accuracy=accuracy, steps=steps, seed=seed)
            low, high = found.trace.interval()
            return {
                "trace": found.trace.value, "low": low, "high": high, "products": found.products,
                "eigenvalues": [e.value for e in found.eigenvalues],
                "bounds": [e.stderr for e in found.eigenvalues],
            }  # fmt: skip

        return call

    out: list[tuple[str, Callable[[int], Answer]]] = [
        ("pindown, all sums (64 steps)", ours(64, 0.02)),
        ("pindown, trace and eigenvalues", ours(3, 0.02)),
        ("pindown, trace to 0.5%", ours(3, 0.005)),
    ]
    if installed("pyhessian"):

        def pyhessian(seed: int) -> Answer:
            from pyhessian import hessian

            torch.manual_seed(seed)
            job = hessian(model, criterion, data=(x, y), cuda=False)
            top, _ = job.eigenvalues(top_n=TOP)
            trace = job.trace()
            return {
                "trace": sum(trace) / len(trace),
                "eigenvalues": sorted(map(float, top), reverse=True),
                "products": None,
            }

        out.append(("PyHessian, defaults", pyhessian))
    if installed("curvlinops-for-pytorch"):

        def curvlinops(products: int, method: str) -> Callable[[int], Answer]:
            def call(seed: int) -> Answer:
                import curvlinops as library
                from scipy.sparse.linalg import eigsh

                torch.manual_seed(seed)
                parameters = list(model.parameters())
                operator = library.HessianLinearOperator(model, criterion, parameters, [(x, y)])
                top = eigsh(operator.to_scipy(), k=TOP, which="LA", return_eigenvectors=False, tol=1e-4)
                trace = getattr(library, method)(operator, products)
                return {"trace": float(trace), "eigenvalues": sorted(map(float, top), reverse=True), "products": None}

            return call

        out.append(("curvlinops, eigsh and Hutch++ of 99", curvlinops(99, "hutchpp_trace")))
        out.append(("curvlinops, eigsh and Hutchinson of 99", curvlinops(99, "hutchinson_trace")))
    return out


def installed(name: str) -> str | None:
    """The version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def row(name: str, call: Callable[[int], Answer], trace: float, top: list[float]) -> dict[str, Any]:
    """Errors and times over the seeds; a first call that is not timed."""
    try:
        call(10_000)
    except Exception as error:  # noqa: BLE001 — a peer that fails is a row of the table
        return {"name": name, "failed": f"{type(error).__name__}: {error}"[:300]}
    answers, seconds = [], []
    for seed in range(SEEDS):
        began = time.process_time()
        answers.append(call(seed))
        seconds.append(time.process_time() - began)
    traces = [a["trace"] for a in answers]
    wrong = [max(abs(v - e) / e for v, e in zip(a["eigenvalues"], top, strict=True)) for a in answers]
    out: dict[str, Any] = {
        "name": name, "traces": traces, "lowest": min(traces), "highest": max(traces),
        "rms": math.sqrt(sum((t - trace) ** 2 for t in traces) / SEEDS) / trace,
        "eigenvalue_error": max(wrong), "cpu_seconds": sum(seconds) / SEEDS, "products": answers[0]["products"],
    }  # fmt: skip
    if "low" in answers[0]:
        out["covered"] = sum(a["low"] <= trace <= a["high"] for a in answers)
        out["bounds_hold"] = all(
            abs(v - e) <= b + 1e-6 * e
            for a in answers
            for v, b, e in zip(a["eigenvalues"], a["bounds"], top, strict=True)
        )
    return out


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    own = next(r for r in record["rows"] if r["name"] == "pindown, trace and eigenvalues")
    lines = [
        "# Curvature beside its peers",
        "",
        f"{record['date']}, {described(record['machine'])}.",
        "",
        f"Hessian of the cross-entropy of {record['what']}. Exact trace {record['exact']['trace']:.4f}; exact "
        f"eigenvalues {', '.join(f'{v:.4f}' for v in record['exact']['eigenvalues'])}. "
        f"{record['seeds']} seeds each; CPU "
        f'seconds of one call for the trace and {TOP} eigenvalues; the ratio is to "{own["name"]}". Error: root mean '
        "square over the seeds, of the exact trace. PyHessian and curvlinops give no interval.",
        "",
        "| library | trace over seeds | error | intervals that hold it | largest eigenvalue error | CPU s | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in record["rows"]:
        if "failed" in r:
            lines.append(f"| {r['name']} | failed: {r['failed']} | | | | | |")
            continue
        held = f"{r['covered']} of {record['seeds']}" if "covered" in r else "none given"
        lines.append(
            f"| {r['name']} | {r['lowest']:.2f} to {r['highest']:.2f} | {r['rms']:.1%} | {held} | "
            f"{r['eigenvalue_error']:.1g} | {r['cpu_seconds']:.2f} | {r['cpu_seconds'] / own['cpu_seconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", default=os.environ.get("PINDOWN_PEERS_PYTHON"))
    parser.add_argument("--here", action="store_true", help="measure in this process and print the record")
    args = parser.parse_args()
    if args.here:
        print(json.dumps(here()))
        return
    record = run(args.peers_python)
    keep(RESULTS, "network_curvature", record, markdown(record))


if __name__ == "__main__":
    main()
