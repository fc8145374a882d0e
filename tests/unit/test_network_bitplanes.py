"""Bit planes: what is listed and refused, brackets and allocations by brute force, resuming, and the command."""

from __future__ import annotations

import copy
import json
import math
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_zoo import ZOO, Case, TiedLanguageModel
from torch import Tensor, nn
from typer.testing import CliRunner, Result

import pindown
from pindown import Estimate, Status, Subject
from pindown.cli.app import app
from pindown.errors import CheckpointError, DataError, InputError
from pindown.network.bitplanes import plan_bitplanes
from pindown.network.number_formats import number_format
from pindown.network.plane_levels import Bracket, Level
from pindown.network.plane_search import Rule, bracket, first_guess
from pindown.network.precision import Option, cheapest
from pindown.network.replaced import ReplacedLoss, WeightTensor, weight_tensors
from pindown.network.rounding import TARGETS

FEW: dict[str, Any] = {"draws": 8, "check": False, "format": "bf16", "epsilon": 1e-3}


def small(seed: int = 0, *, held_out: bool = False) -> tuple[nn.Module, Subject]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3))
    x = torch.randn(40, 4)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), y)
        with torch.no_grad():
            for p, g in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True):
                p -= 0.5 * g
    return model, Subject(model, "cross_entropy", (x, y), held_out=(x[:7], y[:7]) if held_out else None, name="small")


def without_time(planes: pindown.BitPlanes) -> dict[str, Any]:
    return {k: v for k, v in planes.to_dict().items() if k != "seconds"}


# ---------------------------------------------------------------- what is listed


KINDS = [
    c for c in ZOO if c.name in ("perceptron", "frozen part", "convolution", "layer norm", "tied transformer", "gru")
]


@pytest.mark.parametrize("case", KINDS, ids=lambda c: c.name)
def test_every_kind_of_module_is_measured_and_comes_back_as_it_was(case: Case) -> None:
    model, x, y = case.build()
    model.train()
    for i, p in enumerate(model.parameters()):
        p.grad = torch.full_like(p, 0.5) if i % 2 else None
    subject = Subject(model, "cross_entropy", (x, y), batch_size=5, prior=case.prior)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    inner = {n: t.clone() for n, t in subject.module.state_dict().items()}
    states = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    found = pindown.bitplanes(subject, **FEW)
    assert [t.name for t in found.tensors] == [n for n, _ in model.named_parameters()]
    assert all(t.tolerated.status in (Status.REACHED, Status.NOT_CONVERGED) for t in found.tensors)
    assert found.allocation.status.ok
    assert found.choice.verified.value <= found.epsilon
    for module, kept in ((model, before), (subject.module, inner)):
        assert all(torch.equal(t, kept[n]) for n, t in module.state_dict().items())
    assert model.training
    assert [p.grad is None for p in model.parameters()] == [i % 2 == 0 for i, _ in enumerate(model.parameters())]
    assert torch.equal(states[0], torch.get_rng_state())
    assert bool((states[1] == np.random.get_state()[1]).all())  # noqa: NPY002
    assert states[2] == random.getstate()


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_a_replaced_tensor_gives_the_modules_own_loss(case: Case, torch_rng: torch.Generator) -> None:
    """One tensor and all tensors at once, several replacements, against weights written into the module."""
    model, x, y = case.build()
    subject = Subject(model, "cross_entropy", (x, y), batch_size=5, prior=case.prior)
    loss, model = ReplacedLoss(subject), model.eval()
    names = [n for n, _ in model.named_parameters()]
    assert loss.plain() == pytest.approx(float(nn.functional.cross_entropy(model(x), y).detach()), rel=1e-5)
    for some in ([names[0]], [names[-1]], names):
        new = {n: model.get_parameter(n).detach() + 0.1 * torch.randn(
            3, *model.get_parameter(n).shape, generator=torch_rng) for n in some}  # fmt: skip
        wanted = []
        for i in range(3):
            twin = copy.deepcopy(model)
            with torch.no_grad():
                for n in some:
                    twin.get_parameter(n).copy_(new[n][i])
                wanted.append(float(nn.functional.cross_entropy(twin(x), y)))
        assert loss(new) == pytest.approx(wanted, rel=1e-4)
    assert 10 <= loss.evaluations <= 13


def test_tied_tensors_count_once_and_answer_to_both_names() -> None:
    model = TiedLanguageModel()
    x, y = torch.randint(1, 9, (6, 3)), torch.randint(0, 4, (6,))
    subject = Subject(model, "cross_entropy", (x, y))
    found = pindown.bitplanes(subject, include=["out.*"], **FEW)
    assert [(t.name, t.aliases) for t in found.tensors] == [("embed.weight", ("out.weight",)), ("out.bias", ())]
    assert found["out.weight"] is found["embed.weight"]
    with pytest.raises(InputError, match="one of embed"):
        found["nothing"]


def test_frozen_tensors_are_measured_too() -> None:
    model, x, y = next(case for case in ZOO if case.name == "frozen part").build()
    found = pindown.bitplanes(Subject(model, "cross_entropy", (x, y)), **FEW)
    assert found.tensors[0].name == "0.weight"
    assert found.tensors[0].bracket is not None


def test_globs_choose_tensors() -> None:
    model, subject = small()
    assert [w.name for w in weight_tensors(model, include="*.weight", exclude="2.*")] == ["0.weight"]
    assert [t.name for t in pindown.bitplanes(subject, exclude="*.bias", **FEW).tensors] == ["0.weight", "2.weight"]
    for options, words in [
        ({"include": "3.*"}, "matches no tensor"),
        ({"exclude": "*"}, "leave no tensor"),
        ({"exclude": ["0.*", "x"]}, "pattern 'x'"),
    ]:
        with pytest.raises(InputError, match=words):
            pindown.bitplanes(subject, **options)


class Odd(nn.Module):
    """A live layer among everything that cannot be measured."""

    def __init__(self) -> None:
        super().__init__()
        self.live = nn.Linear(4, 3)
        self.none = nn.Parameter(torch.empty(0, 4))
        self.whole = nn.Parameter(torch.ones(2, 2, dtype=torch.int32), requires_grad=False)
        self.register_buffer("packed", torch.ones(3, 3, dtype=torch.int8))
        self.register_buffer("steps", torch.tensor(0))
        self.zero = nn.Parameter(torch.zeros(3))
        self.halves = nn.Parameter(torch.ones(3, dtype=torch.float16), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.live(x) * self.halves.float() + self.zero


def test_what_cannot_be_measured_is_unsupported_and_has_no_rank() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(20, 4), torch.randint(0, 3, (20,))
    subject = Subject(Odd(), "cross_entropy", (x, y), prior="normal", include="live.*")
    found = pindown.bitplanes(subject, **(FEW | {"format": "fixed12"}))
    reasons = {t.name: t.unsupported for t in found.tensors if t.unsupported}
    assert {k: v.split(",")[0] for k, v in reasons.items()} == {
        "none": "empty",
        "whole": "of type int32",
        "packed": "a buffer of int8 with weights that are quantised already",
        "zero": "every entry is zero",
        "halves": "held in float16",
    }
    assert found.ranking() == sorted(found.ranking(), key=lambda n: -found[n].tolerated.value)
    assert set(found.ranking()) == {"live.weight", "live.bias"} == set(found.allocation.kept)
    for name in reasons:
        assert found[name].tolerated.status is Status.UNSUPPORTED
        assert math.isnan(found[name].tolerated.value)
        assert any(note.startswith(name) and "no rank" in note for note in found.notes)
    frame = found.to_dataframe().set_index("tensor")
    assert frame.loc["zero", "status"] == "unsupported"
    assert math.isnan(frame.loc["zero", "kept_jointly"])
    assert "5 tensors were not measured" in found.recommendation
    assert "unsupported: empty" in found.summary()


def test_a_subclass_of_tensor_is_not_measured() -> None:
    class Own(Tensor): ...

    model = nn.Linear(2, 2)
    del model.weight
    model.register_buffer("weight", torch.ones(2, 2).as_subclass(Own))
    assert [w.name for w in weight_tensors(model)] == ["bias"]
    model = nn.Linear(2, 2)
    model._parameters["weight"] = torch.ones(2, 2).as_subclass(Own)  # type: ignore[assignment]
    assert weight_tensors(model)[0].reason.startswith("a Own")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epsilon": 0.0}, "epsilon 0.0"),
        ({"epsilon": math.nan}, "epsilon nan"),
        ({"epsilon": True}, "epsilon True"),
        ({"epsilon": 1e-12}, "the arithmetic alone"),
        ({"format": "fp64"}, "format 'fp64'"),
        ({"confidence": 1.0}, "confidence 1.0"),
        ({"draws": 4}, "draws 4"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pindown.bitplanes(small()[1], **options)


def test_bad_subjects_are_refused() -> None:
    with pytest.raises(InputError, match="Linear to measure"):
        pindown.bitplanes(nn.Linear(2, 2))  # type: ignore[arg-type]
    model, subject = small()
    with pytest.raises(DataError, match="held-out"):
        pindown.bitplanes(subject, held_out=True)
    with torch.no_grad():
        model[0].weight.fill_(math.nan)
    broken = subject.with_model(model)
    with pytest.raises(InputError, match="a loss of nan"):
        pindown.bitplanes(broken)
    half = Subject(nn.Linear(4, 3).bfloat16(), "cross_entropy", subject.batches().items[0])
    with pytest.raises(InputError, match=r"held in bfloat16.*model\.float\(\)"):
        pindown.bitplanes(half, format="fp32")
    assert pindown.bitplanes(half, **FEW)["weight"].dtype == "bfloat16"


# ---------------------------------------------------------------- single levels and the bracket between them


RULE = Rule(1.0, 0.95, 128, 0.0, 1e-9, "1")


def known(form: Any, rise: Any, measured: list[int]) -> Any:
    """Levels without noise, of a stated rise, noting which were asked for."""

    def measure(k: int) -> Level:
        measured.append(k)
        r = float(rise(k))
        bad = not math.isfinite(r)
        kind = form.kind(k - 1) if k else ""
        decision = "tolerated" if r <= RULE.epsilon else "not tolerated"
        return Level(k, kind, 4, 4 * bad, Estimate(r, 0.0 if not bad else math.nan, "1"), decision)

    return measure


@given(
    name=st.sampled_from(["fp32", "bf16", "fp16", "fp8_e4m3", "fixed12", "fixed24"]),
    where=st.floats(-1.0, 30.0),
    jump=st.integers(0, 9),
    guess=st.integers(-3, 40),
    bend=st.floats(0.7, 1.3),
)
def test_the_bracket_finds_the_knee_of_any_growing_rise(
    name: str, where: float, jump: int, guess: int, bend: float
) -> None:
    """Near-fourfold growth over the mantissa, then ``jump`` planes of exponent until the loss is not finite."""
    form, measured = number_format(name), []

    def rise(k: int) -> float:
        if k > form.mantissa + jump:
            return math.inf
        return 0.0 if k == 0 else (4.0**bend) ** (min(k, form.mantissa) - where)

    knee = max(k for k in range(form.bits + 1) if rise(k) <= RULE.epsilon)
    found = bracket(RULE, form, known(form, rise, measured), guess=guess)
    assert (found.low, found.high, found.fits) == (knee, knee, True)
    assert len(measured) == len(set(measured)) == len(found.levels)
    assert len(measured) <= 3 + 2 * math.ceil(math.log2(form.bits))


def test_a_good_guess_takes_three_levels() -> None:
    form, measured = number_format("fp32"), []
    found = bracket(RULE, form, known(form, lambda k: 4.0 ** (k - 17.5), measured), guess=17)
    assert (found.low, measured) == (17, [0, 17, 18])


@given(rises=st.lists(st.sampled_from([0.1, 0.9, 1.5, math.inf]), min_size=12, max_size=12), check=st.integers(0, 99))
def test_levels_that_contradict_a_growing_rise_are_said(rises: list[float], check: int) -> None:
    """Whatever is measured: nothing below the answer was found not tolerated, and what is above it is named."""
    form, values = number_format("fixed12"), [0.0, *rises]
    measure = known(form, values.__getitem__, [])
    found = bracket(RULE, form, measure, guess=6, check=measure, pick=check)
    by = {v.planes: v.decision for v in found.levels}
    assert by[found.low] == "tolerated"
    assert all(by[k] != "not tolerated" for k in by if k <= found.low)
    assert set(found.non_monotone) == {k for k in by if k > found.high + 1 and by[k] == "tolerated"}
    assert found.high == 12 or by[found.high + 1] == "not tolerated"


def test_a_format_that_does_not_fit_tolerates_nothing() -> None:
    form = number_format("fp8")
    found = bracket(RULE, form, known(form, lambda k: 3.0, []), guess=2)
    assert (found.low, found.high, found.fits, len(found.levels)) == (0, 0, False, 1)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_a_decided_bracket_is_off_by_a_plane_no_more_often_than_its_decisions_err(confidence: float) -> None:
    """A normal variable of the stated error lies a plane or more away with the probability that a decision errs."""
    e = Bracket(7, 7, True, (), (), confidence).tolerated
    assert (e.kind, e.value, e.status) == ("estimate", 7.0, Status.REACHED)
    assert math.erfc(1.0 / (e.stderr * math.sqrt(2.0))) == pytest.approx(1.0 - confidence, rel=1e-9)
    assert e.interval(confidence) == pytest.approx((6.0, 8.0))
    # Control: without an error the interval claims certainty at any level.
    assert e.interval(0.999)[0] < 6.0


def test_brackets_that_are_open_or_empty() -> None:
    still_open = Bracket(4, 6, True, (), (), 0.95).tolerated
    assert (still_open.kind, still_open.value, still_open.status) == ("lower_bound", 4.0, Status.NOT_CONVERGED)
    nothing = Bracket(0, 0, False, (), (), 0.95).tolerated
    assert (nothing.kind, nothing.value) == ("exact", 0.0)


def test_a_level_that_cannot_be_decided_gives_bounds() -> None:
    """The mean is ε exactly: no number of draws tells the two sides apart."""
    form = number_format("fixed12")

    def measure(k: int) -> Level:
        level = known(form, lambda j: 4.0 ** (j - 6), [])(k)
        return replace(level, decision="undecided") if k == 6 else level

    found = bracket(RULE, form, measure, guess=6)
    assert (found.low, found.high) == (5, 6)
    assert found.tolerated.status is Status.NOT_CONVERGED
    assert found.tolerated.kind == "lower_bound"


@given(knee=st.floats(2.0, 20.0), start=st.integers(1, 23))
def test_the_first_guess_is_the_knee_of_a_quadratic_loss(knee: float, start: int) -> None:
    form = number_format("fp32")
    found = first_guess(RULE, form, lambda k: 4.0 ** (k - knee), start)
    assert found == math.floor(knee)
    assert first_guess(RULE, form, lambda k: math.nan, start) == start


# ---------------------------------------------------------------- allocation


costs = st.lists(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0.0, 2.0)), min_size=1, max_size=5), min_size=1, max_size=4
)


@given(table=costs, budget=st.floats(0.0, 4.0))
def test_the_cheapest_choice_against_all_choices(table: list[list[tuple[int, float]]], budget: float) -> None:
    tensors = [[Option(float(b), r) for b, r in row] for row in table]
    found = cheapest(tensors, budget)
    every = [
        (sum(o.bits for o in chosen), sum(o.rise for o in chosen)) for chosen in product(*tensors)
    ]  # fmt: skip
    feasible = [bits for bits, rise in every if rise <= budget]
    rise = sum(tensors[i][k].rise for i, k in enumerate(found.chosen))
    assert found.rise == pytest.approx(rise)
    assert found.bits == sum(tensors[i][k].bits for i, k in enumerate(found.chosen))
    assert found.feasible == bool(feasible)
    if feasible:
        assert rise <= budget * (1 + 1e-12)
        best = min(feasible)
        assert found.bound <= best + 1e-9
        assert found.bits >= best
        widest = max(max(o.bits for o in row) - min(o.bits for o in row) for row in tensors)
        assert found.bits <= best + widest


def test_options_of_infinite_rise_are_never_taken() -> None:
    found = cheapest([[Option(8, 0.0), Option(1, math.inf)]], math.inf)
    assert found.chosen == (0,)


# ---------------------------------------------------------------- formats of deployments


def tensor(value: Tensor, name: str = "weight") -> WeightTensor:
    return WeightTensor(name, (), "Linear", tuple(value.shape), "float32", value)


@pytest.mark.parametrize("name", list(TARGETS))
@settings(max_examples=30)
@given(seed=st.integers(0, 999), shape=st.sampled_from([(3, 64), (5, 40), (4, 3, 2, 2), (2, 32)]))
def test_rounding_is_to_the_nearest_of_a_few_values(name: str, seed: int, shape: tuple[int, ...]) -> None:
    target = TARGETS[name]
    w = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    out = target.round(w)
    assert out.shape == w.shape
    assert out.dtype == w.dtype
    group = target.grouped(shape)
    rows, rounded = (t.reshape(-1, group) if group else t.flatten(1) for t in (w, out))
    for row, got in zip(rows, rounded, strict=True):
        assert len(got.unique()) <= 2**target.bits
        step = (2.0 if name.startswith("int") else 1.0) * float(row.abs().max()) / (2**target.bits - 1)
        if name.startswith("int"):
            # The largest may be cut by half a step.
            assert float((row - got).abs().max()) <= 0.5 * step * (1 + 1e-4)
        else:
            mantissa = {"bf16": 7, "fp16": 10, "fp8_e4m3": 3, "fp8_e5m2": 2}[name]
            error = (row - got).abs() / row.abs().clamp_min(float(row.abs().max()) / 64)
            assert float(error.max()) <= 2.0 ** -(mantissa + 1) * (1 + 1e-3)
    assert torch.equal(target.round(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_bits_count_the_scales() -> None:
    w = tensor(torch.ones(8, 64))
    assert TARGETS["int8"].bits_of(w) == 8 * 64 * 8 + 8 * 32
    assert TARGETS["int4"].bits_of(w) == 8 * 64 * 4 + 16 * 32
    assert TARGETS["bf16"].bits_of(w) == 8 * 64 * 16
    assert not TARGETS["int8"].takes(tensor(torch.ones(8)))
    assert TARGETS["bf16"].takes(tensor(torch.ones(8)))
    assert not TARGETS["fp16"].takes(tensor(torch.ones(8, dtype=torch.bfloat16)))


def test_formats_are_rounded_together_as_by_hand() -> None:
    model, subject = small()
    found = pindown.bitplanes(subject, **FEW)
    (x, y) = subject.batches().items[0]
    for f in found.formats:
        state = {
            n: TARGETS[f.target].round(p.detach()) if p.ndim > 1 or f.target in ("bf16", "fp16") else p.detach()
            for n, p in model.named_parameters()
        }
        with torch.no_grad():
            after = nn.functional.cross_entropy(torch.func.functional_call(model, state, (x,)), y)
        assert f.together.value == pytest.approx(float(after) - found.baseline.value, abs=1e-6)
        assert f.together.kind == "exact"


def test_nothing_is_chosen_where_nothing_is_tolerated() -> None:
    """ε just above the arithmetic's noise: every tensor stays as it is, and that is said."""
    _, subject = small()
    found = pindown.bitplanes(subject, epsilon=2e-6, format="fp32", draws=8, check=False)
    assert set(found.choice.target.values()) <= {"own", "fp16", "bf16"}
    assert found.choice.verified.value <= 2e-6
    if set(found.choice.target.values()) == {"own"}:
        assert "No tensor can be rounded" in found.recommendation


# ---------------------------------------------------------------- results


def test_results_go_to_json_and_back() -> None:
    _, subject = small(held_out=True)
    found = pindown.bitplanes(subject, held_out=True, epsilon=0.02, relative=True, format="fp16", draws=16, seed=3)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["schema"] == "pindown/bitplanes/1"
    again = pindown.BitPlanes.from_dict(record)
    assert again.to_dict() == found.to_dict()
    assert again.summary() == found.summary()
    assert found.epsilon == pytest.approx(0.02 * found.baseline.value)
    assert (found.relative, found.data, found.examples) == (0.02, "held-out data", 7)
    levels = found.levels()
    assert set(levels["tensor"]) == {t.name for t in found.tensors} | {"all tensors"}
    assert set(levels["kind"]) <= {"", "mantissa", "exponent", "sign"}
    assert "<table" in found._repr_html_()
    assert found.recommendation in found.summary()


@pytest.mark.parametrize(
    "record", [{}, {"schema": "pindown/audit/1"}, {"schema": "pindown/bitplanes/1"}, [], {"schema": None}]
)
def test_other_records_are_refused(record: Any) -> None:
    with pytest.raises(CheckpointError):
        pindown.BitPlanes.from_dict(record)


def test_losses_that_are_not_finite_are_results() -> None:
    """The loss is NaN for large changes: no exception, no level dropped, each one counted."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x = torch.randn(6, 3)
    y = model(x).detach()

    def guarded(outputs: Tensor, targets: Tensor) -> Tensor:
        far = (outputs - targets).abs()
        return torch.where(far > 30.0, torch.nan, far).mean()

    subject = Subject(model, guarded, (x, y))
    found = pindown.bitplanes(subject, epsilon=5.0, format="fp32", draws=8)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert pindown.BitPlanes.from_dict(record).to_dict() == found.to_dict()
    levels = [v for t in found.measured for v in t.bracket.levels if v.nonfinite]
    assert levels
    assert all(v.decision == "not tolerated" and v.kind != "mantissa" for v in levels)
    assert all(v.rise.status is Status.NON_FINITE and v.rise.kind == "lower_bound" for v in levels)


def test_the_seed_decides() -> None:
    _, subject = small()
    one, two, other = (pindown.bitplanes(subject, seed=s, **FEW) for s in (1, 1, 2))
    assert without_time(one) == without_time(two)
    assert without_time(one)["tensors"] != without_time(other)["tensors"]


def test_batches_do_not_change_the_answer() -> None:
    model, subject = small()
    (x, y) = subject.batches().items[0]
    cut = Subject(model, "cross_entropy", (x, y), batch_size=7, name="small")
    a, b = (pindown.bitplanes(s, **FEW) for s in (subject, cut))
    assert [t.tolerated.value for t in a.tensors] == [t.tolerated.value for t in b.tensors]
    assert a.allocation.kept == b.allocation.kept


# ---------------------------------------------------------------- stopping and going on


class Stopped(Exception): ...


@pytest.mark.parametrize("after", [1, 6])
def test_an_interrupted_measurement_goes_on_to_the_same_answer(tmp_path: Path, after: int) -> None:
    _, subject = small()
    whole = pindown.bitplanes(subject, seed=5, **FEW)
    calls = 0
    shares: list[float] = []

    def stop(share: float, text: str) -> None:
        nonlocal calls
        calls += 1
        shares.append(share)
        assert text
        if calls > after:
            raise Stopped

    with pytest.raises(Stopped):
        pindown.bitplanes(subject, seed=5, checkpoint=tmp_path, progress=stop, **FEW)
    assert [f.name for f in tmp_path.iterdir()] == ["bitplanes.pt"]
    assert shares == sorted(shares)
    evaluated: list[int] = []
    original = ReplacedLoss.__call__

    def counted(self: ReplacedLoss, replaced: Any) -> list[float]:
        out = original(self, replaced)
        evaluated.append(len(out))
        return out

    ReplacedLoss.__call__ = counted  # type: ignore[method-assign]
    try:
        resumed = pindown.bitplanes(subject, seed=5, checkpoint=tmp_path, **FEW)
    finally:
        ReplacedLoss.__call__ = original  # type: ignore[method-assign]
    assert without_time(resumed) == without_time(whole)
    if after > 1:
        assert sum(evaluated) < whole.evaluations - 10  # what was known was not measured again


def test_other_and_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    _, subject = small()
    pindown.bitplanes(subject, checkpoint=tmp_path, **FEW)
    for change in ({"seed": 1}, {"epsilon": 0.02}, {"format": "fp16"}, {"exclude": "0.bias"}, {"draws": 16}):
        with pytest.raises(CheckpointError, match="another measurement"):
            pindown.bitplanes(subject, checkpoint=tmp_path, **(FEW | change))
    with pytest.raises(CheckpointError, match="another measurement"):
        pindown.bitplanes(small(seed=1)[1], checkpoint=tmp_path, **FEW)
    (tmp_path / "bitplanes.pt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="damaged"):
        pindown.bitplanes(subject, checkpoint=tmp_path, **FEW)


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
def test_a_failing_loss_leaves_no_trace(raised: type[BaseException]) -> None:
    model, _ = small()
    x, y = torch.randn(9, 4), torch.randint(0, 3, (9,))
    left = 10**9

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal left
        left -= 1
        if left < 0:
            raise raised("stop")
        return nn.functional.cross_entropy(outputs, targets)

    subject = Subject(model, loss, (x, y))
    before = {n: t.clone() for n, t in subject.module.state_dict().items()}
    ids = [id(p) for p in subject.module.parameters()]
    left = 12
    with pytest.raises(raised):
        pindown.bitplanes(subject, **FEW)
    assert all(torch.equal(t, before[n]) for n, t in subject.module.state_dict().items())
    assert [id(p) for p in subject.module.parameters()] == ids


def test_the_plan_is_near_what_it_takes() -> None:
    _, subject = small()
    plan = plan_bitplanes(subject, format="bf16")
    found = pindown.bitplanes(subject, format="bf16", draws=32)
    assert plan.evaluations / 3 < found.evaluations < 3 * plan.evaluations
    assert (plan.tensors, plan.parameters) == (4, 4 * 12 + 12 + 12 * 3 + 3)
    assert json.loads(json.dumps(plan.to_dict()))["seconds"] > 0
    assert "4 tensors" in str(plan)
    with pytest.raises(InputError, match="no tensor"):
        plan_bitplanes(Subject(nn.Linear(4, 3).bfloat16(), "cross_entropy", subject.batches().items[0]))


# ---------------------------------------------------------------- the command


MODULE = """
import torch
from pindown import Subject

def make_subject():
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    x = torch.randn(30, 3, generator=rng)
    return Subject(model, "cross_entropy", (x, (x[:, 0] > 0).long()), held_out=(x[:9], (x[:9, 0] > 0).long()))
"""


SLOW = """
import time

class Slow(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        time.sleep(0.1)
        return self.inner(x)
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bitplanes", *arguments])


@pytest.fixture
def module(own_folder: Path) -> str:
    (own_folder / "planes_module.py").write_text(MODULE, encoding="utf-8")
    return "planes_module.py"


QUICK = ("--format", "bf16", "--draws", "8", "--epsilon", "0.02")


def test_the_command_writes_its_files(module: str, own_folder: Path) -> None:
    done = run(module, *QUICK, "--out", "deep/out", "--json", "record.json", "--exclude", "*.bias", "--seed", "3")
    assert done.exit_code == 0, done.stderr
    assert "Allocated jointly" in " ".join(done.stdout.split())
    record = json.loads((own_folder / "record.json").read_text(encoding="utf-8"))
    assert record == json.loads((own_folder / "deep/out/bitplanes.json").read_text(encoding="utf-8"))
    assert [t["name"] for t in record["tensors"]] == ["0.weight", "2.weight"]
    assert (record["seed"], record["format"], record["epsilon"]) == (3, "bf16", 0.02)
    names = {p.name for p in (own_folder / "deep/out").iterdir()}
    assert names == {"bitplanes.json", "bitplanes.csv", "torchao_config.py", "llm_compressor.yaml", "report.html"}


def test_json_on_stdout_stands_alone(module: str) -> None:
    done = run(module, *QUICK, "--json", "-", "--held-out", "--relative")
    record = json.loads(done.stdout)
    assert (record["data"], record["relative"]) == ("held-out data", 0.02)
    assert "Written" in done.stderr
    quiet = run(module, *QUICK, "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_dry_run_writes_nothing(module: str, own_folder: Path) -> None:
    before = set(own_folder.iterdir())
    done = run(module, *QUICK, "--dry-run")
    assert done.exit_code == 0, done.stderr
    for word in ("4 tensors", "evaluations", "GB"):
        assert word in done.stdout
    assert json.loads(run(module, *QUICK, "--dry-run", "--json", "-").stdout)["tensors"] == 4
    assert {p for p in own_folder.iterdir() if p.name != "__pycache__"} == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere.py",), 2, "no file at"),
        (("planes_module.py", "--format", "fp7"), 2, "format 'fp7'"),
        (("planes_module.py", "--epsilon", "-1"), 2, "epsilon -1"),
        (("planes_module.py", "--include", "x*"), 2, "matches no tensor"),
        (("planes_module.py", "--data", "tokens.pt"), 2, "--data for a function"),
        ((".",), 2, "--data"),
        ((".", "--data", "tokens.pt", "--weights", "w.pt"), 2, "--weights"),
        ((".", "--data", "tokens.pt"), 2, "config.json"),
        (("planes_module.py", "--resume"), 4, "no unfinished work"),
    ],
)
def test_what_the_command_refuses(module: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = run(*arguments)
    assert done.exit_code == code
    assert words in " ".join(done.stderr.split())
    assert not Path("pindown-bitplanes").exists()


def test_every_option_is_in_the_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "quantise.md").read_text(encoding="utf-8")
    shown = CliRunner().invoke(app, ["bitplanes", "--help"], terminal_width=200).stdout
    options = set(re.findall(r"(--[a-z-]+)", shown)) - {"--help"}
    assert {"--epsilon", "--format"} <= options
    assert options <= set(re.findall(r"--[a-z-]+", guide))


def test_weights_reach_the_subject(module: str) -> None:
    state = {
        "0.weight": torch.ones(8, 3), "0.bias": torch.zeros(8), "2.weight": torch.ones(2, 8), "2.bias": torch.zeros(2),
    }  # fmt: skip
    torch.save(state, "trained.pt")
    done = run(module, *QUICK, "--weights", "trained.pt", "--json", "-")
    assert json.loads(done.stdout)["baseline"]["value"] == pytest.approx(math.log(2), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_command_goes_on_to_the_same_answer(tmp_path: Path, how: signal.Signals) -> None:
    """Slowed down so that there is something to stop; the answer is that of an uninterrupted run."""
    slow = MODULE.replace("Subject(model", "Subject(Slow(model)") + SLOW
    (tmp_path / "planes_module.py").write_text(slow, encoding="utf-8")
    command = [sys.executable, "-m", "pindown", "bitplanes", "planes_module.py", *QUICK]
    whole = subprocess.run([*command, "--json", "-", "--out", "whole"], cwd=tmp_path, capture_output=True, check=True)
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + 600  # of a machine that others use too
        while not (tmp_path / "pindown-bitplanes" / "checkpoint" / "bitplanes.pt").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(how)
        _, error = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in error
    done = subprocess.run([*command, "--resume", "--json", "-"], cwd=tmp_path, capture_output=True, check=True)
    a, b = ({k: v for k, v in json.loads(r.stdout).items() if k != "seconds"} for r in (whole, done))
    assert a == b
