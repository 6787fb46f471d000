"""PySCIPOpt-ML: the network as rows of SCIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from reluopt.bench.peers.base import Conditions, ExactPeer, Found, sequential
from reluopt.engines.scip import add_rows
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box


class PySCIPOptML(ExactPeer):
    """``add_predictor_constr`` of a ``torch.nn.Sequential``; SCIP with one thread."""

    modules: ClassVar[Mapping[str, str]] = {"pyscipopt-ml": "pyscipopt_ml", "torch": "torch"}
    settings = "gap 1e-6"

    def solve(
        self, network: ReLUNetwork, box: Box, conditions: Conditions, seconds: float
    ) -> Found:
        """One program."""
        from pyscipopt import Model, quicksum
        from pyscipopt_ml.add_predictor import add_predictor_constr

        model = Model()
        model.hideOutput()
        model.setParam("limits/time", seconds)
        model.setParam("limits/gap", 1e-6)
        ends = zip(box.lower, box.upper, strict=True)
        x = np.array([[model.addVar(lb=low, ub=high) for low, high in ends]])
        y = np.array([[model.addVar(lb=None) for _ in range(network.output_size)]])
        add_predictor_constr(model, sequential(network), x, y, unique_naming_prefix="peer_")
        change = [model.addVar(lb=0.0) for _ in range(conditions.changes)]
        variables = [*x[0], *y[0], *change]
        add_rows(model, variables, conditions.matrix, conditions.least, conditions.most)
        model.setObjective(quicksum(change))
        model.optimize()
        image = None
        if model.getNSols():
            image = np.array([model.getVal(var) for var in x[0]])
        done = model.getStatus() in ("optimal", "infeasible", "gaplimit")
        return Found(image, model.getDualbound(), done)
