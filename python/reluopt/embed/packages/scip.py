"""Models of pyscipopt."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

from reluopt.embed.packages.base import Name, Package, Terms, refuse_unless, text_of
from reluopt.engines.scip import add_rows


class Scip(Package):
    """``pyscipopt.Model``; inputs may be linear expressions, and matrix variables of any shape."""

    kind = "pyscipopt:Model"
    indicators = True

    def refuse_closed(self) -> None:
        from pyscipopt.scip import PY_SCIP_STAGE

        expected = "one that is not solved (freeTransform opens it again)"
        stage = self.model.getStage()
        refuse_unless(stage == PY_SCIP_STAGE.PROBLEM, expected, f"SCIP in stage {stage}")

    @cached_property
    def _pointers(self) -> set[int]:
        return {variable.ptr() for variable in self.model.getVars()}

    def terms(self, entry: Any) -> Terms | None:
        from pyscipopt import Expr

        if not isinstance(entry, Expr) or any(len(term.vartuple) > 1 for term in entry.terms):
            return None
        found = [(term.vartuple, factor) for term, factor in entry.terms.items()]
        terms = [(variables[0], factor) for variables, factor in found if variables]
        return terms, sum(factor for variables, factor in found if not variables)

    def key(self, variable: Any) -> Hashable:
        return int(variable.ptr())

    def owns(self, variable: Any) -> bool:
        return variable.ptr() in self._pointers

    def ends(self, variable: Any) -> tuple[float, float]:
        lower, upper, infinity = (
            variable.getLbOriginal(),
            variable.getUbOriginal(),
            self.model.infinity(),
        )
        return (
            -float("inf") if lower <= -infinity else lower,
            float("inf") if upper >= infinity else upper,
        )

    def label(self, variable: Any) -> str:
        return str(variable.name)

    def has(self, prefix: str) -> bool:
        first = text_of(prefix, ("y", (0,)))
        return any(variable.name == first for variable in self.model.getVars())

    def add_variables(
        self, prefix: str, names: Sequence[Name], lower: Any, upper: Any, binary: Any
    ) -> list[Any]:
        parts = zip(names, lower.tolist(), upper.tolist(), binary.tolist(), strict=True)
        return [
            self.model.addVar(text_of(prefix, name), "B" if whole else "C", low, up, deletable=True)
            for name, low, up, whole in parts
        ]

    def add_rows(
        self, prefix: str, variables: Sequence[Any], matrix: Any, lower: Any, upper: Any
    ) -> list[Any]:
        return add_rows(self.model, variables, matrix, lower, upper, f"{prefix}row") or []

    def add_implications(
        self, prefix: str, z: Sequence[Any], value: Any, zero: Sequence[Any]
    ) -> list[Any]:
        return [
            self.model.addConsIndicator(
                part <= 0.0, phase, bool(active), text_of(prefix, ("phase", (i,)))
            )
            for i, (phase, active, part) in enumerate(zip(z, value, zero, strict=True))
        ]

    def remove(self, prefix: str, variables: Sequence[Any], constraints: Sequence[Any]) -> None:
        for constraint in constraints:
            behind = self._behind(constraint)
            self.model.delCons(constraint)
            for row, slack in behind:
                self.model.delCons(row)
                self.model.delVar(slack)
        for variable in variables:
            self.model.delVar(variable)

    def _behind(self, constraint: Any) -> list[tuple[Any, Any]]:
        """The row and its slack that SCIP makes of an indicator constraint."""
        if constraint.getConshdlrName() != "indicator":
            return []
        model = self.model
        return [(model.getLinearConsIndicator(constraint), model.getSlackVarIndicator(constraint))]
