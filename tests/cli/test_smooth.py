"""``attack --smooth``: the limit is kept, recorded, resumed and verified; errors are one line."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from reluopt.method import Method
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.questions.problems import Norm, RelativeMargin, ShiftTarget
from reluopt.runs.attack import AttackSettings


@pytest.fixture
def place(tmp_path, make_network):
    """A folder with a network on images of 3 x 4 pixels and one image."""
    plain = make_network((12, 5, 3), 4)
    network = ReLUNetwork(plain.layers, NetworkMetadata("small", (3, 4)))
    save_network(network, tmp_path / "net.safetensors")
    np.save(tmp_path / "image.npy", np.random.default_rng(4).random((3, 4)))
    return tmp_path


def _attack(run, place, *options):
    target = ("--target", "+1", "--images", place / "image.npy")
    return run("attack", place / "net.safetensors", *target, *options)


def _steepest(place, answer):
    change = answer - np.load(place / "image.npy")
    return max(np.abs(np.diff(change, axis=axis)).max() for axis in (0, 1))


def test_the_limit_is_kept_recorded_and_verified(run, place):
    out = place / "run"
    code, shown, _ = _attack(run, place, "--smooth", "0.05", "--out", out)
    assert code == 0
    assert "neighbouring changes within 0.05" in shown
    assert "1 of 1 proven, 1 checked adversarial" in shown
    path = out / "images" / "part-0000.safetensors"
    (answer,) = load_file(path).values()
    assert _steepest(place, answer) <= 0.05 + 1e-7
    assert json.loads((out / "run.json").read_text())["settings"]["smoothness"] == 0.05
    assert run("verify-result", out)[0] == 0
    code, _, err = _attack(run, place, "--smooth", "0.06", "--out", out)
    assert code == 2
    assert "smoothness" in err

    record = json.loads((out / "run.json").read_text())
    record["settings"]["smoothness"] = 0.01  # the answer is steeper than that
    (out / "run.json").write_text(json.dumps(record))
    assert _steepest(place, answer) > 0.011
    code, shown, err = run("verify-result", out)
    assert code == 1
    assert "neighbouring changes differ by" in shown + err


def test_runs_without_a_limit_are_described_as_before(thesis):
    described = AttackSettings(ShiftTarget(5), Norm.L1, RelativeMargin(0.2), Method()).describe(
        thesis
    )
    assert "smoothness" not in described


def test_errors_are_one_line(run, place, make_network):
    for engine in ("bnb", "julia"):
        code, _, err = _attack(run, place, "--smooth", "0.1", "--engine", engine)
        assert code == 2
        assert f"engine {engine}: cannot solve L1 problems with limits on neighbouring" in err
        assert err.count("\n") == 1
    code, _, err = _attack(run, place, "--smooth", "-0.1")
    assert code == 2
    assert err.startswith("error: --smooth: expected a limit >= 0")
    save_network(make_network((12, 5, 3), 4), place / "net.safetensors")
    np.save(place / "image.npy", np.zeros(12))
    code, _, err = _attack(run, place, "--smooth", "0.1")
    assert code == 2
    assert "rows and columns" in err
    assert err.count("\n") == 1


def test_a_report_says_what_was_asked(run, place):
    out = place / "run"
    assert _attack(run, place, "--smooth", "0.05", "--out", out)[0] == 0
    assert run("report", out, "--out", place / "page.html")[0] == 0
    page = (place / "page.html").read_text(encoding="utf-8")
    assert "changes of neighbouring pixels within 0.05" in " ".join(page.split())
