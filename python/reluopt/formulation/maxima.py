r"""The rows of a max-pool: one binary for each candidate that bounds do not exclude.

With bounds :math:`L_i \le v_i \le U_i` of the candidates of a window,

.. math:: y \ge v_i, \qquad y \le v_i + \sum_{j \ne i} \max(U_j - L_i, 0)\, z_j, \qquad
          y \le \sum_i U_i z_i, \qquad \sum_i z_i = 1, \quad z_i \in \{0, 1\}.

Of :math:`y \le v_i + (\max_j U_j - L_i)(1 - z_i)` (Tjeng, Xiao and Tedrake 2019, section 4.1.2)
the second one is the stronger form, since :math:`1 - z_i = \sum_{j \ne i} z_j`. A candidate with
:math:`U_i \le \max_j L_j` is never the only largest one and is left out; where one is left, it is
the maximum, without a variable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from reluopt.formulation.base import ABSENT
from reluopt.networks.layers.base import Maximum
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import IndexArray, ProgramBuilder


@dataclass(frozen=True, eq=False)
class EncodedMaximum:
    """Variables of a max-pool.

    Attributes:
        y: the largest values, ``ABSENT`` where they are zero; shape ``(windows,)``.
        z: binaries of the candidates, one after the other.
        windows, candidates: window and value of each of them.
    """

    y: IndexArray
    z: IndexArray
    windows: IndexArray
    candidates: IndexArray

    def assign(self, values: FloatArray, before: FloatArray, after: FloatArray) -> None:
        """Set the variables for what stands ``before`` and ``after`` the pool."""
        has = self.y != ABSENT
        values[self.y[has]] = after[has]
        values[self.z] = 0.0
        largest = before[self.candidates] >= after[self.windows]
        _, first = np.unique(self.windows[largest], return_index=True)
        values[self.z[np.flatnonzero(largest)[first]]] = 1.0


def add_maximum(
    builder: ProgramBuilder,
    stage: Maximum,
    variables: IndexArray,
    lower: FloatArray,
    upper: FloatArray,
) -> EncodedMaximum:
    """Variables and rows of a max-pool.

    Args:
        builder: what they are added to.
        stage: the windows.
        variables: those of the values, ``ABSENT`` for what is zero; shape ``(n,)``.
        lower: lower bounds of the values.
        upper: upper bounds of the values.
    """
    inside = stage.numbers >= 0
    low = np.where(inside, lower[stage.numbers], -np.inf)
    high = np.where(inside, upper[stage.numbers], -np.inf)
    rows = np.arange(len(low))
    best = low.max(axis=1)
    # Of several with the largest lower bound the one with the largest upper bound stays.
    keeper = np.where(low == best[:, None], high, -np.inf).argmax(axis=1)
    kept = inside & (high > best[:, None])
    kept[rows, keeper] = True
    alone = kept.sum(axis=1) == 1
    y = np.full(len(low), ABSENT, dtype=np.intp)
    y[alone] = variables[stage.numbers[rows, keeper]][alone]
    top = np.where(kept, high, -np.inf)
    y[~alone] = builder.add_variables(best[~alone], top.max(axis=1)[~alone])
    windows, places = np.nonzero(kept & ~alone[:, None])
    candidates = stage.numbers[windows, places]
    z = builder.add_variables(np.zeros(windows.size), np.ones(windows.size), binary=True)
    encoded = EncodedMaximum(y, z, windows, candidates)
    if windows.size:
        _add_rows(builder, encoded, variables, (lower[candidates], upper[candidates]))
    return encoded


def _add_rows(
    builder: ProgramBuilder,
    encoded: EncodedMaximum,
    variables: IndexArray,
    ends: tuple[FloatArray, FloatArray],
) -> None:
    """The rows of the module; windows stand one after the other."""
    windows, (low, high), count = encoded.windows, ends, encoded.windows.size
    eye = sp.csr_array(sp.eye_array(count))
    columns = variables[encoded.candidates]
    present = columns != ABSENT
    above = [(eye, encoded.y[windows]), (-eye[:, present], columns[present])]
    builder.add_rows(above, 0.0, np.inf)
    one = np.unique(windows, return_inverse=True)[1], np.arange(count)
    same = sp.csr_array((np.ones(count), one))
    row, other = (same.T @ same).nonzero()  # pairs of candidates of one window
    rows, others = row[row != other], other[row != other]
    leads = np.maximum(high[others] - low[rows], 0.0)
    big = sp.csr_array((leads, (rows, others)), shape=(count, count))
    builder.add_rows([*above, (-big, encoded.z)], -np.inf, 0.0)
    chosen = sp.csr_array((high, one))
    y = encoded.y[np.unique(windows)]
    builder.add_rows([(sp.csr_array(sp.eye_array(y.size)), y), (-chosen, encoded.z)], -np.inf, 0.0)
    builder.add_rows([(same, encoded.z)], 1.0, 1.0)
