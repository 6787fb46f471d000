"""``reluopt import``: what it prints, what it writes, and the README's commands."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from reluopt.networks.loading import load_network
from reluopt.networks.zoo import load_bundled

README = Path(__file__).parents[2] / "README.md"


def keras_file(path):
    from reluopt.networks.readers.keras_model import load_keras

    keras = load_keras()
    layers = keras.layers
    given = [layers.Input((28, 28, 1)), layers.Conv2D(2, 4, 4, activation="relu")]
    model = keras.Sequential([*given, layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.save(path)


def torch_file(path):
    nn = pytest.importorskip("torch").nn
    module = nn.Sequential(nn.Conv2d(1, 4, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(196, 10))
    pytest.importorskip("torch").save(module.state_dict(), path)


def matlab_file(path):
    random = np.random.default_rng(0)
    arrays = {"conv1/weight": random.normal(size=(4, 4, 1, 4)), "conv1/bias": np.zeros((1, 4))}
    arrays |= {"logits/weight": random.normal(size=(196, 10)), "logits/bias": np.zeros((1, 10))}
    savemat(path, arrays)


MAKERS = {"net.keras": keras_file, "net.pt": torch_file, "net.mat": matlab_file}


def section():
    text = README.read_text(encoding="utf-8")
    return text[text.index("### Networks from elsewhere") :].partition("\nPixels are in")[0]


def commands():
    joined = section().replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.startswith("    reluopt ")]


def test_the_readme_has_a_short_section():
    assert len(commands()) == 5
    assert section().count("\n") < 32


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_readme(run, tmp_path, monkeypatch, command):
    for module in ("onnx", "torch", "keras"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    program, subcommand, source, *rest = shlex.split(command, comments=True)
    assert (program, subcommand) == ("reluopt", "import")
    if source == "net.onnx":
        assert run("import", "thesis", "net.onnx")[0] == 0
    elif source in MAKERS:
        MAKERS[source](tmp_path / source)
    code, out, err = run(subcommand, source, *rest)
    assert code == 0, err
    assert f"read {source}" in out
    compared = source in ("net.onnx", "net.keras", "net.pt")
    assert ("64 random inputs" in out) == compared
    assert ("nothing to compare with" in out) == (not compared)
    assert re.search(rf"wrote {rest[0]}: read back, the same to the last bit", out)
    assert err.startswith("note: the softmax at the end" if source == "net.keras" else "")
    network = load_network(tmp_path / rest[0])
    assert network.input_shape == (28, 28)
    assert network.output_size == 10


def test_python_of_the_readme(tmp_path, monkeypatch):
    for module in ("onnx", "torch"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```py\n(.*?)^```", section(), re.MULTILINE | re.DOTALL)
    space = {}
    exec(compile(block, "README.md", "exec"), space)
    assert load_network("net.onnx").fingerprint == space["network"].fingerprint


def test_layers_and_names_are_told(run, tmp_path):
    out = tmp_path / "mine.safetensors"
    code, printed, _ = run("import", "thesis", out, "--name", "yours")
    assert code == 0
    for line in ("input 28 x 28", "dense 784-32, ReLU", "dense 32-16, ReLU", "dense 16-10\n"):
        assert line in printed
    network = load_network(out)
    assert network.metadata.name == "yours"
    assert network.fingerprint == load_bundled("thesis").fingerprint
    run("import", "thesis", out, "--force")
    assert load_network(out).metadata.name == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("thesis", "old.safetensors"), "expected a new file, found one"),
        (("thesis", "new.onnx", "--input-shape", "28"), "expected a shape of 784 values"),
        (("thesis", "new.onnx", "--input-shape", "28*28"), "expected such as 28x28 or 3x32x32"),
        (("thesis", "new.onnx", "--architecture", "fc2-3"), "architecture: expected none"),
        (("nothing.onnx", "new.onnx"), "which is neither"),
        (("thesis", "none/new.onnx"), "found no such folder"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("old.safetensors").write_text("mine")
    code, _, err = run("import", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not Path("new.onnx").exists()
    assert Path("old.safetensors").read_text() == "mine"
