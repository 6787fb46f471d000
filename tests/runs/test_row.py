"""What is written is what is read, to the byte, whatever a network or a file is called."""

import contextlib
import math
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.runs.column import FLAG, LONGEST_TEXT, REAL, TEXT, WHOLE
from reluopt.runs.row import COLUMNS, ROW_CLASSES, AttackRow, Row, column_of, typed_frame
from reluopt.runs.row_table import parse_rows, read_rows
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


@dataclass(frozen=True, kw_only=True)
class SomeRow(Row):
    image: str | None = None
    network: str | None = None
    margin_rule: str | None = None
    nodes: int | None = None
    target: int | None = None
    objective: float | None = None
    gap: float | None = None
    certified: bool | None = None


ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | VALUES[column_of(name).kind] for name in SOME}),
    max_size=3,
)


def _written(rows):
    return b"".join([SomeRow.header(), *(SomeRow(**row).line() for row in rows)])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
@example([{"network": name, "margin_rule": name, "image": "x"} for name in MISREAD])
@example([{"network": 'a, "b"\x85\u2028c', "image": "\ufeff", "objective": -0.0, "nodes": -0}])
@example([{"network": "\x00", "image": "''", "margin_rule": '"'}])
def test_what_is_written_is_what_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(_written(rows))
    table = read_rows(path)
    assert table.columns == SOME
    for row, found, typed in zip(rows, table.rows, table.typed(SomeRow), strict=True):
        assert list(found) == list(SOME)
        assert typed.values() == found
        for name, value in found.items():
            given_value = row.get(name)
            if isinstance(given_value, str):  # a row is a line; an empty text is a missing one
                given_value = re.sub("\r\n|\r|\n", " ", given_value) or None
            assert value == given_value
            assert type(value) is type(given_value)
            assert repr(value) == repr(given_value)  # the sign of zero, too
    assert _written(table.rows) == path.read_bytes()
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
    expected = column_of(column).kind.expected
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
            column_of(column).keep(value)
    assert column_of("objective").keep(math.inf) is None
    assert column_of("nodes").keep(np.int32(3)) == 3
    assert column_of("certified").keep(np.True_) is True
    assert column_of("message").keep("") is None
    assert len(column_of("message").keep("x" * (2 * LONGEST_TEXT))) == LONGEST_TEXT
    assert column_of("network").keep("caf\udce9") == "caf\\udce9"


def test_every_column_of_every_job_has_a_kind():
    assert {name for cls in ROW_CLASSES for name in cls.columns()} == set(COLUMNS)
    assert set(RUN_COLUMNS) <= set(COLUMNS)
    for cls in ROW_CLASSES:  # a column holds the same in all tables
        assert all(COLUMNS[column.name].kind == column.kind for column in cls.schema())


def test_frames_have_types_with_and_without_gaps():
    full = typed_frame(
        AttackRow.columns(), [dict.fromkeys(AttackRow.columns()) | {"nodes": 3, "certified": True}]
    )
    assert full["nodes"].dtype == np.int64
    assert full["certified"].dtype == bool
    rows = [{"nodes": 3, "certified": True, "network": "NA"}, {}]
    gaps = typed_frame(("nodes", "certified", "network", "bound"), rows)
    assert gaps["nodes"].dtype == np.float64
    assert gaps["nodes"].isna().tolist() == [False, True]
    assert gaps["bound"].isna().all()
    assert gaps["certified"].tolist() == [True, None]
    assert gaps["network"].tolist() == ["NA", None]
    assert isinstance(typed_frame(AttackRow.columns(), []), pd.DataFrame)
