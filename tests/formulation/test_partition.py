"""Parts of neurons' inputs: from big-M to the convex hull of each neuron, and cuts of that hull."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from reluopt import Method, Norm, WorstCase, solve
from reluopt.bounds import BOUNDING_METHODS
from reluopt.engines.highs import HighsEngine
from reluopt.engines.options import EngineOptions
from reluopt.engines.program_engine import ProgramTask
from reluopt.errors import InputError
from reluopt.formulation.forms.bigm import BigM
from reluopt.formulation.forms.hull import Hull
from reluopt.formulation.forms.partition import (
    Partition,
    equal_range,
    equal_size,
    random,
    uneven,
)
from reluopt.formulation.parts import interval_ends, tightened_ends
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.linear_programs import ProgramBuilder
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import Box, Task

STRATEGIES = (equal_size, equal_range, random, uneven)
PARTITIONS = [
    *(Partition(3, strategy) for strategy in STRATEGIES),
    *(Partition(count, part_ends=tightened_ends) for count in (2, None)),
    Partition(None),
]


def encoded(form, network, task):
    bounds = BOUNDING_METHODS.get("interval").compute(network, InputSet(task.box))
    return form.encode(network, task, bounds)


def largest(program, *, relaxed=True):
    binary = program.binary & (not relaxed)
    task = ProgramTask(replace(program, binary=binary), EngineOptions())
    return HighsEngine().solve_program(task).bound


@pytest.mark.parametrize("form", PARTITIONS, ids=lambda form: form.name)
def test_a_fixed_input_gives_the_forward_pass(make_network, form):
    network = make_network((5, 7, 6, 3), 2)
    task = Task.largest_logit(1, Box.unit(5))
    found = encoded(form, network, task)
    for point in np.random.default_rng(4).random((4, 5)):
        values = found.start(point)
        assert found.program.violation(values) < 1e-9
        np.testing.assert_allclose(values[found.network.logits], network.forward(point))
        fixed = encoded(form, network, Task.largest_logit(1, Box(point, point))).program
        assert largest(fixed, relaxed=False) == pytest.approx(network.forward(point)[1], abs=1e-6)


@pytest.mark.parametrize("form", [*PARTITIONS, Hull()], ids=lambda form: form.name)
def test_no_input_is_lost_and_relaxations_are_no_looser(make_network, form):
    network = make_network((4, 6, 5, 2), 7)
    task = Task.largest_logit(0, Box.unit(4))
    plain = encoded(BigM(), network, task).program
    program = encoded(form, network, task).program
    optimum = largest(plain, relaxed=False)
    assert largest(program, relaxed=False) == pytest.approx(optimum, abs=1e-5)
    assert optimum - 1e-6 <= largest(program) <= largest(plain) + 1e-6
    sampled = network.forward(np.random.default_rng(0).random((2000, 4)))[:, 0].max()
    assert sampled <= optimum + 1e-6


def test_one_part_is_the_big_m_program(make_network):
    network, task = make_network((4, 6, 5, 2), 7), Task.largest_logit(0, Box.unit(4))
    one, plain = (encoded(form, network, task).program for form in (Partition(1), BigM()))
    assert one.size == plain.size
    np.testing.assert_array_equal(one.matrix.toarray(), plain.matrix.toarray())


def neuron_hull_maximum(weights, bias, cost):
    """The largest ``relu(w x + b) + cost @ x`` of the hull over the unit box: at a vertex of it.

    In both phases the neuron is affine, so vertices of the hull lie at corners of the box, or on
    its edges where ``w x + b`` is zero.
    """
    best = -np.inf
    for corner in itertools.product((0.0, 1.0), repeat=weights.size):
        best = max(best, max(weights @ corner + bias, 0.0) + cost @ corner)
        for i in np.flatnonzero(weights):
            edge = np.array(corner)
            edge[i] -= (weights @ corner + bias) / weights[i]
            if 0.0 <= edge[i] <= 1.0:
                best = max(best, cost @ edge)
    return best


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_one_part_for_each_input_is_the_hull_of_a_neuron(seed, size):
    generator = np.random.default_rng(seed)
    weights, bias = generator.normal(size=size), generator.normal(scale=0.3)
    cost = generator.normal(size=size)
    # One output: the neuron, and the inputs as neurons that are always active.
    first = Dense(np.vstack([weights, np.eye(size)]), np.append(bias, np.ones(size)))
    network = ReLUNetwork((first, Dense(np.append(1.0, cost)[None], np.array([-cost.sum()]))))
    task = Task.largest_logit(0, Box.unit(size))
    hull = neuron_hull_maximum(weights, bias, cost)
    for form in (Partition(None), Hull()):
        assert largest(encoded(form, network, task).program) == pytest.approx(hull, abs=2e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=40), st.integers(2, 6))
def test_strategies_take_every_weight_once(weights, parts):
    for strategy in STRATEGIES:
        groups = strategy(np.array(weights), parts)
        assert len(groups) <= parts
        assert sorted(np.concatenate(groups)) == list(range(len(weights)))


def test_strategies_do_what_they_are_called():
    weights = np.array([3.0, -1.0, 0.5, -4.0, 2.0, -0.1, 10.0])
    sizes = [list(weights[group]) for group in equal_size(weights, 3)]
    assert sizes == [[-4.0, -1.0, -0.1], [0.5, 2.0], [3.0, 10.0]]
    ranges = equal_range(np.arange(1000.0), 4)
    assert [group.size for group in ranges] == [50, 450, 450, 50]
    heavy = [sorted(np.abs(weights[group])) for group in uneven(weights, 2)]
    assert heavy == [[1.0, 2.0, 10.0], [0.1, 0.5, 3.0, 4.0]]


def test_tightened_parts_hold_and_see_the_rows():
    builder, generator = ProgramBuilder(), np.random.default_rng(5)
    columns = builder.add_variables(np.full(6, -1.0), np.ones(6))
    forms = generator.normal(size=(5, 6))
    forms = sp.csr_array(forms)
    plain = interval_ends(builder, forms, columns)
    np.testing.assert_allclose(tightened_ends(builder, forms, columns), plain, atol=3e-6)
    builder.add_rows([(np.ones((1, 6)), columns)], -np.inf, -3.0)
    low, high = tightened_ends(builder, forms, columns)
    for row, least, most in zip(forms.toarray(), low, high, strict=True):
        for cost, end in ((row, least), (-row, -most)):
            exact = linprog(cost, np.ones((1, 6)), [-3.0], bounds=(-1.0, 1.0)).fun
            assert exact - 5e-6 < end <= exact
    assert (high < plain[1] - 0.1).any()


@pytest.mark.parametrize("engine", ["highs", "scip", "gurobi"])
def test_engines_agree_on_a_worst_case_in_every_form(make_network, engine):
    network = make_network((6, 8, 7, 3), 4)
    image = np.random.default_rng(2).uniform(0.1, 0.9, 6)
    question = WorstCase(image, int(network.predict(image)), 0.8, Norm.L1)
    expected = solve(network, question).objective
    for form in ("partition-2", "hull", Partition(None), Partition(3, equal_range, tightened_ends)):
        solution = solve(network, question, Method(engine, form, attack=False))
        assert solution.certified
        assert solution.objective == pytest.approx(expected, abs=1e-5)
        assert solution.formulation == (form if isinstance(form, str) else form.name)


def test_names_and_errors():
    assert Partition(4, equal_range, tightened_ends).name == "partition-4-equal-range-tightened"
    assert Partition(None).name == "partition-all"
    with pytest.raises(InputError, match="parts: expected at least 1, found 0"):
        Partition(0)
