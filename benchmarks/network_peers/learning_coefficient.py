"""Learning coefficients beside devinterp and canonical-interp: error against the truth, and seconds a chain-step.

Same model, same data, same chains, steps and minibatch. *Speed* is the marginal CPU time of a step of one chain, on one
thread: a long run less a short one over the steps between, so that imports, compiling and storing count for nobody,
each the least of several where it is cheap. *Accuracy* is at the peers' documented settings (their page's example: lr
0.001, nβ 30, 4 chains of 200 draws, batches of 32), at settings after Lau et al. (2023) (nβ = n/ln n, γ = 1, 1000
draws), and for pindown at its defaults, which take no settings.

    python benchmarks/network.py learning_coefficient --peers-python PATH

PATH is a Python of 3.12 or later with ``devinterp==2.0.1``, ``zarr<3.2`` (with later ones devinterp 2.0.1 cannot be
imported) and ``canonical-interp``.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.record import described, machine, now
from torch import nn

import pindown
from pindown.network.digits import digits_subject
from pindown.network.localised import LocalLoss, LocalPosterior
from pindown.network.minibatches import Minibatches
from pindown.network.posterior_chains import Langevin

SCHEMA = "pindown/learning-coefficient-benchmark/1"
SCRIPT = Path(__file__).with_name("learning_coefficient_peer.py")
EXAMPLES = 10_000
CHAINS, BATCH = 8, 32
SHORT, LONG = 200, 1000
LONGER, REPEATS = 5000, 3  # of the quick ones, whose compiling varies by as much as a thousand steps take
LIMIT = 240
Problem = dict[str, Any]


def deep_linear(widths: list[int], rank: int, noise: float, seed: int = 0) -> Problem:
    """A deep linear network each of whose matrices has exactly the rank of the true map."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(EXAMPLES, widths[0], generator=g)
    bases = [torch.linalg.qr(torch.randn(w, w, generator=g))[0][:, :rank] for w in widths]
    weights = [bases[i + 1] @ bases[i].T for i in range(len(widths) - 1)]
    y = x
    for w in weights:
        y = y @ w.T
    y = y + noise * torch.randn(y.shape, generator=g)
    value, multiplicity = pindown.aoyagi(widths, rank)
    named = {f"weight{i}": w.numpy() for i, w in enumerate(weights)}
    return {
        "name": f"deep linear {'-'.join(map(str, widths))}, rank {rank}, noise {noise:g}", "truth": float(value),
        "multiplicity": multiplicity, "x": x.numpy(), "y": y.numpy(), "layers": len(weights), "bias": False,
        "relu": False, **named,
    }  # fmt: skip


def digits(width: int) -> Problem:
    """A trained 64-width-10 perceptron on 500 digits; its λ is not known."""
    subject = digits_subject(width, runs=1)
    x, y = subject.examples.items[0]
    state = subject.space().unflatten(subject.solutions[0].point)
    named = {f"weight{i}": state[f"{2 * i}.weight"].numpy() for i in range(2)}
    named |= {f"bias{i}": state[f"{2 * i}.bias"].numpy() for i in range(2)}
    assert isinstance(x, torch.Tensor)
    return {
        "name": f"digits 64-{width}-10", "truth": None, "x": x.numpy(), "y": y.numpy(), "layers": 2, "bias": True,
        "relu": True, **named,
    }  # fmt: skip


def subject_of(p: Problem) -> pindown.Subject:
    """The problem as pindown's subject."""
    layers: list[nn.Module] = []
    for i in range(p["layers"]):
        weight = torch.as_tensor(p[f"weight{i}"])
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=p["bias"])
        with torch.no_grad():
            layer.weight.copy_(weight)
            if p["bias"]:
                layer.bias.copy_(torch.as_tensor(p[f"bias{i}"]))
        layers += [layer, nn.ReLU()] if p["relu"] and i < p["layers"] - 1 else [layer]
    loss = "mse" if p["truth"] is not None else "cross_entropy"
    return pindown.Subject(nn.Sequential(*layers), loss, (torch.as_tensor(p["x"]), torch.as_tensor(p["y"])))


def own_seconds(p: Problem, nbeta: float, step: float, steps: int) -> float:
    """CPU time of ``steps`` minibatch steps of all chains."""
    subject = subject_of(p)
    local = LocalLoss(subject, subject.solutions[0].point)
    batches = Minibatches(local, BATCH)
    beta = torch.full((1,), nbeta, dtype=torch.float64)
    sampler = Langevin(LocalPosterior(local, 1.0), beta, rejects=False, preconditioned=False, batches=batches)
    sampler.steps.step = torch.full((1,), math.sqrt(step), dtype=torch.float64)
    chains, rng = sampler.start(CHAINS), torch.Generator().manual_seed(0)
    began = time.process_time()
    for _ in range(steps // 10):
        sampler.sweep(chains, beta, rng)
    return time.process_time() - began


def settings(peer: str, how: str, p: Problem, steps: int, seed: int) -> dict[str, Any]:
    """What a peer is given; ``how`` is ``"documented"`` or ``"paper"``."""
    n = len(p["x"])
    documented = how == "documented"
    chains, draws = (4, 200) if documented else (CHAINS, steps)
    lr, nbeta, gamma = (1e-3, 30.0, 0.0) if documented else (1e-5, n / math.log(n), 1.0)
    if peer == "devinterp":
        return {
            "lr": lr, "n_beta": nbeta, "localization": gamma, "num_chains": chains, "num_draws": draws,
            "batch_size": BATCH, "init_seed": seed,
        }  # fmt: skip
    return {
        "draws": draws, "chains": chains, "burnin_steps": 0 if documented else draws // 2, "steps_bw_draws": 1,
        "learning_rate": lr, "localization": gamma, "nbeta": nbeta, "batch_size": BATCH, "seed": seed,
    }  # fmt: skip


def ask(python: str, peer: str, p: Problem, given: dict[str, Any], threads: int) -> dict[str, Any]:
    """Run a peer in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, **{k: v for k, v in p.items() if k not in ("name", "truth", "multiplicity")})
        command = [python, str(SCRIPT), peer, str(path), json.dumps({**given, "threads": threads})]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TMPDIR": folder, "PYTHONPATH": ""}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment)
        except subprocess.TimeoutExpired:
            return {"failed": f"no answer in {LIMIT} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("RECORD ")]
    if not lines:
        return {"failed": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    return json.loads(lines[-1].removeprefix("RECORD "))


def speed(python: str, p: Problem) -> list[dict[str, Any]]:
    """Marginal microseconds of a step of one chain, on one thread."""
    n = len(p["x"])
    nbeta, step = n / math.log(n), 1e-5
    own_seconds(p, nbeta, step, 50)
    short, longer = (min(own_seconds(p, nbeta, step, s) for _ in range(REPEATS)) for s in (SHORT, LONGER))
    own = 1e6 * (longer - short) / ((LONGER - SHORT) * CHAINS)
    rows: list[dict[str, Any]] = [{"peer": "pindown", "problem": p["name"], "microseconds": own}]
    for peer in ("devinterp", "canonical-interp"):
        quick = peer == "canonical-interp"
        long = LONGER if quick else LONG
        taken = 1.5 if quick else 1.0  # its burn-in takes half as many steps again
        runs = {
            steps: [
                ask(python, peer, p, settings(peer, "paper", p, steps, 0), 1) for _ in range(REPEATS if quick else 1)
            ]
            for steps in (SHORT, long)
        }
        failed = [r["failed"] for several in runs.values() for r in several if "failed" in r]
        row: dict[str, Any] = {"peer": peer, "problem": p["name"]}
        if failed:
            row["failed"] = failed[0]
        else:
            least = {steps: min(r["cpu_seconds"] for r in several) for steps, several in runs.items()}
            row["microseconds"] = 1e6 * (least[long] - least[SHORT]) / (taken * (long - SHORT) * CHAINS)
            row["ratio"] = row["microseconds"] / own
            row["cpu_seconds"] = {steps: [r["cpu_seconds"] for r in several] for steps, several in runs.items()}
            row["versions"] = runs[SHORT][0]["versions"]
        rows.append(row)
        print(row, flush=True)
    return rows


def accuracy(python: str, p: Problem, threads: int, seed: int) -> list[dict[str, Any]]:
    """Answers beside the truth."""
    found = pindown.learning_coefficient(subject_of(p), seed=seed)
    low, high = found.interval()
    rows: list[dict[str, Any]] = [
        {
            "peer": "pindown", "problem": p["name"], "settings": "none given", "value": found.value, "low": low,
            "high": high, "status": found.status.value, "seconds": found.seconds, "truth": p["truth"], "seed": seed,
            "gradients": found.evaluations,
        }
    ]  # fmt: skip
    for peer in ("devinterp", "canonical-interp"):
        for how in ("documented", "paper"):
            given = settings(peer, how, p, LONG, seed)
            r = ask(python, peer, p, given, threads)
            row = {"peer": peer, "problem": p["name"], "settings": how, "truth": p["truth"], "given": given}
            if "failed" not in r:
                spread = float(np.std(r["chains"], ddof=1)) / math.sqrt(len(r["chains"]))
                r |= {"low": r["value"] - 1.96 * spread, "high": r["value"] + 1.96 * spread}
            rows.append({**row, **r, "seed": seed})
            print(rows[-1], flush=True)
    return rows


def run(*, peers_python: str | None = None, seed: int = 0) -> dict[str, Any]:
    """All of it.

    Raises:
        SystemExit: without an interpreter that has the peers.
    """
    if not peers_python:
        raise SystemExit("Give --peers-python: an interpreter with devinterp==2.0.1, zarr<3.2 and canonical-interp.")
    threads = torch.get_num_threads()
    record: dict[str, Any] = {
        "schema": SCHEMA, "date": now(), "machine": machine(),
        "chains": CHAINS, "batch": BATCH, "steps": [SHORT, LONG],
        "peers": ["devinterp 2.0.1", "canonical-interp"],
    }  # fmt: skip
    linear = deep_linear([16, 12, 12, 16], 3, 0.1)
    torch.set_num_threads(1)
    record["speed"] = speed(peers_python, linear) + speed(peers_python, digits(100))
    torch.set_num_threads(threads)
    record["accuracy"] = accuracy(peers_python, linear, threads, seed)
    return record


def markdown(record: dict[str, Any]) -> str:
    """The record as a page."""
    lines = [
        "# Learning coefficients beside their peers", "",
        f"{record['date']}, {described(record['machine'])}. {', '.join(record['peers'])}.", "",
        f"## Speed: {record['chains']} chains, minibatches of {record['batch']}", "", __doc__.split("\n\n")[1], "",
        "| problem | peer | µs a step of one chain | ratio |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for r in record["speed"]:
        us = f"{r['microseconds']:.0f}" if "microseconds" in r else r["failed"]
        ratio = f"{r['ratio']:.1f}" if "ratio" in r else ("1" if "failed" not in r else "—")
        lines.append(f"| {r['problem']} | {r['peer']} | {us} | {ratio} |")
    lines += [
        "",
        "## Accuracy",
        "",
        "| problem | peer | settings | λ | 95% | truth | error | seconds |",
        "|" + " --- |" * 8,
    ]
    for r in record["accuracy"]:
        if "failed" in r:
            lines.append(f"| {r['problem']} | {r['peer']} | {r['settings']} | {r['failed']} | | {r['truth']:g} | | |")
            continue
        error = f"{100 * (r['value'] / r['truth'] - 1):+.1f}%"
        span = f"{r['low']:.4g} to {r['high']:.4g}"
        status = f" ({r['status']})" if r.get("status", "reached") != "reached" else ""
        lines.append(
            f"| {r['problem']} | {r['peer']} | {r['settings']} | {r['value']:.4g}{status} | {span} | {r['truth']:g} | "
            f"{error} | {r['seconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"
