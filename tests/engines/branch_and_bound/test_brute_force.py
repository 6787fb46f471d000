"""The engine against enumeration of all activation patterns, and against HiGHS as a MIP solver."""

import itertools
import math

import highspy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix

from helpers.regions import enumerate_patterns, l1_optimum
from reluopt.answers.solution import Incumbent, Status
from reluopt.bounds.base import PreActivationBounds
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.options import EngineOptions
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
)

ENGINE = BranchAndBoundEngine()


def box_bounds(network, box):
    """Interval bounds over the box."""
    low, high = box.lower, box.upper
    lowers, uppers = [], []
    for layer in network.layers:
        positive, negative = np.maximum(layer.weight, 0.0), np.minimum(layer.weight, 0.0)
        lowers.append(positive @ low + negative @ high + layer.bias - 1e-9)
        uppers.append(positive @ high + negative @ low + layer.bias + 1e-9)
        low, high = np.maximum(lowers[-1], 0.0), np.maximum(uppers[-1], 0.0)
    return PreActivationBounds(tuple(lowers), tuple(uppers), "interval")


def mip_optimum(network, task):
    """Optimum by HiGHS on a big-M program of its own."""
    best = math.inf
    for alternative in task.alternatives:
        best = min(best, _mip(network, task, alternative.conditions))
    return best


def _mip(network, task, conditions):
    bounds = box_bounds(network, task.box)
    n, hidden = task.image.size, sum(network.hidden_sizes)
    x0, s0, z0, size = 2 * n, 2 * n + hidden, 2 * n + 2 * hidden, 2 * n + 3 * hidden
    low, high = np.zeros(size), np.ones(size)
    high[:n] = np.maximum(task.box.upper - task.image, 0.0)
    high[n : 2 * n] = np.maximum(task.image - task.box.lower, 0.0)
    rows, lows, highs = [], [], []
    start = 0
    before = None
    for k, layer in enumerate(network.layers):
        block = np.zeros((layer.output_size, size))
        offset = layer.bias.copy()
        if k == 0:
            block[:, :n], block[:, n : 2 * n] = layer.weight, -layer.weight
            offset = offset + layer.weight @ task.image
        else:
            block[:, before] = layer.weight
        if k == len(network.layers) - 1:
            rows.append(conditions.matrix @ block)
            lows.append(conditions.rhs - conditions.matrix @ offset)
            highs.append(np.full(conditions.rhs.size, np.inf))
            break
        count = layer.output_size
        index = np.arange(start, start + count)
        block[np.arange(count), x0 + index] -= 1.0
        block[np.arange(count), s0 + index] += 1.0
        rows.append(block)
        lows.append(-offset)
        highs.append(-offset)
        wide, deep = np.maximum(bounds.upper[k], 0.0), np.maximum(-bounds.lower[k], 0.0)
        high[x0 + index], high[s0 + index] = wide, deep
        gate = np.zeros((2 * count, size))
        gate[np.arange(count), x0 + index] = 1.0
        gate[np.arange(count), z0 + index] = -wide
        gate[count + np.arange(count), s0 + index] = 1.0
        gate[count + np.arange(count), z0 + index] = deep
        rows.append(gate)
        lows.append(np.full(2 * count, -np.inf))
        highs.append(np.concatenate([np.zeros(count), deep]))
        before = x0 + index
        start += count
    cost = np.concatenate([np.ones(2 * n), np.zeros(3 * hidden)])
    return run_highs(cost, np.vstack(rows), np.concatenate(lows), np.concatenate(highs), low, high)


def run_highs(cost, matrix, row_low, row_high, low, high):
    """Tight tolerances (which scipy's milp does not offer): binaries leak otherwise."""
    solver = highspy.Highs()
    for option, value in {
        "output_flag": False,
        "mip_rel_gap": 1e-9,
        "mip_abs_gap": 1e-9,
        "mip_feasibility_tolerance": 1e-9,
        "primal_feasibility_tolerance": 1e-9,
    }.items():
        solver.setOptionValue(option, value)
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = cost.size, row_low.size
    program.col_cost_, program.col_lower_, program.col_upper_ = cost, low, high
    program.row_lower_, program.row_upper_ = row_low, row_high
    sparse = csc_matrix(matrix)
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = sparse.indptr
    program.a_matrix_.index_ = sparse.indices
    program.a_matrix_.value_ = sparse.data
    binaries = (cost.size - np.count_nonzero(cost)) // 3
    kinds = [highspy.HighsVarType.kContinuous] * (cost.size - binaries)
    program.integrality_ = kinds + [highspy.HighsVarType.kInteger] * binaries
    solver.passModel(program)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return math.inf
    assert status == highspy.HighsModelStatus.kOptimal
    return float(solver.getInfo().objective_function_value)


@st.composite
def problems(draw, most_hidden, widest, deepest):
    """A random network with a random task, degenerate ones included."""
    seed = draw(st.integers(0, 2**31))
    generator = np.random.default_rng(seed)
    depth = draw(st.integers(0, deepest))
    hidden = []
    for _ in range(depth):
        left = most_hidden - sum(hidden)
        if left < 2:
            break
        hidden.append(draw(st.integers(2, min(widest, left))))
    sizes = [draw(st.integers(2, 20)), *hidden, draw(st.integers(2, 4))]
    integer = draw(st.booleans())
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        if integer:
            weight = generator.integers(-2, 3, size=(outputs, inputs)).astype(float)
            bias = generator.integers(-1, 2, size=outputs).astype(float)
        else:
            weight = generator.normal(size=(outputs, inputs)) * draw(st.sampled_from([0.3, 1.0, 5]))
            bias = 0.5 * generator.normal(size=outputs)
        flaw = draw(st.sampled_from(["none", "zero row", "twin", "dead"]))
        if flaw == "zero row":
            weight[0] = 0.0
        elif flaw == "twin":
            weight[-1], bias[-1] = weight[0], bias[0]
        elif flaw == "dead":
            weight[0], bias[0] = -np.abs(weight[0]), -1.0
        layers.append(Dense(weight, bias))
    network = ReLUNetwork(tuple(layers))
    low = -generator.random(sizes[0]) * draw(st.sampled_from([0.0, 1.0, 3.0]))
    high = low + generator.random(sizes[0]) * 2.0
    fixed = generator.random(sizes[0]) < draw(st.sampled_from([0.0, 0.3]))
    high[fixed] = low[fixed]
    box = Box(low, high)
    image = low + (high - low) * generator.random(sizes[0])
    at_limit = generator.random(sizes[0])
    image = np.where(at_limit < 0.3, low, np.where(at_limit > 0.8, high, image))
    label = int(network.predict(image))
    others = [j for j in range(sizes[-1]) if j != label]
    target = draw(st.sampled_from(["fixed", "any"]))
    margin = draw(st.sampled_from([RelativeMargin(0.2), RelativeMargin(0.0), AbsoluteMargin(0.1)]))
    problem = MinimalPerturbation(
        image,
        label,
        AnyTarget() if target == "any" else FixedTarget(draw(st.sampled_from(others))),
        Norm.L1,
        margin,
        box,
    )
    return network, problem.task(network)


def check(network, task, optimum):
    """Solve and compare: status, objective, bound, and the image itself."""
    request = EngineRequest(network, task, box_bounds(network, task.box), options=EngineOptions(60))
    answer = ENGINE.solve(request)
    if math.isinf(optimum):
        assert answer.status is Status.INFEASIBLE
        assert answer.bound == math.inf
        return
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(optimum, rel=1e-5, abs=1e-6)
    assert answer.bound <= optimum * (1.0 + 1e-7) + 1e-7
    assert answer.bound == pytest.approx(optimum, rel=2e-6, abs=1e-6)
    assert answer.image is not None
    assert task.box.violation(answer.image) == 0.0
    logits = network.forward(answer.image)
    slack = task.alternatives[answer.alternative].conditions.slack(logits)
    assert slack.min() >= -1e-8 * max(1.0, float(np.abs(logits).max()))
    assert task.objective(answer.image) == pytest.approx(answer.objective, abs=1e-12)


COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=70, **COMMON)
@given(problems(most_hidden=6, widest=6, deepest=3))
def test_agrees_with_enumeration_of_all_patterns(case):
    network, task = case
    check(network, task, enumerate_patterns(network, task, l1_optimum))


@settings(max_examples=70, **COMMON)
@given(problems(most_hidden=24, widest=12, deepest=4))
def test_agrees_with_highs_on_the_big_m_program(case):
    network, task = case
    check(network, task, mip_optimum(network, task))


@settings(max_examples=30, **COMMON)
@given(problems(most_hidden=16, widest=8, deepest=3))
def test_a_good_incumbent_does_not_change_the_answer(case):
    network, task = case
    bounds = box_bounds(network, task.box)
    first = ENGINE.solve(EngineRequest(network, task, bounds))
    if first.image is None:
        return
    start = Incumbent(first.image, first.objective, first.alternative)
    again = ENGINE.solve(EngineRequest(network, task, bounds, incumbent=start))
    assert again.status is Status.OPTIMAL
    assert again.objective == pytest.approx(first.objective, rel=1e-6, abs=1e-8)
    assert again.bound <= first.objective
