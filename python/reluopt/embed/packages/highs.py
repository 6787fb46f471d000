"""Models of highspy."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any
from weakref import proxy

import numpy as np

from reluopt.embed.packages.base import Name, Package, Terms, or_zero, refuse_unless, text_of


class Highs(Package):
    """``highspy.Highs``; inputs may be linear expressions.

    HiGHS numbers variables and rows anew when some are deleted, and the objects that people hold
    would then mean others: only what was added last can be removed.
    """

    kind = "highspy:Highs"

    def terms(self, entry: Any) -> Terms | None:
        from highspy.highs import highs_linear_expression, highs_var

        if isinstance(entry, highs_var):
            return [(entry, 1.0)], 0.0
        if not isinstance(entry, highs_linear_expression) or entry.bounds is not None:
            return None
        variables = (highs_var(index, self.model) for index in entry.idxs)
        return list(zip(variables, entry.vals, strict=True)), entry.constant or 0.0

    def key(self, variable: Any) -> Hashable:
        return int(variable.index)

    def owns(self, variable: Any) -> bool:
        ours = variable.highs is self.model or variable.highs is proxy(self.model)
        return ours and 0 <= variable.index < self.model.numVariables

    def ends(self, variable: Any) -> tuple[float, float]:
        from highspy import HighsVarType

        _, _, lower, upper, _ = self.model.getCol(variable.index)
        _, kind = self.model.getColIntegrality(variable.index)
        semi = kind in (HighsVarType.kSemiContinuous, HighsVarType.kSemiInteger)
        return or_zero(lower, upper) if semi else (lower, upper)

    def label(self, variable: Any) -> str:
        _, name = self.model.getColName(variable.index)  # `variable.name` raises where none is
        return name or f"column {variable.index}"

    def has(self, prefix: str) -> bool:
        return text_of(prefix, ("y", (0,))) in self.model.allVariableNames()

    def add_variables(
        self, prefix: str, names: Sequence[Name], lower: Any, upper: Any, binary: Any
    ) -> list[Any]:
        from highspy import HighsVarType
        from highspy.highs import highs_var

        first, count = self.model.numVariables, len(names)
        self.model.addVars(count, lower, upper)
        whole = np.flatnonzero(binary).astype(np.int32) + first
        kinds = np.full(whole.size, int(HighsVarType.kInteger), dtype=np.uint8)
        self.model.changeColsIntegrality(whole.size, whole, kinds)
        for number, name in enumerate(names, start=first):
            self.model.passColName(number, text_of(prefix, name))
        return [highs_var(number, self.model) for number in range(first, first + count)]

    def add_rows(
        self, prefix: str, variables: Sequence[Any], matrix: Any, lower: Any, upper: Any
    ) -> list[Any]:
        from highspy.highs import highs_cons

        first, count = self.model.numConstrs, matrix.shape[0]
        columns = np.array([variable.index for variable in variables], dtype=np.int32)
        parts = matrix.indptr[:-1], columns[matrix.indices], matrix.data
        self.model.addRows(count, lower, upper, matrix.nnz, *parts)
        for number in range(count):
            self.model.passRowName(first + number, text_of(prefix, ("row", (number,))))
        return [highs_cons(number, self.model) for number in range(first, first + count)]

    def remove(self, prefix: str, variables: Sequence[Any], constraints: Sequence[Any]) -> None:
        last = _last(variables, self.model.numVariables)
        last = last and _last(constraints, self.model.numConstrs)
        refuse_unless(last, "nothing behind the network", "variables or rows that HiGHS would move")
        for delete, added in (
            (self.model.deleteRows, constraints),
            (self.model.deleteVars, variables),
        ):
            delete(len(added), np.array([each.index for each in added], dtype=np.int32))


def _last(added: Sequence[Any], count: int) -> bool:
    """Whether some variables or rows are the last of so many."""
    return [each.index for each in added] == list(range(count - len(added), count))
