"""Corrections: as small as can be, with answers as asked, a loss that stays, and a choice."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.finetuning.correction import Candidate, Correction, Examples, correct
from reluopt.networks.finetuning.parameters import mean_loss, pulled_back, weights_of
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork

RNG = np.random.default_rng(6)


def network_of(*sizes):
    pairs = zip(sizes[1:], sizes, strict=False)
    return ReLUNetwork(
        tuple(Dense(RNG.normal(size=pair), RNG.normal(size=pair[0])) for pair in pairs)
    )


def misread(network, count, margin=0.0):
    """Inputs with the label that is second best."""
    inputs = RNG.random((count, network.input_size))
    return Examples(inputs, np.argsort(network.forward(inputs), axis=1)[:, -2], margin)


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_one_condition_of_a_linear_network_has_a_known_optimum(margin):
    network = network_of(6, 3)
    wrong = misread(network, 1, margin)
    # A loss that its own gradient allows to fall along the change is no condition.
    rival = int(network.predict(wrong.inputs)[0])
    factors = np.zeros((1, 3))
    factors[0, wrong.labels[0]], factors[0, rival] = 1.0, -1.0
    row = pulled_back(network, wrong.inputs, factors)
    made = correct(network, wrong, wrong, 5)
    expected = wrong.violation(network) / np.linalg.norm(row)
    assert np.linalg.norm(made.optima[0] - weights_of(network)) == pytest.approx(expected, rel=1e-4)
    assert made.candidates[-1].violation <= 1e-4


def test_answers_are_corrected_and_the_loss_does_not_rise():
    network = network_of(8, 12, 10, 4)
    seen = RNG.random((200, 8))
    training = Examples(seen, network.predict(seen))
    wrong = misread(network, 3)
    made = correct(network, wrong, training, 20)
    last = made.candidates[-1]
    assert made.before.violation > 0.01 > 1e-3 >= last.violation
    assert last.loss <= 1.02 * made.before.loss
    tuned = made.corrected(last)
    assert wrong.violation(tuned) == last.violation
    assert mean_loss(tuned, training.inputs, training.labels) == pytest.approx(last.loss)
    assert len(made.candidates) == 10 * len(made.optima)


def test_it_ends_where_nothing_changes():
    network = network_of(5, 4, 3)
    inputs = RNG.random((4, 5))
    right = Examples(inputs, network.predict(inputs))
    made = correct(network, right, right, 20)
    assert len(made.optima) == 1
    assert np.array_equal(made.optima[0], weights_of(network))


def test_omega_weighs_violation_against_loss():
    network = network_of(3, 2)
    ends = [Candidate(1, 0.1, 4.0, 0.1), Candidate(1, 0.5, 1.0, 0.2), Candidate(1, 1.0, 0.0, 0.9)]
    made = Correction(network, ends[0], [weights_of(network)], ends)
    assert [made.chosen(omega) for omega in (0.0, 0.5, 1.0)] == [ends[2], ends[1], ends[0]]
    with pytest.raises(InputError, match="omega: expected a number from 0 to 1"):
        made.chosen(1.5)


def test_nothing_to_do_is_refused():
    network = network_of(3, 2)
    none = Examples(np.zeros((0, 3)), np.zeros(0, dtype=np.intp))
    some = Examples(np.zeros((1, 3)), np.zeros(1, dtype=np.intp))
    for arguments in ((none, some, 1), (some, none, 1), (some, some, 0)):
        with pytest.raises(InputError, match="finetune: expected"):
            correct(network, *arguments)
