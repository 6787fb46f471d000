r"""Changes by their positive and negative parts, :math:`\delta = p - n` with :math:`p, n \ge 0`.

Every change can be written with one part of each input zero, and minimisers of what grows with
both are. A part that has no room is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reluopt.numerics.arrays import FloatArray
from reluopt.questions.norms.base import Change

if TYPE_CHECKING:
    from reluopt.numerics.linear_programs import ProgramBuilder


class Parts(NamedTuple):
    """The parts with room: first those that raise their input, then those that lower it.

    Attributes:
        inputs: the input of each part, shape ``(parts,)``.
        signs: +1 for parts that raise it, -1 for the others.
        rooms: how large each part may be, > 0.
    """

    inputs: NDArray[np.intp]
    signs: FloatArray
    rooms: FloatArray


def parts_with_room(low: FloatArray, high: FloatArray) -> Parts:
    """The parts of changes ``low <= delta <= high``, where ``low <= 0 <= high``."""
    raised, lowered = np.flatnonzero(high > 0.0), np.flatnonzero(low < 0.0)
    signs = np.concatenate([np.ones(raised.size), -np.ones(lowered.size)])
    rooms = np.concatenate([high[raised], -low[lowered]])
    return Parts(np.concatenate([raised, lowered]), signs, rooms)


def split_change(
    builder: ProgramBuilder, low: FloatArray, high: FloatArray, costs: tuple[float, float]
) -> Change:
    """A change by its parts, with the costs of :attr:`~reluopt.questions.norms.base.Norm.costs`."""
    import scipy.sparse as sp

    parts = parts_with_room(low, high)
    count, (cost, quadratic) = parts.rooms.size, costs
    columns = builder.add_variables(np.zeros(count), parts.rooms, cost=cost, quadratic=quadratic)
    entries = (parts.signs, (parts.inputs, np.arange(count)))
    return Change(sp.csr_array(entries, shape=(low.size, count)), columns)
