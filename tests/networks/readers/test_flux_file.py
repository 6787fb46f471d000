"""Networks of Flux that the Julia package exported, as Python reads them."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from reluopt import load_network

DATA = Path(__file__).resolve().parents[3] / "julia" / "test" / "data"


def test_logits_are_those_of_flux():
    network = load_network(str(DATA / "flux.safetensors"))
    assert network.metadata.recipe["tool"] == "Flux"
    assert network.metadata.input_shape == (28, 28)
    said = load_file(DATA / "flux-logits.safetensors")
    for image, logits, label in zip(said["images"], said["logits"], said["labels"], strict=True):
        ours = network.forward(image.reshape(-1) / 255.0)
        assert ours == pytest.approx(logits, abs=5e-5)
        assert int(np.argmax(ours)) == label


def test_a_convolutional_network_gives_the_logits_of_flux():
    network = load_network(str(DATA / "flux-cnn.safetensors"))
    assert network.metadata.input_shape == (7, 8)
    assert [layer.kind for layer in network.layers] == ["chain", "chain", "dense"]
    said = load_file(DATA / "flux-cnn-logits.safetensors")
    assert said["images"].shape == (4, 7, 8)
    ours = network.forward(said["images"].astype(float))
    np.testing.assert_allclose(ours, said["logits"], rtol=1e-4, atol=1e-6)
