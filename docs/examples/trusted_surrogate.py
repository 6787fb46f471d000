"""A surrogate of a simulator with its trust region: at which settings does a reactor yield most?

In a stirred tank A becomes B, and B becomes waste. The simulator gives the share of A that leaves
as B, for a residence time t (min) and a temperature T (K):

    yield = k1 t / ((1 + k1 t) (1 + k2 t)),  k1 = exp(14 - 5000 / T),  k2 = exp(25.5 - 9500 / T).

It was run in three campaigns, 30 settings each. A network learns from these, and its optimum over
all settings lies where it never saw anything. The trust region is what lies near one of the runs:
one binary for each run, and two rows for each setting.
"""

import sys
from pathlib import Path
from typing import Any

import gurobipy as gp
import numpy as np
from safetensors.numpy import save_file
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import reluopt as ro
from reluopt.figures.style import DOUBLE_COLUMN, SHADES, new_figure, save_figure, style

LOW, HIGH = np.array([1.0, 300.0]), np.array([60.0, 380.0])  # min, K
NEAR = np.array([2.0, 2.5])  # min, K: how far from a run the network is trusted


def simulate(settings: Any) -> Any:
    """The formula above, for settings of shape ``(runs, 2)``."""
    time, kelvin = settings.T
    first, second = np.exp(14.0 - 5000.0 / kelvin), np.exp(25.5 - 9500.0 / kelvin)
    return first * time / ((1.0 + first * time) * (1.0 + second * time))


def campaigns() -> Any:
    """Settings of 90 runs around three ways to operate the tank."""
    rng = np.random.default_rng(3)
    middles = np.array([[10.0, 345.0], [22.0, 355.0], [35.0, 330.0]])
    spread = rng.normal(size=(3, 30, 2)) * [3.0, 4.0]
    return np.clip(middles[:, None] + spread, LOW, HIGH).reshape(-1, 2)


def optimum(network: Any, runs: Any = None) -> tuple[Any, float]:
    """Settings of the largest learned yield, near one of some runs if there are any."""
    with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
        settings = model.addMVar(2, lb=LOW, ub=HIGH, name="setting")
        added = ro.add_network(model, network, settings, bounds="lp")
        if runs is not None:
            chosen = model.addMVar(len(runs), vtype="B", name="near")
            model.addConstr(chosen.sum() == 1)
            for i, far in enumerate(HIGH - LOW):
                reach = NEAR[i] * chosen + far * (1 - chosen)
                model.addConstr(settings[i] - runs[:, i] <= reach)
                model.addConstr(runs[:, i] - settings[i] <= reach)
        model.setObjective(added.output[0], gp.GRB.MAXIMIZE)
        model.optimize()
        assert model.Status == gp.GRB.OPTIMAL
        return settings.X, model.ObjVal


@style()
def draw(runs: Any, found: dict[str, Any], estimator: Any, path: Path) -> None:
    """Simulator and network side by side, with the runs and both optima."""
    figure = new_figure(DOUBLE_COLUMN, 2.6)
    mesh = np.meshgrid(*(np.linspace(low, high, 120) for low, high in zip(LOW, HIGH, strict=True)))
    points = np.stack([each.ravel() for each in mesh], axis=1)
    axes = figure.subplots(1, 2, sharey=True)
    titles = "simulated", "learned from the runs (black)"
    for ax, title, values in zip(axes, titles, (simulate, estimator.predict), strict=True):
        levels = np.arange(-0.2, 1.31, 0.1)
        shown = ax.contourf(
            *mesh, values(points).reshape(mesh[0].shape), levels, cmap=SHADES, extend="both"
        )
        ax.plot(*runs.T, ".", color="black", ms=2)
        for (what, (place, _)), mark in zip(found.items(), "Xo", strict=True):
            ax.plot(
                *place,
                mark,
                color="#D55E00",
                ms=7,
                mec="white",
                label=what,
                clip_on=False,
                zorder=5,
            )
        ax.set_title(title)
        ax.set_xlabel("residence time (min)")
    axes[0].set_ylabel("temperature (K)")
    axes[0].legend(title="optimum", loc="lower right")
    figure.subplots_adjust(left=0.08, right=0.95, bottom=0.16, top=0.9, wspace=0.08)
    figure.colorbar(shown, ax=axes, label="yield of B", pad=0.02, fraction=0.05)
    save_figure(figure, path)


def main(folder: Path = Path("example-figures")) -> dict[str, Any]:
    """Simulate, learn, optimise twice, simulate again, draw."""
    runs = campaigns()
    perceptron = MLPRegressor(
        hidden_layer_sizes=(16, 16), solver="lbfgs", alpha=1e-3, max_iter=3000, random_state=0
    )
    estimator = make_pipeline(StandardScaler(), perceptron).fit(runs, simulate(runs))
    network = ro.from_sklearn(estimator, name="reactor")
    found = {"anywhere": optimum(network), "near a run": optimum(network, runs)}
    for what, (place, promised) in found.items():
        true = simulate(place[None])[0]
        print(f"{what}: {place[0]:.1f} min, {place[1]:.1f} K, ", end="")
        print(f"yield {promised:.3f} learned, {true:.3f} simulated")
    print(f"best run: yield {simulate(runs).max():.3f}")
    draw(runs, found, estimator, folder / "trusted-surrogate.png")
    ro.save_network(network, folder / "reactor.safetensors")
    save_file({"runs": runs}, folder / "reactor-runs.safetensors")
    return {"found": found, "runs": runs, "estimator": estimator}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
