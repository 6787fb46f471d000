"""Inverse design: the cheapest concrete of a wanted strength that can still be poured.

A mix has cement c, fly ash a, water w and plasticiser p (kg/m3). Its strength after 28 days (MPa)
and its slump (cm), which 1000 test mixes show with an error of 2 %, are in truth

    strength = 130 exp(-2 w / (c + 0.35 a)),  slump = 25 / (1 + exp((178 - w - 0.1 a - 5 p) / 12)).

One network learns both. The program turns it around: hit a strength, reach a slump, cost least.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import reluopt as ro
from reluopt.figures.style import CYCLE, DOUBLE_COLUMN, new_figure, save_figure, style

PARTS = ("cement", "fly ash", "water", "plasticiser")
LOW, HIGH = np.array([180.0, 0.0, 130.0, 0.0]), np.array([480.0, 180.0, 220.0, 6.0])
COST = np.array([0.13, 0.05, 0.001, 1.3])  # euro per kg
SLUMP, WITHIN = 15.0, 0.1  # at least so many cm; so many MPa from the target
TARGETS = (25, 30, 35, 40, 45, 50, 55)  # MPa


def true_properties(mixes: Any) -> Any:
    """The formulas above, for mixes of shape ``(mixes, 4)``: strength and slump."""
    cement, ash, water, plasticiser = mixes.T
    strength = 130.0 * np.exp(-2.0 * water / (cement + 0.35 * ash))
    slump = 25.0 / (1.0 + np.exp((178.0 - water - 0.1 * ash - 5.0 * plasticiser) / 12.0))
    return np.stack([strength, slump], axis=1)


def learned_properties() -> Any:
    """A network of both properties from 1000 test mixes."""
    rng = np.random.default_rng(5)
    mixes = rng.uniform(LOW, HIGH, (1000, 4))
    seen = true_properties(mixes) * rng.normal(1.0, 0.02, (1000, 2))
    perceptron = MLPRegressor(
        hidden_layer_sizes=(12, 8), solver="lbfgs", alpha=0.01, max_iter=4000, random_state=2
    )
    return make_pipeline(StandardScaler(), perceptron).fit(mixes, seen)


def designs(network: Any) -> Any:
    """The cheapest mix for each target, shape ``(targets, 4)``."""
    model = pyo.ConcreteModel()
    model.mix = pyo.Var(range(4), bounds=lambda _, i: (LOW[i], HIGH[i]))
    strength, slump = ro.add_network(model, network, model.mix).output
    model.target = pyo.Param(mutable=True, initialize=0.0)
    model.above = pyo.Constraint(expr=strength >= model.target - WITHIN)
    model.below = pyo.Constraint(expr=strength <= model.target + WITHIN)
    model.poured = pyo.Constraint(expr=slump >= SLUMP)
    model.cost = pyo.Objective(expr=sum(COST[i] * model.mix[i] for i in range(4)))
    solver, found = pyo.SolverFactory("appsi_highs"), []
    for target in TARGETS:
        model.target = target
        result = solver.solve(model)
        assert result.solver.termination_condition == pyo.TerminationCondition.optimal
        found.append([pyo.value(model.mix[i]) for i in range(4)])
    return np.array(found)


@style()
def draw(mixes: Any, path: Path) -> None:
    """What the mixes cost, what they hold, and how strong they are in truth."""
    figure = new_figure(DOUBLE_COLUMN, 2.5)
    cost, parts, truth = figure.subplots(1, 3)
    cost.plot(TARGETS, mixes @ COST, "o-", color=CYCLE[0])
    cost.set_ylabel("cost (euro/m³)")
    for i, (name, mark) in enumerate(zip(PARTS, "os^D", strict=True)):
        label, factor = (rf"{name} $\times$ 20", 20.0) if i == 3 else (name, 1.0)
        parts.plot(TARGETS, factor * mixes[:, i], f"{mark}-", color=CYCLE[i], label=label)
    parts.set_ylabel("content (kg/m³)")
    parts.set_ylim(0.0, 560.0)
    parts.legend(ncols=2, loc="upper left", columnspacing=1.0, handletextpad=0.5)
    truth.plot(TARGETS, TARGETS, color="#666666", label="wanted")
    truth.plot(TARGETS, true_properties(mixes)[:, 0], "o", color=CYCLE[1], label="true")
    truth.set_ylabel("strength (MPa)")
    truth.legend(loc="upper left")
    for ax in (cost, parts, truth):
        ax.set_xlabel("wanted strength (MPa)")
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.17, top=0.97, wspace=0.33)
    save_figure(figure, path)


def main(folder: Path = Path("example-figures")) -> dict[str, Any]:
    """Learn, design, check, draw."""
    estimator = learned_properties()
    network = ro.from_sklearn(estimator, name="concrete")
    mixes = designs(network)
    learned, true = estimator.predict(mixes), true_properties(mixes)
    for target, mix, (strength, slump) in zip(TARGETS, mixes, true, strict=True):
        parts = ", ".join(f"{amount:.1f} {part}" for amount, part in zip(mix, PARTS, strict=True))
        print(f"{target} MPa: {mix @ COST:.2f} euro/m3 ({parts} kg/m3), ", end="")
        print(f"in truth {strength:.1f} MPa and {slump:.1f} cm")
    draw(mixes, folder / "inverse-design.png")
    ro.save_network(network, folder / "concrete.safetensors")
    return {"mixes": mixes, "learned": learned, "true": true, "estimator": estimator}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
