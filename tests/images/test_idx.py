import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reluopt.errors import InputError
from reluopt.images.idx import read_idx


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


GOOD = idx_bytes(np.arange(24).reshape(2, 3, 4))


@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3)), zipped=st.booleans())
def test_arrays_are_read_back(tmp_path_factory, array, zipped):
    path = tmp_path_factory.mktemp("idx") / "file"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if zipped else content)
    np.testing.assert_array_equal(read_idx(path, array.ndim), array)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["magic 00000803", "found nothing"]),
        (b"\x00\x00\x0d\x03" + GOOD[4:], ["magic 00000803", "found 00000d03"]),
        (idx_bytes(np.arange(5)), ["3 axes", "found 00000801"]),
        (b"<html>404</html>", ["found 3c68746d"]),
        (GOOD[:10], ["12 more bytes of header", "found 6", "truncated"]),
        (GOOD[:-1], ["24 entries", "(2, 3, 4)", "found 23: truncated"]),
        (GOOD + b"x", ["24 entries", "found more"]),
        (GOOD[:4] + b"\xff" * 12, ["at most", "claim of shape"]),
        (gzip.compress(GOOD)[:-12], ["gzip", "truncated"]),
        (gzip.compress(GOOD[:-1]), ["found 23: truncated"]),
        (b"\x1f\x8bnothing like gzip", ["readable idx file"]),
        (gzip.compress(GOOD)[:-8] + b"\x00" * 8, ["CRC"]),
        (gzip.compress(GOOD)[:10] + b"\xff" * 30, ["readable idx file"]),
    ],
    ids=range(13),
)
def test_damaged_files_are_refused(tmp_path, content, parts):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_idx(path, 3)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_idx(tmp_path / "none", 3)
    with pytest.raises(InputError, match="expected a readable idx file"):
        read_idx(tmp_path, 3)


def test_a_named_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="found a named pipe, no regular file"):
        read_idx(tmp_path / "pipe", 3)


def test_a_gzip_file_that_claims_too_much_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 60_000, 28, 28)))
    with pytest.raises(InputError, match="at most 10000000 bytes of entries"):
        read_idx(path, 3)
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((3, 2, 2))) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(InputError, match="found more"):
        read_idx(path, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_blank_images_that_are_really_there_are_read(tmp_path):
    path = tmp_path / "blank.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((10_000, 28, 28)))))
    assert read_idx(path, 3).shape == (10_000, 28, 28)


def test_lengths_whose_product_overflows_are_refused(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1))
    with pytest.raises(InputError, match="claim of shape"):
        read_idx(path, 3)


def test_other_formats_are_named(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros(3))
    with pytest.raises(InputError, match="found a numpy array"):
        read_idx(tmp_path / "images.npy", 3)
