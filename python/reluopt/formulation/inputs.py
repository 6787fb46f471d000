r"""How the input :math:`x^0` and the norm of its change enter a program.

An :class:`InputEncoding` writes :math:`x^0 = x_{base} + E v_{columns}` in some program variables.
Four encodings exist, one function each:

* :func:`add_free_input`: :math:`x^0` itself is a variable (no norm);
* :func:`add_thesis_change`: :math:`x^0` and one :math:`\delta_i` for each input with
  :math:`-\delta \le x^0 - image \le \delta` (two rows an input), as in Linkola (2023);
* :func:`add_split_change`: L1, and blends of L1 and L2, by parts, :math:`x^0 = image + p - n` with
  :math:`p, n \ge 0`, no rows at all; a part that the box leaves no room for gets no variable;
* :func:`add_change`: L2 (quadratic objective) and Linf (one more variable and two rows an input)
  with :math:`x^0 = image + \delta`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from reluopt.formulation.program import IndexArray, ProgramBuilder
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import Box, Norm, PerturbationTask


@dataclass(frozen=True, eq=False)
class InputEncoding:
    """``x0 = base + matrix @ v[columns]``.

    Attributes:
        base: shape ``(n_0,)``.
        matrix: CSR of shape ``(n_0, len(columns))``.
        columns: program variables that the input depends on.
        change: variables that hold the size of the change (``delta`` of the thesis encoding, the
            maximum for Linf), or None.
    """

    base: FloatArray
    matrix: sp.csr_array
    columns: IndexArray
    change: IndexArray | None = None

    def point(self, values: FloatArray) -> FloatArray:
        """The input that program values describe, shape ``(n_0,)``."""
        return np.asarray(self.base + self.matrix @ values[self.columns])

    def assign(self, values: FloatArray, point: FloatArray) -> None:
        """Set the encoding's variables in ``values`` so that they describe ``point``."""
        difference = point - self.base
        if (self.matrix.data < 0.0).any():  # parts: one variable for each direction
            values[self.columns] = np.maximum(self.matrix.T @ difference, 0.0)
        else:
            values[self.columns] = self.matrix.T @ difference


def add_free_input(builder: ProgramBuilder, box: Box) -> InputEncoding:
    """``x0`` itself, limited by the box."""
    columns = builder.add_variables(box.lower, box.upper)
    size = columns.size
    return InputEncoding(np.zeros(size), sp.csr_array(sp.eye_array(size)), columns)


def add_thesis_change(builder: ProgramBuilder, task: PerturbationTask) -> InputEncoding:
    """``x0`` and ``delta`` with ``-delta <= x0 - image <= delta`` (Linkola 2023)."""
    encoding = add_free_input(builder, task.box)
    size = task.image.size
    reach = np.maximum(task.box.upper - task.image, task.image - task.box.lower)
    cost, quadratic = task.norm.costs
    change = builder.add_variables(np.zeros(size), reach, cost=cost, quadratic=quadratic)
    eye = sp.csr_array(sp.eye_array(size))
    for sign in (1.0, -1.0):
        builder.add_rows(
            [(eye, change), (-sign * eye, encoding.columns)], -sign * task.image, np.inf
        )
    return InputEncoding(encoding.base, encoding.matrix, encoding.columns, change)


def add_split_change(builder: ProgramBuilder, task: PerturbationTask) -> InputEncoding:
    """Change by its positive and negative parts, of which a minimiser has one zero."""
    cost, quadratic = task.norm.costs
    up, down = task.box.upper - task.image, task.image - task.box.lower
    raised, lowered = np.flatnonzero(up > 0.0), np.flatnonzero(down > 0.0)
    reach = np.concatenate([up[raised], down[lowered]])
    columns = builder.add_variables(np.zeros(reach.size), reach, cost=cost, quadratic=quadratic)
    signs = np.concatenate([np.ones(raised.size), -np.ones(lowered.size)])
    rows = np.concatenate([raised, lowered])
    matrix = sp.csr_array(
        (signs, (rows, np.arange(reach.size))), shape=(task.image.size, reach.size)
    )
    return InputEncoding(task.image, matrix, columns)


def add_change(builder: ProgramBuilder, task: PerturbationTask) -> InputEncoding:
    """``x0 = image + delta`` for L2 and Linf."""
    lower, upper = task.box.lower - task.image, task.box.upper - task.image
    columns = builder.add_variables(lower, upper, quadratic=task.norm.costs[1])
    eye = sp.csr_array(sp.eye_array(columns.size))
    largest = None
    if task.norm is Norm.LINF:
        reach = float(np.max(np.maximum(upper, -lower), initial=0.0))
        largest = builder.add_variables([0.0], [reach], cost=1.0)
        ones = np.ones((columns.size, 1))
        for sign in (1.0, -1.0):
            builder.add_rows([(ones, largest), (sign * eye, columns)], 0.0, np.inf)
    return InputEncoding(task.image, eye, columns, largest)


def add_change_limits(
    builder: ProgramBuilder, encoding: InputEncoding, task: PerturbationTask
) -> None:
    """Rows ``-limit <= A (x0 - image) <= limit``, whatever the encoding; none without limits."""
    if task.limits is None:
        return
    already = task.limits.matrix @ (encoding.base - task.image)
    rows = sp.csr_array(task.limits.matrix @ encoding.matrix)
    limit = task.limits.limit
    builder.add_rows([(rows, encoding.columns)], -limit - already, limit - already)
