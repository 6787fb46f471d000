"""Rows on the command line: odd names and margins, lost and doubled rows, refused combinations."""

from dataclasses import replace

import pytest

from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network

IMAGES = ("--images", "test:2,4,18")


@pytest.fixture
def odd(thesis, tmp_path):
    """The network of the thesis under a name that looks like a number."""
    metadata = replace(thesis.metadata, name="007")
    path = tmp_path / "007.safetensors"
    save_network(ReLUNetwork(thesis.layers, metadata), path)
    return path


def test_odd_names_and_margins_pass_from_shards_to_verification(run, odd, tmp_path):
    attack = ("attack", odd, *IMAGES, "--margin", "+0.1")
    shards = [tmp_path / f"shard-{number}" for number in (1, 2)]
    for number, shard in enumerate(shards, start=1):
        assert run(*attack, "--shard", f"{number}/2", "--out", shard)[0] == 0
        assert run("verify-result", shard)[0] == 0
    whole = tmp_path / "whole"
    code, _, told = run("merge", shards[0], "--out", whole)
    assert code == 1
    assert "shards that were not merged: 2/2" in told
    assert run("merge", *shards, "--out", whole)[0] == 0
    code, shown, _ = run("verify-result", whole)
    assert code == 0
    assert "3 of 3 rows verified (3 OPTIMAL)" in shown
    table = whole / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0], *lines[2:]]))
    code, shown, _ = run("verify-result", whole)
    assert code == 1
    assert "test:2: no row: it was in the finished run" in shown
    assert "2 of 3 rows verified (2 OPTIMAL, 1 MISSING)" in shown
    code, shown, told = run(*attack, "--out", whole)
    assert code == 0
    assert "has lost rows, which are computed again: test:2" in told
    assert "2 of 3 rows from earlier sessions" in told
    assert run("verify-result", whole)[0] == 0
    (whole / "images" / "part-0000.safetensors").unlink()
    code, shown, told = run(*attack, "--out", whole)
    assert code == 0
    assert "3 of 3 rows have lost their answer and are computed again" in told
    assert run("verify-result", whole)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("attack", "--norm", "blend:0.5", "--engine", "bnb", "--proof"),
            "--proof: expected an engine that keeps proofs",
        ),
        (("attack", "--norm", "l2", "--engine", "highs"), "cannot solve L2 problems"),
        (("attack", "--engine", "bnb", "--formulation", "bigm"), "expected no formulation"),
        (("classify", "--engine", "bnb"), "cannot solve logit problems"),
        (("ideal", "--engine", "bnb"), "cannot solve logit problems"),
    ],
)
def test_what_cannot_work_leaves_nothing_behind(run, tmp_path, arguments, message):
    command, *rest = arguments
    images = () if command == "ideal" else IMAGES
    code, _, told = run(command, "thesis", *images, *rest, "--out", tmp_path / "run")
    assert code == 2
    assert message in told
    assert not (tmp_path / "run").exists()


def test_a_name_with_a_line_break_is_no_key(run, tmp_path, odd):
    code, _, told = run("attack", odd, "--images", f"{tmp_path}/a\nb.npy", "--label", "1")
    assert code == 2
    assert told.count("\n") == 1


def test_a_terminal_obeys_no_row(run, odd, tmp_path):
    out = tmp_path / "run"
    assert run("attack", odd, "--images", "test:2", "--out", out)[0] == 0
    table = out / "results.csv"
    table.write_text(table.read_text().replace("OPTIMAL", "\x1b[31m[red]SUPERB"))
    code, shown, _ = run("verify-result", out)
    assert code == 1
    assert r"there is no status \x1b[31m[red]SUPERB" in shown
    assert "\x1b" not in shown
