"""Networks whose forward pass can overflow are refused by every question."""

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.attacks.gradient import pgd
from reluopt.bounds import BOUNDING_METHODS
from reluopt.errors import InputError
from reluopt.networks.evaluation import evaluate
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.input_sets import InputSet
from reluopt.questions.overflow import LARGEST_SIZE, refuse_overflow
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    Classification,
    MinimalPerturbation,
    Norm,
    OptimalInput,
    RelativeMargin,
)

IMAGE = np.array([0.2, 0.8])


def _network(size):
    """Two hidden neurons, the second of weights of ``size``."""
    first = Dense(np.array([[1.0, -1.0], [size, size]]), np.zeros(2))
    return ReLUNetwork((first, Dense(np.eye(2), np.zeros(2))), NetworkMetadata(name="huge"))


@pytest.mark.parametrize("size", [1e308, 1e101])
@pytest.mark.parametrize(
    "ask",
    [
        lambda n: solve(n, MinimalPerturbation(IMAGE, 0, AnyTarget())),
        lambda n: solve(n, MinimalPerturbation(IMAGE, 0, AnyTarget(), Norm.LINF)),
        lambda n: solve(n, OptimalInput(0)),
        lambda n: solve(n, Classification(IMAGE)),
        lambda n: pgd(n, IMAGE, [0], 0.1),
        *(
            lambda n, name=name: BOUNDING_METHODS.get(name).compute(n, InputSet(Box.unit(2)))
            for name in BOUNDING_METHODS.names
        ),
    ],
)
def test_every_question_refuses_what_can_overflow(size, ask):
    with pytest.raises(InputError, match=r"network huge: layer 1: .* neuron 1 may reach") as error:
        ask(_network(size))
    assert "\n" not in str(error.value)


def test_overflow_of_later_layers_and_of_sums_is_seen():
    deep = ReLUNetwork(tuple(Dense(np.full((2, 2), 1e60), np.zeros(2)) for _ in range(2)))
    with pytest.raises(InputError, match="layer 2"):
        refuse_overflow(deep, np.zeros(2), np.ones(2))
    biased = ReLUNetwork((Dense(np.eye(2), np.array([0.0, -1e300])),))
    with pytest.raises(InputError, match="layer 1"):
        refuse_overflow(biased, np.zeros(2), np.ones(2))
    assert refuse_overflow(deep, np.zeros(2), np.full(2, 1e-30)) <= LARGEST_SIZE


def test_neurons_of_extreme_scale_that_cancel_are_welcome():
    """The norms of the layers say 1e160; no pre-activation exceeds 2e80."""
    first = Dense(np.diag([1e80, 1e-80]), np.zeros(2))
    last = Dense(np.diag([1e-80, 1e80]), np.zeros(2))
    largest = refuse_overflow(ReLUNetwork((first, last)), np.zeros(2), np.ones(2))
    assert largest == pytest.approx(1.0)


@pytest.mark.parametrize("margin", [RelativeMargin(1e300), AbsoluteMargin(1e300)])
def test_margins_that_can_overflow_are_refused(margin):
    with pytest.raises(InputError, match="margin"):
        MinimalPerturbation(IMAGE, 0, AnyTarget(), Norm.L1, margin).task(_network(1.0))


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_what_is_large_but_fits_is_answered(norm):
    first = Dense(np.array([[1e90, -1e90], [-1e90, 1e90]]), np.zeros(2))
    network = ReLUNetwork((first, Dense(np.eye(2), np.zeros(2))))
    solution = solve(network, MinimalPerturbation(IMAGE, 1, AnyTarget(), norm))
    assert solution.status is Status.OPTIMAL
    assert solution.certified
    expected = 0.6 if norm is Norm.L1 else 0.18
    assert solution.objective == pytest.approx(expected)


def test_evaluation_counts_no_logits_that_are_not_finite():
    with pytest.raises(InputError, match="finite logits"):
        evaluate(_network(1e308), np.ones((3, 2)), np.array([0, 1, 0]))


def test_inputs_beyond_all_measure_are_refused():
    network = ReLUNetwork((Dense(np.full((2, 2), 1e-300), np.zeros(2)),))
    with pytest.raises(InputError, match="box: expected inputs within"):
        refuse_overflow(network, np.zeros(2), np.array([0.0, 1e200]))
