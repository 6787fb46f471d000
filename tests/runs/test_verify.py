"""Verification finds every lie in a result folder."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from reluopt.engines.branch_and_bound.proof_file import proof_bytes, read_proof
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import MinimalPerturbation, Norm, RelativeMargin, ShiftTarget
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.instances import load_instances
from reluopt.runs.merge import merge_runs
from reluopt.runs.row import AttackRow
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore, proof_path
from reluopt.runs.verify import Evidence, verify_run


@pytest.fixture(scope="module")
def _finished(thesis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "run"
    method = Method("gurobi", options=EngineOptions(30.0))
    settings = AttackSettings(ShiftTarget(5), Norm.L1, RelativeMargin(0.2), method)
    store = ResultStore(folder, AttackRow, settings.describe(thesis), {})
    instances = load_instances(thesis, ["test:2,4"])
    run_job(AttackJob(thesis, settings), instances, store)
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
    assert list(verify_run(folder, workers=2)) == rows  # one row for each process
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
        ({"status": "SUPERB"}, "no status SUPERB"),
        ({"status": "INFEASIBLE"}, "certified answer is claimed with status INFEASIBLE"),
        ({"status": "TIME_LIMIT"}, "certified answer is claimed with status TIME_LIMIT"),
        ({"status": "NUMERICAL"}, "certified answer is claimed with status NUMERICAL"),
        ({"status": "CRASHED"}, "certified answer is claimed with status CRASHED"),
        ({"norm": "l2"}, "norm is l1, not l2"),
        ({"margin_rule": "x1.3"}, "margin_rule is x1.2"),
        ({"time_limit": 99.0}, "time_limit is 30.0"),
        ({"seed": 5}, "seed is 0"),
        ({"engine": "highs"}, "engine is gurobi"),
        ({"network": "other"}, "network is thesis"),
        ({"original_predicted": 9}, "original_predicted is"),
        ({"box_violation": 0.5}, "box_violation is"),
        ({"bound": 1e9}, "the bound exceeds the objective"),
        ({"image_sha256": "0" * 64}, "another SHA-256"),
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


def test_an_image_of_another_size_is_found(folder):
    path = folder / "images" / "part-0000.safetensors"
    tensors = load_file(path)
    tensors["test:2"] = tensors["test:2"][:5].copy()
    save_file(tensors, path)
    first, _ = verify_run(folder)
    assert any("pixels" in failure for failure in first.failures)


def test_a_repeated_row_is_found(folder):
    table = folder / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines, lines[1]]))
    assert "the image has an earlier row" in list(verify_run(folder))[-1].failures


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "", "line 2: label: expected a whole number, found nothing"),
        ("label", "2.5", "label: expected a whole number"),
        ("target", "x", "target: expected a whole number, found 'x'"),
        ("bound", "much", "bound: expected a number"),
        ("certified", "maybe", "certified: expected True or False"),
        ("status", "", "status: expected a text, found nothing"),
    ],
)
def test_damaged_rows_are_named(folder, column, value, message):
    _spoil(folder, **{column: value})
    with pytest.raises(InputError, match=message) as caught:
        list(verify_run(folder))
    assert "results.csv" in str(caught.value)


def test_a_damaged_row_is_named_by_workers_too(folder):
    _spoil(folder, margin="thick")
    with pytest.raises(InputError, match=r"results\.csv, line 2: margin: expected a number"):
        list(verify_run(folder, workers=2))


def test_damaged_files_are_named(folder):
    images, table = folder / "images" / "part-0000.safetensors", folder / "results.csv"
    whole = images.read_bytes()
    images.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"part-0000\.safetensors"):
        list(verify_run(folder))
    images.write_bytes(whole)
    text = table.read_text()
    table.write_text(text.replace("test:4", '"test:4'))
    with pytest.raises(InputError, match=r"results\.csv: expected a table") as caught:
        list(verify_run(folder))
    assert "\n" not in str(caught.value)
    table.write_text(text.replace("predicted", "foretold"))
    with pytest.raises(InputError, match="a column original_predicted, found none"):
        list(verify_run(folder))


def test_damaged_settings_are_named(folder):
    path = folder / "run.json"
    record = json.loads(path.read_text())
    moved = {**record["settings"], "network_path": "no/such/weights.safetensors"}
    path.write_text(json.dumps({**record, "settings": moved}))
    with pytest.raises(InputError, match="name its weights with --network"):
        list(verify_run(folder))
    assert all(row.failures == () for row in verify_run(folder, "thesis"))
    del moved["network_path"]
    path.write_text(json.dumps({**record, "settings": moved}))
    with pytest.raises(InputError, match="settings with network_path"):
        list(verify_run(folder))


def test_stored_bounds_of_other_engines_stay_claims(folder):
    for row in verify_run(folder):
        assert row.evidence is Evidence.STORED
        assert row.root is None


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_bounds_that_the_root_shows_are_proven_without_a_proof(norm, thesis, tmp_path):
    settings = AttackSettings(ShiftTarget(5), norm, RelativeMargin(0.2), Method("bnb"))
    store = ResultStore(tmp_path, AttackRow, settings.describe(thesis), {})
    (finished,) = run_job(AttackJob(thesis, settings), load_instances(thesis, ["test:18"]), store)
    (row,) = verify_run(tmp_path)
    assert row.evidence is Evidence.ROOT
    assert row.root == pytest.approx(row.bound, rel=1e-9)
    _spoil(tmp_path, bound=finished.row["objective"])  # a claim of its own, beyond the root's
    (row,) = verify_run(tmp_path)
    assert row.evidence is Evidence.STORED


@pytest.fixture(scope="module", params=[Norm.L1, Norm.L2])
def _proven(request, thesis, tmp_path_factory):
    """A run of the own engine that keeps proofs."""
    folder = tmp_path_factory.mktemp("proven") / "run"
    method = Method("bnb", options=EngineOptions(30.0, extra={"proof": True}))
    settings = AttackSettings(ShiftTarget(5), request.param, RelativeMargin(0.2), method)
    store = ResultStore(folder, AttackRow, settings.describe(thesis), {})
    finished = run_job(AttackJob(thesis, settings), load_instances(thesis, ["test:2,131"]), store)
    assert all("proof" not in result.row.columns() for result in finished)
    return folder


@pytest.fixture
def proven(_proven, tmp_path):
    return shutil.copytree(_proven, tmp_path / "run")


def test_proofs_are_replayed(proven):
    for row in verify_run(proven):
        assert row.failures == ()
        assert row.evidence is Evidence.REPLAYED
        assert row.proven >= row.bound - 1e-9
        assert 0.0 < row.root <= row.proven + 1e-6


def test_a_bound_beyond_its_proof_is_found(proven):
    table = pd.read_csv(proven / "results.csv", dtype=object)
    objective = float(table.loc[0, "objective"])
    _spoil(proven, bound=objective, gap=0.0)
    first, second = verify_run(proven)
    assert any("the proof shows" in failure for failure in first.failures)
    assert second.failures == ()


def test_infeasibility_with_a_finite_bound_is_found(proven):
    part = proven / "images" / "part-0000.safetensors"
    images = load_file(part)
    del images["test:2"]
    save_file(images, part)
    _spoil(proven, status="INFEASIBLE", certified=False, objective="", bound=0.0, gap="")
    first, second = verify_run(proven)
    assert any("INFEASIBLE is claimed with a bound of 0" in failure for failure in first.failures)
    assert second.failures == ()


@pytest.fixture
def tiny(thesis, tmp_path, test_images):
    """A run with a proof whose objective is below 1e-8."""
    method = Method("bnb", options=EngineOptions(30.0, extra={"proof": True}))
    settings = AttackSettings(ShiftTarget(5), Norm.L2, RelativeMargin(0.2), method)
    image, label = test_images.image(2), test_images.label(2)
    answer = solve(thesis, MinimalPerturbation(image, label, norm=Norm.L2)).image
    near = answer + 5e-5 * (np.ravel(image) - answer)
    path = tmp_path / "near.npy"
    np.save(path, near.reshape(thesis.input_shape))
    folder = tmp_path / "tiny"
    store = ResultStore(folder, AttackRow, settings.describe(thesis), {})
    run_job(AttackJob(thesis, settings), load_instances(thesis, [str(path)], label=label), store)
    assert 0.0 < store.rows[0]["objective"] < 1e-8
    return folder


def test_a_proof_of_a_tiny_objective_has_to_show_the_bound(tiny):
    honest = next(verify_run(tiny))
    assert honest.failures == ()
    assert honest.evidence is Evidence.REPLAYED
    path = proof_path(tiny, honest.image)
    proof = read_proof(path)
    path.write_bytes(proof_bytes(replace(proof, radius=0.5 * proof.radius)))
    row = next(verify_run(tiny))
    assert row.proven < 0.5 * row.bound
    assert any("the proof shows" in failure for failure in row.failures)
    assert row.evidence is not Evidence.REPLAYED


def test_a_tiny_objective_is_compared_on_its_own_scale(tiny):
    objective = float(pd.read_csv(tiny / "results.csv").loc[0, "objective"])
    _spoil(tiny, objective=0.9 * objective)
    assert any("objective is" in failure for failure in next(verify_run(tiny)).failures)


def test_a_swapped_missing_or_damaged_proof_is_found(proven):
    first, second = (proof_path(proven, key) for key in ("test:2", "test:131"))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert any("about this task" in f for f in next(verify_run(proven)).failures)
    first.unlink()
    row = next(verify_run(proven))
    assert any("there is none" in failure for failure in row.failures)
    assert row.evidence in (Evidence.STORED, Evidence.ROOT)
    first.write_bytes(data[:-9])
    with pytest.raises(InputError, match=first.name):
        next(verify_run(proven))


def test_merging_takes_proofs_along(proven, tmp_path):
    merge_runs([proven], tmp_path / "merged")
    assert all(row.evidence is Evidence.REPLAYED for row in verify_run(tmp_path / "merged"))


def test_another_network_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="expected the network with SHA-256"):
        list(verify_run(folder, "thesis-96"))
    with pytest.raises(InputError, match=r"run\.json"):
        list(verify_run(tmp_path))
    (folder / "run.json").write_text("[]")
    with pytest.raises(InputError, match="record of an attack"):
        list(verify_run(folder))
