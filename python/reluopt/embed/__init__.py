"""Networks in models of one's own: one file for each modelling package.

What each can do is a :class:`~reluopt.embed.packages.base.Package`; what is written into a model is
the same for all of them (:mod:`reluopt.embed.add_network`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reluopt.registry import Registry

if TYPE_CHECKING:
    from reluopt.embed.packages.base import Package

PACKAGES: Registry[Package] = Registry(
    "modelling package",
    gurobipy="embed.packages.gurobi:Gurobi",
    highspy="embed.packages.highs:Highs",
    pyscipopt="embed.packages.scip:Scip",
    pyomo="embed.packages.pyomo:Pyomo",
)
"""A class for each; a model is one of a package that its program has imported already."""
