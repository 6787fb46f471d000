"""OMLT with HiGHS: the network as a Pyomo block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from reluopt.bench.peers.base import ExactPeer, Found, dense_layers
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.tasks import Alternative, Task


class OMLT(ExactPeer):
    """``ReluBigMFormulation`` in Pyomo, solved by HiGHS (appsi)."""

    modules: ClassVar[Mapping[str, str]] = {
        "omlt": "omlt",
        "pyomo": "pyomo.environ",
        "highspy": "highspy",
    }
    settings = "ReluBigMFormulation, 1 thread, gap 1e-6"

    def solve(
        self, network: ReLUNetwork, task: Task, alternative: Alternative, seconds: float
    ) -> Found:
        """One program."""
        import pyomo.environ as pyo
        from omlt import OmltBlock
        from omlt.neuralnet import NetworkDefinition, ReluBigMFormulation
        from omlt.neuralnet.layer import DenseLayer, InputLayer
        from pyomo.contrib.appsi.solvers import Highs

        ends = zip(task.box.lower.tolist(), task.box.upper.tolist(), strict=True)
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
        x, y = model.net.inputs, model.net.outputs
        model.rows = pyo.ConstraintList()
        conditions = alternative.conditions
        for row, least in zip(conditions.matrix.tolist(), conditions.rhs.tolist(), strict=True):
            model.rows.add(sum(c * y[j] for j, c in enumerate(row) if c) >= least)
        several = str(task.norm) == "l1"
        size = network.input_size if several else 1
        model.change = pyo.Var(range(size), within=pyo.NonNegativeReals)
        for place, value in enumerate(task.image.tolist()):
            own = model.change[place if several else 0]
            model.rows.add(own >= x[place] - value)
            model.rows.add(own >= value - x[place])
        model.objective = pyo.Objective(expr=sum(model.change[i] for i in range(size)))
        solver = Highs()
        solver.config.time_limit, solver.config.load_solution = seconds, False
        solver.highs_options = {"threads": 1, "mip_rel_gap": 1e-6}
        result = solver.solve(model)
        image = None
        if result.best_feasible_objective is not None:
            result.solution_loader.load_vars()
            image = np.array([pyo.value(x[place]) for place in range(network.input_size)])
        bound = result.best_objective_bound
        done = result.termination_condition.name in ("optimal", "infeasible")
        return Found(image, -np.inf if bound is None else float(bound), done)
