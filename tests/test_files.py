"""No reader ever sees half a file, waits for a pipe, or takes what is no file for one."""

import contextlib
import gzip
import os
import socket

import pytest

from reluopt.errors import InputError
from reluopt.files import (
    atomic_path,
    open_input,
    parse_json,
    read_regular_file,
    unpacked,
    write_atomically,
)


def test_missing_folders_are_made(tmp_path):
    write_atomically(tmp_path / "a" / "b", b"new")
    assert (tmp_path / "a" / "b").read_bytes() == b"new"


def test_the_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def half_way():
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"ne")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_when_it_cannot_be_replaced(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# ---- reading -------------------------------------------------------------------------------------


def reading(path, **options):
    with pytest.raises(InputError) as caught, open_input(path, "a test file", **options):
        pass
    message = str(caught.value)
    assert message.startswith(f"{path}: expected a test file")
    return message


def test_only_regular_files_of_bounded_size_are_opened(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with open_input(path, "a test file") as (stream, size):
        assert stream.read() == b"content"
        assert size == 7
    with open_input(path, "a test file", largest=7):
        pass
    assert "of at most 6 bytes, found 7" in reading(path, largest=6)
    assert "no such file" in reading(tmp_path / "none")
    assert "a directory" in reading(tmp_path)
    assert "a device" in reading("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    assert "a named pipe" in reading(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
        server.bind("socket")
        assert "found" in reading("socket")
    assert "found: File name too long" in reading("x" * 300)
    with pytest.raises(InputError, match="null byte"), open_input("a\0b", "a test file"):
        pass


def test_a_link_counts_as_what_it_leads_to(tmp_path):
    (tmp_path / "link").symlink_to("/dev/zero")
    assert "a device" in reading(tmp_path / "link")
    (tmp_path / "loop").symlink_to("loop")
    assert "found" in reading(tmp_path / "loop")


def test_errors_of_the_system_inside_the_block_are_ours(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def broken(error):
        with open_input(path, "a test file"):
            raise error

    with pytest.raises(InputError, match="found: disk on fire"):
        broken(OSError(5, "disk on fire"))
    with pytest.raises(InputError, match="found: nonsense"):
        broken(ValueError("nonsense"))
    with pytest.raises(InputError, match=r"^mine$"):
        broken(InputError("mine"))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        "NaN",
        "[-Infinity]",
        "[" * 100_000,
        "1" * 5000,
        "",
        b"\xff",
        '{"a":',
        r'["\ud83d"]',
        r'{"\uDE00": 1}',
        "[1e400]",
    ],
    ids=range(11),
)
def test_what_is_no_strict_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse_json(text)


def test_strict_json_is_read():
    assert parse_json(b'{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}
    assert parse_json(r'"\ud83d\ude00"') == "\N{GRINNING FACE}"


def test_only_regular_files_are_read(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(InputError, match="file: expected a table, found no such file"):
        read_regular_file(path, "a table")
    path.write_bytes(b"content")
    assert read_regular_file(path, "a table") == b"content"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="expected a table, found a named pipe"):
        read_regular_file(path, "a table")
    with pytest.raises(InputError, match="expected a table, found a directory"):
        read_regular_file(tmp_path, "a table")


def test_gzip_files_unpack_to_bounded_size():
    packed = gzip.compress(b"x" * 1000)
    assert unpacked(packed, "a.gz", "a text", 1000) == b"x" * 1000
    with pytest.raises(InputError, match=r"a\.gz: expected at most 999 bytes unpacked"):
        unpacked(packed, "a.gz", "a text", 999)
    for damaged in (packed[:-9], packed[:-8] + bytes(8), b"\x1f\x8b"):
        with pytest.raises(InputError, match=r"a\.gz: expected a text, found a damaged gzip file"):
            unpacked(damaged, "a.gz", "a text", 1000)
