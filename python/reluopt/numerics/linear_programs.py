r"""Mixed-integer programs as sparse matrices, the one builder of them, and HiGHS' form of them.

.. math:: \min\ (\text{or}\ \max)\quad c^\top v + \sum_i q_i v_i^2 + c_0 \quad\text{s.t.}\quad
          r^- \le A v \le r^+,\quad l \le v \le u,\quad v_i \in \{0, 1\}\ (i \in B).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from reluopt.numerics.arrays import BoolArray, FloatArray

IndexArray: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Program:
    """A linear or convex quadratic program with binaries.

    Attributes:
        maximise: whether the objective is maximised.
        cost: linear objective, shape ``(variables,)``.
        quadratic: diagonal of the quadratic objective, >= 0, shape ``(variables,)``.
        offset: constant of the objective.
        matrix: constraint matrix, CSR, shape ``(rows, variables)``.
        row_lower, row_upper: row limits, shape ``(rows,)``, infinite where one-sided.
        lower, upper: variable bounds, shape ``(variables,)``.
        binary: which variables are binary, shape ``(variables,)``.
    """

    maximise: bool
    cost: FloatArray
    quadratic: FloatArray
    offset: float
    matrix: sp.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    binary: BoolArray

    @property
    def size(self) -> dict[str, int]:
        """Number of ``variables``, ``constraints`` (rows), ``binaries`` and matrix ``nonzeros``."""
        return {
            "variables": int(self.cost.size),
            "constraints": int(self.row_lower.size),
            "binaries": int(np.count_nonzero(self.binary)),
            "nonzeros": int(self.matrix.nnz),
        }

    @property
    def relaxation(self) -> Program:
        """The same without binaries."""
        return replace(self, binary=np.zeros_like(self.binary))

    @property
    def is_quadratic(self) -> bool:
        """Whether the objective has a quadratic part."""
        return bool(self.quadratic.any())

    @property
    def no_bound(self) -> float:
        """What bounds the objective before anything is known."""
        return np.inf if self.maximise else -np.inf

    def objective(self, values: FloatArray) -> float:
        """Objective of ``values``, shape ``(variables,)``."""
        return float(self.cost @ values + self.quadratic @ (values * values) + self.offset)

    def violation(self, values: FloatArray) -> float:
        """Largest violation of any row, bound or integrality by ``values``."""
        rows = self.matrix @ values
        parts = (
            self.row_lower - rows,
            rows - self.row_upper,
            self.lower - values,
            values - self.upper,
            np.abs(values - np.round(values))[self.binary],
        )
        return max(float(np.max(part, initial=0.0)) for part in parts)


class ProgramBuilder:
    """Collects variables and rows block by block; :meth:`build` makes the matrices."""

    def __init__(self, maximise: bool = False) -> None:
        self._maximise = maximise
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._cost: list[FloatArray] = []
        self._quadratic: list[FloatArray] = []
        self._binary: list[BoolArray] = []
        self._entries: list[tuple[IndexArray, IndexArray, FloatArray]] = []
        self._row_lower: list[FloatArray] = []
        self._row_upper: list[FloatArray] = []
        self._extra_cost: list[tuple[IndexArray, float]] = []
        self._variables = 0
        self._rows = 0

    @property
    def rows(self) -> int:
        """How many rows there are so far."""
        return self._rows

    def add_variables(
        self,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        cost: ArrayLike = 0.0,
        quadratic: ArrayLike = 0.0,
        binary: bool = False,
    ) -> IndexArray:
        """Add a block of variables and return their indices."""
        low = np.atleast_1d(np.asarray(lower, dtype=np.float64))
        up = np.atleast_1d(np.asarray(upper, dtype=np.float64))
        low, up = (np.array(values) for values in np.broadcast_arrays(low, up))
        count = low.size
        self._lower.append(low)
        self._upper.append(up)
        self._cost.append(np.broadcast_to(np.asarray(cost, dtype=np.float64), (count,)))
        self._quadratic.append(np.broadcast_to(np.asarray(quadratic, dtype=np.float64), (count,)))
        self._binary.append(np.full(count, binary))
        self._variables += count
        return np.arange(self._variables - count, self._variables, dtype=np.intp)

    def add_rows(
        self,
        terms: list[tuple[FloatArray | sp.csr_array, IndexArray]],
        lower: ArrayLike,
        upper: ArrayLike,
    ) -> None:
        """Add rows ``lower <= sum_b matrix_b @ v[columns_b] <= upper``.

        Args:
            terms: pairs of a matrix ``(rows, len(columns))``, dense or CSR, and the columns that
                it multiplies.
            lower: row limits, a scalar or a vector of shape ``(rows,)``.
            upper: likewise.
        """
        count = terms[0][0].shape[0]
        for matrix, columns in terms:
            entries = sp.coo_array(matrix)
            self._entries.append(
                (
                    np.asarray(entries.row, dtype=np.intp) + self._rows,
                    columns[entries.col],
                    np.asarray(entries.data, dtype=np.float64),
                )
            )
        self._row_lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), (count,)))
        self._row_upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), (count,)))
        self._rows += count

    def add_cost(self, columns: IndexArray, cost: float) -> None:
        """Add ``cost * sum(v[columns])`` to the objective."""
        self._extra_cost.append((columns, cost))

    def ends(self, columns: IndexArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds of variables."""
        return _joined(self._lower)[columns], _joined(self._upper)[columns]

    def build(self) -> Program:
        """The finished program."""
        rows, columns, data = (
            np.concatenate([entry[part] for entry in self._entries] or [np.zeros(0)])
            for part in range(3)
        )
        matrix = sp.csr_array(
            (data, (rows.astype(np.intp), columns.astype(np.intp))),
            shape=(self._rows, self._variables),
        )
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        cost = _joined(self._cost)
        for indices, weight in self._extra_cost:
            cost[indices] += weight
        return Program(
            maximise=self._maximise,
            cost=cost,
            quadratic=_joined(self._quadratic),
            offset=0.0,
            matrix=matrix,
            row_lower=_joined(self._row_lower),
            row_upper=_joined(self._row_upper),
            lower=_joined(self._lower),
            upper=_joined(self._upper),
            binary=np.concatenate(self._binary) if self._binary else np.zeros(0, dtype=np.bool_),
        )


def _joined(parts: list[FloatArray]) -> FloatArray:
    """Concatenate blocks; an empty list gives an empty vector."""
    return np.concatenate(parts) if parts else np.zeros(0)


def highs_lp(
    matrix: sp.csr_array,
    rows: tuple[FloatArray, FloatArray],
    columns: tuple[FloatArray, FloatArray],
    cost: FloatArray,
) -> Any:
    """A linear program as a ``HighsLp``: limits of rows and columns, and what is minimised."""
    import highspy  # takes its time

    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_ = cost
    model.col_lower_, model.col_upper_ = columns
    model.row_lower_, model.row_upper_ = rows
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    return model


def highs_model(program: Program) -> Any:
    """A program as a ``HighsLp``, its squares left out: HiGHS takes none beside binaries."""
    import highspy

    ends = (program.row_lower, program.row_upper), (program.lower, program.upper)
    model = highs_lp(program.matrix, *ends, program.cost)
    model.sense_ = highspy.ObjSense.kMaximize if program.maximise else highspy.ObjSense.kMinimize
    model.offset_ = program.offset
    if program.binary.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[int(flag)] for flag in program.binary]
    return model


def highs_squares(program: Program) -> Any:
    """The squares of a program without binaries as a ``HighsHessian``."""
    import highspy

    size = program.quadratic.size
    hessian = highspy.HighsHessian()
    hessian.dim_ = size
    hessian.format_ = highspy.HessianFormat.kTriangular
    hessian.start_ = np.arange(size + 1)
    hessian.index_ = np.arange(size)
    hessian.value_ = 2.0 * program.quadratic
    return hessian
