"""A production plan with a learned yield: how much water and nitrogen does each field get?

The yield (t/ha) is known from 800 trials only. Its truth, which nobody in this example looks at but
the trials and the last check, is of Mitscherlich's kind: with water W (mm), nitrogen N (kg/ha) and
soil index S from 0 (sand) to 1 (loam),

    yield = 10 (0.6 + 0.4 S) (1 - exp(-(W + 60 + 120 S) / 160)) (1 - exp(-(N + 40) / 75))
            - 0.00004 max(0, N - 150)^2.

Three fields share the water, the nitrogen and two pumps. A network learns the yield from the trials
and enters the program once for each field.
"""

import sys
from pathlib import Path
from typing import Any

import highspy
import numpy as np
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import reluopt as ro
from reluopt.figures.style import DOUBLE_COLUMN, SHADES, new_figure, save_figure, style

AREA, SOIL = np.array([40.0, 25.0, 35.0]), np.array([0.1, 0.5, 0.9])  # ha, index
PRICE = np.array([250.0, 190.0, 150.0])  # euro per t of seed, bread and feed wheat
COST_W, COST_N = 0.9, 1.1  # euro per mm ha, per kg
WATER, NITROGEN = 13_000.0, 8_000.0  # mm ha and kg in all


def true_yield(water: Any, nitrogen: Any, soil: Any) -> Any:
    """The formula above, t/ha."""
    grown = 1.0 - np.exp(-(water + 60.0 + 120.0 * soil) / 160.0)
    fed = 1.0 - np.exp(-(nitrogen + 40.0) / 75.0)
    lost = 4e-5 * np.maximum(0.0, nitrogen - 150.0) ** 2
    return 10.0 * (0.6 + 0.4 * soil) * grown * fed - lost


def learned_yield() -> Any:
    """A network of the yield from 800 trials with an error of 0.1 t/ha."""
    rng = np.random.default_rng(1)
    trials = rng.uniform([0.0, 0.0, 0.0], [400.0, 220.0, 1.0], (800, 3))
    seen = true_yield(*trials.T) + rng.normal(0.0, 0.1, 800)
    perceptron = MLPRegressor(
        hidden_layer_sizes=(16, 8), solver="lbfgs", alpha=0.01, max_iter=3000, random_state=1
    )
    return make_pipeline(StandardScaler(), perceptron).fit(trials, seen)


def profit(yields: Any, water: Any, nitrogen: Any) -> float:
    """Euro: sold harvest less water and nitrogen."""
    return float(AREA @ (PRICE * yields - COST_W * water - COST_N * nitrogen))


def plan(network: Any) -> tuple[Any, Any, float]:
    """Water and nitrogen of each field (mm, kg/ha) and the profit in the program."""
    model = highspy.Highs()
    model.silent()
    water = model.addVariables(3, lb=0.0, ub=400.0, name_prefix="water")
    nitrogen = model.addVariables(3, lb=0.0, ub=220.0, name_prefix="nitrogen")
    pumped = [model.addBinary() for _ in AREA]
    goal = 0.0
    for i, (w, n, pump) in enumerate(zip(water, nitrogen, pumped, strict=True)):
        grown = ro.add_network(model, network, [w, n, SOIL[i]]).output[0]
        model.addConstr(w <= 400.0 * pump)
        goal = goal + AREA[i] * (PRICE[i] * grown - COST_W * w - COST_N * n)
    model.addConstr(sum(area * w for area, w in zip(AREA, water, strict=True)) <= WATER)
    model.addConstr(sum(area * n for area, n in zip(AREA, nitrogen, strict=True)) <= NITROGEN)
    model.addConstr(sum(pumped) <= 2)
    model.maximize(goal)
    assert model.getModelStatus() == highspy.HighsModelStatus.kOptimal
    amounts = (np.maximum(model.vals(each), 0.0) for each in (water, nitrogen))
    return *amounts, model.getInfo().objective_function_value


@style()
def draw(estimator: Any, water: Any, nitrogen: Any, path: Path) -> None:
    """The learned yield of each field, and where the plan lies."""
    figure = new_figure(DOUBLE_COLUMN, 2.3)
    mesh = np.meshgrid(np.linspace(0.0, 400.0, 80), np.linspace(0.0, 220.0, 80))
    axes = figure.subplots(1, 3, sharey=True)
    for field, (ax, soil) in enumerate(zip(axes, SOIL, strict=True)):
        points = np.stack([*(each.ravel() for each in mesh), np.full(mesh[0].size, soil)], axis=1)
        seen = estimator.predict(points).reshape(mesh[0].shape)
        shown = ax.contourf(*mesh, seen, levels=np.arange(0.0, 10.5, 1.0), cmap=SHADES)
        place = water[field], nitrogen[field]
        ax.plot(*place, "o", color="#D55E00", ms=6, mec="white", clip_on=False, zorder=5)
        ax.annotate("plan", place, xytext=(6, 3), textcoords="offset points")
        ax.set_title(f"{AREA[field]:.0f} ha, soil index {soil:g}")
        ax.set_xlabel("water (mm)")
    axes[0].set_ylabel("nitrogen (kg/ha)")
    figure.subplots_adjust(left=0.075, right=0.95, bottom=0.18, top=0.89, wspace=0.14)
    figure.colorbar(shown, ax=axes, label="learned yield (t/ha)", pad=0.02, fraction=0.05)
    save_figure(figure, path)


def main(folder: Path = Path("example-figures")) -> dict[str, Any]:
    """Learn, plan, check, draw."""
    estimator = learned_yield()
    network = ro.from_sklearn(estimator, name="yield")
    water, nitrogen, promised = plan(network)
    inputs = np.stack([water, nitrogen, SOIL], axis=1)
    learned, true = estimator.predict(inputs), true_yield(*inputs.T)
    for field, (w, n, _) in enumerate(inputs):
        print(f"field {field + 1}: {w:5.1f} mm, {n:5.1f} kg/ha, {learned[field]:.2f} t/ha learned,")
        print(f"{'':30}{true[field]:.2f} t/ha true")
    pumped = np.array([1.0, 0.0, 1.0])  # the two largest fields
    shares = pumped * WATER / (pumped @ AREA), np.full(3, NITROGEN / AREA.sum())
    facts = {
        "promised": promised,
        "learned": profit(learned, water, nitrogen),
        "true": profit(true, water, nitrogen),
        "equal shares": profit(true_yield(*shares, SOIL), *shares),
    }
    print(*(f"{what}: {euro:,.0f} euro" for what, euro in facts.items()), sep="\n")
    draw(estimator, water, nitrogen, folder / "production-plan.png")
    ro.save_network(network, folder / "yield.safetensors")
    return {**facts, "inputs": inputs, "estimator": estimator}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
