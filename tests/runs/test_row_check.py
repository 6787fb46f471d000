"""Every status is verified for what it claims, in folders that are as small as can be."""

import csv
import json
import math

import numpy as np
import pytest

from conftest import random_network
from helpers.result_folders import Files, make_folders
from reluopt.answers.solution import VERDICTS, Status
from reluopt.errors import InputError
from reluopt.networks.zoo import open_network
from reluopt.runs.claims import CLAIMS
from reluopt.runs.evidence import Evidence
from reluopt.runs.job import FAILURES
from reluopt.runs.verify import MISSING, verify_run


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make_folders(tmp_path_factory.mktemp("rows"), random_network, open_network)


@pytest.fixture
def spoiled(folders, request):
    """Change a row of a folder (by status) and its image; the folder is mended afterwards."""
    mended = []

    def spoil(name, status=None, image=False, /, **cells):
        folder = folders[name]
        honest = Files.of(folder)
        mended.append((folder, honest))
        files = honest.copy()
        header, *rows = files.table
        places = [i for i, row in enumerate(rows) if status in (None, row[header.index("status")])]
        row = rows[places[0]]
        for column, value in cells.items():
            row[header.index(column)] = str(value)
        files.table = [header, *rows]
        if image is not False:
            files.change_images(
                lambda t: t.pop(row[0], None) if image is None else t.__setitem__(row[0], image)
            )
        files.write(folder, honest)
        return {found.image: found for found in verify_run(folder)}[row[0]]

    yield spoil
    for folder, honest in reversed(mended):
        honest.write(folder, Files.of(folder))


def _row(folder, status):
    with (folder / "results.csv").open() as stream:
        return next(row for row in csv.DictReader(stream) if row["status"] == status)


def test_the_folders_hold_every_kind_of_claim(folders):
    found = {row.status for folder in folders.values() for row in verify_run(folder)}
    assert found >= {"OPTIMAL", "FEASIBLE", "INFEASIBLE", "NOT_ADVERSARIAL", "KILLED", "CRASHED"}
    assert all(not row.failures for folder in folders.values() for row in verify_run(folder))


def test_every_status_has_claims():
    assert set(CLAIMS) == {*Status, *FAILURES} - set(VERDICTS)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("objective", "0.001", "objective is"),
        ("distance", "0.001", "distance is"),
        ("gap", "0.5", "gap is"),
        ("gap", "", "gap is empty"),
        ("bound", "", "bound is empty"),
        ("objective", "", "objective is empty"),
        ("bound", "1e3", "the bound exceeds the objective"),
        ("margin", "5.0", "margin is"),
        ("slack", "5.0", "slack is"),
        ("predicted", "2", "predicted is"),
        ("target", "", "target None was not asked for"),
        ("certified", "True", "certified answer is claimed with status NOT_ADVERSARIAL"),
        ("seconds", "", "seconds is empty"),
        ("seconds", "-1", "seconds is -1.0, below 0"),
        ("engine", "bnb", "engine is highs"),
        ("formulation", "", "formulation is empty"),
        ("seed", "", "seed is 0, not None"),
    ],
)
def test_lies_of_optima_that_fool_nobody_are_found(spoiled, column, value, message):
    found = spoiled("bare", "NOT_ADVERSARIAL", **{column: value})
    assert any(message in failure for failure in found.failures), found.failures


def test_only_a_bare_condition_has_optima_that_fool_nobody(spoiled):
    found = spoiled("squares", "OPTIMAL", status="NOT_ADVERSARIAL", certified=False)
    assert any("no bare condition was asked for" in failure for failure in found.failures)
    assert any("denies an answer" in failure for failure in found.failures)


EMPTY = dict.fromkeys(
    ("objective", "distance", "gap", "bound", "predicted", "margin", "slack", "box_violation"), ""
)


def test_infeasibility_that_the_stored_image_refutes_is_found(spoiled):
    found = spoiled("largest", "OPTIMAL", status="INFEASIBLE", certified=False, **EMPTY)
    assert any("but the stored image is one" in failure for failure in found.failures)


def test_infeasibility_that_an_attack_refutes_is_found(spoiled):
    found = spoiled("largest", "OPTIMAL", None, status="INFEASIBLE", certified=False, **EMPTY)
    assert any("no answer is claimed, but there is one at" in f for f in found.failures)
    assert found.evidence is Evidence.WORD


def test_infeasibility_is_replayed_where_a_proof_is_kept(folders):
    rows = [row for row in verify_run(folders["impossible"]) if row.status == "INFEASIBLE"]
    assert rows
    for row in rows:
        assert row.evidence is Evidence.REPLAYED
        assert row.bound == math.inf


@pytest.mark.parametrize("column", ["objective", "distance", "gap", "margin", "predicted"])
def test_infeasibility_tells_no_answer(spoiled, column):
    found = spoiled("impossible", "INFEASIBLE", **{column: 1})
    assert any(f"{column} is 1" in f and "claims none" in f for f in found.failures)


@pytest.mark.parametrize("status", FAILURES)
def test_a_valid_image_beside_a_row_without_an_answer_is_found(spoiled, status):
    empty = {**EMPTY, "target": "", "nodes": "", "seconds": "", "variables": "",
             "constraints": "", "binaries": ""}  # fmt: skip
    empty |= {f"{step}_seconds": "" for step in ("attack", "bounds", "build", "search", "polish")}
    found = spoiled("largest", "OPTIMAL", status=status, certified=False, **empty)
    assert found.failures == (
        f"{status} claims no answer, but the stored image is one: the network answers "
        f"{found.failures[0][-1]}",
    )


def test_an_image_that_is_no_answer_beside_such_a_row_is_found(spoiled):
    found = spoiled("stopped", "KILLED", np.full((2, 3), 0.5))
    assert found.failures == ("KILLED claims no answer, but an image is stored",)


@pytest.mark.parametrize("column", ["objective", "bound", "gap", "seconds", "nodes", "target"])
def test_a_killed_worker_tells_no_numbers(spoiled, column):
    found = spoiled("stopped", "KILLED", **{column: 1})
    assert any(f"{column} is 1" in failure for failure in found.failures)


def test_an_answer_that_is_proven_is_not_called_unproven(spoiled):
    found = spoiled("proven", "OPTIMAL", status="FEASIBLE")
    assert any("FEASIBLE is claimed with a gap" in failure for failure in found.failures)


def test_bounds_that_nobody_shows_are_tried_by_an_attack(spoiled):
    cells = {**EMPTY, "bound": 1e3, "status": "TIME_LIMIT", "certified": False}
    found = spoiled("largest", "OPTIMAL", None, **cells)
    assert any("a bound of 1000 is claimed, but there is one at" in f for f in found.failures)
    assert found.evidence is Evidence.STORED


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_an_image_of_anything_is_found_without_a_warning(spoiled, value):
    found = spoiled("largest", "OPTIMAL", np.full((2, 3), value))
    assert found.failures


@pytest.mark.parametrize("change", ["delete", "all", "rename", "record"])
def test_rows_that_should_be_there_are_missed(folders, change):
    folder = folders["squares"]
    honest = Files.of(folder)
    files = honest.copy()
    header, first, *rest = files.table
    if change == "delete":
        files.table = [header, *rest]
    elif change == "all":
        files.table = [header]
    elif change == "rename":
        other = first[0].replace("image-0", "image-1")
        files.table = [header, *(row for row in rest if row[0] != other), [other, *first[1:]]]
    else:  # an earlier version: only the number of tasks is told, and the answer left behind
        record = json.loads(files.contents["run.json"])
        del record["instances"], record["finished"]
        files.contents["run.json"] = json.dumps(record).encode()
        files.table = [header, *rest]
    try:
        files.write(folder, honest)
        found = list(verify_run(folder))
    finally:
        honest.write(folder, Files.of(folder))
    missing = [row for row in found if row.status == MISSING]
    assert missing
    assert all(row.failures for row in missing)


def test_a_header_alone_is_refused_where_nobody_knows_what_was_asked(folders):
    folder = folders["stopped"]
    honest = Files.of(folder)
    files = honest.copy()
    record = json.loads(files.contents["run.json"])
    for name in ("instances", "finished", "sessions"):
        del record[name]
    files.contents["run.json"] = json.dumps(record).encode()
    files.table = files.table[:1]
    for name in [name for name in files.contents if name.startswith("images")]:
        del files.contents[name]
    try:
        files.write(folder, honest)
        with pytest.raises(InputError, match="expected finished rows, found none"):
            list(verify_run(folder))
    finally:
        honest.write(folder, Files.of(folder))
