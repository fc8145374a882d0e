"""``pindown compare``: files of labels in, record and page out; what is no file of labels is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pindown
from pindown.cli.app import app
from pindown.errors import DataError, InputError
from pindown.network.function_sample import read_labels


def draws(n: int, share: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, 3)) < share).astype(np.int64)


def test_files_of_labels_become_a_comparison(tmp_path: Path) -> None:
    np.save(tmp_path / "runs.npy", draws(1000, 0.25, 1))
    np.savez(tmp_path / "random.npz", labels=draws(4000, 0.5, 2), groups=np.arange(4000) // 2, attempted=5000)
    words = ["compare", str(tmp_path / "runs.npy"), str(tmp_path / "random.npz"), "--splits", "40"]
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [*words, "--out", str(out), "--json", str(tmp_path / "record.json")])
    assert done.exit_code == 0, done.output
    assert "total variation" in done.output
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    found = pindown.SamplerComparison.from_dict(record)
    assert abs(found.total_variation.value - 22 / 64) < 0.05  # 27 − 8 + 3 (9 − 8) of 64
    assert found.random_groups == 2000
    assert json.loads((out / "comparison.json").read_text(encoding="utf-8")) == record
    assert "Optimiser against random solutions" in (out / "report.html").read_text(encoding="utf-8")
    piped = CliRunner().invoke(app, [*words, "--out", str(out), "--json", "-", "--quiet"])
    assert json.loads(piped.stdout)["schema"] == record["schema"]


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"labels": np.zeros((4, 2))}, "whole numbers"),
        ({"labels": np.zeros(4, dtype=int)}, "shape"),
        ({"labels": np.zeros((4, 2), dtype=int), "groups": np.zeros(3, dtype=int)}, "groups of shape"),
        ({"labels": np.zeros((4, 2), dtype=int), "attempted": 3}, "attempted 3"),
        ({"values": np.zeros((4, 2), dtype=int)}, "values"),
    ],
)
def test_arrays_that_are_no_draws_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], complaint: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=complaint):
        read_labels(tmp_path / "a.npz")


def test_files_that_are_no_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file at"):
        read_labels(tmp_path / "none.npy")
    (tmp_path / "a.txt").write_text("1 2")
    with pytest.raises(InputError, match=r"a\.txt"):
        read_labels(tmp_path / "a.txt")
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"a\.npy cannot be read"):
        read_labels(tmp_path / "a.npy")
    (tmp_path / "a.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"a\.npz cannot be read"):
        read_labels(tmp_path / "a.npz")
    np.save(tmp_path / "o.npy", np.array([[None, 1]], dtype=object))
    with pytest.raises(DataError, match=r"o\.npy cannot be read"):  # nothing is unpickled
        read_labels(tmp_path / "o.npy")
    np.save(tmp_path / "b.npy", draws(10, 0.5, 1))
    np.save(tmp_path / "c.npy", draws(10, 0.5, 1)[:, :2])
    done = CliRunner().invoke(
        app, ["compare", str(tmp_path / "b.npy"), str(tmp_path / "c.npy"), "--out", str(tmp_path)]
    )
    assert done.exit_code == InputError.exit_code
    assert "shape" in done.output
