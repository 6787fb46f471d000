"""Fix the input, and the program's output equals the forward pass."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reluopt.answers.solution import Status
from reluopt.bounds import BOUNDING_METHODS
from reluopt.engines.highs import HighsEngine
from reluopt.engines.options import EngineOptions
from reluopt.engines.program_engine import ProgramTask
from reluopt.errors import InputError
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.forms.bigm import BigM
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import AnyTarget, Box, MinimalPerturbation, Norm, Task

FORMS = [name for name in FORMULATIONS.names if FORMULATIONS.get(name).in_python]


@st.composite
def networks_with_points(draw):
    """Small networks, degenerate ones included, and a point of the unit box."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    whole = draw(st.booleans())
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = []
    for inp, out in itertools.pairwise(sizes):
        weight, bias = generator.normal(size=(out, inp)), generator.normal(size=out)
        if whole:
            weight, bias = np.round(weight * 2), np.round(bias)
        if generator.random() < 0.3:
            weight[generator.integers(out)] = 0.0
        layers.append(Dense(weight, bias))
    return ReLUNetwork(tuple(layers)), generator.random(sizes[0])


@settings(max_examples=60, deadline=None)
@given(
    networks_with_points(),
    st.sampled_from(FORMS),
    st.sampled_from(["interval", "thesis"]),
)
def test_fixed_input_gives_the_forward_pass(case, formulation, bounds_name):
    network, point = case
    bounds = BOUNDING_METHODS.get(bounds_name).compute(
        network, InputSet(Box.unit(network.input_size))
    )
    encoded = FORMULATIONS.get(formulation).encode(
        network, Task.largest_logit(0, Box(point, point)), bounds
    )
    result = HighsEngine().solve_program(ProgramTask(encoded.program, EngineOptions()))
    assert result.status is Status.OPTIMAL
    np.testing.assert_allclose(
        result.values[encoded.network.logits], network.forward(point), atol=1e-5
    )


@settings(max_examples=60, deadline=None)
@given(
    networks_with_points(),
    st.sampled_from(FORMS),
    st.sampled_from(list(Norm)),
    st.sampled_from([None, 0.0, 0.3]),
)
def test_forward_pass_is_feasible_in_the_program(case, formulation, norm, smoothness):
    network, point = case
    image = 1.0 - point
    if network.output_size == 1:
        return
    metadata = NetworkMetadata(input_shape=(1, network.input_size))
    network = ReLUNetwork(network.layers, metadata)
    task = MinimalPerturbation(image, 0, AnyTarget(), norm, smoothness=smoothness).task(network)
    task = task.only(task.alternatives[0])
    # Bounds of variables stand for all of the box, beyond what limits on the change leave of it.
    task = replace(task, inputs=replace(task.inputs, box=Box.unit(network.input_size)))
    bounds = BOUNDING_METHODS.get("interval").compute(network, InputSet(task.box))
    encoded = FORMULATIONS.get(formulation).encode(network, task, bounds)
    values = encoded.start(point)
    np.testing.assert_allclose(encoded.network.point(values), point, atol=1e-12)
    assert encoded.program.objective(values) == pytest.approx(task.objective(point))
    # Only the conditions on the logits and the limits on the change may be violated.
    slack = task.alternatives[0].conditions.slack(network.forward(point)).min()
    steep = 0.0
    if smoothness is not None:
        steps = np.abs(np.diff(point - image))
        steep = np.max(steps - smoothness, initial=0.0)
    worst = max(0.0, -slack, steep)
    assert encoded.program.violation(values) == pytest.approx(worst, abs=1e-9)
    pattern = encoded.network.pattern(values)
    for found, a in zip(pattern, network.pre_activations(point)[:-1], strict=True):
        np.testing.assert_array_equal(found[a != 0.0], a[a != 0.0] > 0.0)  # at 0 both phases fit


def test_thesis_model_has_the_published_size(thesis, test_images):
    box = Box.unit(784)
    bounds = BOUNDING_METHODS.get("thesis").compute(thesis, InputSet(box))
    forward = FORMULATIONS.get("thesis").encode(thesis, Task.largest_logit(0, box), bounds).program
    assert forward.size["variables"] == 958
    for norm in (Norm.L1, Norm.L2):
        task = MinimalPerturbation(test_images.image(0), 7, norm=norm).task(thesis)
        program = FORMULATIONS.get("thesis").encode(thesis, task, bounds).program
        assert program.size["variables"] == 1742
        assert program.size["binaries"] == 58
        assert program.is_quadratic == (norm is Norm.L2)


def test_stable_neurons_get_no_binary(thesis, test_images):
    box = Box(
        np.clip(test_images.image(0).ravel() - 0.02, 0, 1),
        np.clip(test_images.image(0).ravel() + 0.02, 0, 1),
    )
    bounds = BOUNDING_METHODS.get("interval").compute(thesis, InputSet(box))
    program = BigM().encode(thesis, Task.largest_logit(0, box), bounds).program
    assert program.size["binaries"] == bounds.unstable_count < 48


def test_split_change_has_no_rows_for_pixels(thesis, test_images):
    task = MinimalPerturbation(test_images.image(0), 7).task(thesis)
    bounds = BOUNDING_METHODS.get("interval").compute(thesis, InputSet(task.box))
    size = BigM().encode(thesis, task, bounds).program.size
    black = int(np.count_nonzero(task.image == 0.0))
    assert size["variables"] < 784 + (784 - black) + 3 * 48 + 10 + 1
    assert size["constraints"] <= 3 * 48 + 10 + 18


def test_errors(thesis, test_images):
    task = MinimalPerturbation(test_images.image(0), 7, AnyTarget()).task(thesis)
    bounds = BOUNDING_METHODS.get("thesis").compute(thesis, InputSet(task.box))
    with pytest.raises(InputError, match="formulation: expected one of bigm, thesis"):
        FORMULATIONS.get("other").encode(thesis, task, bounds)
    with pytest.raises(InputError, match="one alternative, found 9"):
        BigM().encode(thesis, task, bounds)


def test_what_presolve_alone_calls_infeasible_is_solved():
    """HiGHS 1.16 and bounds of 6e-14; any input near this one does it."""
    layers = (
        Dense(np.array([[4.0, -5.0], [1.0, -1.0]]), np.zeros(2)),
        Dense(
            np.array(
                [[0.0, -2.0], [7.0, 0.0], [-1.0, -1.0], [-1.0, -2.0], [-1.0, 1.0], [0.0, 2.0]]
            ),
            np.array([0.0, 0.0, 2.0, 1.0, -1.0, 0.0]),
        ),
        Dense(
            np.array([[4.0, -1.0, 0.0, 2.0, -2.0, -1.0], [2.0, 1.0, 0.0, 1.0, -6.0, 2.0]]),
            np.array([-1.0, -2.0]),
        ),
        Dense(np.array([[1.0, -1.0]]), np.array([-1.0])),
    )
    network, point = ReLUNetwork(layers), np.array([0.8784801808774716, 0.10231992326066168])
    bounds = BOUNDING_METHODS.get("interval").compute(network, InputSet(Box.unit(2)))
    task = Task.largest_logit(0, Box(point, point))
    encoded = FORMULATIONS.get("partition-4").encode(network, task, bounds)
    result = HighsEngine().solve_program(ProgramTask(encoded.program, EngineOptions()))
    assert result.status is Status.OPTIMAL
    assert result.bound == pytest.approx(network.forward(point)[0], rel=1e-6)
