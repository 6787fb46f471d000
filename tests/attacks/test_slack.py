"""Climbing a slack: never out of the set, never better than it is, and often enough a witness."""

import numpy as np
import pytest

from helpers.regions import largest_value
from reluopt.attacks.slack import incumbent_at, largest_found, middle
from reluopt.deadline import Deadline
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    Box,
    InputSet,
    LinearForm,
    Norm,
    Task,
    Verification,
    WorstCase,
)


@pytest.mark.parametrize("norm", list(Norm), ids=str)
def test_what_is_found_lies_in_the_set_and_has_the_slack_that_is_told(make_network, norm):
    for seed in range(6):
        network = make_network((4, 5, 3), seed)
        image = np.random.default_rng(seed).random(4)
        task = WorstCase(image, int(network.predict(image)), 0.3, norm).task(network)
        found = largest_found(network, task, seed)
        assert task.inputs.length(found.image) <= 0.3 + 1e-12
        assert task.box.violation(found.image) == 0.0
        assert found.objective == task.value(network.forward(found.image))
        assert found.objective >= task.value(network.forward(image))


def test_most_of_the_slack_is_found(make_network):
    shares = []
    for seed in range(10):
        network = make_network((3, 4, 3), seed)
        image = np.random.default_rng(seed).random(3)
        task = WorstCase(image, int(network.predict(image)), 0.3).task(network)
        clean = task.value(network.forward(image))
        best = largest_value(network, task)
        shares.append((largest_found(network, task).objective - clean) / (best - clean))
    assert max(shares) <= 1.0 + 1e-9
    assert np.median(shares) > 0.99


def test_forms_are_climbed_where_their_condition_is_met(make_network):
    network = make_network((3, 4, 3), 1)
    image = np.full(3, 0.5)
    form = LinearForm(((1, 1.0),))
    task = WorstCase(image, int(network.predict(image)), 0.5, Norm.LINF, form, 1.0).task(network)
    found = largest_found(network, task)
    assert task.best_alternative(network.forward(found.image))[1] >= 0.0
    assert found.objective == pytest.approx(largest_value(network, task), rel=0.05)


def test_without_a_ball_the_middle_of_the_box_is_where_it_begins(make_network):
    network = make_network((3, 4, 3), 2)
    box = Box(np.array([0.0, -1.0, 2.0]), np.array([1.0, 1.0, 2.0]))
    assert middle(InputSet(box)).tolist() == [0.5, 0.0, 2.0]
    found = largest_found(network, Task.largest_logit(0, box))
    assert box.violation(found.image) == 0.0
    assert found.objective >= network.forward(middle(InputSet(box)))[0]


def test_where_a_sign_decides_the_first_witness_is_enough(make_network, monkeypatch):
    network = make_network((3, 4, 3), 2)
    image = np.full(3, 0.5)
    label = (int(network.predict(image)) + 1) % 3
    monkeypatch.delattr(ReLUNetwork, "gradient")  # no step is taken
    found = largest_found(network, Verification(image, label, 0.1).task(network))
    assert found.objective >= 0.0


def test_an_input_that_meets_nothing_is_no_incumbent(make_network):
    network = make_network((3, 4, 3), 2)
    image = np.full(3, 0.5)
    label = int(network.predict(image))
    form = LinearForm(((label, 1.0),))
    task = WorstCase(image, label, 0.0, Norm.LINF, form, fooled=0.0).task(network)
    if network.forward(image)[label] > 0.0:
        assert incumbent_at(network, task, image) is None
        assert largest_found(network, task) is None
    free = WorstCase(image, label, 0.0, Norm.LINF, form).task(network)
    assert incumbent_at(network, free, image).objective == network.forward(image)[label]


def test_a_deadline_that_has_passed_leaves_the_first_points(make_network):
    network = make_network((3, 4, 3), 2)
    task = WorstCase(np.full(3, 0.5), 0, 0.1).task(network)
    assert largest_found(network, task, deadline=Deadline.after(-1.0)) is not None
