"""Known answers of programmes, environments, economies and chains, and what has to fail beside them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pindown import MDP, Chain, Economy, InputError, LinearProgram, convergence, empowerment, power
from pindown.resources.capacity import capacity
from pindown.resources.families import Family
from pindown.resources.highs import make_solver
from pindown.resources.planning import best_actions, best_values
from pindown.resources.power import state_rewards
from pindown.resources.volume import volume_gains
from pindown.resources.wanted_constraints import wanted_constraints

PROGRAMS = Path(__file__).parents[3] / "shared" / "data" / "programs"


def star(k: int) -> MDP:
    """A centre from which each of k leaves can be reached, where everything stays."""
    table = np.full((k + 1, k), -1)
    table[0] = np.arange(1, k + 1)
    table[1:, 0] = np.arange(1, k + 1)
    return MDP(table, start=0)


def branches(k: int, m: int) -> MDP:
    """From state 0 to node 1 with k leaves or node 2 with m."""
    table = np.full((3 + k + m, max(k, m, 2)), -1)
    table[0, :2] = 1, 2
    table[1, :k] = np.arange(3, 3 + k)
    table[2, :m] = np.arange(3 + k, 3 + k + m)
    table[3:, 0] = np.arange(3, 3 + k + m)
    return MDP(table, start=0)


def grid(side: int) -> MDP:
    """An open grid on which one can stay or step to a neighbour, up to its edge."""
    table = np.zeros((side * side, 5), dtype=int)
    for s in range(side * side):
        x, y = s % side, s // side
        for a, (dx, dy) in enumerate(((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))):
            table[s, a] = min(max(x + dx, 0), side - 1) + side * min(max(y + dy, 0), side - 1)
    return MDP(table)


def at_leaves(rng: np.random.Generator, n: int, own: np.ndarray) -> np.ndarray:
    """Rewards at the leaves of ``branches`` alone."""
    out = rng.uniform(size=(n, len(own)))
    out[:, :3] = 0.0
    return out


@pytest.mark.parametrize("k", [2, 3, 7])
def test_power_of_a_star(k: int) -> None:
    """The best of k uniform rewards has mean k/(k+1) and variance k/((k+1)²(k+2)), from its density k·x^(k−1)."""
    found = power(star(k), objectives=4000, seed=1).of(0)
    spread = math.sqrt(k / ((k + 1) ** 2 * (k + 2)) / 4000)
    assert found.stderr == pytest.approx(spread, rel=0.1)
    assert abs(found.value - k / (k + 1)) < 4 * spread
    assert abs(found.value - (k + 1) / (k + 2)) > 4 * spread  # one leaf more would be seen


def test_power_under_negative_rewards_is_another_number() -> None:
    """The best of k uniforms on [−1, 0] has mean −1/(k+1)."""
    found = power(star(3), rewards="negative", objectives=4000).of(0)
    assert abs(found.value + 1 / 4) < 4 * found.stderr < 0.05


@pytest.mark.parametrize(("k", "m"), [(3, 1), (2, 5)])
def test_a_branch_of_k_against_m_leaves(k: int, m: int) -> None:
    """The best of k + m independent leaves lies in the first branch with probability k/(k+m)."""
    mdp = branches(k, m)
    rewards = state_rewards(mdp, Family("leaves", "leaves", at_leaves), 4000, 0)
    share = float(best_actions(mdp, best_values(mdp, rewards, 0.9))[:, 0, 0].mean())
    error = math.sqrt(k * m / (k + m) ** 2 / 4000)
    assert abs(share - k / (k + m)) < 4 * error
    assert abs(share - 0.5) > 4 * error  # as many leaves on either side would give one half


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_empowerment_on_an_open_grid(steps: int) -> None:
    """n steps of which some may be stays reach the ball of radius n in city blocks: 2n² + 2n + 1 places."""
    side = 2 * steps + 1
    found = empowerment(grid(side), steps, states=[side * side // 2])
    assert found.bits[0].value == pytest.approx(math.log2(2 * steps**2 + 2 * steps + 1), abs=1e-12)
    corner = empowerment(grid(side), steps, states=[0])
    assert corner.bits[0].value < found.bits[0].value  # a corner leaves fewer


def test_capacity_of_noisy_channels() -> None:
    """Binary symmetric: 1 − H(p). Erasure: 1 − p. Neither may exceed the logarithm of its inputs."""
    p = 0.11
    symmetric = capacity(np.array([[1 - p, p], [p, 1 - p]]))
    assert symmetric.value == pytest.approx(1 + p * math.log2(p) + (1 - p) * math.log2(1 - p), abs=1e-6)
    erasure = capacity(np.array([[1 - p, 0, p], [0, 1 - p, p]]))
    assert erasure.value == pytest.approx(1 - p, abs=1e-6)
    z = capacity(np.array([[1.0, 0.0], [0.5, 0.5]]))  # the Z channel: log2(5/4)
    assert z.value == pytest.approx(math.log2(1.25), abs=1e-6)


def test_empowerment_with_chance_is_the_capacity() -> None:
    """Two actions that each go where they should with chance 1 − p: a binary symmetric channel in one step."""
    p = 0.2
    table = np.zeros((2, 2, 2))
    table[:, 0], table[:, 1] = [1 - p, p], [p, 1 - p]
    found = empowerment(MDP(table), 1).of(0)
    assert found.value == pytest.approx(1 + p * math.log2(p) + (1 - p) * math.log2(1 - p), abs=1e-6)


def test_marble() -> None:
    """Sixteen slots that lead to four cups: of four bits two are left, whatever wants to know."""
    chain = Chain([[i // 4 for i in range(16)], [0, 1, 2, 3]])
    assert [e.value for e in chain.information()] == [4.0, 2.0, 2.0]
    assert chain.visible().value == 2.0
    assert chain.indistinguishable() == [tuple(range(4 * g, 4 * g + 4)) for g in range(4)]


def test_values_agree_with_a_plain_loop(rng: np.random.Generator) -> None:
    """Against value iteration on one reward function at a time, with chance."""
    table = rng.dirichlet(np.ones(6), size=(6, 3))
    rewards = rng.normal(size=(5, 6))
    plain = np.zeros((5, 6))
    for i, r in enumerate(rewards):
        v = np.zeros(6)
        for _ in range(400):
            v = r + 0.9 * (table @ v).max(axis=1)
        plain[i] = v
    mdp = MDP(table)
    assert np.abs(best_values(mdp, rewards, 0.9, tolerance=1e-10) - plain).max() < 1e-7
    assert np.abs(best_values(mdp, rewards, 0.8, tolerance=1e-10) - plain).max() > 0.1


def economy(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs with spectral radius 0.6, and labour."""
    a = rng.uniform(size=(n, n)) * (rng.uniform(size=(n, n)) < 0.4)
    return 0.6 * a / np.abs(np.linalg.eigvals(a)).max(), rng.uniform(0.1, 1.0, n)


def test_prices_do_not_depend_on_demand(rng: np.random.Generator) -> None:
    """Samuelson's non-substitution theorem on 48 goods: shadow prices are l(I − A)⁻¹ for every demand."""
    a, labour = economy(48, rng)
    made = Economy(a, labour)
    for _ in range(5):
        prices = made.prices_for(rng.uniform(0.1, 1.0, 48))
        assert np.abs(prices / (labour @ np.linalg.inv(np.eye(48) - a)) - 1).max() < 1e-8
    other = Economy(a.T, labour)  # the same table read the wrong way
    assert np.abs(other.prices() / made.prices() - 1).max() > 0.01


def test_labour_is_all_of_the_value_in_a_one_factor_economy(rng: np.random.Generator) -> None:
    a, labour = economy(6, rng)
    found = convergence(Economy(a, labour), ["positive", "single", "permuted"], 40).of("labour")
    assert found.verdict == "resource"
    for share, value in zip(found.wanted.values(), found.value.values(), strict=True):
        assert share.count == share.trials == 40
        assert value.value == pytest.approx(1.0, abs=1e-3)


def test_often_wanted_need_not_mean_worth_much() -> None:
    """Two factors, two goods alike but for them: labour limits every objective that makes both, and carries its part.

    Maximise w·y, y0 + y1 ≤ 1 (labour) and 10·y1 ≤ 1 (land). With w1 > w0 land has the price (w1 − w0)/10 and labour w0.
    """
    made = Economy(np.zeros((2, 2)), [1.0, 1.0], factors={"land": ([0.0, 10.0], 1.0)})
    found = convergence(made, ["positive"], 400)
    labour, land = found.of("labour"), found.of("land")
    assert labour.wanted["positive"].count == 400
    assert abs(land.wanted["positive"].count / 400 - 0.5) < 4 * math.sqrt(0.25 / 400)  # w1 > w0 in half of them
    assert land.value["positive"].value < 0.2 < 0.8 < labour.value["positive"].value


def test_degenerate_prices_are_tried() -> None:
    """Two rows that say the same: relaxing one of them alone gains nothing, whatever price a solver gives it."""
    twice = LinearProgram([1.0], [[1.0], [1.0]], high=[1.0, 1.0], maximise=True)
    found = wanted_constraints(twice, np.array([[-1.0]]))
    assert not found.wanted.any()
    once = LinearProgram([1.0], [[1.0], [1.0]], high=[1.0, 1.5], maximise=True)
    found = wanted_constraints(once, np.array([[-1.0]]))
    assert found.wanted.tolist() == [[True, False]]
    assert found.price[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("solver", ["scipy", "highspy"])
def test_signs_are_the_same_on_every_side(solver: str) -> None:
    """Prices are gains per unit relaxed: from above or below, of an equation, minimised or maximised."""
    if solver == "highspy":
        pytest.importorskip("highspy")
    cases = [
        (LinearProgram([2.0], [[1.0]], high=3.0, maximise=True), 2.0),
        (LinearProgram([2.0], [[1.0]], low=3.0), 2.0),
        (LinearProgram([2.0], [[1.0]], low=3.0, high=3.0), 2.0),
        (LinearProgram([-2.0], [[1.0]], low=3.0, high=3.0), 2.0),
        (LinearProgram([2.0], [[4.0]], high=12.0, maximise=True), 0.5),
    ]
    for problem, price in cases:
        found = wanted_constraints(problem, problem.costs_of(problem.own[None]), solver)
        assert found.price[0, 0] == pytest.approx(price, rel=1e-6)
        assert found.value[0, 0] == pytest.approx(1.0, rel=1e-6)  # one constraint carries all the value


@pytest.mark.parametrize(
    ("name", "optimum"), [("afiro", -464.7531428571), ("adlittle", 225494.9631624), ("israel", -896644.8218630)]
)
def test_netlib_optima(name: str, optimum: float) -> None:
    """The optima that netlib's index states."""
    if not (PROGRAMS / f"{name}.mps").is_file():
        pytest.skip(f"needs ../shared/data/programs/{name}.mps")
    problem = LinearProgram.from_mps(PROGRAMS / f"{name}.mps")
    assert make_solver(problem).solve(problem.costs).value == pytest.approx(optimum, rel=1e-9)


def test_afiro_wants_other_things_under_other_priors() -> None:
    """A refutation: ranks under positive and negative rewards do not correlate."""
    if not (PROGRAMS / "afiro.mps").is_file():
        pytest.skip("needs ../shared/data/programs/afiro.mps")
    found = convergence(LinearProgram.from_mps(PROGRAMS / "afiro.mps"), ["positive", "negative"], 40)
    ((_, _, correlation),) = found.agreement
    assert correlation is not None
    assert abs(correlation) < 0.4


def test_frozen_lake_wants_to_end_where_rewards_are_negative() -> None:
    """A refutation: "most objectives avoid the end" holds under rewards in [0, 1] and fails under [−1, 0]."""
    gymnasium = pytest.importorskip("gymnasium")
    lake = MDP.from_gymnasium(gymnasium.make("FrozenLake-v1"))
    found = convergence(lake, ["positive", "negative"], 100, discount=0.99).of("going on for ever")
    assert found.wanted["negative"].count == 0
    assert found.wanted["positive"].low > 0.8
    assert found.verdict == "under some priors"


def test_each_of_k_alike_actions_is_wanted_by_one_in_k() -> None:
    """Of k leaves with independent rewards each is the best with probability 1/k, and so is the way there."""
    found = convergence(star(3), ["positive"], 600)
    error = math.sqrt(2 / 9 / 600)
    for name in ("action 0", "action 1", "action 2"):
        share = found.of(name).wanted["positive"]
        assert abs(share.count / 600 - 1 / 3) < 4 * error
    assert found.of("0").wanted["positive"].count == 0  # nobody stays at the centre: all leave at once


@pytest.mark.parametrize("family", ["positive", "single"])
def test_the_order_of_actions_changes_nothing(family: str, rng: np.random.Generator) -> None:
    """Also where many actions are equally good, as under rewards of one state alone."""
    table = np.array([[1, 2, 0], [3, 0, 1], [3, 2, 0], [3, 4, 1], [4, 4, 4]])
    order = rng.permutation(3)
    names = np.array(["a", "b", "c"])
    one = convergence(MDP(table, actions=names.tolist(), start=0), [family], 60)
    two = convergence(MDP(table[:, order], actions=names[order].tolist(), start=0), [family], 60)
    for item in one.items:
        assert two.of(item.name).wanted == item.wanted, item.name
        assert two.of(item.name).value[family].value == pytest.approx(item.value[family].value, abs=1e-9)
    first = best_actions(MDP(table), best_values(MDP(table), np.eye(5), 0.9)).sum(axis=2)
    assert (first > 1).any()  # there are ties, which the first action would have decided


def test_power_and_empowerment_stand_in_the_record_of_an_environment() -> None:
    found = convergence(star(3), ["positive", "negative"], 200, seed=2, steps=1)
    assert found.power == tuple(power(star(3), rewards=f, objectives=200, seed=2) for f in ("positive", "negative"))
    assert found.empowerment is not None
    assert found.empowerment.of(0).value == pytest.approx(math.log2(3))
    assert convergence(star(3), ["positive"], 20, steps=0).empowerment is None


def test_where_nothing_comes_any_more_there_is_no_power() -> None:
    """A state that leads to the end alone has its own reward and nothing else: POWER 0, not the solver's last digit."""
    found = power(MDP([[1, 0], [2, 2], [2, 2]], ended=2), objectives=50)
    assert found.of(1).value == found.of(1).stderr == found.of(2).value == 0.0
    assert found.of(0).value > 0.1


def test_prices_of_a_real_table_do_not_depend_on_demand(rng: np.random.Generator) -> None:
    """pymrio's test system: six regions of eight sectors. Its compensation of employees stands for labour."""
    pymrio = pytest.importorskip("pymrio")
    system = pymrio.load_test()
    system.calc_all()
    a = system.A.to_numpy(dtype=float)
    assert a.shape == (48, 48)
    labour = system.factor_inputs.S.to_numpy(dtype=float)[0]
    assert (labour > 0).all()
    made, exact = Economy(a, labour), labour @ np.linalg.inv(np.eye(48) - a)
    for _ in range(3):
        assert np.abs(made.prices_for(rng.uniform(0.1, 1.0, 48)) / exact - 1).max() < 1e-8


def test_small_inputs_count() -> None:
    """A good of which 1e-10 goes into another: HiGHS drops entries below 1e-9 unless it is told not to."""
    pytest.importorskip("highspy")
    a = np.array([[0.2, 0.3, 0.0], [1e-10, 0.1, 0.2], [0.0, 0.0, 0.3]])
    labour = np.array([1e-4, 1e4, 1e-4])
    exact = labour @ np.linalg.inv(np.eye(3) - a)
    dropped = labour @ np.linalg.inv(np.eye(3) - np.where(a < 1e-9, 0.0, a))
    assert np.abs(dropped / exact - 1).max() > 1e-7
    assert np.abs(Economy(a, labour).prices_for([1.0, 2.0, 3.0], solver="highspy") / exact - 1).max() < 1e-9


def test_volume_gained_by_a_unit() -> None:
    """x + y ≤ 1 in [0, 2]²: area 1/2; one unit more: area 2. Two bits."""
    gain = volume_gains(LinearProgram([1.0, 1.0], [[1.0, 1.0], [1.0, 0.0]], high=[1.0, 5.0], upper=2.0))
    assert gain["row 0"].stderr < 0.15
    assert abs(gain["row 0"].value - 2.0) < 4 * gain["row 0"].stderr
    assert abs(gain["row 1"].value) < 4 * gain["row 1"].stderr  # slack: nothing to gain


def test_volume_where_only_the_rows_bound_what_can_be_done() -> None:
    """The same triangle without bounds of its own; and columns that nothing bounds."""
    gain = volume_gains(LinearProgram([1.0, 1.0], [[1.0, 1.0]], high=[1.0]))["row 0"]
    assert gain.stderr < 0.15
    assert abs(gain.value - 2.0) < 4 * gain.stderr
    with pytest.raises(InputError, match="'column 0' is not bounded"):
        volume_gains(LinearProgram([1.0, 1.0], [[1.0, -1.0]], high=[1.0]))
