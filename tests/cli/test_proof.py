"""``reluopt attack --proof`` and ``reluopt verify-result`` on the command line."""

import pytest


def test_a_kept_proof_is_replayed(run, tmp_path):
    out = tmp_path / "run"
    attack = ("attack", "thesis", "--images", "test:2", "--engine", "bnb", "--proof")
    code, _, _ = run(*attack, "--out", out)
    assert code == 0
    assert [path.name for path in (out / "proofs").iterdir()] == ["test%3A2.safetensors"]
    code, shown, _ = run("verify-result", out, "--workers", "1")
    assert code == 0
    assert "bounds: 1 proof replayed" in shown
    assert "1 of 1 rows verified (1 OPTIMAL)" in shown
    code, _, message = run("verify-result", out, "--workers", "0")
    assert code == 2
    assert "--workers: expected at least 1, found 0" in message
    table = out / "results.csv"
    table.write_text(table.read_text().replace("OPTIMAL", "GLORIOUS"))
    code, shown, _ = run("verify-result", out)
    assert code == 1
    assert "test:2: there is no status GLORIOUS" in shown


def test_auto_keeps_proofs_where_it_takes_the_own_engine(run, tmp_path):
    out = tmp_path / "run"
    code, _, _ = run("attack", "thesis", "--images", "test:2", "--proof", "--out", out)
    assert code == 0
    assert [path.name for path in (out / "proofs").iterdir()] == ["test%3A2.safetensors"]
    code, shown, _ = run("verify-result", out)
    assert code == 0
    assert "bounds: 1 proof replayed" in shown


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--engine", "highs"), "found engine highs for L1"),
        (("--norm", "linf", "--engine", "gurobi"), "found engine gurobi for Linf"),
        (("--smooth", "0.1"), "found engine auto, which is scip here for L1"),
        (("--norm", "blend:0.5"), "found engine auto, which is bnb here for blend:0.5"),
        (("--norm", "blend:0.5", "--engine", "bnb"), "found engine bnb for blend:0.5"),
    ],
)
def test_other_proofs_are_refused_before_a_folder_is_made(run, tmp_path, arguments, found):
    out = tmp_path / "run"
    attack = ("attack", "thesis", "--images", "test:2", "--proof", "--out", out)
    code, _, message = run(*attack, *arguments)
    assert code == 2
    assert "--proof: expected an engine that keeps proofs (bnb, in L1, L2 and Linf)" in message
    assert found in message
    assert message.count("\n") == 1
    assert not out.exists()


def test_a_proof_needs_a_place(run):
    code, _, message = run("attack", "thesis", "--images", "test:2", "--proof")
    assert code == 2
    assert "--proof: expected --out" in message
