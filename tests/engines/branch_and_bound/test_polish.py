"""Polished inputs: the best of their linear region, within the ball."""

import numpy as np
import pytest

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound import polish
from reluopt.engines.branch_and_bound.raised import RaisedTask
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Norm, WorstCase

GRADIENT = np.array([3.0, -4.0, 1.0])


def raised_at(network, norm, eps, **settings):
    asked = WorstCase(np.full(network.input_size, 0.5), 0, eps, norm, objective=1, **settings)
    return RaisedTask.of(network, asked.task(network))


def one_region():
    """Logits (0, GRADIENT @ x) over the unit box, with neurons that are always active."""
    hidden = Dense(GRADIENT[None], np.array([10.0]))
    return ReLUNetwork((hidden, Dense(np.array([[0.0], [1.0]]), np.array([0.0, -10.0]))))


@pytest.mark.parametrize(("norm", "gain"), [(Norm.L1, 4.0), (Norm.L2, np.sqrt(26.0))], ids=str)
def test_where_the_network_is_linear_its_dual_norm_is_reached(norm, gain):
    raised = raised_at(one_region(), norm, 0.25)
    start = raised.value_at(raised.task.inputs.center)
    found = polish.polished(raised, start, 1e-8, NEVER)
    assert found.objective == pytest.approx(start.objective + 0.25 * gain, abs=1e-7)
    assert raised.task.inputs.length(found.image) <= 0.25 + 1e-12


def test_a_condition_that_is_tight_at_the_optimum_is_met():
    """x_0 = 0 <= 0.9 x_1 holds where GRADIENT @ x >= 0."""
    network = one_region()
    down = ReLUNetwork((network.layers[0], Dense(np.array([[0.0], [-1.0]]), np.array([0.0, 10.6]))))
    raised = raised_at(down, Norm.L2, 0.25, fooled=0.9)
    start = raised.value_at(raised.task.inputs.center)
    found = polish.polished(raised, start, 1e-8, NEVER)
    assert found.objective == pytest.approx(start.objective + 0.25 * np.sqrt(26.0), abs=1e-7)


def test_a_polished_input_is_never_worse(make_network):
    gained = 0
    for seed in range(12):
        network = make_network((3, 5, 4, 3), seed)
        raised = raised_at(network, (Norm.L1, Norm.L2)[seed % 2], 0.3)
        start = raised.value_at(np.random.default_rng(seed).random(3))
        found = polish.polished(raised, start, 1e-9, NEVER)
        assert found.objective >= start.objective
        assert raised.task.value(network.forward(found.image)) == found.objective
        gained += found.objective > start.objective
    assert gained > 6


def test_large_networks_and_late_hours_leave_the_input_as_it_is(monkeypatch):
    raised = raised_at(one_region(), Norm.L1, 0.25)
    start = raised.value_at(raised.task.inputs.center)
    assert polish.polished(raised, start, 1e-8, Deadline(0.0)) is start
    monkeypatch.setattr(polish, "MOST", 2)
    assert polish.polished(raised, start, 1e-8, NEVER) is start


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_chords_close_in_on_a_convex_length(power):
    chords = polish._Chords((0.0, 0.0), 1.0)
    chords.beyond = 5.0, 5.0**power
    chords.add(0.1, 0.1**power)
    for _ in range(12):
        value = chords.next_value
        chords.add(value, value**power)
    assert chords.inside[-1][0] == pytest.approx(1.0, abs=1e-8)
