"""Results survive kill -9, and nothing is ever overwritten."""

import json
import os
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import load_file

from reluopt.errors import InputError
from reluopt.runs.answers import IMAGES_PER_FILE
from reluopt.runs.job import Finished
from reluopt.runs.record import plain
from reluopt.runs.row import Row
from reluopt.runs.store import (
    ResultStore,
    proof_path,
    read_store,
    read_table,
)

COLUMNS = ("image", "objective", "message")


@dataclass(frozen=True, kw_only=True)
class SmallRow(Row):
    image: str
    objective: float | None = None
    message: str = ""


SETTINGS = {"norm": "l1", "seed": 0}


def _open(folder, settings=None):
    return ResultStore(folder, SmallRow, settings or SETTINGS, {"command": ["reluopt"]})


def _row(number):
    return SmallRow(image=f"test:{number}", objective=number / 3.0, message='a, "b"')


def test_rows_and_images_come_back(tmp_path):
    store = _open(tmp_path / "run")
    image = np.arange(4.0).reshape(2, 2) / 7.0
    store.append(Finished(_row(1), image))
    store.append(Finished(_row(2)))
    again = _open(tmp_path / "run")
    assert set(again.done) == {"test:1", "test:2"}
    assert again.done["test:1"]["objective"] == 1 / 3.0
    assert again.done["test:1"]["message"] == 'a, "b"'
    np.testing.assert_array_equal(again.image("test:1"), image)
    assert again.image("test:2") is None
    tensors = load_file(tmp_path / "run" / "images" / "part-0000.safetensors")
    np.testing.assert_array_equal(tensors["test:1"], image)
    assert list(read_table(tmp_path / "run").frame().columns) == list(COLUMNS)
    assert [row["image"] for row, _ in read_store(tmp_path / "run", SmallRow)] == [
        "test:1",
        "test:2",
    ]


def test_infinity_becomes_empty(tmp_path):
    store = _open(tmp_path)
    store.append(Finished(SmallRow(image="a", objective=float("inf"))))
    assert _open(tmp_path).done["a"]["objective"] is None


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_torn_line_is_dropped_and_the_rest_kept(tmp_path, cut):
    store = _open(tmp_path)
    for number in range(3):
        store.append(Finished(_row(number)))
    table = tmp_path / "results.csv"
    table.write_bytes(table.read_bytes()[:-cut])
    again = _open(tmp_path)
    assert set(again.done) == {"test:0", "test:1"}
    again.append(Finished(_row(2)))
    assert set(_open(tmp_path).done) == {"test:0", "test:1", "test:2"}


def test_a_torn_header_starts_afresh(tmp_path):
    _open(tmp_path)
    (tmp_path / "results.csv").write_bytes(b"imag")
    store = _open(tmp_path)
    assert store.rows == []
    store.append(Finished(_row(0)))
    assert set(_open(tmp_path).done) == {"test:0"}


def test_forgotten_rows_are_run_again(tmp_path):
    store = _open(tmp_path)
    for number in range(4):
        store.append(Finished(_row(number)))
    before = (tmp_path / "results.csv").read_bytes().splitlines()
    store.forget({"test:1", "test:3", "nowhere"})
    assert set(store.done) == {"test:0", "test:2"}
    after = (tmp_path / "results.csv").read_bytes().splitlines()
    assert after == [before[0], before[1], before[3]]
    store.append(Finished(_row(3)))
    assert set(_open(tmp_path).done) == {"test:0", "test:2", "test:3"}


def test_line_breaks_in_texts_cannot_tear_a_row(tmp_path):
    store = _open(tmp_path)
    store.append(Finished(SmallRow(image="a", message="one\ntwo\r\nthree")))
    assert (tmp_path / "results.csv").read_bytes().count(b"\n") == 2
    assert _open(tmp_path).done["a"]["message"] == "one two three"


def test_reading_changes_nothing(tmp_path):
    _open(tmp_path).append(Finished(_row(0)))
    table = tmp_path / "results.csv"
    table.write_bytes(table.read_bytes() + b"test:1,0.3")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert [row["image"] for row, _ in read_store(tmp_path, SmallRow)] == ["test:0"]
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_images_of_rows_lost_in_a_crash_are_replaced(tmp_path):
    store = _open(tmp_path)
    for number in range(IMAGES_PER_FILE):
        store.append(Finished(_row(number), np.zeros(1)))
    table = tmp_path / "results.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:-1]))  # the image was written, its row was not
    again = _open(tmp_path)
    again.append(Finished(_row(IMAGES_PER_FILE - 1), np.ones(1)))
    assert _open(tmp_path).image(f"test:{IMAGES_PER_FILE - 1}")[0] == 1.0
    assert not (tmp_path / "images" / "part-0001.safetensors").exists()


def test_rows_whose_answers_were_lost_with_the_power_are_run_again(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class CertifiedRow(Row):
        image: str
        certified: "bool"

    def opened():
        return ResultStore(tmp_path, CertifiedRow, SETTINGS, {})

    store = opened()
    for number in range(IMAGES_PER_FILE + 1):
        store.append(Finished(CertifiedRow(image=f"test:{number}", certified=True), np.zeros(1)))
    store.append(Finished(CertifiedRow(image="test:infeasible", certified=False)))
    (tmp_path / "images" / "part-0001.safetensors").unlink()
    again = opened()
    assert f"test:{IMAGES_PER_FILE}" not in again.done
    assert len(again.done) == IMAGES_PER_FILE + 1
    assert "test:infeasible" in opened().done


def test_images_are_split_into_parts(tmp_path):
    store = _open(tmp_path)
    for number in range(IMAGES_PER_FILE + 1):
        store.append(Finished(_row(number), np.full(1, number / 256.0)))
    assert (tmp_path / "images" / "part-0001.safetensors").exists()
    again = _open(tmp_path)
    assert again.image(f"test:{IMAGES_PER_FILE}")[0] == IMAGES_PER_FILE / 256.0


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path):
    _open(tmp_path).append(Finished(_row(0)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="norm = 'l1', and this command asks for 'l2'"):
        _open(tmp_path, {"norm": "l2", "seed": 0})
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_foreign_folders_are_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match="found a file"):
        _open(file)
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"run\.json"):
        _open(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="record of a run"):
        _open(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"settings": SETTINGS}))
    with pytest.raises(InputError, match="expected columns"):
        _open(tmp_path)
    with pytest.raises(InputError, match=r"results\.csv"):
        list(read_store(tmp_path / "nowhere"))


def test_run_json_tells_what_ran(tmp_path):
    _open(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"] == SETTINGS
    assert record["command"] == ["reluopt"]
    assert record["machine"]["cores"] >= 1


def test_plain_values():
    assert plain({"a": np.float64(1.5), "b": [float("nan"), np.int64(2)], "c": None}) == {
        "a": 1.5,
        "b": [None, 2],
        "c": None,
    }


@dataclass(frozen=True, kw_only=True)
class CompleteRow(Row):
    image: str
    status: str
    objective: float | None = None
    predicted: int | None = None
    certified: bool


ASKED = {"experiment": "attack", "extra": {"proof": True}}


def _complete(folder):
    return ResultStore(folder, CompleteRow, ASKED, {})


def _fill(store, numbers):
    store.expect(f"test:{number}" for number in numbers)
    store.add_session({"tasks": len(numbers)})
    for number in numbers:
        row = CompleteRow(image=f"test:{number}", status="OPTIMAL", objective=number / 3.0,
                          predicted=1, certified=True)  # fmt: skip
        store.append(Finished(row, np.full(2, number / 9.0), b"a proof"))
    store.finish()


@pytest.mark.parametrize("what", ["answer", "proof"])
def test_rows_that_lost_their_answer_or_proof_are_computed_again(tmp_path, what):
    _fill(_complete(tmp_path), range(3))
    if what == "proof":
        proof_path(tmp_path, "test:1").unlink()
    else:
        (tmp_path / "images" / "part-0000.safetensors").unlink()
    store = _complete(tmp_path)
    lost = {"test:1"} if what == "proof" else {"test:0", "test:1", "test:2"}
    assert set(store.done) == {"test:0", "test:1", "test:2"} - lost
    (sentence,) = store.repairs
    assert f"{len(lost)} of 3 rows have lost their {what}" in sentence
    assert ", ".join(sorted(lost)) in sentence
    again = _complete(tmp_path)
    assert set(again.done) == set(store.done)  # they were dropped from the file as well
    store.add_session({})
    sessions = json.loads((tmp_path / "run.json").read_text())["sessions"]
    assert sessions[-1]["repairs"] == [sentence]


def test_a_lost_part_does_not_take_others_along(tmp_path):
    store = _open(tmp_path, {"experiment": "attack"})
    for number in range(2 * IMAGES_PER_FILE):
        store.append(Finished(_row(number), np.full(1, number / 256.0)))
    (tmp_path / "images" / "part-0000.safetensors").unlink()
    again = _open(tmp_path, {"experiment": "attack"})
    assert again.image("test:0") is None
    assert again.image(f"test:{IMAGES_PER_FILE}")[0] == IMAGES_PER_FILE / 256.0
    again.append(Finished(_row(0), np.ones(1)))
    last = _open(tmp_path, {"experiment": "attack"})
    assert last.image("test:0")[0] == 1.0
    assert last.image(f"test:{2 * IMAGES_PER_FILE - 1}") is not None


def test_of_several_rows_the_last_one_counts_and_it_is_told(tmp_path):
    _fill(_complete(tmp_path), range(3))
    table = tmp_path / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines, lines[2].replace("0.333", "0.444")]))
    store = _complete(tmp_path)
    assert len(store.rows) == 3
    assert store.done["test:1"]["objective"] == pytest.approx(0.444, abs=1e-3)
    (sentence,) = store.repairs
    assert "several rows of test:1; the last of each is kept" in sentence
    assert _complete(tmp_path).repairs == []


def test_rows_that_a_finished_run_has_lost_are_told(tmp_path):
    _fill(_complete(tmp_path), range(3))
    table = tmp_path / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0], lines[1], lines[3]]))
    (sentence,) = _complete(tmp_path).repairs
    assert "has lost rows, which are computed again: test:1" in sentence
    stopped = _complete(tmp_path / "stopped")
    stopped.expect(["test:0", "test:1"])
    stopped.append(Finished(CompleteRow(image="test:0", status="KILLED", certified=False)))
    assert _complete(tmp_path / "stopped").repairs == []  # nothing was lost, it was stopped


def test_what_an_earlier_try_left_goes_with_the_row_that_takes_its_place(tmp_path):
    _fill(_complete(tmp_path), range(2))
    store = _complete(tmp_path)
    store.forget({"test:1"})
    store.append(Finished(CompleteRow(image="test:1", status="KILLED", certified=False)))
    assert store.image("test:1") is None
    assert _complete(tmp_path).image("test:1") is None
    assert not proof_path(tmp_path, "test:1").exists()
    assert _complete(tmp_path).image("test:0") is not None


def test_the_record_knows_all_instances_that_were_asked_for(tmp_path):
    store = _complete(tmp_path)
    _fill(store, range(2))
    _fill(store, range(1, 4))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["instances"] == ["test:0", "test:1", "test:2", "test:3"]
    del record["instances"]  # an earlier version
    (tmp_path / "run.json").write_text(json.dumps(record))
    _complete(tmp_path).expect(["test:9"])
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["instances"] == ["test:0", "test:1", "test:2", "test:3", "test:9"]


def test_pipes_are_no_tables(tmp_path):
    _fill(_complete(tmp_path), range(1))
    (tmp_path / "results.csv").unlink()
    os.mkfifo(tmp_path / "results.csv")
    for read in (_complete, lambda folder: list(read_store(folder))):
        with pytest.raises(
            InputError, match=r"results\.csv: expected a table, found a named pipe, no regular"
        ):
            read(tmp_path)
