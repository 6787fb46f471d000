"""``reluopt verify`` and ``robust-error``."""

import json

import pytest

from reluopt.cli import main


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_verify_prints_verdicts(capsys):
    code, out, _ = run(capsys, "verify", "thesis", "--images", "test:0-3", "--eps", "0.01")
    assert code == 0
    assert "ROBUST" in out
    assert "4 images" in out


def test_json_lines_hold_a_verdict_each(capsys):
    asked = ("verify", "thesis", "--images", "test:0-3", "--eps", "2", "--norm", "l1", "--jsonl")
    code, out, _ = run(capsys, *asked)
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["image"] for row in rows] == [f"test:{i}" for i in range(4)]
    assert {row["status"] for row in rows} <= {"ROBUST", "NOT_ROBUST"}


def test_proofs_are_kept_and_replayed(capsys, tmp_path):
    folder = str(tmp_path / "run")
    asked = (
        "verify",
        "thesis",
        "--images",
        "test:0-1",
        "--eps",
        "0.01",
        "--proof",
        "--out",
        folder,
    )
    assert run(capsys, *asked)[0] == 0
    code, out, _ = run(capsys, "verify-result", folder)
    assert code == 0
    assert "proof replayed" in out


def test_robust_error_ends_in_a_table_and_a_figure(capsys, tmp_path):
    figure = tmp_path / "error.png"
    asked = ("robust-error", "thesis", "--images", "test:0-7", "--eps", "0.01,0.03")
    code, out, _ = run(capsys, *asked, "--figure", str(figure))
    assert code == 0
    assert "at most" in out
    assert figure.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("robust-error", "thesis", "--images", "test:0", "--eps", "a,b"), "--eps"),
        (("verify", "thesis", "--images", "test:0", "--eps", "-1"), "--eps: expected"),
        (("verify", "thesis", "--images", "test:0", "--eps", "nan"), "--eps: expected"),
        (
            ("verify", "thesis", "--images", "test:0", "--eps", "1", "--norm", "blend:0.5"),
            "--norm:",
        ),
        (("verify", "thesis", "--images", "test:0", "--eps", "1", "--proof"), "--out"),
        (("verify", "thesis", "--images", "test:0", "--eps", "1", "--engine", "x"), "--engine"),
        (
            ("worst-case", "thesis", "--images", "test:0", "--eps", "1", "--target", "17"),
            "--target:",
        ),
        (("verify", "thesis", "--images", "test:0", "--eps", "1", "--time-limit", "0"), "--time-"),
        (("attack", "thesis", "--images", "test:0", "--smooth", "-1"), "--smooth: expected"),
        (("attack", "thesis", "--images", "test:0", "--method", "pgd", "--eps", "-1"), "--eps: e"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_proofs_are_refused_where_the_engine_keeps_none(capsys, tmp_path):
    out = tmp_path / "run"
    asked = ("verify", "thesis", "--images", "test:0", "--eps", "0.01", "--engine", "highs")
    code, _, err = run(capsys, *asked, "--proof", "--out", str(out))
    assert code == 2
    assert "--proof: expected an engine that keeps proofs" in err
    assert not out.exists()
