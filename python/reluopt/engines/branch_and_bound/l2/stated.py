r"""Leaves of L2 proofs as others check them: no forms, but what they do to neurons.

A witness (:class:`~.certificate.Witness`) multiplies forms
:math:`\alpha x_h + \beta a_h + c \ge 0` of neurons by z. Of these only what stands before
:math:`a_h` has to be said, as with the multipliers of L1: the rest is minimised over the range of
the neuron. Products name their form by :math:`\alpha` and :math:`\beta`, too.
"""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.l2.certificate import Witness
from reluopt.engines.branch_and_bound.l2.model import (
    CAP,
    CHORD,
    CONDITION,
    NEGATIVE,
    PHASE,
    POSITIVE,
    THIN,
    Model,
)
from reluopt.numerics.arrays import FloatArray

ON_X = {POSITIVE: 1.0, CAP: -1.0, NEGATIVE: 1.0, CHORD: -1.0, PHASE: 0.0, CONDITION: 0.0}
"""What stands before x in forms of a kind."""

STATED = ("neurons", "conditions", "products")
"""Names of the parts."""


def stated(
    model: Model, witness: Witness, lower: FloatArray, upper: FloatArray, hidden: int
) -> dict[str, FloatArray]:
    """Parts of a leaf with these bounds of all neurons.

    Returns:
        ``neurons`` (pi) of shape ``(H,)``, ``conditions`` (mu), and ``products``, five numbers
        each: neuron of x, neuron of the form or H + condition, alpha, beta, psi.
    """
    asked = model.kind == CONDITION
    kind, owner = model.kind[~asked], model.owner[~asked]
    low, high = np.minimum(lower[owner], -THIN), np.maximum(upper[owner], THIN)
    slopes = {
        NEGATIVE: np.full(owner.size, -1.0),
        CHORD: high / (high - low),
        PHASE: np.where(lower[owner] >= 0.0, 1.0, -1.0),
    }
    on_x, on_a = np.array([ON_X[each] for each in model.kind.tolist()]), np.zeros(asked.size)
    on_a[~asked] = np.select([kind == each for each in slopes], [*slopes.values()], 0.0)
    z, neurons = np.maximum(witness.z, 0.0), np.zeros(hidden)
    np.add.at(neurons, owner, (z * on_a)[~asked])
    free, form = model.neuron.size, witness.term_form
    psi = np.concatenate([witness.psi[:free], np.minimum(witness.psi[free:], 0.0)])
    names = np.where(asked, hidden + model.owner, model.owner)
    columns = (model.neuron[witness.term_at], names[form], on_x[form], on_a[form], psi)
    products = np.column_stack([each.astype(np.float64) for each in columns]).ravel()
    return dict(zip(STATED, (neurons, z[asked], products), strict=True))
