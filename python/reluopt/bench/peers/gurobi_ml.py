"""gurobi-machinelearning: the network as Gurobi's general constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from reluopt.bench.peers.base import Conditions, ExactPeer, Found, sequential
from reluopt.engines.gurobi import add_rows
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box


class GurobiMachineLearning(ExactPeer):
    """``add_predictor_constr`` of a ``torch.nn.Sequential``; Gurobi with one thread."""

    modules: ClassVar[Mapping[str, str]] = {"gurobi-machinelearning": "gurobi_ml", "torch": "torch"}
    settings = "1 thread, MIPGap 1e-6"

    def solve(
        self, network: ReLUNetwork, box: Box, conditions: Conditions, seconds: float
    ) -> Found:
        """One program; what the licence does not take is a message."""
        import gurobipy as gp
        from gurobi_ml import add_predictor_constr

        with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
            for name, value in (("TimeLimit", seconds), ("Threads", 1), ("MIPGap", 1e-6)):
                model.setParam(name, value)
            x = model.addMVar((1, network.input_size), lb=box.lower, ub=box.upper)
            y = model.addMVar((1, network.output_size), lb=-gp.GRB.INFINITY)
            add_predictor_constr(model, sequential(network), x, y)
            change = model.addMVar(conditions.changes)
            variables = [*x[0].tolist(), *y[0].tolist(), *change.tolist()]
            add_rows(model, variables, conditions.matrix, conditions.least, conditions.most)
            model.setObjective(change.sum())
            try:
                model.optimize()
            except gp.GurobiError as error:
                return Found(None, message=str(error))
            image = np.array(x.X).ravel() if model.SolCount else None
            return Found(image, model.ObjBound, model.Status in _ENDED)


_ENDED = (2, 3)
"""Gurobi's codes for optimal and infeasible."""
