"""PySCIPOpt-ML: the network as rows of SCIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from reluopt.bench.peers.base import ExactPeer, Found, sequential
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.tasks import Alternative, Task


class PySCIPOptML(ExactPeer):
    """``add_predictor_constr`` of a ``torch.nn.Sequential``; SCIP with one thread."""

    modules: ClassVar[Mapping[str, str]] = {"pyscipopt-ml": "pyscipopt_ml", "torch": "torch"}
    settings = "gap 1e-6"

    def solve(
        self, network: ReLUNetwork, task: Task, alternative: Alternative, seconds: float
    ) -> Found:
        """One program."""
        from pyscipopt import Model, quicksum
        from pyscipopt_ml.add_predictor import add_predictor_constr

        model = Model()
        model.hideOutput()
        model.setParam("limits/time", seconds)
        model.setParam("limits/gap", 1e-6)
        ends = zip(task.box.lower, task.box.upper, strict=True)
        x = np.array([[model.addVar(lb=low, ub=high) for low, high in ends]])
        y = np.array([[model.addVar(lb=None) for _ in range(network.output_size)]])
        add_predictor_constr(model, sequential(network), x, y, unique_naming_prefix="peer_")
        conditions = alternative.conditions
        for row, least in zip(conditions.matrix, conditions.rhs, strict=True):
            terms = zip(row.tolist(), y[0], strict=True)
            model.addCons(quicksum(c * v for c, v in terms if c) >= float(least))
        several = str(task.norm) == "l1"
        change = [model.addVar(lb=0.0) for _ in range(network.input_size if several else 1)]
        for place, (var, value) in enumerate(zip(x[0], task.image.tolist(), strict=True)):
            own = change[place if several else 0]
            model.addCons(own >= var - value)
            model.addCons(own >= value - var)
        model.setObjective(quicksum(change))
        model.optimize()
        image = None
        if model.getNSols():
            image = np.array([model.getVal(var) for var in x[0]])
        done = model.getStatus() in ("optimal", "infeasible", "gaplimit")
        return Found(image, model.getDualbound(), done)
