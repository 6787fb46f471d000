"""Nasty instances: whatever the numbers, no exactly feasible image lies below the bound.

Images are judged in rational arithmetic, so a bound that is wrong in the last digit fails too.
"""

import itertools
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from reluopt.answers.solution import Incumbent, Status, relative_gap
from reluopt.bounds import BOUNDING_METHODS
from reluopt.deadline import NEVER
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.search import Search
from reluopt.engines.options import EngineOptions
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import InputSet
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
NORMS = (Norm.L1, Norm.L2)


def solve(network, task, incumbent=None, **options):
    chosen = EngineOptions(**{"time_limit": 30.0, **options})
    return ENGINE.solve(EngineRequest(network, task, None, options=chosen, incumbent=incumbent))


def exact_values(network, task, image):
    """Whether ``image`` meets some alternative exactly, and its exact objective."""
    values = [Fraction(float(v)) for v in image]
    for k, layer in enumerate(network.layers):
        values = [
            Fraction(float(b))
            + sum(Fraction(float(w)) * v for w, v in zip(row, values, strict=True))
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        if k < len(network.layers) - 1:
            values = [max(v, Fraction(0)) for v in values]
    meets = any(
        all(
            sum(Fraction(float(c)) * v for c, v in zip(row, values, strict=True))
            >= Fraction(float(d))
            for row, d in zip(a.conditions.matrix, a.conditions.rhs, strict=True)
        )
        for a in task.alternatives
    )
    changes = [
        Fraction(float(p)) - Fraction(float(q)) for p, q in zip(image, task.image, strict=True)
    ]
    if task.norm is Norm.L1:
        return meets, sum(abs(change) for change in changes)
    return meets, sum(change * change for change in changes)


def witnesses(network, task, answer, generator):
    """Images that may refute the bound: the answer pushed inwards, corners, points between."""
    low, high = task.box.lower, task.box.upper
    corners = np.where(generator.random((12, low.size)) < 0.5, low, high)
    yield from corners
    for corner in corners:  # the conditions' border on the way, from the side that meets them
        near, far = 0.0, 1.0
        for _ in range(60):
            middle = 0.5 * (near + far)
            image = task.box.clip(task.image + middle * (corner - task.image))
            logits = network.forward(image)
            if any(a.conditions.slack(logits).min() >= 0.0 for a in task.alternatives):
                far = middle
            else:
                near = middle
        yield task.box.clip(task.image + far * (corner - task.image))
    if answer.image is not None:
        for push in (1e-15, 1e-12, 1e-10, 1e-8):
            yield task.box.clip(task.image + (1.0 + push) * (answer.image - task.image))


def assert_unrefuted(network, task, answer, generator):
    for image in witnesses(network, task, answer, generator):
        meets, objective = exact_values(network, task, image)
        if meets:
            assert answer.status is not Status.INFEASIBLE
            assert Fraction(answer.bound) <= objective


def nasty_network(generator, sizes, scale):
    """Integer or normal weights with zeros, twins and opposites; hidden neurons of any scale."""
    layers, carry = [], np.ones(sizes[0])
    integer = generator.random() < 0.4
    for k, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        if integer:
            weight = generator.integers(-2, 3, size=(outputs, inputs)).astype(float)
            bias = generator.integers(-1, 2, size=outputs).astype(float)
        else:
            weight, bias = generator.normal(size=(outputs, inputs)), generator.normal(size=outputs)
        flaw = generator.integers(0, 6)
        if flaw == 0:
            weight[0] = 0.0
        elif flaw == 1:
            weight[-1], bias[-1] = weight[0], bias[0]
        elif flaw == 2:
            weight[-1], bias[-1] = -weight[0], -bias[0]
        elif flaw == 3:
            weight[:, 0] *= 1e-10
        factor = np.ones(outputs)
        if k < len(sizes) - 2 and scale:
            factor = 10.0 ** generator.integers(-scale, scale + 1, size=outputs)
        layers.append(Dense(factor[:, None] * weight / carry, factor * bias))
        carry = factor
    return ReLUNetwork(tuple(layers))


def nasty_task(generator, network, norm):
    size = network.input_size
    low = -3.0 * generator.random(size)
    high = low + 6.0 * generator.random(size)
    fixed = generator.random(size) < 0.2
    high[fixed] = low[fixed]
    place = generator.choice([0.0, 1.0, 0.3, 0.7], size=size)
    image = np.clip(low + place * (high - low), low, high)
    label = int(network.predict(image))
    target = AnyTarget() if generator.random() < 0.5 else FixedTarget((label + 1) % 3)
    margin = RelativeMargin(0.0) if generator.random() < 0.5 else AbsoluteMargin(0.01)
    problem = MinimalPerturbation(image, label, target, norm, margin, Box(low, high))
    return problem.task(network)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [0, 8])
@pytest.mark.parametrize("hidden", [(), (1,), (4,), (3, 2), (2, 2, 1, 2)])
def test_no_exactly_feasible_image_is_below_the_bound(norm, scale, hidden):
    for seed in range(6):
        generator = np.random.default_rng([seed, scale, len(hidden)])
        network = nasty_network(generator, (int(generator.integers(1, 6)), *hidden, 3), scale)
        task = nasty_task(generator, network, norm)
        for options in ({"gap": 1e-6}, {"gap": 0.0}, {"gap": 0.5}, {"time_limit": 1e-9}):
            answer = solve(network, task, **options)
            assert answer.bound >= 0.0
            if answer.image is not None:
                assert answer.bound <= answer.objective
                assert task.box.violation(answer.image) == 0.0
            if answer.status is Status.OPTIMAL and options.get("gap"):
                assert relative_gap(answer.objective, answer.bound) <= options["gap"]
            assert_unrefuted(network, task, answer, generator)


@pytest.mark.parametrize("norm", NORMS)
def test_an_incumbent_of_the_caller_does_not_move_the_bound_above_the_optimum(norm):
    """Neither a bad one nor one that claims too much."""
    for seed in range(8):
        generator = np.random.default_rng(seed)
        network = nasty_network(generator, (3, 4, 3), 0)
        task = nasty_task(generator, network, norm)
        best = solve(network, task)
        if best.image is None:
            continue
        for share in (0.5, 1.0, 3.0):
            claimed = Incumbent(best.image, share * best.objective, best.alternative)
            answer = solve(network, task, incumbent=claimed)
            assert_unrefuted(network, task, answer, generator)
            meets, objective = exact_values(network, task, best.image)
            assert not meets or Fraction(answer.bound) <= objective


def test_the_ball_of_an_l2_cutoff_is_not_rounded_inwards():
    network = ReLUNetwork((Dense(np.eye(2), np.zeros(2)),))
    task = MinimalPerturbation(np.zeros(2), 0, FixedTarget(1), Norm.L2).task(network)
    frame = make_frame(network, task)
    for seed in range(200):
        objective = float(np.random.default_rng(seed).random())
        search = Search(frame, 1e-6, NEVER, best=Incumbent(task.image, objective, 0))
        assert Fraction(search.radius) ** 2 >= Fraction(search.cutoff)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("gap", [0.5, 0.9, 0.999])
def test_wide_gaps_give_no_negative_bound(norm, gap):
    network = ReLUNetwork((Dense(np.eye(2), np.array([1e-7, 0.0])),))
    task = MinimalPerturbation(np.zeros(2), 0, FixedTarget(1), norm, AbsoluteMargin(1e-9)).task(
        network
    )
    answer = solve(network, task, gap=gap)
    assert answer.status is Status.OPTIMAL
    assert 0.0 <= answer.bound <= answer.objective


SCRIPT = """
import numpy as np
from reluopt.engines.options import EngineOptions
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import AnyTarget, Box, MinimalPerturbation, Norm
g = np.random.default_rng(5)
sizes = (6, 8, 6, 4)
network = ReLUNetwork(tuple(
    Dense(g.normal(size=(o, i)), g.normal(size=o)) for i, o in zip(sizes, sizes[1:])))
image = g.random(6)
for norm in (Norm.L1, Norm.L2):
    problem = MinimalPerturbation(
        image, int(network.predict(image)), AnyTarget(), norm, box=Box(image - 3, image + 3))
    answer = BranchAndBoundEngine().solve(
        EngineRequest(network, problem.task(network), None, options=EngineOptions(60.0, seed=3)))
    print(answer.status, answer.nodes, answer.objective.hex(), answer.bound.hex(),
          answer.image.tobytes().hex())
"""


def test_two_processes_give_the_same_answer_to_the_last_bit():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("OPTIMAL") == 2


@pytest.mark.parametrize(("norm", "optimum"), [(Norm.L1, 1.1), (Norm.L2, 0.605)])
def test_callers_bounds_of_tiny_neurons_are_not_mistaken(norm, optimum):
    """The search rescales neurons of 1e-8; bounds given in their units would cut off the truth."""
    layers = (
        Dense(1e-8 * np.eye(2), np.zeros(2)),
        Dense(np.array([[0.0, 0.0], [1e8, 1e8]]), np.array([1.0, 0.0])),
    )
    network = ReLUNetwork(layers)
    task = MinimalPerturbation(np.zeros(2), 0, FixedTarget(1), norm, AbsoluteMargin(0.1)).task(
        network
    )
    bounds = BOUNDING_METHODS.get("interval").compute(network, InputSet(task.box))
    answer = BranchAndBoundEngine().solve(EngineRequest(network, task, bounds))
    assert answer.bound <= optimum * (1.0 + 1e-12)
    assert answer.objective == pytest.approx(optimum, rel=1e-6)
