"""OMLT with HiGHS: the network as a Pyomo block."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from reluopt.bench.peers.base import Conditions, ExactPeer, Found, dense_layers
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box


class OMLT(ExactPeer):
    """``ReluBigMFormulation`` in Pyomo, solved by HiGHS (appsi)."""

    modules: ClassVar[Mapping[str, str]] = {
        "omlt": "omlt",
        "pyomo": "pyomo.environ",
        "highspy": "highspy",
    }
    settings = "ReluBigMFormulation, 1 thread, gap 1e-6"

    def solve(
        self, network: ReLUNetwork, box: Box, conditions: Conditions, seconds: float
    ) -> Found:
        """One program."""
        import pyomo.environ as pyo
        from omlt import OmltBlock
        from omlt.neuralnet import NetworkDefinition, ReluBigMFormulation
        from omlt.neuralnet.layer import DenseLayer, InputLayer
        from pyomo.contrib.appsi.solvers import Highs

        ends = zip(box.lower.tolist(), box.upper.tolist(), strict=True)
        net = NetworkDefinition(scaled_input_bounds=dict(enumerate(ends)))
        before = InputLayer([network.input_size])
        net.add_layer(before)
        layers = dense_layers(network)
        for number, (weight, bias) in enumerate(layers, start=1):
            kind = "relu" if number < len(layers) else "linear"
            sizes = [weight.shape[1]], [weight.shape[0]]
            layer = DenseLayer(*sizes, weight.T, bias, activation=kind)
            net.add_layer(layer)
            net.add_edge(before, layer)
            before = layer
        model = pyo.ConcreteModel()
        model.net = OmltBlock()
        model.net.build_formulation(ReluBigMFormulation(net))
        x, y = (
            [each[i] for i in range(len(each))] for each in (model.net.inputs, model.net.outputs)
        )
        model.change = pyo.Var(range(conditions.changes), within=pyo.NonNegativeReals)
        change = list(model.change.values())
        model.rows = pyo.ConstraintList()
        variables, matrix = [*x, *y, *change], conditions.matrix
        parts = itertools.pairwise(matrix.indptr.tolist())
        for (start, end), least in zip(parts, conditions.least.tolist(), strict=True):
            places, factors = matrix.indices[start:end], matrix.data[start:end].tolist()
            terms = (c * variables[i] for i, c in zip(places, factors, strict=True))
            model.rows.add(sum(terms) >= least)
        model.objective = pyo.Objective(expr=sum(change))
        solver = Highs()
        solver.config.time_limit, solver.config.load_solution = seconds, False
        solver.highs_options = {"threads": 1, "mip_rel_gap": 1e-6}
        result = solver.solve(model)
        image = None
        if result.best_feasible_objective is not None:
            result.solution_loader.load_vars()
            image = np.array([pyo.value(each) for each in x])
        bound = result.best_objective_bound
        done = result.termination_condition.name in ("optimal", "infeasible")
        return Found(image, -np.inf if bound is None else float(bound), done)
