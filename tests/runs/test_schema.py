"""What is written is what is read, to the byte, whatever a network or a file is called."""

import contextlib
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reluopt.bench import session as bench_session
from reluopt.errors import InputError
from reluopt.runs import classify, estimates, forward_pass, ideal
from reluopt.runs.attack import COLUMNS
from reluopt.runs.row_table import parse_rows, read_rows, row_line, row_values
from reluopt.runs.schema import (
    FLAG,
    KINDS,
    LONGEST_TEXT,
    REAL,
    TEXT,
    WHOLE,
    kept,
    kind_of,
    typed_frame,
)
from reluopt.studies.measuring import RUN_COLUMNS

MISREAD = (
    "+0.1",
    "007",
    "1e3",
    "NA",
    "nan",
    "None",
    "null",
    "True",
    "0x10",
    " a",
    "a ",
    "-",
    "#N/A",
)
"""Texts that readers of tables take for something else."""

VALUES = {
    TEXT: st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(MISREAD)),
    WHOLE: st.integers(-(10**18) + 1, 10**18 - 1),
    REAL: st.floats(allow_nan=False, allow_infinity=False),
    FLAG: st.booleans(),
}

SOME = ("image", "network", "margin_rule", "nodes", "target", "objective", "gap", "certified")
"""Columns of every kind."""

ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | VALUES[kind_of(name)] for name in SOME}), max_size=3
)


def _written(columns, rows):
    lines = [list(columns), *(list(row_values(columns, row).values()) for row in rows)]
    return b"".join(map(row_line, lines))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
@example([{"network": name, "margin_rule": name, "image": "x"} for name in MISREAD])
@example([{"network": 'a, "b"\x85\u2028c', "image": "\ufeff", "objective": -0.0, "nodes": -0}])
@example([{"network": "\x00", "image": "''", "margin_rule": '"'}])
def test_what_is_written_is_what_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(_written(SOME, rows))
    table = read_rows(path)
    assert table.columns == SOME
    for row, found in zip(rows, table.rows, strict=True):
        assert list(found) == list(SOME)
        for name, value in found.items():
            given_value = row.get(name)
            if isinstance(given_value, str):  # a row is a line; an empty text is a missing one
                given_value = re.sub("\r\n|\r|\n", " ", given_value) or None
            assert value == given_value
            assert type(value) is type(given_value)
            assert repr(value) == repr(given_value)  # the sign of zero, too
    assert _written(SOME, table.rows) == path.read_bytes()
    assert list(table.frame().columns) == list(SOME)


@given(st.binary(max_size=300))
@example(b"image,label\n\xff,1\n")
@example(b'image,label\n"a,1\n')
@example(b"image,image\na,1\n")
@example(b"image\n" + b"x" * 200_000 + b"\n")
def test_any_bytes_are_rows_or_one_line(data):
    found = {}
    with contextlib.suppress(InputError):
        found = parse_rows("results.csv", data).rows
    assert all(len(row) == len(found[0]) for row in found)


@pytest.mark.parametrize(
    "text", ["1_000", "nan", "inf", "1e999", "٣", "0x1", " 1", "1 ", "1,5", "--1"]
)
@pytest.mark.parametrize("column", ["objective", "nodes", "certified"])
def test_what_is_no_number_is_refused_with_its_place(column, text):
    cell = f'"{text}"'
    data = f"image,{column}\na,\nb,{cell}\n".encode()
    expected = kind_of(column).expected
    with pytest.raises(InputError) as caught:
        parse_rows("results.csv", data)
    assert (
        str(caught.value) == f"results.csv, line 3: {column}: expected {expected}, found {text!r}"
    )


def test_whole_numbers_of_folders_that_earlier_versions_merged_are_read():
    (row,) = parse_rows("t", b"image,target,nodes\na,6.0,\n").rows
    assert row == {"image": "a", "target": 6, "nodes": None}
    with pytest.raises(InputError, match=r"target: expected a whole number, found '6\.5'"):
        parse_rows("t", b"image,target\na,6.5\n")


def test_tables_that_spreadsheets_saved_are_read():
    (row,) = parse_rows("t", b"\xef\xbb\xbfimage,objective\r\n+0.1,2.5\r\n\r\n").rows
    assert row == {"image": "+0.1", "objective": 2.5}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a table with a header, found none"),
        (b"image,label\na\n", "line 2: expected 2 cells, found 1"),
        (b"image,label\na,1,2\n", "line 2: expected 2 cells, found 3"),
        (b"image,label,label\n", "expected each column once, found label twice"),
        (b'image,label\n"a,1\n', "expected a table with commas, found: line 2"),
        (b"image,label\n\xff,1\n", "expected a table with commas"),
    ],
)
def test_what_is_no_table_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        parse_rows("t", data)


def test_values_that_a_column_does_not_hold_are_not_written():
    for column, value in (("nodes", 1.5), ("nodes", 10**18), ("objective", "1"), ("certified", 2)):
        with pytest.raises(ValueError, match=column):
            kept(column, value)
    assert kept("objective", math.inf) is None
    assert kept("nodes", np.int32(3)) == 3
    assert kept("certified", np.True_) is True
    assert kept("message", "") is None
    assert len(kept("message", "x" * (2 * LONGEST_TEXT))) == LONGEST_TEXT
    assert kept("network", "caf\udce9") == "caf\\udce9"


def test_every_column_of_every_experiment_has_a_kind():
    tables = (
        COLUMNS,
        classify.COLUMNS,
        ideal.COLUMNS,
        estimates.COLUMNS,
        forward_pass.COLUMNS,
        bench_session.COLUMNS,
        RUN_COLUMNS,
    )
    assert {name for table in tables for name in table} == set(KINDS)


def test_frames_have_types_with_and_without_gaps():
    full = typed_frame(COLUMNS, [dict.fromkeys(COLUMNS) | {"nodes": 3, "certified": True}])
    assert full["nodes"].dtype == np.int64
    assert full["certified"].dtype == bool
    rows = [{"nodes": 3, "certified": True, "network": "NA"}, {}]
    gaps = typed_frame(("nodes", "certified", "network", "bound"), rows)
    assert gaps["nodes"].dtype == np.float64
    assert gaps["nodes"].isna().tolist() == [False, True]
    assert gaps["bound"].isna().all()
    assert gaps["certified"].tolist() == [True, None]
    assert gaps["network"].tolist() == ["NA", None]
    assert isinstance(typed_frame(COLUMNS, []), pd.DataFrame)
