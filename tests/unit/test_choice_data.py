"""Panels of the shape of the two real data sets, generated; and the data sets themselves where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import pindown
from pindown.choices.panel import coherence_panel
from pindown.choices.reading import read_panel
from pindown.cli.app import app

pytestmark = pytest.mark.usefixtures("own_folder")

DATA = next(
    (p / "shared" / "data" / "choices" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()),
    None,
)


def real(name: str) -> pd.DataFrame:
    if DATA is None or not (DATA / name).is_file():
        pytest.skip(f"{name} is not here")
    return pd.read_csv(DATA / name)


def budgets_like_choi(subjects: int, noise: float) -> pd.DataFrame:
    """Two goods, an income of 1, 25 budgets each; shares of a budget around one half, or all by chance."""
    rng = np.random.default_rng(0)
    rows: list[tuple[float, ...]] = []
    for who in range(subjects):
        for k in range(25):
            most = rng.uniform(10, 100, 2)
            share = float(np.clip(0.5 + noise * rng.standard_normal(), 0.0, 1.0))
            rows.append((who, k, 1 / most[0], 1 / most[1], share * most[0], (1 - share) * most[1]))
    names = ["subject", "observation", "price_x", "price_y", "quantity_x", "quantity_y"]
    return pd.DataFrame(rows, columns=names)


def test_a_panel_of_the_shape_of_choi() -> None:
    """Fixed shares are coherent (a Cobb–Douglas utility); the same with noise are not, and lose."""
    steady = coherence_panel(read_panel(budgets_like_choi(4, 0.0), ["subject"]))
    assert steady.coherent == 4
    assert all(c.certificate.verified for c in steady.subjects.values())
    noisy = coherence_panel(read_panel(budgets_like_choi(4, 0.3), ["subject"]), seconds=2.0)
    assert noisy.coherent < 4
    worst = noisy.worst
    assert worst is not None
    assert worst.pump is not None
    assert worst.pump.verified
    assert worst.money_pump_index.value == max(c.money_pump_index.value for c in noisy.subjects.values())


def menus_like_llm(scenarios: int) -> pd.DataFrame:
    """Menus of two to five of five actions, each asked thrice; some answers could not be read."""
    rng = np.random.default_rng(1)
    rows: list[tuple[str, int, str, str]] = []
    for s in range(scenarios):
        order = rng.permutation(5)
        for k in range(26):
            menu = sorted(rng.choice(5, size=2 + k % 4, replace=False).tolist())
            for repeat in range(3):
                taken = str(min(menu, key=lambda i: order[i])) if rng.random() < 0.9 else ""
                rows.append((f"s{s}", repeat, " ".join(map(str, menu)), taken))
    return pd.DataFrame(rows, columns=["scenario", "repeat", "menu", "choice"])


def test_a_panel_of_the_shape_of_the_language_model() -> None:
    frame = menus_like_llm(3)
    with pytest.raises(pindown.InputError, match="with an empty cell"):
        read_panel(frame, ["scenario"], ignore=["repeat"])
    people = read_panel(frame, ["scenario"], ignore=["repeat"], missing="drop")
    found = coherence_panel(people, surprise=True)
    assert found.coherent == 3
    assert all(c.surprise.kind == "exact" for c in found.subjects.values())
    assert all(not t.rejected for c in found.subjects.values() for t in c.stochastic)
    frame.to_csv("menus.csv", index=False)
    call = ["coherence", "menus.csv", "--by", "scenario", "--ignore", "repeat", "--drop-missing", "--out", "here"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "3 of 3 subjects are coherent" in done.output


def test_the_first_subjects_of_choi() -> None:
    frame = real("choi2014_budgets.csv")
    first = frame[frame.subject.isin(frame.subject.unique()[:8])]
    found = coherence_panel(read_panel(first, ["subject"]), seconds=2.0)
    assert len(found) == 8
    assert all(c.observations == 25 for c in found.subjects.values())
    for c in found.subjects.values():
        assert c.certificate.verified
        assert (c.pump is None) == c.coherent
        assert c.coherent == (c.houtman_maks.value == 1.0)
    with pytest.raises(pindown.InputError, match="column 'observation' is '0'; wanted each name once"):
        pindown.coherence(first.drop(columns="subject"))


def test_the_menus_of_the_language_model() -> None:
    frame = real("llm_menus.csv")
    by, rest = ["scenario", "vignette", "prompt"], ["tier", "repeat", "temperature", "menu_index"]
    some = frame[frame.scenario == frame.scenario.iloc[0]]
    people = read_panel(some, by, ignore=rest, missing="drop")
    found = coherence_panel(people)
    assert len(found) > 1
    assert all(c.certificate.verified for c in found.subjects.values())
