"""Leaves of L2 proofs as the independent checker reads them."""

import numpy as np

from reluopt.engines.branch_and_bound.l2.certificate import Witness
from reluopt.engines.branch_and_bound.l2.model import (
    CAP,
    CHORD,
    CONDITION,
    NEGATIVE,
    PHASE,
    POSITIVE,
    Model,
)
from reluopt.engines.branch_and_bound.l2.stated import stated


def test_multipliers_of_forms_become_one_of_each_neuron():
    kinds = np.array([POSITIVE, CAP, NEGATIVE, CHORD, PHASE, PHASE, CONDITION])
    owner, forms = np.array([2, 2, 2, 2, 0, 1, 0]), np.zeros((7, 1))
    numbers = (forms, forms, np.zeros(7), np.zeros(7))
    model = Model(np.array([2]), np.array([0]), np.array([1.0]), kinds, owner, *numbers)
    z, psi = np.array([10.0, 20.0, 3.0, 4.0, 5.0, -6.0, 7.0]), np.array([0.5, 2.0, -1.0])
    terms = np.array([0, 0, 0]), np.array([2, 1, 6])
    witness = Witness(np.zeros(4), np.array([0.1]), z, psi, *terms)
    lower, upper = np.array([1.0, -2.0, -1.0]), np.array([3.0, -1.0, 1.0])
    found = stated(model, witness, lower, upper, 3)
    # x - a with 3, the line a / 2 + 1 / 2 - x with 4; a of the active neuron with 5
    assert found["neurons"].tolist() == [5.0, 0.0, -3.0 + 4.0 * 0.5]
    assert found["conditions"].tolist() == [7.0]
    rows = [[2.0, 2.0, 1.0, -1.0, 0.5], [2.0, 2.0, -1.0, 0.0, 0.0], [2.0, 3.0, 0.0, 0.0, -1.0]]
    assert found["products"].reshape(3, 5).tolist() == rows
