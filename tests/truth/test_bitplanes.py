"""Bit planes where the answer is known: closed forms, planted grids, dead tensors and scales; and controls that fail.

The loss of a linear model is quadratic, so that the mean rise with k random low-order bits is known exactly. A code's k
low bits, now b, become uniform on 0 … 2^k − 1: their mean moves by m = (2^k − 1)/2 − b and their variance is
(4^k − 1)/12. With residuals e = Xw − y, n examples and step Δ the mean squared error rises by

    r(k) = Δ²/n [ (4^k − 1)/12 · tr XᵀX + mᵀ XᵀX m ] + 2Δ/n · eᵀ X m.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pindown
from pindown import Subject
from pindown.network.number_formats import Codes, number_format, random_words
from pindown.network.plane_search import Randomiser, Rule, level_at
from pindown.network.precision import allocate
from pindown.network.replaced import ReplacedLoss, weight_tensors

N, D = 60, 20


def linear(seed: int, *, n: int = N, d: int = D) -> tuple[nn.Linear, Tensor, Tensor]:
    """A least-squares fit in float64: the gradient is zero, the residuals are not."""
    g = torch.Generator().manual_seed(seed)
    x = (0.3 + torch.randn(n, d, generator=g, dtype=torch.float64)) * torch.logspace(-1, 0.5, d, dtype=torch.float64)
    y = torch.randn(n, 1, generator=g, dtype=torch.float64)
    model = nn.Linear(d, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    return model, x, y


def exact_rise(codes: Codes, x: Tensor, y: Tensor, planes: int, weights: Tensor) -> float:
    """The closed form above, from the codes; the rise is relative to the loss at ``weights``."""
    w = codes.weights().double().reshape(-1)
    low = (codes.words.reshape(-1).to(torch.int64) & ((1 << planes) - 1)).double()
    m = (2.0**planes - 1.0) / 2.0 - low
    gram, n, step = x.T @ x, len(x), codes.scale
    e, e0 = x @ w - y.reshape(-1), x @ weights.double().reshape(-1) - y.reshape(-1)
    spread = (4.0**planes - 1.0) / 12.0 * gram.trace() + m @ gram @ m
    return float(step**2 * spread / n + 2.0 * step / n * (e @ x @ m) + (e.square().sum() - e0.square().sum()) / n)


def randomiser(subject: Subject, form: str, seed: int = 0) -> Randomiser:
    tensors = [w for w in weight_tensors(subject.module) if w.value is not None]
    codes = {w.name: number_format(form).encode(w.value) for w in tensors if w.value is not None}
    return Randomiser(ReplacedLoss(subject), codes, frozenset(), seed)


def complaint(rises: np.ndarray, exact: float) -> str:
    """What is wrong with the mean of independent rises; four standard errors, which are at most 8% of the value."""
    mean, stderr = float(rises.mean()), float(rises.std(ddof=1)) / math.sqrt(len(rises))
    if not stderr <= 0.08 * exact:
        return f"standard error {stderr:.3g} of {exact:.3g}"
    return f"{mean:.4g} ± {stderr:.2g} where {exact:.4g} is exact" if abs(mean - exact) > 4.0 * stderr else ""


@pytest.mark.parametrize("planes", [1, 4, 8, 12, 16])
def test_the_mean_rise_of_a_linear_model_is_the_closed_form(planes: int) -> None:
    model, x, y = linear(1)
    subject = Subject(model, "mse", (x, y))
    draws = randomiser(subject, "fixed16")
    rises = np.array(draws.losses({"weight": planes}, 0, 1000)) - draws.loss.plain()
    exact = exact_rise(draws.codes["weight"], x, y, planes, model.weight.detach())
    if planes > 1:
        assert complaint(rises, exact) == ""
    else:  # the rounding to the format is as large as one random bit
        assert rises.mean() == pytest.approx(exact, abs=4.0 * rises.std() / math.sqrt(len(rises)) + 1e-15)


def one_bit_only(codes: Codes, planes: int, words: Tensor) -> Codes:
    mask = 1 << (planes - 1)
    return Codes(codes.format, (codes.words & ~mask) | (words & mask), codes.scale, codes.dtype)


def ones(codes: Codes, planes: int, words: Tensor) -> Codes:
    return Codes(codes.format, (codes.words | ((1 << planes) - 1)).expand_as(words), codes.scale, codes.dtype)


def one_plane_short(codes: Codes, planes: int, words: Tensor) -> Codes:
    return ORIGINAL(codes, planes - 1, words)


def same_for_all_weights(codes: Codes, planes: int, words: Tensor) -> Codes:
    return ORIGINAL(codes, planes, words[..., :1].expand_as(words))


ORIGINAL = Codes.randomised


@pytest.mark.parametrize("broken", [one_bit_only, ones, one_plane_short, same_for_all_weights])
def test_a_broken_randomiser_fails_the_closed_form(broken, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y = linear(1)
    draws = randomiser(Subject(model, "mse", (x, y)), "fixed16")
    exact = exact_rise(draws.codes["weight"], x, y, 12, model.weight.detach())
    monkeypatch.setattr(Codes, "randomised", broken)
    rises = np.array(draws.losses({"weight": 12}, 0, 1000)) - draws.loss.plain()
    if broken is ones:
        rises = rises + 1e-12 * np.arange(1000)  # not one draw differs from another
    assert complaint(rises, exact) != ""


def true_knee(codes: Codes, x: Tensor, y: Tensor, weights: Tensor, epsilon: float) -> int:
    rises = [exact_rise(codes, x, y, k, weights) for k in range(codes.format.bits + 1)]
    below = [k for k, r in enumerate(rises) if r <= epsilon]
    assert below == list(range(len(below))), "the closed form is monotone here"
    return below[-1]


def test_the_knee_of_a_linear_model_is_the_closed_forms() -> None:
    """Forty seeds, each with its own ε anywhere between two planes: right in at least 36, and few without a decision.

    Each answer rests on two decisions of at most 2.5% error each; 5 or more wrong of 40 at 5% has probability 0.05. The
    Hessian has one large eigenvalue, so that a rise spreads as much as it is large, and 512 draws resolve it to 12%:
    a knee that lies so close to ε, of a range of 4 between planes, stays open in one case of six.
    """
    wrong, undecided = [], 0
    for seed in range(40):
        model, x, y = linear(seed)
        epsilon = float(10.0 ** np.random.default_rng(seed).uniform(-4, -1))
        found = pindown.bitplanes(
            Subject(model, "mse", (x, y)), epsilon=epsilon, format="fixed16", seed=seed, draws=512
        )
        codes = number_format("fixed16").encode(model.weight)
        knee = true_knee(codes, x, y, model.weight.detach(), epsilon)
        b = found["weight"].bracket
        assert b is not None
        undecided += b.low < b.high
        if not b.low <= knee <= b.high:
            wrong.append((seed, knee, b.low, b.high))
    assert len(wrong) <= 4, wrong
    assert undecided <= 10


class Masked(nn.Module):
    """A linear layer that ignores the low-order planes of its weights: the answer is planted."""

    def __init__(self, inner: nn.Linear, planes: int, form: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(inner.weight.detach().clone())
        self.planes, codes = planes, number_format(form).encode(inner.weight)
        self.scale, self.half = codes.scale, 2 ** (codes.format.bits - 1)
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        if self.form == "fp32":
            kept = (self.weight.float().view(torch.int32) >> self.planes << self.planes).view(torch.float32)
            return x @ kept.to(x.dtype).T
        codes = torch.round(self.weight / self.scale) + self.half
        return x @ ((torch.floor(codes / 2**self.planes) * 2**self.planes - self.half) * self.scale).T


@pytest.mark.parametrize(
    ("form", "planes"), [("fixed16", 3), ("fixed16", 9), ("fixed12", 6), ("fp32", 14), ("fp32", 20)]
)
def test_a_planted_grid_has_its_knee_at_the_grid(form: str, planes: int) -> None:
    """Below the grid nothing is seen, so that the rise is zero exactly; the first plane above it shows."""
    inner, x, _ = linear(2)
    if form == "fp32":
        inner, x = inner.float(), x.float()
    model = Masked(inner, planes, form)
    # On the grid itself, so that the baseline is that of the planted weights.
    codes = number_format(form).encode(model.weight)
    shown = Codes(codes.format, codes.words >> planes << planes, codes.scale, codes.dtype)
    with torch.no_grad():
        model.weight.copy_(shown.weights())
    # With targets of its own the loss starts at zero, so that float32 resolves the small rises.
    subject = Subject(model, "mse", (x, model(x).detach()), prior="lecun")
    draws = randomiser(subject, form)
    if form != "fp32":  # the planted tensor keeps the scale that the mask was built with
        draws.codes["weight"] = Codes(codes.format, shown.words, codes.scale, codes.dtype)  # type: ignore[index]
    baseline = draws.loss.plain()
    below = np.array(draws.losses({"weight": planes}, 0, 32)) - baseline
    above = np.array(draws.losses({"weight": planes + 1}, 0, 64)) - baseline
    assert np.abs(below).max() <= 1e-12
    epsilon = 0.3 * float(above.mean())
    assert epsilon > 20 * np.abs(below).max()
    if form == "fp32":
        found = pindown.bitplanes(subject, epsilon=epsilon, format=form)
        assert (found["weight"].bracket.low, found["weight"].bracket.high) == (planes, planes)


class Unused(nn.Module):
    def __init__(self, *, times_zero: bool = False) -> None:
        super().__init__()
        self.live, self.dead, self.times_zero = nn.Linear(5, 3), nn.Linear(5, 3), times_zero

    def forward(self, x: Tensor) -> Tensor:
        return self.live(x) + 0.0 * self.dead(x) if self.times_zero else self.live(x)


def classification(seed: int = 0, *, n: int = 80, d: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g), torch.randint(0, 3, (n,), generator=g)


@pytest.mark.parametrize("form", ["fp32", "bf16", "fp8", "fixed8"])
def test_a_dead_tensor_is_free_in_every_plane(form: str) -> None:
    torch.manual_seed(0)
    model = Unused()
    found = pindown.bitplanes(Subject(model, "cross_entropy", classification()), epsilon=1e-3, format=form)
    bits = found.bits
    for name in ("dead.weight", "dead.bias"):
        assert found[name].bracket.low == found[name].bracket.high == bits
        assert found.allocation.kept[name] == 0
    assert found["live.weight"].bracket.high < bits
    assert set(found.ranking()[:2]) == {"dead.weight", "dead.bias"}


def test_zero_times_infinity_is_no_dead_tensor() -> None:
    """Multiplied by zero the tensor is free in fixed point; in fp32 a random exponent makes NaN, which is counted."""
    torch.manual_seed(0)
    subject = Subject(Unused(times_zero=True), "cross_entropy", classification())
    fixed = pindown.bitplanes(subject, epsilon=1e-3, format="fixed16")
    assert fixed["dead.weight"].bracket.low == 16
    found = pindown.bitplanes(subject, epsilon=1e-3, format="fp32")["dead.weight"]
    assert found.bracket.high == 30  # the top exponent plane reaches infinities
    bad = [v for v in found.bracket.levels if v.nonfinite]
    assert bad
    for level in bad:
        assert level.kind in ("exponent", "sign")
        assert level.decision == "not tolerated"
        assert level.rise.status == pindown.Status.NON_FINITE


class Branches(nn.Module):
    """A sum of linear branches, the i-th scaled by 2^−shift_i."""

    def __init__(self, shifts: tuple[int, ...], width: int = 64) -> None:
        super().__init__()
        self.shifts = shifts
        self.branches = nn.ModuleList(nn.Linear(width, 8, bias=False, dtype=torch.float64) for _ in shifts)

    def forward(self, x: Tensor) -> Tensor:
        return sum(2.0**-s * b(x[:, i]) for i, (s, b) in enumerate(zip(self.shifts, self.branches, strict=True)))


def branches(shifts: tuple[int, ...], seed: int = 0) -> tuple[Branches, Subject, Tensor]:
    torch.manual_seed(seed)
    model = Branches(shifts)
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(100, len(shifts), 64, generator=g, dtype=torch.float64)
    noise = torch.randn(100, 8, generator=g, dtype=torch.float64)
    return model, Subject(model, "mse", (x, model(x).detach() + 0.0 * noise)), x


def test_a_branch_scaled_by_two_to_the_minus_s_tolerates_s_planes_more() -> None:
    """The rise falls by 4^s, which is s planes, up to the spread of the data between branches of equal law."""
    shifts = (0, 2, 5)
    _, subject, _ = branches(shifts)
    found = pindown.bitplanes(subject, epsilon=1e-3, format="fixed20")
    planes = [found[f"branches.{i}.weight"].bracket for i in range(3)]
    assert all(b.high - b.low <= 1 for b in planes)
    gains = [b.low - planes[0].low for b in planes]
    assert all(abs(gain - s) <= 1 for gain, s in zip(gains, shifts, strict=True))
    flat = pindown.bitplanes(branches((0, 0, 0), seed=3)[1], epsilon=1e-3, format="fixed20")
    assert np.ptp([t.bracket.low for t in flat.measured]) <= 1


def test_random_weights_have_a_flat_profile() -> None:
    """In a ReLU network as He initialises it a relative change of any layer is the same one of the output."""
    torch.manual_seed(5)
    layers: list[nn.Module] = []
    for i in range(5):
        layer = nn.Linear(64, 64, bias=False)
        nn.init.kaiming_normal_(layer.weight)
        layers += [layer, nn.ReLU()] if i < 4 else [layer]
    model = nn.Sequential(*layers)
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    subject = Subject(model, "mse", (x, model(x).detach()), prior="he")
    found = pindown.bitplanes(subject, epsilon=0.01, format="fixed16")
    lows = [t.bracket.low for t in found.measured]
    assert len(lows) == 5
    assert np.ptp(lows) <= 1


# ---------------------------------------------------------------- joint figures


def exact_part(model: Branches, x: Tensor, i: int, k: int, form: str) -> tuple[float, Tensor]:
    """What branch i adds with k planes random: the spread of its output, and how its mean moves."""
    weights, shift = model.branches[i].weight.detach(), 2.0 ** -model.shifts[i]
    codes = number_format(form).encode(weights)
    low = (codes.words.to(torch.int64) & ((1 << k) - 1)).double()
    spread = 8.0 * shift**2 * codes.scale**2 * (4.0**k - 1.0) / 12.0 * float(x[:, i].square().sum())
    moved = codes.weights() - weights + codes.scale * ((2.0**k - 1.0) / 2.0 - low)
    return spread, shift * (x[:, i] @ moved.T)


def exact_joint(model: Branches, x: Tensor, planes: dict[str, int], form: str) -> float:
    """The closed form over branches: independent bits, so that only the means meet."""
    parts = [exact_part(model, x, i, k, form) for i, k in enumerate(planes.values())]
    mean = torch.stack([m for _, m in parts]).sum(0)
    return (sum(s for s, _ in parts) + float(mean.square().sum())) / mean.numel()


SHIFTS, FORM, EPSILON = (0, 1, 2, 3, 0, 4, 2), "fixed16", 2e-3


@pytest.fixture(scope="module")
def seven() -> tuple[Branches, Subject, Tensor, pindown.BitPlanes]:
    model, subject, x = branches(SHIFTS, seed=1)
    return model, subject, x, pindown.bitplanes(subject, epsilon=EPSILON, format=FORM, seed=4)


def test_the_joint_rise_of_an_allocation_is_the_closed_form(seven) -> None:
    model, subject, x, found = seven
    planes = {name: found.bits - kept for name, kept in found.allocation.kept.items()}
    exact = exact_joint(model, x, planes, FORM)
    rise = found.allocation.verified.rise
    low, high = rise.interval(0.9999)
    assert low <= exact <= high
    assert rise.stderr <= 0.1 * EPSILON
    assert found.allocation.verified.decision == "tolerated"
    assert exact <= EPSILON
    draws = randomiser(subject, FORM, seed=99)
    assert complaint(np.array(draws.losses(planes, 0, 300)) - draws.loss.plain(), exact) == ""


def test_the_allocation_is_the_cheapest_up_to_one_plane_of_one_tensor(seven) -> None:
    """Every tensor has as many weights, so the optimum is a count of planes: found by trying around the answer."""
    model, _, x, found = seven
    planes = {name: found.bits - kept for name, kept in found.allocation.kept.items()}
    steps = (-1, 0, 1, 2)
    parts = [[exact_part(model, x, i, k + m, FORM) for m in steps] for i, k in enumerate(planes.values())]
    best = 0
    for chosen in product(range(len(steps)), repeat=len(planes)):
        gain = sum(steps[j] for j in chosen)
        spread = sum(row[j][0] for row, j in zip(parts, chosen, strict=True)) / 800
        if gain > best and spread <= EPSILON:
            mean = torch.stack([row[j][1] for row, j in zip(parts, chosen, strict=True)]).sum(0)
            best = gain if spread + float(mean.square().mean()) <= EPSILON else best
    # The first budget is 0.8 ε, and a measured rise above 0.7 ε ends the search: less than one plane in all tensors.
    assert best <= 2
    kept = list(found.allocation.kept.values())
    # Water-filling: a branch scaled down by 2^s keeps s bits fewer.
    assert all(abs((kept[0] - k) - s) <= 1 for k, s in zip(kept, SHIFTS, strict=True))


def test_answers_of_single_tensors_add_up(seven) -> None:
    """Seven tensors, each at its own knee, between ε/4 and ε: together far above ε, and the exact sum is measured."""
    model, _, x, found = seven
    own = {t.name: t.bracket.low for t in found.measured}
    exact = exact_joint(model, x, own, FORM)
    assert exact > 1.5 * EPSILON
    low, high = found.together.rise.interval(0.9999)
    assert low <= exact <= high
    assert found.together.decision == "not tolerated"
    assert found.joint.low < max(own.values())


def test_a_wrong_allocation_is_rejected_by_the_verification(seven) -> None:
    _, subject, _, found = seven
    draws = randomiser(subject, FORM, seed=5)
    rule = Rule(EPSILON, 0.95, 128, draws.loss.plain(), 1e-12, "1")
    own = {t.name: t.bracket.low for t in found.measured}
    assert level_at(rule, None, -1, lambda i, n: draws.losses(own, i, n)).decision == "not tolerated"
    good = {name: found.bits - kept for name, kept in found.allocation.kept.items()}
    assert level_at(rule, None, -1, lambda i, n: draws.losses(good, i, n)).decision == "tolerated"


def test_rises_below_zero_do_not_count_as_nothing() -> None:
    """Random bits make a confident network's loss fall at first: alone up to 9 planes, though not beside others.

    The network of the guide, in bf16: sensitivities of nothing would have every plane of its middle layer random first,
    and then none of any other tensor.
    """
    g = torch.Generator().manual_seed(0)
    x = torch.randn(300, 32, generator=g)
    y = (x[:, :4] @ torch.randn(4, 3, generator=g)).argmax(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    found = pindown.bitplanes(pindown.Subject(model, "cross_entropy", (x, y)), epsilon=0.01, format="bf16")
    falling = [v.rise.value for t in found.measured if t.bracket is not None for v in t.bracket.levels]
    assert min(falling) < -0.001
    sizes = {t.name: t.size for t in found.measured}
    same = sum(sizes.values()) * (found.bits - found.joint.low)
    assert found.joint.low > 4
    assert found.allocation.status.ok
    assert found.allocation.bits < same


@pytest.mark.parametrize("factor", [0.02, 0.2, 5.0, 50.0])
def test_wrong_sensitivities_are_mended_by_the_measured_rise(seven, factor: float, monkeypatch) -> None:
    """The allocation believes sensitivities that are off by ``factor``; what it gives is still within ε."""
    from pindown.network import precision

    model, subject, x, found = seven
    original = precision.expected_rises
    monkeypatch.setattr(precision, "expected_rises", lambda *a: [factor * r for r in original(*a)])
    draws, form = randomiser(subject, FORM, seed=6), number_format(FORM)
    rule = Rule(EPSILON, 0.95, 128, draws.loss.plain(), 1e-12, "1")

    def measure(planes):
        return level_at(rule, None, -1, lambda i, n: draws.losses(planes, i, n))

    result = allocate(found.measured, form, rule, found.joint, measure, lambda planes: None)
    assert result.status.ok
    planes = {name: form.bits - kept for name, kept in result.kept.items()}
    assert exact_joint(model, x, planes, FORM) <= EPSILON
    assert result.bits <= found.allocation.bits + 8 * 64 * len(SHIFTS)  # at most one plane more in each tensor


def test_rounding_has_half_the_mean_square_of_random_bits() -> None:
    """Uniform errors: rounding k planes away leaves 4^k Δ²/12 a weight, random bits twice that. Spread 2% at 40,000."""
    codes = number_format("fixed16").encode(torch.randn(40_000, generator=torch.Generator().manual_seed(0)))
    w, k = codes.weights().double(), 8
    unit = 4.0**k * codes.scale**2 / 12.0
    rounded = float((codes.rounded(k).weights().double() - w).square().mean())
    mixed = codes.randomised(k, random_words(codes, torch.Generator().manual_seed(1)))
    assert rounded == pytest.approx(unit, rel=0.03)
    assert float((mixed.weights().double() - w).square().mean()) == pytest.approx(2.0 * unit, rel=0.03)


# ---------------------------------------------------------------- the decision rule


def shares(rule: Rule, mean: float, spread: float, seed: int, runs: int = 1500) -> tuple[float, float]:
    """How often independent normal draws around ``mean`` are decided tolerated, and not tolerated."""
    rng, yes, no = np.random.default_rng(seed), 0, 0
    for _ in range(runs):
        draws = list(rng.normal(mean, spread, rule.looks[-1]))
        for n in rule.looks:
            decision = rule.decide(draws[:n])
            if decision != "undecided":
                yes, no = yes + (decision == "tolerated"), no + (decision == "not tolerated")
                break
    return yes / runs, no / runs


def test_decisions_err_no_more_often_than_stated() -> None:
    """At a mean of exactly ε either decision is an error on one side: at most 2.5% each, plus 3 binomial errors."""
    rule = Rule(1.0, 0.95, 128, 0.0, 1e-9, "1")
    slack = 3.0 * math.sqrt(0.025 * 0.975 / 1500)
    for spread in (0.1, 0.5, 2.0):
        yes, no = shares(rule, 1.0, spread, seed=1)
        assert yes <= 0.025 + slack
        assert no <= 0.025 + slack
    yes, _ = shares(rule, 0.5, 0.3, seed=2, runs=300)
    _, no = shares(rule, 2.0, 0.6, seed=3, runs=300)
    assert min(yes, no) > 0.97


def test_looking_often_without_paying_for_it_errs_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: each look at the whole 5% instead of its share."""
    from scipy.special import stdtrit

    rule = Rule(1.0, 0.95, 128, 0.0, 1e-9, "1")
    monkeypatch.setattr(Rule, "quantile", lambda self, n: float(stdtrit(n - 1, 0.975)))
    yes, no = shares(rule, 1.0, 0.5, seed=1)
    assert max(yes, no) > 0.025 + 3.0 * math.sqrt(0.025 * 0.975 / 1500)


def test_losses_of_any_size_are_decided_at_once() -> None:
    """Heavy tails, as random exponents give: the mean has no variance to speak of, the mean of the cut draws has."""
    rule = Rule(0.01, 0.95, 128, 0.0, 1e-9, "1")
    rng = np.random.default_rng(0)
    early = sum(rule.decide(list(np.exp(rng.normal(20, 20, 8)))) == "not tolerated" for _ in range(300))
    assert early / 300 > 0.7
    assert rule.decide([0.001] * 31 + [math.nan]) == "not tolerated"
    assert rule.decide([0.001] * 31 + [math.inf]) == "not tolerated"
    assert rule.decide([0.0] * 4) == "undecided"
    assert rule.decide([0.0] * 16) == "tolerated"
