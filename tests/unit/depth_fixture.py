"""Records of one trained network as the measurements write them, without running one; nothing here is measured."""

from __future__ import annotations

import math
from typing import Any

import report_fixture as fixture

from pindown.estimate import Estimate, Status

EPSILON = 0.01
TENSORS = {"0.weight": 1920, "0.bias": 30, "2.weight": 300, "2.bias": 10}


def e(value: float, stderr: float = 0.0, unit: str = "1", **more: Any) -> dict[str, Any]:
    more.setdefault("kind", "estimate" if stderr else "exact")
    return Estimate(value, stderr, unit, **more).to_dict()


def level(planes: int, times: float, decision: str = "", nonfinite: int = 0) -> dict[str, Any]:
    rise = EPSILON * times
    said = decision or ("tolerated" if times < 1 and not nonfinite else "not tolerated")
    kind = "" if planes <= 0 else "mantissa" if planes <= 23 else "exponent" if planes < 32 else "sign"
    figure = e(rise, abs(rise) / 9 + 1e-7, "nats", dof=31)
    return {"planes": planes, "kind": kind, "draws": 32, "nonfinite": nonfinite, "rise": figure, "decision": said}


def bracket(low: int, high: int, levels: list[dict[str, Any]]) -> dict[str, Any]:
    kind = "estimate" if low == high else "lower_bound"
    status = Status.REACHED if low == high else Status.NOT_CONVERGED
    return {
        "low": low,
        "high": high,
        "fits": True,
        "levels": levels,
        "non_monotone": [],
        "confidence": 0.95,
        "tolerated": e(low, 0.0, "bits", kind=kind, status=status),
    }


def bitplanes(name: str) -> dict[str, Any]:
    tensors = [
        {
            "name": tensor,
            "aliases": [],
            "layer": "Linear",
            "shape": [size],
            "size": size,
            "dtype": "float32",
            "saturated": 0,
            "unsupported": "",
            "bracket": (found := bracket(20 + k, 20 + k, [level(0, 0.0), level(20 + k, 0.4), level(21 + k, 3.0)])),
            "tolerated": found["tolerated"],
        }
        for k, (tensor, size) in enumerate(TENSORS.items())
    ]
    tensors[3]["bracket"] = bracket(29, 30, [level(29, 0.02), level(30, 1.0, "undecided"), level(31, 9e3, nonfinite=3)])
    tensors[3]["tolerated"] = tensors[3]["bracket"]["tolerated"]
    unsupported = {"name": "3.scale", "size": 4, "bracket": None, "unsupported": "every entry is zero"}
    tensors.append({**tensors[0], **unsupported, "tolerated": e(math.nan, math.nan, "bits", status=Status.UNSUPPORTED)})
    kept = {"0.weight": 11, "0.bias": 9, "2.weight": 12, "2.bias": 4}
    target = {"0.weight": "int4", "0.bias": "fp16", "2.weight": "fp8_e4m3", "2.bias": "fp16"}
    return {
        "schema": "pindown/bitplanes/1",
        "subject": name,
        "architecture": "64-30-10, ReLU",
        "loss": "cross-entropy",
        "data": "training data",
        "examples": 500,
        "baseline": e(0.035, 0.0, "nats"),
        "format": "fp32",
        "bits": 32,
        "mantissa": 23,
        "exponent": 8,
        "epsilon": EPSILON,
        "relative": None,
        "tensors": tensors,
        "joint": bracket(19, 19, [level(19, 0.6), level(20, 2.5)]),
        "together": level(-1, 4.2),
        "allocation": {
            "kept": kept,
            "predicted": e(0.0048, math.nan, "nats", kind="estimate"),
            "verified": level(-1, 0.46),
            "rounded": e(0.0027, 0.0, "nats"),
            "bits": sum(kept[n] * TENSORS[n] for n in kept),
            "bound": 24000.0,
            "rounds": 1,
            "status": "reached",
        },
        "formats": [
            {"target": t, "together": e(rise, 0.0, "nats"), "alone": {}, "bits_per_weight": b}
            for t, rise, b in (("bf16", 3.2e-5, 16.0), ("int8", 1e-4, 9.0), ("int4", 0.0124, 5.5))
        ],
        "choice": {
            "target": target,
            "predicted": e(0.0044, math.nan, "nats", kind="estimate"),
            "verified": e(0.0049, 0.0, "nats"),
            "exported": e(0.0048, 0.0, "nats"),
            "bits_per_weight": 5.73,
            "rounds": 1,
        },
        "seed": 1,
        "confidence": 0.95,
        "evaluations": 2345,
        "seconds": 8.4,
        "version": "0.1.0",
        "notes": ["Planes are of weights, not of the function."],
        "recommendation": "Safe within a rise of 0.01 nats: int4 in groups for one tensor. All rounded together the "
        "loss goes from 0.035 to 0.0399.",
    }  # fmt: skip


def pruning_curve(order: str, steepness: float, kept: dict[str, Any], draws: int) -> dict[str, Any]:
    shares = [1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.1, 0.0]
    points = []
    for k in shares:
        rise = 2.2 * (1 - k) ** steepness - (2e-4 if k == 0.95 else 0.0)
        figure = e(rise, 0.05 * rise + 1e-5 if rise > 0 else 1e-5, "nats", dof=499)
        points.append({"pruned": round(2220 * (1 - k)), "kept": k, "rise": figure, "error": None,
                       "held_out_rise": None, "held_out_error": None})  # fmt: skip
    return {
        "order": order, "draws": draws, "units": 2220, "pruned": 600, "kept": kept, "at": None, "points": points,
        "falls": [], "below_again": [], "replicates": [0.7, 0.71],
    }  # fmt: skip


def pruning() -> dict[str, Any]:
    return {
        "schema": "pindown/pruning/1",
        "loss": "cross-entropy",
        "unit": "nats",
        "examples": 500,
        "structured": False,
        "scope": "global",
        "epsilon": EPSILON,
        "weights": 2220,
        "curve": pruning_curve("magnitude", 4.0, e(0.73, 0.02), 1),
        "control": pruning_curve("random", 0.8, e(0.99, 0.003), 4),
        "advantage": e(0.26, 0.02),
        "tensors": [{"name": n, "weights": TENSORS[n], "kept": 0.7} for n in ("0.weight", "2.weight")],
        "unsupported": ["Embedding 'tokens': no channels"],
        "notes": ["Magnitudes are properties of the weights, not of the function."],
    }


def noise_row(name: str, size: int, bits: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "weights": size, "rms": 0.2, "sigma": e(2.0**-bits, 2.0**-bits / 20), "absolute": None,
        "bits": e(bits, more.pop("stderr", 0.08), "bits", **more), "draws": 64,
    }  # fmt: skip


def noise() -> dict[str, Any]:
    return {
        "schema": "pindown/noise-tolerance/1",
        "loss": "cross-entropy",
        "unit": "nats",
        "epsilon": EPSILON,
        "joint": noise_row("all tensors", 2260, 3.4),
        "absolute": noise_row("all weights", 2260, 3.1),
        "tensors": [
            noise_row("0.weight", 1920, 2.7),
            noise_row("0.bias", 30, -0.3),
            noise_row("2.weight", 300, 3.2),
            noise_row("2.bias", 10, -9.0, stderr=0.0, kind="upper_bound", status=Status.OUT_OF_RANGE),
        ],
        "curve": [
            {"sigma": s, "rise": e(s**2, 0.05 * s**2, "nats", dof=15), "held_out": None} for s in (0.4, 0.2, 0.1, 0.05)
        ],
        "notes": ["Tolerances are properties of the weights, not of the function."],
    }


def concentration() -> dict[str, Any]:
    def row(name: str, size: int) -> dict[str, Any]:
        return {
            "name": name, "weights": size, "gini": e(0.66), "participation": e(size / 4, 0.0, "weights"),
            "share": e(0.25), "prior_gini": e(0.63, 0.002, dof=15), "prior_share": e(0.33, 0.01, dof=15),
        }  # fmt: skip

    return {
        "schema": "pindown/concentration/1",
        "whole": row("all tensors", 2260),
        "tensors": [row(n, size) for n, size in TENSORS.items()],
        "draws": 16,
        "notes": ["Figures of the weights, not of the function."],
    }


def water_filling() -> dict[str, Any]:
    return {
        "schema": "pindown/water-filling/1",
        "loss": "cross-entropy",
        "epsilon": EPSILON,
        "source": "rms",
        "weights": 2260,
        "bits": e(2788.0, 6.7, "bits", dof=7),
        "per_weight": e(1.234, 0.003, "bits", dof=7),
        "above_water": e(0.504, 0.002, dof=7),
        "tensors": [
            {"name": n, "weights": size, "bits": e(size * 1.1, size * 0.003, "bits"),
             "per_weight": e(1.1 + 0.3 * k, 0.003, "bits"), "above_water": e(2 / 3, 1e-16), "spread": 0.2}
            for k, (n, size) in enumerate(TENSORS.items())
        ],
        "predicted_rise": e(0.021, 0.0014, "nats"),
        "measured": e(3447.0, 62.0, "bits"),
        "measured_per_weight": e(1.525, 0.027, "bits"),
        "notes": ["A bound of rate–distortion theory, not a code."],
    }  # fmt: skip


def coefficient(
    lam: float = 31.0, *, fits: bool = True, objections: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    status = Status.NOT_CONVERGED if objections else Status.REACHED
    points = [
        {"nbeta": nbeta, "estimate": e(lam - 20 / nbeta, 0.5, dof=7, status=status), "step_size": 0.05, "leaps": 8,
         "acceptance": 0.82, "noise": 0.0, "effective_size": 240.0, "r_hat": 1.02, "objections": list(objections)}
        for nbeta in (5.0, 20.1, 80.5)
    ]  # fmt: skip
    return {
        "schema": "pindown/learning-coefficient/1",
        "estimate": e(lam, 0.9, dof=7, status=status),
        "name": "net",
        "method": "hamiltonian",
        "dim": 2260,
        "terms": 500,
        "loss_at_weights": 0.035,
        "localisation": 1.0,
        "chains": 8,
        "sweeps": 120,
        "burn_in": 120,
        "points": points,
        "fit": {"value": lam, "stderr": 0.6, "multiplicity": [0.8, 0.1, 0.06, 0.04], "shift": 0.0, "correction": 0.3,
                "p_value": 0.4 if fits else 1e-9},
        "self_check": {"truth": 128.0, "estimate": e(128.8, 0.7, dof=7), "error": 0.8, "localised": 127.9},
        "groups": {},
        "choices": {"step size": "0.05 for an acceptance of 0.8"},
        "notes": ["λ is that of all that the localisation reaches."],
        "evaluations": 176916,
        "seconds": 44.0,
        **more,
    }  # fmt: skip


def spectrum(*, dense: bool = True) -> dict[str, Any]:
    count = 2260
    values = [4.9 * 0.7**k for k in range(10)]
    nodes = [5.0 * 0.985**k for k in range(1200)] + [0.0] * 860 + [-1e-3] * 200
    return {
        "schema": "pindown/spectrum/1",
        "loss": "cross-entropy",
        "matrix": "hessian",
        "method": "dense" if dense else "lanczos",
        "parameters": count,
        "eigenvalues": [e(v, 0.0 if dense else 0.02 * v) for v in values],
        "lowest": e(-0.018) if dense else e(-0.018, kind="upper_bound"),
        "trace": e(21.4) if dense else e(21.4, 0.4, dof=15),
        "shift": 0.059,
        "shift_reason": "mean prior precision over 500 labels",
        "log_determinant": e(-6292.0, 0.0 if dense else 5.0, "nats"),
        "effective": e(28.3, 0.0 if dense else 2.4),
        "laplace": e(592.0, kind="lower_bound", status=Status.UNSUPPORTED) if dense else None,
        "zero_directions": e(860.0, 0.0, "dimensions") if dense else None,
        "negative_directions": e(200.0, 0.0 if dense else 60.0, "dimensions"),
        "precision": 2.4e-12,
        "nodes": nodes,
        "weights": [1 / count] * count,
        "probes": 0 if dense else 16,
        "quadrature_probes": 0 if dense else 16,
        "steps": 0 if dense else 64,
        "products": count,
        "warnings": ["About 200 directions have negative curvature: the point is no minimum."],
    }


def basin(*, bridge: bool = True) -> dict[str, Any]:
    cutoffs = (0.105, 0.07, 0.053)
    return {
        "schema": "pindown/basin/1",
        "loss": "cross-entropy",
        "reference": "initialisation of the network",
        "parameters": 2260,
        "loss_at_weights": 0.035,
        "cutoff": 0.07,
        "curve": [
            {"cutoff": t, "bits": e(800.0 + 60 * k, 3.0, "bits", dof=3) if bridge else None,
             "radial": e(1500.0 + 150 * k, 0.0, "bits", kind="upper_bound"), "radial_mean": 1490.0,
             "radial_spread": 190.0, "radial_size": 1.2, "radius": 50.0}
            for k, t in enumerate(cutoffs)
        ],
        "rays": 64,
        "runs": 4 if bridge else 0,
        "tether": "nan",
        "evaluations": 13106,
        "remarks": [],
    }  # fmt: skip


def learning_curve() -> dict[str, Any]:
    return {
        "schema": "pindown/learning-curve/1",
        "subject": "net",
        "names": ["step-0", "step-100", "step-1000"],
        "steps": [0, 100, 1000],
        "points": [
            coefficient(lam, self_check=None, loss_at_weights=loss)
            for lam, loss in ((4.0, 2.3), (18.0, 0.6), (31.0, 0.03))
        ],
        "seed": 0,
    }  # fmt: skip


def depth(name: str = "net", **more: Any) -> dict[str, Any]:
    """Everything that is asked of one network."""
    return {
        "schema": "pindown/in-depth/1",
        "solution": "Adam, seed 0",
        "epsilon": EPSILON,
        "unmeasured": {},
        "seconds": 300.0,
        "learning_coefficient": coefficient(),
        "over_training": learning_curve(),
        "basin": basin(),
        "spectrum": spectrum(),
        "bitplanes": bitplanes(name),
        "pruning": pruning(),
        "noise_tolerance": noise(),
        "concentration": concentration(),
        "water_filling": water_filling(),
        **more,
    }


def deep_record() -> dict[str, Any]:
    """The default audit with both networks asked in depth, the wider one by the methods for large networks."""
    record = fixture.digits_record()
    groups = {"0.*": coefficient(20.0), "2.*": coefficient(12.0, objections=("R-hat is 1.31",))}
    lam = coefficient(28.0, fits=False, groups=groups)
    wide = {"learning_coefficient": lam, "spectrum": spectrum(dense=False), "basin": basin(bridge=False)}
    record["subjects"][0]["in_depth"] = depth("width 30")
    record["subjects"][1]["in_depth"] = depth("width 100", over_training=None, **wide)
    return record


def awkward_record() -> dict[str, Any]:
    """One subject with little that could be measured, and a name that means mischief."""
    record = fixture.hard_record()
    gone = dict.fromkeys(("basin", "spectrum", "pruning", "over_training", "water_filling", "noise_tolerance"))
    why = {"spectrum": "the loss has no gradient", "basin": f"no prior: {fixture.HOSTILE}"}
    planes = bitplanes(fixture.HOSTILE)
    planes["tensors"][0]["name"] = fixture.HOSTILE
    planes["allocation"]["verified"] = level(-1, 3.0)
    planes["together"] = level(-1, 50.0)
    failed = {"truth": 10.0, "estimate": e(31.0, 0.4, dof=7), "error": 21.0, "localised": 7.5}
    lam = coefficient(9.0, objections=("R-hat is 1.40",), self_check=failed)
    more = {**gone, "unmeasured": why, "learning_coefficient": lam, "bitplanes": planes}
    record["subjects"][1]["in_depth"] = depth(fixture.HOSTILE, **more)
    return record
