"""The command as a person runs it: a process of its own, real networks, Ctrl-C and a sudden end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from timeless import without_times
from torch import nn

pytestmark = pytest.mark.slow

SUBJECT = """
import torch
from torch import nn

import pindown


def make_subject():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=rng)
    y = (x[:, 0] * x[:, 1] > 0).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[:40]), y[:40]).backward()
        optimiser.step()
    return pindown.Subject(model, "cross_entropy", (x[:40], y[:40]), held_out=(x[40:], y[40:]), name="product")
"""
COMMAND = [sys.executable, "-m", "pindown", "audit"]
MINUTES = 60.0


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in ``folder``, as the leader of a group, which is what Ctrl-C reaches."""
    (folder / "my_module.py").write_text(SUBJECT, encoding="utf-8")
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={k: v for k, v in os.environ.items() if k != "PINDOWN_JOBS"},  # as a person has it
    )


def run(folder: Path, *arguments: str, minutes: float = 10.0) -> tuple[int, str, str]:
    process = start(folder, *arguments)
    out, error = process.communicate(timeout=minutes * MINUTES)
    return process.returncode, out, error


def stop(process: subprocess.Popen[str], folder: Path, how: signal.Signals) -> tuple[str, str]:
    """Wait until there is unfinished work, then end the command."""
    deadline = time.monotonic() + 5 * MINUTES
    while not any((folder / "pindown-audit" / "checkpoint").rglob("*.pt")):
        assert process.poll() is None, f"it ended by itself: {process.communicate()}"
        assert time.monotonic() < deadline, "no unfinished work was kept"
        time.sleep(0.05)
    os.killpg(process.pid, how)
    return process.communicate(timeout=MINUTES)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    code, out, error = run(folder, "my_module.py", "--json", "-", "--seed", "3")
    assert code == 0, error
    assert sorted(p.name for p in (folder / "pindown-audit").iterdir()) == ["audit.json", "report.html"]
    return json.loads(out)


def test_a_users_network_is_audited(uninterrupted: dict[str, Any]) -> None:
    (subject,) = uninterrupted["subjects"]
    assert uninterrupted["schema"] == "pindown/audit/1"
    assert subject["parameters"] == 4 * 12 + 12 + 12 * 2 + 2
    assert subject["label_bits"]["value"] == 40
    assert uninterrupted["verdict"]
    assert len(subject["measurements"]) == 2


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_audit_goes_on_to_the_same_answer(
    uninterrupted: dict[str, Any], tmp_path: Path, how: signal.Signals
) -> None:
    process = start(tmp_path, "my_module.py", "--seed", "3")
    _, error = stop(process, tmp_path, how)
    if how is signal.SIGINT:
        assert process.returncode == 130, error
        assert "--resume" in error
        assert "Traceback" not in error
    assert not (tmp_path / "pindown-audit" / "report.html").exists()
    code, out, error = run(tmp_path, "my_module.py", "--seed", "3", "--resume", "--json", "-")
    assert code == 0, error
    assert without_times(json.loads(out)) == without_times(uninterrupted)


def test_the_main_job(tmp_path: Path) -> None:
    code, out, error = run(tmp_path, "--json", "record.json", minutes=20.0)
    assert code == 0, error
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert record == json.loads((tmp_path / "pindown-audit" / "audit.json").read_text(encoding="utf-8"))
    assert [s["parameters"] for s in record["subjects"]] == [75 * 30 + 10, 75 * 100 + 10]
    for subject in record["subjects"]:
        assert all(s["train_error"] == 0.0 for s in subject["solutions"])
        assert subject["comparison"] is not None
        assert {m["primary"] for m in subject["measurements"]} == {True, False}
    assert "report.html" in out


def test_a_training_run_is_followed_to_the_report(tmp_path: Path) -> None:
    """Every checkpoint has its figure in the record and its mark in the report, or is named as one without."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=rng)[:40]
    y = (x[:, 0] * x[:, 1] > 0).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    (tmp_path / "run").mkdir()
    for step in range(81):
        if step in (0, 20, 80):
            torch.save(model.state_dict(), tmp_path / "run" / f"step-{step}.pt")
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    options = ("--checkpoints", "run", "--no-in-depth", "--repeats", "2", "--jobs", "1")
    code, _, error = run(tmp_path, "my_module.py:make_subject", *options)
    assert code == 0, error
    record = json.loads((tmp_path / "pindown-audit" / "audit.json").read_text(encoding="utf-8"))
    curve = record["subjects"][0]["in_depth"]["over_training"]
    assert curve["names"] == ["step-0", "step-20", "step-80"]
    assert curve["steps"] == [0, 20, 80]
    losses = [p["loss_at_weights"] for p in curve["points"]]
    assert losses == sorted(losses, reverse=True)
    page = (tmp_path / "pindown-audit" / "report.html").read_text(encoding="utf-8")
    assert "λ over training" in page
    said = page.partition("over training: ")[2].partition("</")[0]
    ended = {n: p["estimate"]["status"] for n, p in zip(curve["names"], curve["points"], strict=True)}
    without = [n for n, status in ended.items() if status not in ("reached", "widened")]
    assert len(without) < 3
    assert [n for n in ended if n in said.partition("no figure that can be used")[2]] == without
