"""Programs of convolutions, pools and leaky ReLUs: the input fixed, the forward pass comes out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.answers.solution import Status
from reluopt.bounds import BOUNDING_METHODS
from reluopt.engines.highs import HighsEngine
from reluopt.engines.options import EngineOptions
from reluopt.engines.program_engine import ProgramTask
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.maxima import add_maximum
from reluopt.formulation.stages import is_plain
from reluopt.networks.layers.base import Dense, Maximum
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU, Scale
from reluopt.networks.layers.pooling import AveragePool2d, MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.linear_programs import ProgramBuilder
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import AnyTarget, Box, MinimalPerturbation, Norm, Task


@st.composite
def networks(draw):
    """A convolution, pools and leaky ReLUs before and behind ReLUs, a dense layer."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    conv = Conv2d(
        random.normal(size=(2, 1, 2, 2)), random.normal(size=2), Windows((1, 4, 4), (2, 2))
    )
    leaky = LeakyReLU(18, draw(st.sampled_from([0.0, 0.1, 1.0])))
    pool = MaxPool2d(Windows((2, 3, 3), (2, 2), padding=(0, 1, 0, 0)))
    again = MaxPool2d(Windows((2, 2, 3), (1, 2)))
    average = AveragePool2d(Windows((2, 3, 3), (2, 2), (1, 1), (0, 0, 0, 1)))
    scale = Scale(random.normal(size=18), random.normal(size=18))
    middle = draw(
        st.sampled_from(
            [(pool,), (leaky,), (leaky, pool), (scale, leaky), (average,), (pool, again), (scale,)]
        )
    )
    layers = [Chain((conv, *middle))] if draw(st.booleans()) else [conv, Chain(middle)]
    width = layers[-1].output_size
    if draw(st.booleans()):
        layers.append(Dense(random.normal(size=(3, width)), random.normal(size=3)))
    return ReLUNetwork(tuple(layers)), random.random(16)


@settings(max_examples=100, deadline=None)
@given(networks(), st.sampled_from(["bigm", "thesis"]), st.sampled_from(["interval", "linear"]))
def test_fixed_input_gives_the_forward_pass(case, formulation, bounds_name):
    network, point = case
    bounds = BOUNDING_METHODS.get(bounds_name).compute(network, InputSet(Box.unit(16)))
    task = Task.largest_logit(0, Box(point, point))
    encoded = FORMULATIONS.get(formulation).encode(network, task, bounds)
    result = HighsEngine().solve_program(ProgramTask(encoded.program, EngineOptions()))
    assert result.status is Status.OPTIMAL
    logits = result.values[encoded.network.logits] / encoded.logit_factor
    np.testing.assert_allclose(logits, network.forward(point), rtol=1e-7, atol=1e-7)


@settings(max_examples=100, deadline=None)
@given(networks(), st.sampled_from(["bigm", "thesis"]), st.sampled_from([Norm.L1, Norm.L2]))
def test_the_forward_pass_is_a_warm_start(case, formulation, norm):
    network, point = case
    task = MinimalPerturbation(1.0 - point, 0, AnyTarget(), norm).task(network)
    task = task.only(task.alternatives[0])
    bounds = BOUNDING_METHODS.get("linear").compute(network, InputSet(task.box))
    encoded = FORMULATIONS.get(formulation).encode(network, task, bounds)
    values = encoded.start(point)
    slack = task.alternatives[0].conditions.slack(network.forward(point)).min()
    assert encoded.program.violation(values) == pytest.approx(max(0.0, -slack), abs=1e-9)
    pattern = encoded.network.pattern(values)
    if is_plain(network):
        for found, a in zip(pattern, network.pre_activations(point)[:-1], strict=True):
            np.testing.assert_array_equal(found[a != 0.0], a[a != 0.0] > 0.0)
    else:
        assert pattern is None


def pool_of(lower, upper, numbers=((0, 1, 2),)):
    builder = ProgramBuilder()
    columns = builder.add_variables(lower, upper)
    stage = Maximum(np.array(numbers))
    encoded = add_maximum(builder, stage, columns, np.array(lower), np.array(upper))
    return encoded, builder.build()


def test_candidates_that_bounds_exclude_get_no_binary():
    encoded, program = pool_of([0.0, 2.0, 1.0], [1.5, 3.0, 4.0])
    assert encoded.candidates.tolist() == [1, 2]
    assert program.size["binaries"] == 2


def test_a_candidate_that_is_the_maximum_needs_no_variable():
    encoded, program = pool_of([0.0, 2.0, 1.0], [1.5, 3.0, 2.0], ((0, 1, 2), (0, -1, -1)))
    assert encoded.y.tolist() == [1, 0]
    assert program.size == {"variables": 3, "constraints": 0, "binaries": 0, "nonzeros": 0}


def test_the_rows_of_a_maximum_are_the_published_ones_or_stronger():
    """Minimised and maximised over fixed candidates, the variable is the largest of them."""
    random = np.random.default_rng(0)
    for _ in range(20):
        lower = random.normal(size=3)
        upper = lower + random.random(3)
        values = random.uniform(lower, upper)
        _, program = pool_of(lower, upper)
        for maximise in (False, True):
            builder = ProgramBuilder(maximise=maximise)
            columns = builder.add_variables(values, values)
            stage = Maximum(np.array([[0, 1, 2]]))
            encoded = add_maximum(builder, stage, columns, lower, upper)
            builder.add_cost(encoded.y, 1.0)
            result = HighsEngine().solve_program(ProgramTask(builder.build(), EngineOptions()))
            assert result.values[encoded.y[0]] == pytest.approx(values.max(), abs=1e-9)
        assert program.size["binaries"] <= 3
