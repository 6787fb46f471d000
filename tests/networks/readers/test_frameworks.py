"""Frameworks that are not installed are asked for in one line."""

import sys

import pytest

from reluopt.errors import EngineUnavailableError
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.readers import ReaderOptions
from reluopt.networks.readers.keras_model import from_keras
from reluopt.networks.readers.onnx import read as read_onnx
from reluopt.networks.readers.sklearn_model import from_sklearn
from reluopt.networks.readers.torch_file import read as read_torch
from reluopt.networks.readers.torch_module import from_torch
from reluopt.networks.writers.onnx import encode
from reluopt.networks.zoo import load_bundled


@pytest.mark.parametrize(
    ("module", "use", "words"),
    [
        ("torch", lambda path: from_torch(None, (4,)), "PyTorch modules need the package torch"),
        ("torch", lambda path: read_torch(path, ReaderOptions()), "PyTorch files need the package"),
        ("keras", lambda path: from_keras(None), "Keras models need the package keras"),
        ("sklearn", lambda path: from_sklearn(None), "estimators need the package sklearn"),
        ("onnx", lambda path: read_onnx(path, ReaderOptions()), "ONNX files need the package onnx"),
        ("onnx", lambda path: encode(load_bundled("thesis")), "ONNX files need the package onnx"),
    ],
)
def test_the_message_says_how_to_get_it(tmp_path, monkeypatch, module, use, words):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineUnavailableError, match=words) as caught:
        use(tmp_path / "net")
    assert f"[{module}]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_networks_need_none_of_them(monkeypatch):
    for module in ("torch", "keras", "sklearn", "onnx", "onnxruntime", "h5py"):
        monkeypatch.setitem(sys.modules, module, None)
    assert isinstance(load_bundled("thesis"), ReLUNetwork)
