"""What bounds and formulations cost: one learned function, maximised over a box by HiGHS.

Prints the table of docs/own-models.md. The function of five variables in [-1, 1],
sin(3 u) v + |w| - x y, is learned from 2000 points by a network 5-20-20-1.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import highspy
import numpy as np
from sklearn.neural_network import MLPRegressor

import reluopt as ro

HEADER = (
    "bounds",
    "formulation",
    "variables",
    "binary",
    "rows",
    "relaxed",
    "optimum",
    "nodes",
    "s",
)


def learned() -> Any:
    """The network as an estimator."""
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (2000, 5))
    u, v, w, x, y = points.T
    perceptron = MLPRegressor(
        hidden_layer_sizes=(20, 20), solver="lbfgs", alpha=1e-3, max_iter=1500, random_state=0
    )
    return perceptron.fit(points, np.sin(3.0 * u) * v + np.abs(w) - x * y)


def solved(network: Any, bounds: str, formulation: str) -> tuple[Any, ...]:
    """One row of the table."""
    found, seconds, rows = [], 0.0, ()
    for relaxed in (True, False):
        highspy.Highs.resetGlobalScheduler(True)
        model = highspy.Highs()
        for option, value in (
            ("threads", 1),
            ("solve_relaxation", relaxed),
            ("output_flag", False),
        ):
            model.setOptionValue(option, value)
        inputs = model.addVariables(5, lb=-1.0, ub=1.0)
        added = ro.add_network(model, network, inputs, bounds=bounds, formulation=formulation)
        rows = len(added.variables), added.binaries, len(added.constraints)
        started = time.process_time()
        model.maximize(1.0 * added.output[0])
        seconds = time.process_time() - started
        found.append(model.getInfo().objective_function_value)
    return bounds, formulation, *rows, *found, model.getInfo().mip_node_count, seconds


def table(
    bounds: Sequence[str] = ("interval", "linear", "lp"),
    formulations: Sequence[str] = ("bigm", "partition-2", "partition-4", "hull"),
) -> Iterator[tuple[Any, ...]]:
    """All rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that outputs are no classes
        network = ro.from_sklearn(learned())
    ro.compute_bounds("linear", network, ro.InputSet(ro.Box(-np.ones(5), np.ones(5))))  # compiles
    for name in bounds:
        for formulation in formulations:
            yield solved(network, name, formulation)


if __name__ == "__main__":
    print(f"| {' | '.join(HEADER)} |\n|---|---{'|--:' * 7}|")
    for *row, relaxed, optimum, nodes, seconds in table():
        print(f"| {' | '.join(map(str, row))} | {relaxed:.2f} | {optimum:.4f} | {nodes} |", end="")
        print(f" {seconds:.1f} |")
