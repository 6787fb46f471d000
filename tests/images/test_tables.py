"""Tables of numbers in files: what is read, and what is refused in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.images.input_files import load_inputs
from reluopt.images.tables import read_table


def save(path, text):
    path.write_text(text)
    return path


def test_csv_rows_with_and_without_names(tmp_path):
    plain = read_table(save(tmp_path / "a.csv", "1,2.5\n\n-3e2, 4\n"), "inputs")
    assert plain.values.tolist() == [[1.0, 2.5], [-300.0, 4.0]]
    assert plain.labels is None
    named = read_table(save(tmp_path / "b.csv", "age,Label,height\r\n30,1,1.8\r\n40,0,1.7"), "x")
    assert named.values.tolist() == [[30.0, 1.8], [40.0, 1.7]]
    assert named.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "found no row"),
        ("a,b\n", "found no row"),
        ("1,2\n3\n", "found 1 or 2"),
        ("a,b,c\n1,2\n", "found 2 or 3"),
        ("1,x\n3,4\n", "row 1, column 2: expected a number, found 'x'"),
        ("1,2\n3,x\n", "row 2, column 2: expected a number, found 'x'"),
        ("a,b\n1,2\n3,\n", "row 3, column 2"),
        ("1,nan\n", "expected finite numbers"),
        ("1,1e999\n", "expected finite numbers"),
        ("a,label\n1,0.5\n", "labels, whole numbers"),
        ("a,label\n1,-1\n", "labels, whole numbers"),
        ("a,label\n1,nan\n", "labels, whole numbers"),
        ("a,label\n1,inf\n", "labels, whole numbers"),
        ("label,label\n1,1\n", "one column of labels"),
    ],
)
def test_csv_files_that_are_no_tables_are_refused(tmp_path, text, part):
    path = save(tmp_path / "x.csv", text)
    with pytest.raises(InputError) as caught:
        read_table(path, "inputs")
    assert str(caught.value).startswith(str(path))
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200) | st.text('0123456789,.-e\n"lab', max_size=60).map(str.encode))
def test_whatever_a_csv_file_holds_is_a_table_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(data)
    found = _table_or_message(path)
    if isinstance(found, str):
        assert "\n" not in found
    else:
        assert found.values.ndim == 2
        assert np.isfinite(found.values).all()


def _table_or_message(path):
    try:
        return read_table(path, "inputs")
    except InputError as error:
        return str(error)


def test_arrays_are_one_input_or_one_in_each_row(tmp_path):
    rows = np.arange(12.0).reshape(2, 6) / 12
    for array, table in ((rows[0], False), (rows[0].reshape(2, 3), False), (rows, True),
                         (rows.reshape(2, 2, 3), True)):  # fmt: skip
        np.save(tmp_path / "x.npy", array)
        found = load_inputs(tmp_path / "x.npy", (2, 3), pixels=True)
        assert found.table is table
        np.testing.assert_array_equal(found.values, rows if table else rows[:1])


def test_bytes_are_pixels_only_where_inputs_are_pixels(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[0, 51, 255]], dtype=np.uint8))
    assert load_inputs(tmp_path / "x.npy", (3,), True).values.tolist() == [[0.0, 0.2, 1.0]]
    assert load_inputs(tmp_path / "x.npy", (3,), False).values.tolist() == [[0.0, 51.0, 255.0]]


@pytest.mark.parametrize(
    ("array", "pixels", "part"),
    [
        (np.zeros((2, 5)), True, r"expected rows of 3 numbers"),
        (np.zeros((0, 3)), True, "found none"),
        (np.full((2, 3), 1.5), True, r"\[0, 1\]"),
        (np.full((2, 3), np.inf), False, "finite"),
        (np.zeros((2, 3), dtype=complex), False, "floating-point"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, array, pixels, part):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=part):
        load_inputs(tmp_path / "x.npy", (3,), pixels)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"ending in \.png, \.npy, \.csv"):
        load_inputs(tmp_path / "x.txt", (3,), True)
    with pytest.raises(InputError, match="PNG, whose pixels"):
        load_inputs(tmp_path / "x.png", (2, 2), False)
