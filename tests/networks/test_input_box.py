"""Boxes of inputs: how they are written, kept with a network, and asked about."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from reluopt.answers.solution import Status
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.input_box import parse_box
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.networks.zoo import open_network
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AnyTarget,
    Box,
    Classification,
    MinimalPerturbation,
    Norm,
    OptimalInput,
)

BOX = ((-2.0, 0.0, 10.0, -1.0), (3.0, 0.5, 40.0, -1.0))


@pytest.fixture
def network(make_network):
    plain = make_network((4, 8, 6, 3), 3)
    return ReLUNetwork(plain.layers, NetworkMetadata("table", (4,), input_box=BOX))


def test_boxes_are_read_from_texts_and_files(tmp_path):
    assert parse_box("0:1") == ((0.0,), (1.0,))
    assert parse_box("-2.5:1e3") == ((-2.5,), (1000.0,))
    rows = np.array(BOX).T
    np.savetxt(tmp_path / "box.csv", rows, delimiter=",", header="lower,upper", comments="")
    np.save(tmp_path / "box.npy", rows)
    assert parse_box(str(tmp_path / "box.csv")) == parse_box(str(tmp_path / "box.npy")) == BOX


@pytest.mark.parametrize("text", ["", "1", "a:b", "0:1:2", "1:0", "0:inf", "nan:1"])
def test_texts_that_are_no_boxes_are_refused(text):
    with pytest.raises(InputError, match=r"box: expected"):
        parse_box(text)


def test_files_that_are_no_boxes_are_refused(tmp_path):
    np.save(tmp_path / "box.npy", np.zeros((4, 3)))
    with pytest.raises(InputError, match="a lower and an upper bound in each row"):
        parse_box(str(tmp_path / "box.npy"))


def test_a_network_keeps_its_box_in_its_file(network, tmp_path):
    save_network(network, tmp_path / "n.safetensors")
    loaded = open_network(tmp_path / "n.safetensors")
    assert loaded.metadata == network.metadata
    for found, expected in zip(loaded.metadata.input_ends(), BOX, strict=True):
        assert found.tolist() == list(expected)
    other = open_network(tmp_path / "n.safetensors", input_box=((0.0,), (2.0,)))
    assert [ends.tolist() for ends in other.metadata.input_ends()] == [[0.0] * 4, [2.0] * 4]
    assert other.metadata.recorded() == {"input_box": [[0.0], [2.0]]}
    with pytest.raises(InputError, match="expected bounds for 4 inputs"):
        open_network(tmp_path / "n.safetensors", input_box=((0.0, 0.0), (2.0, 1.0)))


@pytest.mark.parametrize(
    "box",
    [[1], [[0.0], 1.0], [["a"], ["b"]], [[True], [True]], [[2.0], [1.0]], [[0], [10**400]], 3],
)
def test_files_with_damaged_boxes_are_refused(network, tmp_path, box):
    path = tmp_path / "n.safetensors"
    save_network(network, path)
    with safe_open(path, "np") as held:
        fields = json.loads(held.metadata()["reluopt"])
    fields["input_box"] = box
    save_file(load_file(path), path, metadata={"reluopt": json.dumps(fields)})
    with pytest.raises(InputError, match="input_box: expected"):
        open_network(path)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Norm.LINF])
def test_questions_ask_about_the_box_of_the_network(network, norm):
    """The same answer as with the box told to the question, and another than without."""
    point = np.array([1.0, 0.25, 20.0, -1.0])
    label = int(network.predict(point))
    asked = MinimalPerturbation(point, label, AnyTarget(), norm)
    bare = ReLUNetwork(network.layers, replace(network.metadata, input_box=None))
    told = replace(asked, box=Box(*map(np.array, BOX)))
    for one, other in ((network, asked), (bare, told)):
        task = other.task(one)
        assert (task.box.lower.tolist(), task.box.upper.tolist()) == tuple(map(list, BOX))
    with pytest.raises(InputError, match="expected values inside the box"):
        asked.task(bare)


@pytest.mark.parametrize("seed", range(4))
def test_engines_agree_in_boxes_of_any_units(make_network, seed):
    """Our engine against HiGHS, where one input counts in hundreds and another in hundredths."""
    random = np.random.default_rng(seed)
    units = np.array([100.0, 0.01, 1.0, 10.0])
    plain = make_network((4, 8, 6, 3), seed)
    lower = -units * random.random(4)
    upper = lower + 2.0 * units
    scaled = [replace(plain.layers[0], weight=plain.layers[0].weight / units), *plain.layers[1:]]
    box = tuple(lower), tuple(upper)
    network = ReLUNetwork(tuple(scaled), NetworkMetadata("n", (4,), input_box=box))
    point = lower + (upper - lower) * random.random(4)
    problem = MinimalPerturbation(point, int(network.predict(point)), AnyTarget())
    own, highs = (solve(network, problem, Method(engine)) for engine in ("bnb", "highs"))
    assert own.status == highs.status
    if own.status is Status.OPTIMAL:
        assert own.objective == pytest.approx(highs.objective, rel=1e-5)
        assert ((own.image >= lower) & (own.image <= upper)).all()
    largest = [solve(network, OptimalInput(0), Method(e)).objective for e in ("highs", "gurobi")]
    assert largest[0] == pytest.approx(largest[1], rel=1e-6)
    assert solve(network, Classification(point), Method("highs")).certified
