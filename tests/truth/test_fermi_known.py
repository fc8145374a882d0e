"""Fermi estimates against what is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from pindown import Estimate, InputError, fermi
from pindown.fermi.sampling import Sampler

Z95 = float(stats.norm.ppf(0.95))


def agrees(found: Estimate, exact: float, ceiling: float) -> bool:
    """Within five standard errors (with 15 degrees of freedom one in six thousand is farther); the error is capped."""
    assert found.stderr <= ceiling * abs(exact), f"{found} for {exact}: the error is too large to tell"
    return abs(found.value - exact) <= 5.0 * found.stderr + 1e-12 * abs(exact)


def test_a_quantity_less_itself_is_nothing_and_a_second_draw_is_not() -> None:
    x = fermi.normal(0, 1, name="x")
    assert all(e.value == 0.0 for e in fermi.estimate(x - x).percentiles.values())
    other = fermi.normal(0, 1, name="y")
    spread = fermi.estimate(x - other).percentiles[95]
    assert agrees(spread, math.sqrt(2.0) * Z95, 0.01)


SIGMAS = (0.3, 1.2, 0.7)


def lognormals(names: str = "abc") -> list[fermi.Quantity]:
    return [fermi.lognormal(2.0, s, name=n) for s, n in zip(SIGMAS, names, strict=True)]


def test_products_of_lognormals_are_lognormal() -> None:
    a, b, c = lognormals()
    found = fermi.estimate(a * b / c)
    sigma = math.sqrt(sum(s * s for s in SIGMAS))
    for p, e in found.percentiles.items():
        assert agrees(e, 2.0 * math.exp(sigma * stats.norm.ppf(p / 100)), 0.02)
    too_narrow = 2.0 * math.exp(1.1 * sigma * Z95)
    assert not agrees(found.percentiles[95], too_narrow, 0.02)


def test_logarithms_share_their_variance_as_they_must() -> None:
    a, b, c = lognormals()
    found = fermi.estimate(a * b * c, sensitivity=2048)
    total = sum(s * s for s in SIGMAS)
    assert found.dominant == "b"
    assert found.dominant_is_clear
    for s in found.sensitivity:
        share = SIGMAS["abc".index(s.name)] ** 2 / total
        assert abs(s.total.value - share) <= 4.0 * s.total.stderr
        assert abs(s.first.value - share) <= 4.0 * s.first.stderr
        assert s.total.stderr < 0.05
    for swing in found.swings:
        sigma = SIGMAS["abc".index(swing.name)]
        assert swing.high / swing.low == pytest.approx(math.exp(2 * Z95 * sigma), rel=1e-9)


def ishigami(a: float = 7.0, b: float = 0.1) -> tuple[fermi.Quantity, dict[str, tuple[float, float]]]:
    """The function and its indices: V1 = (1 + bπ⁴/5)²/2, V2 = a²/8, V13 = b²π⁸(1/18 − 1/50)."""
    x, y, z = (fermi.uniform(-math.pi, math.pi, name=n) for n in ("x1", "x2", "x3"))
    v1, v2 = (1 + b * math.pi**4 / 5) ** 2 / 2, a * a / 8
    v13 = b * b * math.pi**8 * (1 / 18 - 1 / 50)
    v = v1 + v2 + v13
    exact = {"x1": (v1 / v, (v1 + v13) / v), "x2": (v2 / v, v2 / v), "x3": (0.0, v13 / v)}
    return fermi.sin(x) + a * fermi.sin(y) ** 2 + b * z**4 * fermi.sin(x), exact


def test_ishigami_within_the_stated_errors() -> None:
    y, exact = ishigami()
    found = fermi.estimate(y, sensitivity=4096)
    assert not found.log
    for s in found.sensitivity:
        for e, truth in zip((s.first, s.total), exact[s.name], strict=True):
            assert e.stderr < 0.03
            assert abs(e.value - truth) <= 4.0 * e.stderr
    _, without = ishigami(b=0.05)
    wrong = {s.name: abs(s.total.value - without[s.name][1]) / s.total.stderr for s in found.sensitivity}
    assert max(wrong.values()) > 4.0, "indices of another function would have passed"


def test_indices_come_from_the_seed_alone() -> None:
    """SALib takes a seed of 0 for none; two calls would then differ in their errors."""
    y, _ = ishigami()
    np_state = np.random.get_state()[1].copy()  # noqa: NPY002 - that it stays is what is tested
    first, second = (fermi.estimate(y, 0, sensitivity=64, samples=256) for _ in range(2))
    assert first.sensitivity == second.sensitivity
    assert (np.random.get_state()[1] == np_state).all()  # noqa: NPY002


def test_correlated_lognormals_in_closed_form_and_independent_ones_differ() -> None:
    a, b, _ = lognormals()
    rank = 0.6
    pearson = 2 * math.sin(math.pi * rank / 6)
    s, t = SIGMAS[:2]
    exact = 4.0 * math.exp(Z95 * math.sqrt(s * s + t * t + 2 * pearson * s * t))
    joined = fermi.estimate(a * b, correlations=[(a, "b", rank)])
    assert agrees(joined.percentiles[95], exact, 0.02)
    assert not agrees(fermi.estimate(a * b).percentiles[95], exact, 0.02)
    assert [s.name for s in joined.sensitivity] == ["a + b"]
    sampler = Sampler(fermi.Model(a * b, correlations=(("a", "b", rank),)))
    u = np.random.default_rng(0).random((20_000, 2))
    drawn = sampler.values(u, sampler.inputs)
    assert stats.spearmanr(*drawn).statistic == pytest.approx(rank, abs=0.02)  # one error is 0.005
    scores = stats.norm.ppf(sampler.moved(0, Z95)) @ np.linalg.cholesky([[1, pearson], [pearson, 1]]).T
    assert scores == pytest.approx([Z95, pearson * Z95])


def test_a_mixture_has_the_mixed_distribution() -> None:
    a, b = fermi.normal(0, 1), fermi.normal(5, 2)
    found = fermi.estimate(fermi.mixture([a, b], [3, 1]))
    for p, e in found.percentiles.items():
        exact = brentq(lambda x, p=p: 0.75 * stats.norm.cdf(x) + 0.25 * stats.norm.cdf(x, 5, 2) - p / 100, -9, 20)
        assert abs(e.value - exact) <= 5 * e.stderr
        assert e.stderr < 0.08


DISTRIBUTIONS = [
    (fermi.interval(1, 10), stats.lognorm(math.log(10) / (2 * Z95), scale=math.sqrt(10))),
    (fermi.interval(-1, 3), stats.norm(1, 2 / Z95)),
    (fermi.interval(1, 3, shape="normal", mass=0.5), stats.norm(2, 1 / stats.norm.ppf(0.75))),
    (fermi.beta(2, 5), stats.beta(2, 5)),
    (fermi.uniform(2, 6), stats.uniform(2, 4)),
    (fermi.normal(0, 1).truncated(-0.5, 2), stats.truncnorm(-0.5, 2)),
    (fermi.beta(2, 2).truncated(high=0.5), None),
]


@pytest.mark.parametrize(("quantity", "exact"), DISTRIBUTIONS, ids=lambda x: getattr(x, "kind", ""))
def test_distributions_have_their_quantiles(quantity: fermi.Quantity, exact: stats.rv_continuous | None) -> None:
    u = np.linspace(0.001, 0.999, 57)
    assert quantity.distribution is not None
    x = quantity.distribution.quantile(u)
    if exact is None:  # beta(2, 2) has the cumulative function 3x² − 2x³, which is 1/2 at 1/2
        assert 2 * (3 * x**2 - 2 * x**3) == pytest.approx(u, abs=1e-9)
    else:
        assert x == pytest.approx(exact.ppf(u), rel=1e-9)
    low, high = quantity.support
    assert ((x >= low) & (x <= high)).all()
    assert [quantity.distribution.cumulative(float(v)) for v in x] == pytest.approx(u, abs=1e-9)


def test_discrete_and_empirical_values() -> None:
    found = fermi.estimate(fermi.discrete([3, 1, 2], [0.2, 0.5, 0.3]), percents=[25, 49, 60, 90])
    assert [e.value for e in found.percentiles.values()] == [1, 1, 2, 3]
    seen = [5.0, 1.0, 4.0, 2.0, 3.0]
    found = fermi.estimate(fermi.empirical(seen), percents=[10, 30, 50, 90])
    assert [e.value for e in found.percentiles.values()] == pytest.approx([1, 2, 3, 5], abs=0.02)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 40 intervals of 95%, 33 or fewer hold the truth with a chance of 0.3% at most; too narrow ones would show."""
    a, b, c = lognormals()
    exact = 8.0 * math.exp(Z95 * math.sqrt(sum(s * s for s in SIGMAS)))
    covered = narrow = 0
    for seed in range(40):
        e = fermi.estimate(a * b * c, seed, samples=1 << 12, sensitivity=0).percentiles[95]
        low, high = e.interval()
        covered += low <= exact <= high
        narrow += abs(e.value - exact) <= (high - low) / 6
    assert covered >= 34
    assert narrow < 34


def test_scrambled_points_err_less_than_random_ones() -> None:
    """At equal draws, root mean square error of the 95% point over 20 seeds."""
    a, b, c = lognormals()
    exact = 8.0 * math.exp(Z95 * math.sqrt(sum(s * s for s in SIGMAS)))
    n, plain = 1 << 12, []
    for seed in range(20):
        z = np.random.default_rng(seed).standard_normal((3, n))
        plain.append(np.quantile(8.0 * np.exp(np.array(SIGMAS) @ z), 0.95) - exact)
    own = [
        fermi.estimate(a * b * c, s, samples=n, sensitivity=0).percentiles[95].value - exact for s in range(20)
    ]  # fmt: skip
    assert np.sqrt(np.mean(np.square(own))) < 0.25 * np.sqrt(np.mean(np.square(plain)))


def test_human_values_by_hand() -> None:
    """The routes: 3e9 × 2 bits; 10% to 15% of it; 26,000 genes of 3,000 bases; 30 to 100 MB; 1 bit / 1e-8."""
    found = fermi.estimate(fermi.human_values(points=True), samples=256)
    points = {n.name: n.middle for n in found.nodes}
    assert points["genome"] == 6e9
    assert points["functional genome"] == pytest.approx(0.125 * 6e9)
    assert points["genes alone"] / 8e6 == pytest.approx(19.5)
    assert points["compressed genome in bits"] == pytest.approx(60 * 8e6)
    assert points["what selection can keep"] == pytest.approx(1e8)
    narrowing = 0.15 * 0.05
    learnt = 10 * 40 * 365.25 * 86400 * (2 / 3) * 0.1 * 0.05
    assert points["learnt"] == pytest.approx(learnt)
    assert points["human values"] == pytest.approx(1e8 * narrowing + learnt)
    answers = 100 * 20 * 365.25
    wrong = 0.15
    entropy = -wrong * math.log2(wrong) - (1 - wrong) * math.log2(1 - wrong)
    assert points["comparisons in a lifetime"] == pytest.approx(answers * (1 - entropy))
    ten = math.log2(10) - entropy - wrong * math.log2(9)
    assert points["choices among ten in a lifetime"] == pytest.approx(answers * ten)


def test_human_values_have_no_lower_bound() -> None:
    found = fermi.estimate(fermi.human_values(), samples=1 << 12, sensitivity=256)
    assert found.bound == "upper"
    assert {o.bound for o in (*found.routes, *found.combined, *found.beside)} == {"upper"}
    assert all(e.kind == "upper_bound" for e in found.percentiles.values())
    with pytest.raises(InputError, match="only upper bounds are known"):
        found.interval()
    with pytest.raises(InputError, match="no lower bound is known"):
        found.at_least()
    assert found.at_most(0.95).kind == "upper_bound"
    assert any("none a lower one" in n for n in found.notes)
    assert any("No figure is attributed to a talk" in n for n in found.notes)
    assert found.combined[0].percentiles[50].value <= min(o.percentiles[50].value for o in found.routes)
