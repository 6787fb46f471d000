"""Counterexamples: in the box after the cast to float32, and told in the competition's formats."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box
from reluopt.specifications.normal_form import Region
from reluopt.specifications.specification import Specification, Tensor
from reluopt.specifications.vnnlib import read_specification
from reluopt.specifications.witness import Replay, _representable, witness

ENDS = st.floats(-2.0, 2.0)


@given(ENDS, ENDS, st.floats(0.0, 1.0))
def test_float32_numbers_of_the_box_are_found(one, other, share):
    low, high = sorted((one, other))
    box = Box(np.array([low]), np.array([high]))
    point = box.clip(np.array([low + share * (high - low)]))
    (value,) = _representable(point, Region(box, ()), np.float32)
    assert low <= value <= high
    first = np.float32(low)
    first = first if float(first) >= low else np.nextafter(first, np.float32(np.inf))
    if float(first) <= high:  # there is one
        assert float(np.float32(value)) == value


def test_rounding_of_the_replay_is_outrun(tmp_path):
    """An image that ties in float64 misses in float32, and a step along the gradient does not."""
    path = tmp_path / "spec.vnnlib"
    path.write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))"
        "(assert (>= Y_0 0.3))"
    )
    specification = read_specification(path)
    network = ReLUNetwork((Dense(np.eye(1), np.zeros(1)), Dense(np.eye(1), np.zeros(1))))
    below = Replay(np.float32, lambda inputs: inputs.astype(np.float64) - 1e-7)
    image = np.array([0.3])
    assert not specification.holds(image, below.outputs(image.astype(np.float32)))
    found = witness(specification, specification.regions[0], network, below, image)
    assert found.exact
    assert 0.3 < found.outputs[0] < 0.301
    far = Replay(np.float32, lambda inputs: inputs.astype(np.float64) - 5.0)
    assert not witness(specification, specification.regions[0], network, far, image).exact
    nowhere = np.array([0.1])
    assert witness(specification, specification.regions[0], network, far, nowhere) is None
    near = Replay(np.float32, lambda inputs: np.array([0.3 - 5e-5]))
    assert not witness(specification, specification.regions[0], network, near, image).exact


def test_an_input_of_the_float64_network_alone_is_none_of_the_replay(tmp_path):
    """However small the miss is."""
    path = tmp_path / "spec.vnnlib"
    path.write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 0.5))"
        "(assert (>= Y_0 0.5))"
    )
    specification = read_specification(path)
    network = ReLUNetwork((Dense(np.eye(1), np.zeros(1)), Dense(np.eye(1), np.zeros(1))))
    below = Replay(np.float32, lambda inputs: inputs.astype(np.float64) - 1e-12)
    found = witness(specification, specification.regions[0], network, below, np.array([0.5]))
    assert not found.exact
    assert specification.holds(found.inputs, network.forward(found.inputs))
    assert not specification.holds(found.inputs, found.outputs)


def test_formats():
    inputs, outputs = np.array([0.1, -1e-17]), np.array([np.pi])
    first = Specification("a", 2, 1, (), ())
    assert first.answer(inputs, outputs) == "((X_0 0.1)\n(X_1 -1e-17)\n(Y_0 3.141592653589793))"
    pairs = re.findall(r"\((X|Y)_(\d+) ([^)]+)\)", first.answer(inputs, outputs))
    assert [float(value) for *_, value in pairs] == [0.1, -1e-17, np.pi]
    tensors = Tensor("image", "float32", (1, 2)), Tensor("Y", "real", ())
    second = Specification("b", 2, 1, (), (), tensors)
    assert second.answer(inputs, outputs) == (
        "image float32 [1,2]\n0.1\n-1e-17\nY real []\n3.141592653589793"
    )


@pytest.mark.parametrize(("index", "place"), [("[0,0]", 0), ("[ 1 , 2 ]", 5), ("[1,0]", 3)])
def test_indices_count_the_last_axis_first(index, place):
    assert Tensor("X", "real", (2, 3)).place(index) == place
