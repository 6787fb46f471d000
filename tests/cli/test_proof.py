"""``reluopt attack --proof`` and ``reluopt verify-result`` on the command line."""


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


def test_a_proof_needs_the_own_engine_and_a_place(run, tmp_path):
    attack = ("attack", "thesis", "--images", "test:2", "--proof")
    for arguments, found in (
        (("--engine", "highs", "--out", tmp_path / "run"), "found --engine highs"),
        (("--out", tmp_path / "run"), "found --engine auto"),
        (("--engine", "bnb"), "found no --out"),
    ):
        code, _, message = run(*attack, *arguments)
        assert code == 2
        assert "--proof: expected --engine bnb and --out" in message
        assert found in message
