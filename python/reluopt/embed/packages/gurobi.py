"""Models of gurobipy."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from reluopt.embed.packages.base import Name, Package, Terms, or_zero, text_of
from reluopt.engines.gurobi import add_rows


class Gurobi(Package):
    """``gurobipy.Model``; inputs may be linear expressions, and matrix variables of any shape."""

    kind = "gurobipy:Model"
    indicators = True

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        model.update()  # bounds and names of what was added since the last time

    @cached_property
    def _all(self) -> list[Any]:
        return list(self.model.getVars())

    def terms(self, entry: Any) -> Terms | None:
        import gurobipy

        if isinstance(entry, gurobipy.Var):
            return [(entry, 1.0)], 0.0
        if not isinstance(entry, gurobipy.LinExpr):
            return None
        places = range(entry.size())
        return [(entry.getVar(i), entry.getCoeff(i)) for i in places], entry.getConstant()

    def key(self, variable: Any) -> Hashable:
        return int(variable.index)

    def owns(self, variable: Any) -> bool:
        index = variable.index
        return 0 <= index < len(self._all) and bool(variable.sameAs(self._all[index]))

    def ends(self, variable: Any) -> tuple[float, float]:
        lower, upper = variable.LB, variable.UB
        return or_zero(lower, upper) if variable.VType in "SN" else (lower, upper)

    def label(self, variable: Any) -> str:
        return str(variable.VarName)

    def has(self, prefix: str) -> bool:
        return self.model.getVarByName(text_of(prefix, ("y", (0,)))) is not None

    def add_variables(
        self, prefix: str, names: Sequence[Name], lower: Any, upper: Any, binary: Any
    ) -> list[Any]:
        import gurobipy

        kinds = np.where(binary, gurobipy.GRB.BINARY, gurobipy.GRB.CONTINUOUS).tolist()
        called = [text_of(prefix, name) for name in names]
        added = self.model.addMVar(len(called), lb=lower, ub=upper, vtype=kinds, name=called)
        self.model.update()
        return list(added.tolist())

    def add_rows(
        self, prefix: str, variables: Sequence[Any], matrix: Any, lower: Any, upper: Any
    ) -> list[Any]:
        added = add_rows(self.model, list(variables), matrix, lower, upper, prefix)
        self.model.update()
        return added

    def add_implications(
        self, prefix: str, z: Sequence[Any], value: Any, zero: Sequence[Any]
    ) -> list[Any]:
        added = [
            self.model.addGenConstrIndicator(
                phase, bool(active), part, "<", 0.0, text_of(prefix, ("phase", (i,)))
            )
            for i, (phase, active, part) in enumerate(zip(z, value, zero, strict=True))
        ]
        self.model.update()
        return added

    def remove(self, prefix: str, variables: Sequence[Any], constraints: Sequence[Any]) -> None:
        self.model.remove([*constraints, *variables])
        self.model.update()
