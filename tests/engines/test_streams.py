"""What solvers print past Python goes where it belongs, or nowhere."""

import os
import sys

from reluopt.engines.streams import stdout_on_stderr, without_lines


def test_unwanted_lines_are_dropped_and_all_else_arrives(capfd):
    with without_lines("noise"):
        os.write(2, b"first\nsome noise here\nsecond\n")
        print("progress", file=sys.stderr)
        os.write(2, b"noise\nunfinished")
    print("after", file=sys.stderr)
    found = capfd.readouterr().err
    assert "noise" not in found
    assert {"first", "second", "progress"} <= set(found.splitlines())
    assert found.endswith("unfinishedafter\n")


def test_exceptions_pass_and_descriptors_come_back(capfd):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        try:
            with without_lines("noise"):
                raise RuntimeError
        except RuntimeError:
            os.write(2, b"noise is back\n")
    assert capfd.readouterr().err.count("noise is back") == 3
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_solvers_cannot_spoil_stdout(capfd):
    with stdout_on_stderr():
        os.write(1, b"licence notice\n")
    found = capfd.readouterr()
    assert found.out == ""
    assert "licence notice" in found.err
