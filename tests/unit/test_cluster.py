"""Clusters: what is refused, and real ones of two workers, where the packages are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from timeless import without_times

import pindown
from pindown.studies.tour import tour

MINUTES = 60.0
TRIES = 3
START = {
    "dask": """
        from distributed import LocalCluster
        import sys
        if __name__ == "__main__":
            held = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
            print(held.scheduler_address, flush=True)
            sys.stdin.read()
            held.close()
    """,
    "ray": """
        import sys
        from ray.cluster_utils import Cluster
        sizes = {"num_cpus": 1, "object_store_memory": 100_000_000}
        held = Cluster(initialize_head=True, head_node_args={**sizes, "include_dashboard": False})
        held.add_node(**sizes)
        print(held.address, flush=True)
        sys.stdin.read()
        held.shutdown()
    """,
}
MEASURE = """
    import json, os, signal, sys, time
    from pathlib import Path
    import pindown

    backend, address, folder, kill = sys.argv[1:]

    class Loss:
        # The first worker to come far enough kills itself, once.
        def __init__(self, folder, driver):
            self.folder, self.driver = folder, driver
        def __call__(self, x):
            run = sorted(Path(self.folder, "work").glob("*.pt")) if self.folder else []
            if run and os.getpid() != self.driver:
                try:
                    os.close(os.open(Path(self.folder, "killed"), os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            return x.square().sum(-1)

    def figures(**more):
        loss = Loss(folder if kill == "kill" and "checkpoint" in more else "", os.getpid())
        profile = pindown.measure(pindown.Gaussian(20), loss, tolerance=1.0, repeats=4, seed=3, **more)
        return [profile.bits(t).to_dict() for t in (10.0, 3.0, 1.0)]

    with pindown.cluster(backend, address) as there:
        assert there.cores == 2, there
        assert there.shares(folder)
        began = time.perf_counter()
        found = figures(checkpoint=str(Path(folder, "work")))
        seconds = time.perf_counter() - began
    began = time.perf_counter()
    alone = figures(jobs=1)
    alone_seconds = time.perf_counter() - began
    killed = Path(folder, "killed").exists()
    print(json.dumps({"found": found, "alone": alone, "killed": killed, "seconds": [seconds, alone_seconds]}))
"""
needs = [
    pytest.param(b, marks=pytest.mark.skipif(find_spec(p) is None, reason=f"needs pindown[{b}]"))
    for b, p in (("ray", "ray"), ("dask", "distributed"))
]


@pytest.mark.parametrize("backend", needs)
def test_nothing_at_the_address_is_said(backend: Any) -> None:
    with pytest.raises(pindown.InputError, match=f"no {backend} cluster answers at 127.0.0.1:1 "):  # noqa: SIM117
        with pindown.cluster(backend, "127.0.0.1:1"):
            pass


@pytest.mark.parametrize(
    ("backend", "address", "words"),
    [("spark", "x:1", "backend 'spark'"), ("ray", "", "address ''"), ("dask", None, "address None")],
)
def test_what_cannot_be_meant_is_refused(backend: Any, address: Any, words: str) -> None:
    with pytest.raises(pindown.InputError, match=words):  # noqa: SIM117
        with pindown.cluster(backend, address):
            pass


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_missing_package_is_named(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("ray", "distributed"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(pindown.InputError, match=rf'Install "pindown\[{backend}\]"'):  # noqa: SIM117
        with pindown.cluster(backend, "127.0.0.1:1"):
            pass


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A cluster of two workers in processes of their own."""
    script = tmp_path / "start.py"
    script.write_text(textwrap.dedent(START[request.param]), encoding="utf-8")
    for _ in range(TRIES):
        held = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True, env=environment(),
        )  # fmt: skip
        assert held.stdout is not None
        place = held.stdout.readline().strip()
        if place:
            break
        held.wait(MINUTES)  # Ray gives a node half a minute to start, which a busy machine may take longer for
    try:
        assert place, f"{request.param} did not start"
        yield f"{request.param} {place}"
    finally:
        assert held.stdin is not None
        held.stdin.close()
        try:
            held.wait(MINUTES)
        except subprocess.TimeoutExpired:
            os.killpg(held.pid, signal.SIGKILL)
            held.wait()
        held.stdout.close()


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(pindown.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    kept = {k: v for k, v in os.environ.items() if k != "PINDOWN_JOBS"}
    return {**kept, **quiet, "PYTHONPATH": path.rstrip(os.pathsep)}


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["whole", "kill"])
@pytest.mark.parametrize("address", needs, indirect=True)
def test_a_cluster_gives_the_figures_of_one_process(address: str, kill: str, tmp_path: Path) -> None:
    """Also where a worker is killed in the middle: its run goes on elsewhere from its checkpoint."""
    script = tmp_path / "measure.py"
    script.write_text(textwrap.dedent(MEASURE), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), *address.split(), str(tmp_path), kill], capture_output=True, text=True,
        timeout=10 * MINUTES, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["killed"] is (kill == "kill")
    assert told["found"] == told["alone"]
    print(address, kill, told["seconds"])  # noqa: T201


PANEL = "\n".join(
    ["who,first,second,winner", *(f"{w},{a},{b},{a}" for w in "xyz" for a, b in (("a", "b"), ("b", "c"), ("c", "a")))]
)


SUBJECT = """
    import pindown, torch
    from torch import nn

    def make_subject():
        torch.manual_seed(0)
        x = torch.randn(60, 4)
        y = (x[:, 0] > 0).long()
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(300):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        return pindown.Subject(model, "cross_entropy", (x, y), name="small")
"""
COMMANDS = {
    "coherence": ["coherence", "panel.csv", "--kind", "pairs", "--by", "who"],
    "audit": ["audit", "subject.py:make_subject", "--no-in-depth", "--repeats", "2"],
    "study": ["study", "compression", "--question", "4"],
    "tour": ["tour"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("address", needs, indirect=True)
def test_the_commands_reach_a_cluster(address: str, command: str, tmp_path: Path) -> None:
    """The same record from one process and from a cluster."""
    (tmp_path / "panel.csv").write_text(PANEL, encoding="utf-8")
    (tmp_path / "subject.py").write_text(textwrap.dedent(SUBJECT), encoding="utf-8")
    backend, place = address.split()
    records: list[Any] = []
    for out, more in (("here.json", []), ("there.json", ["--backend", backend, "--address", place])):
        asked = [*COMMANDS[command], "--out", out.removesuffix(".json"), "--json", out, *more]
        done = subprocess.run(
            [sys.executable, "-m", "pindown", *asked], cwd=tmp_path, capture_output=True, text=True,
            timeout=20 * MINUTES, env=environment(), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        records.append(json.loads((tmp_path / out).read_text(encoding="utf-8")))
        assert ("2 tasks at once" in done.stderr) is bool(more)
    here, there = (without_times(r) for r in records)
    assert here == there


def test_a_tour_goes_on_where_it_was(tmp_path: Path) -> None:
    stops = ["overoptimisation", "empowerment"]
    first = tour(stops=stops[:1], checkpoint=tmp_path)
    began = time.perf_counter()
    again = tour(stops=stops, checkpoint=tmp_path)
    assert time.perf_counter() - began < MINUTES
    assert again.records()["overoptimisation"] == first.records()["overoptimisation"]
    assert again.seconds["overoptimisation"] == first.seconds["overoptimisation"]
    assert set(again.records()) == set(stops)
    with pytest.raises(pindown.CheckpointError, match="belongs to another tour"):
        tour(seed=1, stops=stops, checkpoint=tmp_path)
    (tmp_path / "empowerment.json").write_text("{", encoding="utf-8")
    with pytest.raises(pindown.CheckpointError, match="is damaged"):
        tour(stops=stops, checkpoint=tmp_path)
