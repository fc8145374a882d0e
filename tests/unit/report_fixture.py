"""Audit records as the audit writes them, from synthetic curves with a seeded generator; nothing here is measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pindown.estimate import Estimate, Status

PRIOR_LOSS = 2.4  # mean cross-entropy, in nats, of a network drawn from the prior on ten classes
LABEL_BITS = 500 * math.log2(10)


def est(value: float, stderr: float, unit: str = "bits", **more: Any) -> Estimate:
    more.setdefault("reference", "initialisation of the network")
    more.setdefault("dof", 3)
    return Estimate(value, stderr, unit, **more)


class SyntheticCurve:
    """bits(t) with λ(t) = L·(1 − (t/t0)^p) and d bits / d ln t = −λ / ln 2, through (t_end, bits_end)."""

    def __init__(self, t_end: float, bits_end: float, learning_coefficient_end: float) -> None:
        target = bits_end * math.log(2)
        low, high = 1e-3, 50.0
        for _ in range(80):
            self.p = math.sqrt(low * high)
            u = (t_end / PRIOR_LOSS) ** self.p
            self.top = learning_coefficient_end / (1 - u)
            area = self.top * (math.log(PRIOR_LOSS / t_end) - (1 - u) / self.p)
            low, high = (self.p, high) if area < target else (low, self.p)

    def bits(self, t: float) -> float:
        u = (t / PRIOR_LOSS) ** self.p
        return self.top * (math.log(PRIOR_LOSS / t) - (1 - u) / self.p) / math.log(2)

    def learning_coefficient(self, t: float) -> float:
        return self.top * (1 - (t / PRIOR_LOSS) ** self.p)


def subject(
    name: str,
    hidden: int,
    *,
    seed: int,
    bits_end: float,
    t_end: float,
    lam: float,
    held_out: float,
    sgd: float,
    curve: bool = True,
    meets: bool | None = True,
    sgd_runs: int = 5,
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shape = SyntheticCurve(t_end, bits_end, lam)
    d = 75 * hidden + 10

    def stderr(b: float) -> float:
        return 0.3 + 0.002 * b

    sweep = []
    for t in sorted({1.0, 0.5, 0.2, 0.1, t_end}, reverse=True):
        b, k = shape.bits(t), shape.learning_coefficient(t)
        sweep.append(
            {
                "tolerance": t,
                "bits": est(b + rng.normal(0, 0.3), stderr(b)).to_dict(),
                "learning_coefficient": est(k, 0.01 * k + 0.5, "1").to_dict(),
                "pinned_dimensions": est(2 * k, 0.02 * k + 1, "dimensions").to_dict(),
                "free_dimensions": est(d - 2 * k, 0.02 * k + 1, "dimensions").to_dict(),
                "bits_per_label": est(b / 500, stderr(b) / 500).to_dict(),
            }
        )
    beta = np.geomspace(0.02, lam / t_end * 1.3, 14)
    loss = PRIOR_LOSS / (1 + (beta * t_end / lam) * (PRIOR_LOSS / t_end - 1))
    gap = 0.0 if meets else 0.35
    two_sided = {
        "meets": meets,
        "statement": {
            True: "The chains from both sides have the same loss at equal inverse temperature within their errors.",
            False: "The chains from the two sides differ by more than their errors: both bounds are given.",
            None: "Too few chains came from the known solutions to decide.",
        }[meets],
        "inverse_temperature": beta.tolist(),
        "loss_from_prior": (loss * np.exp(rng.normal(0, 0.01, 14))).tolist(),
        "loss_from_prior_stderr": (0.02 * loss).tolist(),
        "loss_from_known": (loss * np.exp(rng.normal(-gap, 0.01, 14))).tolist(),
        "loss_from_known_stderr": (0.03 * loss).tolist(),
        "bits_from_prior": est(bits_end, 2.2, kind="estimate" if meets else "upper_bound").to_dict(),
        "bits_from_known": est(
            bits_end - (0.8 if meets else 41), 2.9, kind="estimate" if meets else "lower_bound"
        ).to_dict(),
    }
    profile: dict[str, Any] = {
        "schema": "pindown/profile/1",
        "engine": "ladder",
        "reference": "initialisation of the network",
        "dim": d,
        "seed": seed,
        "repeats": 4,
        "status": "reached",
        "evaluations": 412_000,
        "gradient_evaluations": 398_000,
        "seconds": 61.4 + hidden / 10,
        "loss_floor": est(t_end * 0.8, 0.002, "1", kind="upper_bound").to_dict(),
        "diagnostics": {},
    }
    if curve:
        grid = np.geomspace(PRIOR_LOSS * 0.98, t_end * 0.8, 200)
        b = np.array([shape.bits(t) for t in grid])
        s = 0.3 + 0.002 * b
        profile["curve"] = {
            "loss": grid.tolist(),
            "bits": b.tolist(),
            "stderr": s.tolist(),
            "low": (b - 3.18 * s).tolist(),
            "high": (b + 3.18 * s).tolist(),
        }
    margin = {t: est(bits_end * share, 6.1 * share) for t, share in ((0.0, 0.93), (0.01, 0.8), (0.1, 0.55), (1.0, 0.2))}
    grid = [1.5, 1.0, 0.4, 0.1, 0.03, 0.01, 0.003, 1e-30]
    margin_bits = np.interp(np.arange(8), [0, 1, 3, 5, 7], bits_end * np.array([0.1, 0.2, 0.55, 0.8, 0.93]))
    margin_curve = {
        "loss": grid,
        "bits": margin_bits.tolist(),
        "stderr": [4.0] * 8,
        "low": (margin_bits - 13).tolist(),
        "high": (margin_bits + 13).tolist(),
    }
    solutions = []
    for k in range(sgd_runs):
        t = float(t_end * np.exp(rng.normal(0.1, 0.35)))
        deep = t < t_end * 0.8
        solutions.append(
            {
                "name": f"Adam, seed {k}",
                "seed": k,
                "optimiser": "Adam",
                "steps": 600,
                "train_loss": t,
                "train_error": 0.0,
                "held_out_loss": 0.31 + rng.normal(0, 0.02),
                "held_out_error": max(0.0, sgd + rng.normal(0, 0.006)),
                "depth": est(
                    shape.bits(max(t, t_end * 0.8)),
                    0.0 if deep else 2.3,
                    kind="lower_bound" if deep else "estimate",
                    status=Status.BUDGET_SPENT if deep else Status.REACHED,
                ).to_dict(),
            }
        )
    return {
        "name": name,
        "architecture": f"Linear(64, {hidden}), ReLU, Linear({hidden}, 10)",
        "parameters": d,
        "frozen": 0,
        "prior": "He normal weights, zero biases of the layers' own initialisation",
        "task": "classification",
        "train_size": 500,
        "held_out_size": 1297,
        "label_bits": est(LABEL_BITS, 0.0, kind="exact", dof=None).to_dict(),
        "solutions": solutions,
        "measurements": [
            {
                "loss": "cross-entropy",
                "event": "mean cross-entropy over the training set at most t (nats)",
                "primary": True,
                "tolerance": t_end,
                "sweep": sweep,
                "profile": profile,
                "two_sided": two_sided,
            },
            {
                "loss": "margin",
                "event": "mean shortfall of the margin at most t; at 0: no training error",
                "primary": False,
                "tolerance": 0.0,
                "sweep": [
                    {
                        "tolerance": t,
                        "bits": e.to_dict(),
                        "learning_coefficient": None,
                        "pinned_dimensions": None,
                        "free_dimensions": None,
                        "bits_per_label": est(e.value / 500, e.stderr / 500).to_dict(),
                    }
                    for t, e in margin.items()
                ],
                "profile": {**profile, "curve": margin_curve, "status": "widened", "seconds": 33.0, "two_sided": None},
                "two_sided": None,
            },
        ],
        "comparison": {
            "at_loss": t_end,
            "sgd": {"held_out_error": est(sgd, 0.003, "1", dof=4).to_dict(), "runs": sgd_runs},
            "random": {
                "held_out_error": est(held_out, 0.0021, "1").to_dict(),
                "draws": 200,
                "ancestors": 61,
            },
            "difference": est(held_out - sgd, 0.0037, "1").to_dict(),
        },
    }


def digits_record(**more: Any) -> dict[str, Any]:
    """The default audit: width 30 and width 100 on the digits."""
    return audit_record(
        [
            subject("width 30", 30, seed=1, bits_end=923, t_end=0.052, lam=216, held_out=0.066, sgd=0.061, **more),
            subject("width 100", 100, seed=2, bits_end=1056, t_end=0.079, lam=331, held_out=0.063, sgd=0.052, **more),
        ]
    )


HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)> & "quoted", [bold]x[/bold]'


def hard_record() -> dict[str, Any]:
    """Five subjects that are each awkward in another way."""
    unreached = subject("unreached", 60, seed=3, bits_end=700, t_end=0.06, lam=200, held_out=0.07, sgd=0.06)
    for k, point in enumerate(unreached["measurements"][0]["sweep"]):
        if k >= 3:
            spent = {"kind": "lower_bound", "status": Status.BUDGET_SPENT}
            point["bits"] = est(455.1 + 3 * k, 0.0, **spent).to_dict()
            point["bits_per_label"] = est(0.91, 0.0, **spent).to_dict()
            point["learning_coefficient"] = None
            point["pinned_dimensions"] = None
            point["free_dimensions"] = est(
                4200.0, 0.0, "dimensions", kind="upper_bound", status=Status.BUDGET_SPENT
            ).to_dict()
    unreached["measurements"][0]["profile"]["status"] = "budget spent"
    unreached["measurements"][0]["profile"]["curve"] = None
    unreached["comparison"] = None

    apart = subject(
        "apart", 30, seed=4, bits_end=950, t_end=0.05, lam=220, held_out=0.09, sgd=0.05, meets=False, sgd_runs=40
    )

    regression = subject(
        "regression", 12, seed=5, bits_end=310, t_end=0.11, lam=61, held_out=0.21, sgd=0.19, meets=None
    )
    regression |= {"task": "regression", "label_bits": None, "architecture": "", "frozen": None, "prior": ""}
    regression["measurements"] = regression["measurements"][:1]
    regression["measurements"][0] |= {"loss": "mean squared error", "event": "mean squared error at most t"}
    for point in regression["measurements"][0]["sweep"]:
        point["bits_per_label"] = None
    for solution in regression["solutions"]:
        solution |= {"train_error": None, "held_out_error": None}
    sides = regression["comparison"]
    for side in ("sgd", "random"):
        sides[side]["held_out_loss"] = sides[side].pop("held_out_error")

    gaps = subject(HOSTILE, 20, seed=6, bits_end=500, t_end=0.2, lam=120, held_out=0.1, sgd=0.1, sgd_runs=0)
    gaps |= {"held_out_size": None, "comparison": None}
    curve = gaps["measurements"][0]["profile"]["curve"]
    curve["high"][150:] = ["inf"] * 50
    curve["low"][20:25] = ["nan"] * 5
    gaps["measurements"][0]["two_sided"]["loss_from_known_stderr"][3] = "nan"
    gaps["measurements"][0]["two_sided"]["loss_from_prior"][0] = "inf"
    gaps["measurements"][0]["sweep"][1]["bits"] = est(260.0, math.nan, status=Status.NOT_CONVERGED).to_dict()

    empty = {"name": "not measured", "parameters": 5, "measurements": []}
    return audit_record([unreached, apart, regression, gaps, empty])


def audit_record(subjects: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": "pindown/audit/1",
        "created": "2025-03-04T10:20:30+00:00",
        "version": "0.1.0",
        "environment": {"python": "3.11.7", "torch": "2.9.0", "platform": "Linux x86_64", "cores": 2, "device": "cpu"},
        "seed": 0,
        "seconds": 161.8,
        "full": False,
        "verdict": [
            "width 30: weights with cross-entropy ≤ 0.052 are pinned down by 923.3 bits (95%: 916.4 to 930.1), fewer "
            "than the 1661 bits that the training labels can hold (1.85 bits (95%: 1.83 to 1.86) a label).",
            "width 30: at cross-entropy 0.052 the loss pins 432 dimensions (95%: 415 to 449) (2λ) and leaves 1,828 of "
            "2,260 dimensions free (81%).",
            "width 100: weights with cross-entropy ≤ 0.079 are pinned down by 1,056.5 bits (95%: 1,048.9 to 1,064.2), "
            "fewer than the 1661 bits that the training labels can hold.",
            "At cross-entropy ≤ 0.079, width 100 pins more bits than width 30: the difference is 258.2 bits (95%: "
            "248.1 to 268.3).",
        ],
        "notes": [
            "The bits are relative to the networks' own initialisation; another prior gives other bits.",
            "A few runs that agree do not prove that no other basin exists; the two-sided check starts from the "
            "trained weights for this reason.",
            "500 training images and 1297 held-out images of one data set: nothing here speaks of other data.",
        ],
        "subjects": subjects,
    }


def resolved(x: Any, key: str = "") -> Any:
    """A chart with a colour in place of every name of one."""
    if isinstance(x, dict):
        return {k: resolved(v, k) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [resolved(v, key) for v in x]
    return "#123456" if key.endswith("color") and isinstance(x, str) and x.startswith("@") else x
