"""The section on times: every number from rows, censored ones marked."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from speed import WIDTH, command_block, fill, speed_section

DATA = Path(__file__).parents[2] / "figures" / "data"


@pytest.fixture
def data(tmp_path):
    for path in DATA.glob("bench-*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def _change(data, name, change):
    table = pd.read_csv(data / f"{name}.csv")
    change(table)
    table.to_csv(data / f"{name}.csv", index=False)


def _row(table, network, image, method):
    rows = (table["network"] == network) & (table["image"] == image) & (table["method"] == method)
    return table.index[rows][0]


def test_numbers_are_those_of_the_rows(data):
    table = pd.read_csv(data / "bench-l1.csv")
    rows = table[(table["network"] == "thesis") & (table["method"] == "bnb")]
    text = speed_section(data)
    line = next(line for line in text.splitlines() if line.startswith("| our engine"))
    median, slowest = rows["seconds"].median(), rows["seconds"].max()
    assert f"| {len(rows)}/{len(rows)}, {median:.3f} s, {slowest:.3f} s |" in line
    assert "test images 100 to 139, target +5, margin x1.2" in text
    assert all(len(line) <= WIDTH or line[0] in "|!" for line in text.splitlines() if line)
    assert "Contradictions" not in text


def test_censored_times_are_bounds(data):
    def stop(table):
        row = _row(table, "thesis", "test:101", "gurobi:thesis:thesis")
        table.loc[row, ["proven", "status", "seconds"]] = [False, "FEASIBLE", 100.1]

    _change(data, "bench-l1", stop)
    lines = {line.split("|")[1].strip(): line for line in speed_section(data).splitlines()
             if line.startswith("| ")}  # fmt: skip
    assert "| 39/40, 3.4 s, > 100 s |" in lines["thesis model: proven, median, slowest"]
    assert lines["times faster, geometric mean of ratios"].count("≥") == 2


def test_contradicting_methods_are_told(data):
    def double(table):
        row = _row(table, "thesis", "test:101", "bnb")
        table.loc[row, ["objective", "bound"]] *= 2.0

    _change(data, "bench-l1", double)
    said = " ".join(speed_section(data).split())
    assert "Contradictions between methods: **1**." in said
    assert "agree" not in said


def test_commands_break_before_options():
    options = [f"--option-{number} value" for number in range(12)]
    text = command_block(" ".join(["reluopt bench thesis", *options]))
    lines = text.splitlines()
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert all(len(line) <= WIDTH for line in lines)
    words = " ".join(line.removesuffix("\\").strip() for line in lines)
    assert words.split() == ["reluopt", "bench", "thesis", *" ".join(options).split()]
    assert command_block("reluopt info") == "    reluopt info"


def test_numbers_keep_their_units():
    text = " ".join(["word " * 18 + "limit 100 s,", "word " * 17 + "of nearly 20 % of it"])
    lines = fill(text).splitlines()
    assert len(lines) == 3
    assert " ".join(lines) == " ".join(text.split())
    assert not any(line.startswith(("s,", "%")) for line in lines)
    assert max(map(len, lines)) <= WIDTH
