"""Agreement with a source: what counts as none, and what is told of it."""

import numpy as np
import pytest

from reluopt.errors import InputError, NoteWarning
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers.agreement import (
    AGREEMENT,
    IMPORTED,
    Source,
    before,
    compare,
    verified,
)


@pytest.fixture
def network():
    random = np.random.default_rng(0)
    layers = (Dense(random.normal(size=(5, 4)), np.zeros(5)), Dense(np.ones((3, 5)), np.zeros(3)))
    return ReLUNetwork(layers)


def source(network, change=lambda outputs, inputs: outputs, **options):
    def run(inputs):
        return change(network.forward(inputs), inputs)

    return Source("the toy", "toy 1.0", run, **options)


def test_the_same_outputs_agree(network):
    found = verified(network, source(network))
    about = found.metadata.recipe[IMPORTED]
    assert about["from"] == "the toy"
    assert about["agreement"].startswith("largest difference 0.0e+00 of outputs up to ")
    assert about["agreement"].endswith("64 random inputs, toy 1.0")
    assert found.fingerprint == network.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs, _: outputs * (1.0 + 3.0 * AGREEMENT),
        lambda outputs, inputs: np.where(inputs[:, :1] < 0.0, outputs, outputs * 1.01),
        lambda outputs, inputs: np.where(
            inputs.min(axis=1)[:, None] < 0.0, 1.01 * outputs, outputs
        ),
        lambda outputs, _: np.where(np.arange(3) == 1, np.nan, outputs),
        lambda outputs, _: outputs + np.inf,
        lambda outputs, _: outputs[:, ::-1] + np.arange(3),
    ],
    ids=["larger", "in the box", "around it", "NaN", "infinite", "order"],
)
def test_other_outputs_are_an_error(network, change):
    with pytest.raises(InputError, match="expected the outputs of the toy, found a largest diff"):
        verified(network, source(network, change))


def test_another_number_of_outputs_is_an_error(network):
    with pytest.raises(InputError, match="expected 2 outputs as the toy gives, found 3"):
        verified(network, source(network, lambda outputs, _: outputs[:, :2]))


def test_inputs_lie_where_the_source_expects_them(network):
    seen = []
    centre, spread = np.array([0.0, 10.0, -5.0, 100.0]), np.array([1.0, 2.0, 0.1, 50.0])

    def keep(outputs, inputs):
        seen.append(inputs)
        return outputs

    compare(network, source(network, keep, centre=centre, spread=spread))
    inputs = (np.concatenate(seen) - centre) / spread
    assert len(inputs) == 64
    assert np.abs(inputs[:32]).max() <= 1.0 + 1e-6
    assert np.abs(inputs[32:]).max() > 3.0


@pytest.mark.parametrize("end", ["softmax", "log-softmax"])
def test_a_softmax_is_compared_by_its_logarithms(network, end):
    def probabilities(outputs, _):
        exponents = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        found = exponents / exponents.sum(axis=1, keepdims=True)
        return found if end == "softmax" else np.log(np.maximum(found, 1e-300))

    with pytest.warns(NoteWarning, match=f"the {end} at the end is left out"):
        verified(network, before(end, source(network, probabilities)))

    def others(outputs, inputs):
        return probabilities(outputs * [1.0, 1.001, 1.0], inputs)

    with pytest.raises(InputError, match="expected the outputs"):
        verified(network, before(end, source(network, others)))


def test_large_images_are_run_a_few_at_a_time():
    windows = Windows((1, 300, 300), (5, 5), padding=(2, 2, 2, 2))
    network = ReLUNetwork((Conv2d(np.ones((1, 1, 5, 5)), [0.0], windows),))
    batches = []

    def keep(outputs, inputs):
        batches.append(len(inputs))
        return outputs

    compare(network, source(network, keep))
    assert sum(batches) == 64
    assert max(batches) == 1
