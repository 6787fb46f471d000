"""Containers of the packages, shapes, and what bounds of expressions are."""

import numpy as np
import pandas as pd
import pytest

import reluopt as ro
from helpers.models import GurobiModel, HighsModel, PyomoModel, ScipModel
from reluopt.embed.inputs import arranged, read_entries
from reluopt.embed.packages.highs import Highs
from reluopt.errors import InputError
from reluopt.networks.metadata import NetworkMetadata


def picture(shape):
    size = int(np.prod(shape))
    layer = ro.Dense(np.arange(size, dtype=float)[None], np.zeros(1))
    return ro.ReLUNetwork((layer,), NetworkMetadata(input_shape=shape))


def test_matrix_variables_of_gurobi():
    world = GurobiModel()
    x = world.model.addMVar((2, 3), lb=-1.0, ub=1.0, name="x")
    for given in (x, 2.0 * x - 1.0, x.tolist(), world.model.addVars(2, 3, ub=1.0)):
        assert arranged(given).size == 6
    added = ro.add_network(world.model, picture((2, 3)), 2.0 * x - 1.0)
    world.model.addConstr(x == np.arange(6).reshape(2, 3) / 6)
    world.maximise(1.0 * added.output[0])
    expected = np.arange(6) @ (2.0 * np.arange(6) / 6 - 1.0)
    assert world.value(added.output[0]) == pytest.approx(expected, abs=1e-6)


def test_matrix_variables_of_scip():
    world = ScipModel()
    x = world.model.addMatrixVar((2, 3), lb=0.0, ub=1.0)
    assert arranged(x).shape == (2, 3)
    added = ro.add_network(world.model, picture((2, 3)), x * 2.0)
    assert world.maximise(1.0 * added.output[0]) == pytest.approx(30.0)


def test_semi_continuous_variables_may_be_zero():
    """Bounds of theirs hold of other values than zero."""
    gurobi, highs = GurobiModel(), HighsModel()
    kind = highs.package.HighsVarType.kSemiContinuous
    for world, x in (
        (gurobi, gurobi.model.addVar(0.5, 1.0, vtype="S")),
        (highs, highs.model.addVariable(0.5, 1.0, type=kind)),
    ):
        added = ro.add_network(world.model, picture((1,)), [x])
        assert (added.box[0].item(), added.box[1].item()) == (0.0, 1.0)


@pytest.mark.parametrize(
    "of", [iter, lambda x: dict(enumerate(x)), lambda x: dict(enumerate(x)).values()]
)
def test_whatever_has_the_variables_in_order(of):
    world = HighsModel()
    x = [world.variable(0.0, 1.0, f"x{i}") for i in range(3)]
    assert ro.add_network(world.model, picture((3,)), of(x)).inputs == tuple(x)


def test_series_of_pandas():
    world = HighsModel()
    x = pd.Series([world.variable(0.0, 1.0, f"x{i}") for i in range(3)], index=list("abc"))
    added = ro.add_network(world.model, picture((3,)), x)
    assert world.maximise(1.0 * added.output[0]) == pytest.approx(3.0)


def test_arrays_of_highs(capfd):
    world = HighsModel()
    x = world.model.addVariables(2, 3, lb=0.0, ub=1.0, out_array=True)
    added = ro.add_network(world.model, picture((2, 3)), x)
    assert world.maximise(1.0 * added.output[0]) == pytest.approx(15.0)
    behind = world.model.addVariable(0.0, 1.0)
    with pytest.raises(InputError, match="nothing behind the network"):
        added.remove()
    world.model.deleteVariable(behind)
    added.remove()
    assert world.sizes() == (6, 0)
    assert "ERROR" not in capfd.readouterr().out


def test_indexed_variables_and_blocks_of_pyomo():
    world = PyomoModel()
    pyo, model = world.package, world.model
    model.x = pyo.Var(range(2), range(3), bounds=(0.0, 1.0))
    model.part = pyo.Block()
    added = ro.add_network(model.part, picture((2, 3)), model.x)
    assert added.output[0].name == "part.relu.y[0]"
    assert world.maximise(added.output[0]) == pytest.approx(15.0)
    model.x[0, 0].fix(0.5)
    with pytest.raises(InputError, match="entry 0: expected a variable"):
        ro.add_network(model, picture((1,)), [2.0 * model.x[0, 0]])
    with pytest.raises(InputError, match="entry 0: expected a variable"):
        ro.add_network(model, picture((1,)), [model.x[0, 1] ** 2])
    abstract = pyo.AbstractModel()
    abstract.x = pyo.Var(bounds=(0.0, 1.0))
    with pytest.raises(InputError, match="model: expected a concrete model"):
        ro.add_network(abstract, picture((1,)), [abstract.x])


def test_a_solved_model_of_scip_says_how_to_open_it():
    world = ScipModel()
    x = [world.variable(0.0, 1.0, "x")]
    world.maximise(1.0 * x[0])
    with pytest.raises(InputError, match="freeTransform"):
        ro.add_network(world.model, picture((1,)), x)
    world.model.freeTransform()
    added = ro.add_network(world.model, picture((1,)), x)
    world.maximise(1.0 * x[0])
    with pytest.raises(InputError, match="freeTransform"):
        added.remove()


@pytest.mark.parametrize(
    ("shape", "order"),
    [((6,), range(6)), ((1, 6), range(6)), ((2, 1, 3), range(6)), ((1, 3, 2), (0, 2, 4, 1, 3, 5))],
)
def test_inputs_are_read_in_the_shape_of_the_network(shape, order):
    """Channels may come last, as they do in TensorFlow."""
    world = HighsModel()
    x = np.array([world.variable(i, i + 1.0, f"x{i}") for i in range(6)], dtype=object)
    added = ro.add_network(world.model, picture((2, 1, 3)), x.reshape(shape))
    assert added.box[0].tolist() == list(order)


def test_shapes_that_mix_pixels_up_are_refused():
    world = HighsModel()
    x = np.array([world.variable(0.0, 1.0, f"x{i}") for i in range(6)], dtype=object)
    with pytest.raises(InputError, match=r"expected shape \(2, 3\) .*found \(3, 2\)"):
        ro.add_network(world.model, picture((2, 3)), x.reshape(3, 2))


def test_bounds_of_expressions_hold_and_are_tight():
    world = HighsModel()
    x, y = world.variable(-0.1, 0.3, "x"), world.variable(-2.0, 0.7, "y")
    given = arranged([3 * x - 0.1 * y + x + 1.0, x, 0.1])
    entries = read_entries(Highs(world.model), picture((3,)), given)
    assert entries.box.lower[0] == pytest.approx(-0.4 - 0.07 + 1.0, abs=1e-10)
    assert entries.box.upper[0] == pytest.approx(1.2 + 0.2 + 1.0, abs=1e-10)
    assert entries.box.lower[0] < -0.4 - 0.07 + 1.0 < 1.2 + 0.2 + 1.0 < entries.box.upper[0]
    assert (entries.box.lower[1], entries.box.upper[1]) == (-0.1, 0.3)
    assert len(entries.variables) == 2
