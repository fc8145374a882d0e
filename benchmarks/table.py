"""The benchmark's record as a Markdown page."""

from __future__ import annotations

import math
from typing import Any

from record import described

ABOUT = """\
Each line comes from the runs of one peer on one case, all on one machine; lines may have been added later than others,
and the record beside this page holds the date and the load of each. *Error* is the root mean
square over the runs of (answer − exact) in bits, with the mean error in brackets: a mean far from 0 is a bias, which
more runs do not remove. *CPU s* is user plus system time of one run over all of its processes; *set-up* is what is
done once a process (compiling for JAX, starting workers for pindown) and comes on top. *At equal error* is CPU s ×
(error/target)², the cost of averaging independent runs until the error is the target; it flatters a biased peer. An
error below the reference's own, or below a tenth of the target, counts as that. *Ratio* is this cost over pindown's,
above 1 where pindown is cheaper; the figure in brackets includes the set-up of one run. **Bold** is the cheapest.
With few runs the error is itself uncertain by tens of per cent, and the ratio by its square.
"""


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """Errors and costs over the runs of one row; ``ok`` is False where there is no answer to compare."""
    runs = [r for r in row["runs"] if r["status"] in ("reached", "widened") and math.isfinite(r["bits"])]
    if not runs:
        return {"ok": False}
    errors = [r["bits"] - row["exact_bits"] for r in runs]
    rms = math.sqrt(sum(e * e for e in errors) / len(errors))
    target = row["target_bits"]
    counted = max(rms, 0.1 * target, row["exact_stderr"])
    cpu = _mean(runs, "cpu_seconds")
    setup = row.get("setup_cpu_seconds", 0.0)
    return {
        "ok": True,
        "runs": len(runs),
        "rms": rms,
        "mean": sum(errors) / len(errors),
        "evaluations": _mean(runs, "evaluations"),
        "gradients": _mean(runs, "gradient_evaluations"),
        "cpu": cpu,
        "setup": setup,
        "wall": _mean(runs, "wall_seconds"),
        "cost": cpu * (counted / target) ** 2,
        "cost_with_setup": (cpu + setup) * (counted / target) ** 2,
        "covered": _covered(runs, row["exact_bits"]),
    }


def markdown(record: dict[str, Any]) -> str:
    """The page."""
    versions = sorted({r["version"] for r in record["rows"] if r.get("version")})
    lines = [
        "# The engine beside its peers",
        "",
        f"{record['date']}, {described(record['machine'])}. {'; '.join(versions)}. {record['seeds']} runs each, "
        "as far as the time allowed.",
        "",
        ABOUT,
    ]
    for case in dict.fromkeys(r["case"] for r in record["rows"]):
        lines += _case([r for r in record["rows"] if r["case"] == case])
    if "network" in record:
        lines += _network(record["network"])
    return "\n".join(lines) + "\n"


def _case(rows: list[dict[str, Any]]) -> list[str]:
    first = rows[0]
    exact = f"{first['exact_bits']:.3f}" + (f" ± {first['exact_stderr']:.3f}" if first["exact_stderr"] else "")
    head = ["peer", "error (mean), bits", "loss evaluations", "with gradient", "CPU s", "set-up", "wall s"]
    head += ["at equal error", "ratio"]
    lines = [
        f"## {first['case']}",
        "",
        f"Exact: {exact} bits. Target error: {first['target_bits']:g} bits.",
        "",
        f"| {' | '.join(head)} |",
        "|" + " --- |" * len(head),
    ]
    found = {r["peer"]: summary(r) for r in rows}
    own = found.get("pindown", {"ok": False})
    best = min((s["cost"] for s in found.values() if s["ok"]), default=math.nan)
    for row in rows:
        s = found[row["peer"]]
        if not s["ok"]:
            lines.append(f"| {row['peer']} | {_why(row)} | | | | | | | |")
            continue
        cost = f"{s['cost']:.2g}"
        ratio = "1" if row["peer"] == "pindown" else "—"
        if own["ok"] and row["peer"] != "pindown":
            ratio = f"{s['cost'] / own['cost']:.2g} ({s['cost_with_setup'] / own['cost_with_setup']:.2g})"
        ended = f" ({s['runs']} runs, then {row['ended']})" if row["ended"] else ""
        covered = f", {s['covered']} of {s['runs']} intervals cover" if s["covered"] is not None else ""
        cells = [row["peer"], f"{s['rms']:.2f} ({s['mean']:+.2f}){covered}{ended}"]
        cells += [f"{s['evaluations']:.3g}", f"{s['gradients']:.3g}"]
        cells += [f"{s[key]:.2g}" for key in ("cpu", "setup", "wall")]
        cells += [f"**{cost}**" if s["cost"] == best else cost, ratio]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", _verdict(found), ""]


def _verdict(found: dict[str, dict[str, Any]]) -> str:
    own = found.get("pindown", {"ok": False})
    others = {k: s for k, s in found.items() if k != "pindown" and s["ok"]}
    if not own["ok"]:
        return "pindown gave no answer here."
    if not others:
        return "No peer gave an answer here."
    words = []
    for what, key in (("without set-up", "cost"), ("with the set-up of one run", "cost_with_setup")):
        name = min(others, key=lambda k: others[k][key])
        ratio = others[name][key] / own[key]
        if ratio >= 1:
            words.append(f"{what} pindown costs {ratio:.2g} times less than the best peer, {name}")
        else:
            words.append(f"{what} {name} wins by a factor of {1 / ratio:.2g}")
    return f"At equal error {'; '.join(words)}."


def _why(row: dict[str, Any]) -> str:
    if row.get("status") == "not applicable":
        return "not applicable"
    if row["ended"] == "timed out":
        return f"timed out after {row['limit_seconds']:g} s"
    if row["runs"]:
        return "no answer: " + ", ".join(dict.fromkeys(r["status"] for r in row["runs"]))
    return "failed: " + row.get("message", row["ended"])


def _covered(runs: list[dict[str, Any]], exact: float) -> int | None:
    with_interval = [r for r in runs if "low" in r]
    return sum(r["low"] <= exact <= r["high"] for r in with_interval) if with_interval else None


def _mean(runs: list[dict[str, Any]], key: str) -> float:
    return sum(r[key] for r in runs) / len(runs)


def _network(n: dict[str, Any]) -> list[str]:
    return [
        "## Throughput of the network space",
        "",
        f"{n['what']}: {n['gradient_evaluations']:,} losses with gradient in {n['cpu_seconds']:.1f} CPU s over all "
        f"processes: {n['gflops']:.1f} GFLOP/s a core in matrix products alone, against {n['peak_gflops']:.1f} for a "
        f"plain {n['peak_size']}³ {n['dtype']} product measured before and after (the larger counts): "
        f"**{100 * n['share']:.0f}% of the peak**. The loss on its own, called on {n['rows']} networks at a time: "
        f"{100 * n['loss_share']:.0f}%.",
        "",
    ]
