"""Whatever run.json holds: a record, or one line."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.runs.record import Record, read_record

GOOD = {
    "settings": {"experiment": "attack", "norm": "l1", "gap": 1e-6, "time_limit": None, "seed": 0},
    "instances": ["test:0"],
    "sessions": [{"tasks": 1}],
}


def test_records_come_back(tmp_path):
    Record(tmp_path, GOOD).save()
    assert read_record(tmp_path) == GOOD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the record of a run"),
        ("[]", "found no settings"),
        ("{}", "found no settings"),
        ('{"settings": null}', "found no settings"),
        ("[" * 100_000, "deep nesting"),
        ('{"settings": {"gap": NaN}}', "NaN, which is no number"),
        ('{"settings": {"gap": 1e999}}', "settings: gap: expected a number, found inf"),
        ('{"settings": {"gap": "1"}}', "settings: gap: expected a number, found '1'"),
        ('{"settings": {"gap": true}}', "settings: gap: expected a number, found True"),
        ('{"settings": {"seed": 1.5}}', "settings: seed: expected a whole number"),
        ('{"settings": {"seed": 1' + "0" * 99 + "}}", "settings: seed: expected a whole number"),
        ('{"settings": {"seed": 1' + "0" * 9999 + "}}", "expected the record of a run"),
        (
            '{"settings": {"target": ["any"]}}',
            "settings: target: expected a text or a whole number, found a list",
        ),
        ('{"settings": {"extra": []}}', "settings: extra: expected an object, found a list"),
        ('{"settings": {"norm": 2}}', "settings: norm: expected a text, found 2"),
        ('{"settings": {}, "instances": {}}', "instances: expected a list of texts"),
        ('{"settings": {}, "instances": [1]}', "instances: expected a list of texts"),
        ('{"settings": {}, "sessions": [1]}', "sessions: expected a list of objects"),
        ('{"settings": {}, "machine": "here"}', "machine: expected an object, found 'here'"),
        ('{"settings": {}, "versions": [1]}', "versions: expected an object"),
        ('{"settings": {}, "command": "reluopt"}', "command: expected a list of texts"),
        ('{"settings": {}, "finished": 7}', "finished: expected an object"),
        ('{"settings": {}, "started": ' + '"x"' + "}", None),
    ],
)
def test_what_is_no_record_is_one_line(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    if message is None:
        read_record(tmp_path)
        return
    with pytest.raises(InputError, match=r"run\.json") as caught:
        read_record(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_folders_pipes_and_absence_are_told(tmp_path):
    with pytest.raises(InputError, match="found no such file"):
        read_record(tmp_path)
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(InputError, match="no regular file"):
        read_record(tmp_path)
    (tmp_path / "run.json").unlink()
    (tmp_path / "run.json").mkdir()
    with pytest.raises(InputError, match="found a directory"):
        read_record(tmp_path)
    (tmp_path / "run.json").rmdir()
    (tmp_path / "run.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="expected the record of a run"):
        read_record(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = ("settings", "instances", "sessions", "machine", "versions", "command", "finished",
         "experiment", "norm", "gap", "seed", "extra")  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_json_is_a_record_or_one_line(tmp_path_factory, record, asked):
    folder = tmp_path_factory.getbasetemp()
    (folder / "run.json").write_text(json.dumps({"settings": asked, **record}))
    try:
        found = read_record(folder)
    except InputError:
        return
    assert isinstance(found["settings"], dict)


def test_instances_are_added_once_and_in_order(tmp_path):
    record = Record(tmp_path, {"settings": {}})
    assert record.expect(["b", "a"])
    assert record.expect(["a", "c", "c"])
    assert not record.expect(["c"])
    assert record.instances == ["b", "a", "c"]
