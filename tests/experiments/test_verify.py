"""Verification finds every lie in a result folder."""

import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from reluopt.engines.base import EngineOptions
from reluopt.errors import InputError
from reluopt.experiments.attack import COLUMNS, AttackSettings, run_attack
from reluopt.experiments.instances import load_instances
from reluopt.experiments.store import ResultStore
from reluopt.experiments.verify import verify_run
from reluopt.problems import Norm, RelativeMargin, ShiftTarget
from reluopt.solve import Method


@pytest.fixture(scope="module")
def _finished(thesis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "run"
    method = Method("gurobi", options=EngineOptions(30.0))
    settings = AttackSettings(ShiftTarget(5), Norm.L1, RelativeMargin(0.2), method)
    store = ResultStore(folder, COLUMNS, settings.describe(thesis), {})
    instances = load_instances(thesis, ["test:2,4"])
    run_attack(thesis, instances, settings, store, lambda _: None)
    return folder


@pytest.fixture
def folder(_finished, tmp_path):
    """A copy that a test may spoil."""
    copy = tmp_path / "run"
    for path in _finished.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(_finished)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return copy


def _spoil(folder, **changes):
    table = pd.read_csv(folder / "results.csv", dtype=object)
    for name, value in changes.items():
        table.loc[0, name] = value
    table.to_csv(folder / "results.csv", index=False)


def test_honest_results_pass(folder):
    rows = list(verify_run(folder))
    assert [row.image for row in rows] == ["test:2", "test:4"]
    assert all(row.failures == () for row in rows)
    assert {row.status for row in rows} == {"OPTIMAL"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": 1.0}, "objective is"),
        ({"predicted": 3}, "predicted is"),
        ({"margin": 5.0}, "margin is"),
        ({"bound": 0.5}, "OPTIMAL is claimed with a gap"),
        ({"target": 3}, "was not asked for"),
        ({"label": 2}, "true label"),
        ({"certified": False}, "denies"),
    ],
)
def test_lies_are_found(folder, changes, message):
    _spoil(folder, **changes)
    first, second = verify_run(folder)
    assert any(message in failure for failure in first.failures)
    assert second.failures == ()


def test_a_changed_image_is_found(folder):
    path = folder / "images" / "part-0000.safetensors"
    tensors = load_file(path)
    tensors["test:2"] = tensors["test:2"] * 0.5
    save_file(tensors, path)
    first, _ = verify_run(folder)
    assert any("answers" in failure or "margin" in failure for failure in first.failures)


def test_a_missing_image_is_found(folder):
    (folder / "images" / "part-0000.safetensors").unlink()
    assert all("no image" in row.failures[0] for row in verify_run(folder))


def test_another_network_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="expected the network with SHA-256"):
        list(verify_run(folder, "thesis-96"))
    with pytest.raises(InputError, match=r"run\.json"):
        list(verify_run(tmp_path))
    (folder / "run.json").write_text("[]")
    with pytest.raises(InputError, match="record of an attack"):
        list(verify_run(folder))
