"""``reluopt vnnlib``: a word on stdout, the competition's file, one line for bad input."""

import gzip

import numpy as np
import pytest

from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network

SPEC = """(vnnlib-version <2.0>)
(declare-network f (declare-input X real [1,2]) (declare-output Y real [1,2]))
(assert (and (>= X[0,0] 0) (<= X[0,0] 1) (>= X[0,1] 0) (<= X[0,1] 0.1)))
(assert (>= Y[0,1] {}))
"""


@pytest.fixture
def place(tmp_path):
    """A folder with ``y = (x0, x0 + x1)`` as ONNX, and specifications that hold and do not."""
    rows = np.array([[1.0, 0.0], [1.0, 1.0]])
    network = ReLUNetwork((Dense(np.eye(2), np.zeros(2)), Dense(rows, np.zeros(2))))
    save_network(network, tmp_path / "net.onnx")
    packed = gzip.compress((tmp_path / "net.onnx").read_bytes())
    (tmp_path / "net.onnx.gz").write_bytes(packed)
    (tmp_path / "sat.vnnlib").write_text(SPEC.format(1.05))
    (tmp_path / "unsat.vnnlib.gz").write_bytes(gzip.compress(SPEC.format(1.2).encode()))
    return tmp_path


def test_unsat_of_gzipped_files(run, place):
    code, out, _ = run("vnnlib", place / "net.onnx.gz", place / "unsat.vnnlib.gz")
    assert (code, out) == (0, "unsat\n")


def test_the_file_of_the_competition(run, place):
    told = run("vnnlib", place / "net.onnx", place / "sat.vnnlib", "--out", place / "a" / "out")
    assert told[:2] == (0, "sat\n")
    lines = (place / "a" / "out").read_text().splitlines()
    assert (lines[0], lines[1], lines[4]) == ("sat", "X real [1,2]", "Y real [1,2]")
    x, y = (np.array(lines[start : start + 2], dtype=float) for start in (2, 5))
    assert x.min() >= 0.0
    assert x[1] <= 0.1
    assert y == pytest.approx([x[0], x.sum()])
    assert y[1] >= 1.05
    code, out, _ = run("vnnlib", place / "net.onnx", place / "sat.vnnlib")
    assert code == 0
    assert out.splitlines()[:2] == ["sat", "X real [1,2]"]


def test_what_the_runtime_does_not_confirm_is_unknown(run, place):
    """1 + 2**-30 is more than 1 in float64, and 1 in float32."""
    tiny = SPEC.replace("(>= X[0,0] 0)", "(>= X[0,0] 1)").replace("0.1)", f"{2**-30:.30f})")
    (place / "tie.vnnlib").write_text(tiny.replace(">= Y", "> Y").format(1))
    out = place / "answer"
    code, text, err = run("vnnlib", place / "net.onnx", place / "tie.vnnlib", "--out", out)
    assert (code, text, out.read_text()) == (0, "unknown\n", "unknown\n")
    assert "note: an input satisfies the specification in float64, but not" in err


def test_bad_input_is_one_line(run, place):
    (place / "bad.vnnlib").write_text(SPEC.format("Y[0]"))
    code, out, err = run("vnnlib", place / "net.onnx", place / "bad.vnnlib")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "line 4: Y: expected an index" in err
    code, _, err = run("vnnlib", "thesis", place / "sat.vnnlib")
    assert code == 2
    assert "expected a network of 2 inputs and 2 outputs" in err
