"""Runs of verdicts: rows, robust errors, and what verification says of tampered rows."""

import csv
import importlib.util
import json

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.runs.executors import choose_executor
from reluopt.runs.instances import load_instances
from reluopt.runs.merge import merge_runs
from reluopt.runs.row import VerifyRow
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore
from reluopt.runs.verification import VerifyJob, balls, robust_errors
from reluopt.runs.verify import verify_run


@pytest.fixture(scope="module")
def job(thesis):
    return VerifyJob(thesis, Method(), network_path="thesis")


@pytest.fixture(scope="module")
def units(thesis):
    return balls(load_instances(thesis, ["test:5-12"]), [0.01, 0.03])


@pytest.fixture
def folder(tmp_path, job, units):
    store = ResultStore(tmp_path / "run", job.row_class, job.describe(), {"command": ["test"]})
    run_job(job, units, store)
    return tmp_path / "run"


def test_rows_say_what_the_engine_and_the_network_say(job, units):
    for unit in units[:4]:
        finished = job.run(unit)
        row = finished.row
        assert row.row_key == unit.key
        if row.status == Status.ROBUST:
            assert row.bound < 0.0
            assert finished.image is None
        else:
            assert row.status == Status.NOT_ROBUST
            assert row.lead >= 0.0
            assert row.distance <= row.eps + 1e-12
            logits = job.network.forward(finished.image)
            assert np.delete(logits, row.label).max() >= logits[row.label]


@pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="distributed is not installed"
)
def test_a_dask_cluster_gives_the_same_verdicts(tmp_path, job, units):
    from distributed import LocalCluster

    store = ResultStore(tmp_path / "run", job.row_class, job.describe(), {"command": ["test"]})
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        executor = choose_executor(None, cluster.scheduler_address)
        rows = [result.row for result in run_job(job, units, store, executor)]
    assert [row.run for row in rows] == [unit.key for unit in units]
    for row, unit in zip(rows, units, strict=True):
        assert row.but(seconds=None) == job.run(unit).row.but(seconds=None)
    assert robust_errors(rows)[1].lower > 0.0
    assert not any(verified.failures for verified in verify_run(tmp_path / "run"))


def test_both_bounds_of_the_robust_error_meet_when_all_are_decided(job, units):
    found = robust_errors(job.run(unit).row for unit in units)
    assert [each.eps for each in found] == [0.01, 0.03]
    for each in found:
        assert each.images == 8
        assert each.clean <= each.lower == each.upper
        assert each.undecided == 0.0
    assert found[0].lower <= found[1].lower


def test_undecided_images_widen_the_interval(job, units):
    statuses = ["ROBUST", "UNDECIDED"] * 4
    rows = [job.blank(unit, status) for unit, status in zip(units[::2], statuses, strict=True)]
    (found,) = robust_errors(rows)
    assert (found.lower, found.upper, found.undecided) == (0.0, 0.5, 0.5)


def test_a_norm_without_balls_is_refused(thesis, units):
    from reluopt.questions.problems import parse_norm

    job = VerifyJob(thesis, Method(), parse_norm("blend:0.5"))
    with pytest.raises(InputError, match="norm"):
        job.check_balls(units)


def test_a_finished_run_decides_nothing_again_and_can_be_merged(folder, job, units, tmp_path):
    rows = (folder / "results.csv").read_bytes()
    store = ResultStore(folder, job.row_class, job.describe(), {})
    assert store.repairs == []
    assert {row.status for row in store.rows} == {Status.ROBUST, Status.NOT_ROBUST}
    run_job(job, units, store)
    del store
    assert (folder / "results.csv").read_bytes() == rows
    merge_runs([folder], tmp_path / "merged")
    assert len(list(verify_run(tmp_path / "merged"))) == len(units)


def test_an_honest_run_is_verified(folder):
    found = list(verify_run(folder))
    assert len(found) == 16
    assert not any(each.failures for each in found)


@pytest.mark.parametrize(
    ("status", "column", "value", "message"),
    [
        ("NOT_ROBUST", "lead", "5.0", "lead is"),
        ("NOT_ROBUST", "distance", "0.0001", "distance is"),
        ("NOT_ROBUST", "status", "ROBUST", "bound"),
        ("ROBUST", "bound", "0.5", "bound of"),
        ("ROBUST", "bound", "", "bound of"),
        ("ROBUST", "status", "NOT_ROBUST", "no witness"),
        ("ROBUST", "original_predicted", "0", "original_predicted"),
        ("ROBUST", "certified", "False", "certified"),
        ("ROBUST", "eps", "0.5", "run is"),
    ],
)
def test_a_row_that_is_changed_fails(folder, status, column, value, message):
    path = folder / "results.csv"
    rows = list(csv.DictReader(path.open()))
    place = next(
        i for i, row in enumerate(rows) if row["status"] == status and row["distance"] != "0.0"
    )
    rows[place][column] = value
    with path.open("w") as stream:
        writer = csv.DictWriter(stream, VerifyRow.columns(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    wrong = [each for each in verify_run(folder) if each.failures]
    assert len(wrong) == 1
    assert any(message in failure for failure in wrong[0].failures)


def test_a_false_robust_is_refuted_by_an_attack(folder):
    path = folder / "results.csv"
    rows = list(csv.DictReader(path.open()))
    row = next(row for row in rows if row["status"] == "NOT_ROBUST" and row["eps"] == "0.03")
    row |= {"status": "ROBUST", "bound": "-1.0", "lead": "", "distance": "", "predicted": ""}
    with path.open("w") as stream:
        writer = csv.DictWriter(stream, VerifyRow.columns(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    wrong = [each for each in verify_run(folder) if each.failures]
    assert len(wrong) == 1
    assert any("answered otherwise" in failure for failure in wrong[0].failures)


def test_rows_are_json(job, units):
    line = json.loads(json.dumps(job.run(units[0]).row.values()))
    wanted = {"image", "label", "eps", "norm", "status", "bound", "distance", "predicted"}
    assert wanted | {"certified", "nodes", "seconds"} <= line.keys()
