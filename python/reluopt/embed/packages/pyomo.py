"""Models and blocks of Pyomo (the extra ``pyomo``), solved by whatever Pyomo can reach."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import Any

from reluopt.embed.packages.base import Name, Package, Terms, refuse_unless


class Pyomo(Package):
    """``pyomo.environ.ConcreteModel`` or a block of one; inputs may be linear expressions.

    What is added is a block, called like the prefix without the underscore at its end: its
    variables are ``relu.x[0,3]`` and so on.
    """

    kind = "pyomo.core.base.block:BlockData"

    def refuse_closed(self) -> None:
        constructed = self.model.model().is_constructed()
        refuse_unless(constructed, "a concrete model", "an abstract one; create_instance makes one")

    def terms(self, entry: Any) -> Terms | None:
        from pyomo.core.expr import identify_variables
        from pyomo.repn import generate_standard_repn

        if not hasattr(entry, "is_variable_type"):
            return None
        if entry.is_variable_type():
            return [(entry, 1.0)], 0.0
        # Of a fixed variable only its value would be left.
        fixed = [each for each in identify_variables(entry) if each.fixed]
        found = None if fixed else generate_standard_repn(entry)
        if found is None or not found.is_linear():
            return None
        return list(zip(found.linear_vars, found.linear_coefs, strict=True)), found.constant

    def key(self, variable: Any) -> Hashable:
        return id(variable)

    def owns(self, variable: Any) -> bool:
        return variable.model() is self.model.model()

    def ends(self, variable: Any) -> tuple[float, float]:
        lower, upper = variable.lb, variable.ub
        return -float("inf") if lower is None else lower, float("inf") if upper is None else upper

    def label(self, variable: Any) -> str:
        return str(variable.name)

    def has(self, prefix: str) -> bool:
        return self.model.component(_block_name(prefix)) is not None

    def add_variables(
        self, prefix: str, names: Sequence[Name], lower: Any, upper: Any, binary: Any
    ) -> list[Any]:
        import pyomo.environ as pyo

        block = pyo.Block(concrete=True)
        self.model.add_component(_block_name(prefix), block)
        letters = sorted(names)
        for letter, group in groupby(letters, key=lambda name: name[0]):
            places = [place if len(place) > 1 else place[0] for _, place in group]
            block.add_component(letter, pyo.Var(places))
        added = []
        for (letter, place), low, up, whole in zip(names, lower, upper, binary, strict=True):
            variable = block.component(letter)[place if len(place) > 1 else place[0]]
            variable.domain = pyo.Binary if whole else pyo.Reals
            variable.setlb(float(low))
            variable.setub(float(up))
            added.append(variable)
        return added

    def add_rows(
        self, prefix: str, variables: Sequence[Any], matrix: Any, lower: Any, upper: Any
    ) -> list[Any]:
        import pyomo.environ as pyo
        from pyomo.core.expr import LinearExpression

        block = self.model.component(_block_name(prefix))
        block.rows = pyo.Constraint(range(matrix.shape[0]))
        infinity = float("inf")
        for row, (low, up) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            body = LinearExpression(
                constant=0.0,
                linear_coefs=matrix.data[part].tolist(),
                linear_vars=[variables[column] for column in matrix.indices[part]],
            )
            ends = None if low == -infinity else low, None if up == infinity else up
            block.rows[row] = body == low if low == up else (ends[0], body, ends[1])
        return list(block.rows.values())

    def remove(self, prefix: str, variables: Sequence[Any], constraints: Sequence[Any]) -> None:
        self.model.del_component(_block_name(prefix))


def _block_name(prefix: str) -> str:
    return prefix.rstrip("_")
