"""A network that Flux trained and the Julia package exported, as Python reads it."""

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
