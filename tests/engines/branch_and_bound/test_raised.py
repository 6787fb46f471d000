"""Conditions raised by a value: rounded down, and bounds of what they ask for."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reluopt.deadline import NEVER
from reluopt.engines.branch_and_bound.raised import Goal, RaisedTask
from reluopt.questions.problems import Alternative, LogitConditions, Norm, WorstCase

SIZES = st.floats(-1e6, 1e6)


@given(st.lists(SIZES, min_size=1, max_size=4), SIZES)
def test_raised_sides_are_not_above_the_true_ones(rhs, value):
    conditions = LogitConditions(np.ones((len(rhs), 3)), np.array(rhs))
    raised = Goal.whole(Alternative(0, conditions)).at(value).conditions
    for before, after in zip(rhs, raised.rhs, strict=True):
        true = Fraction(before) + Fraction(value)
        assert Fraction(float(after)) <= true
        assert true - Fraction(float(after)) <= Fraction(4e-16) * abs(true) + Fraction(1e-300)


def test_beside_conditions_a_form_alone_is_raised():
    met = LogitConditions(np.eye(2), np.array([1.0, 2.0]))
    form = LogitConditions(np.array([[1.0, -1.0]]), np.zeros(1))
    goal = Goal.beside(Alternative(1, met), form)
    raised = goal.at(3.0).conditions
    assert raised.rhs[:2].tolist() == [1.0, 2.0]
    assert raised.rhs[2] == np.nextafter(3.0, 0.0)
    assert goal.value(np.array([5.0, 1.0])) == 4.0
    anything = goal.at(-math.inf).conditions
    assert anything.matrix.tolist() == met.matrix.tolist()


def test_ceilings_bound_every_input_of_the_ball(make_network):
    for seed in range(6):
        network = make_network((3, 4, 3), seed)
        generator = np.random.default_rng(seed)
        image = generator.random(3)
        asked = WorstCase(image, int(network.predict(image)), 0.3, (Norm.L1, Norm.L2)[seed % 2])
        raised = RaisedTask.of(network, asked.task(network))
        ceilings = raised.ceilings(NEVER)
        for point in generator.random((200, 3)):
            near = raised.value_at(image + 0.6 * (point - 0.5))
            assert near.objective <= ceilings.max()


def test_conditions_that_nothing_meets_have_no_ceiling(make_network):
    network = make_network((3, 4, 3), 0)
    image = np.full(3, 0.5)
    label = int(network.predict(image))
    asked = WorstCase(image, label, 0.0, Norm.L1, objective=label, fooled=0.5)
    raised = RaisedTask.of(network, asked.task(network))
    logits = network.forward(image)
    for goal, ceiling in zip(raised.goals, raised.ceilings(NEVER), strict=True):
        fails = 0.5 * logits[goal.alternative.target] < logits[label]
        assert (ceiling == -np.inf) == fails
