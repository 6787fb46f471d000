"""``reluopt attack --method`` as a user meets it."""

import json
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from reluopt.attacks.methods import METHODS
from reluopt.cli.ball_attack import BallAttackOptions

FEW = ("attack", "thesis", "--images", "test:0-59")


def test_it_says_what_was_attacked_and_what_is_left(run):
    code, out, _ = run(*FEW, "--method", "pgd", "--eps", "0.03", "--steps", 10, "--restarts", 2)
    assert code == 0
    first, second, third = out.splitlines()
    assert first.startswith("thesis: pgd (steps 10, restarts 2, seed 0) within 0.03 in the Linf")
    assert "pixels stay in [0, 1], the true label is attacked, a tie counts as fooled" in first
    assert "accuracy 95.00 % clean" in second
    assert "on 60 images" in second
    assert third.startswith("seconds an image: ")


def test_convention_of_published_attacks(run):
    code, out, _ = run(
        *FEW, "--method", "fgsm", "--eps", 0.05, "--no-clip", "--attacked", "predicted", "--float32"
    )
    assert code == 0
    assert "pixels may leave [0, 1], the predicted label is attacked" in out
    assert "loss in float32" in out


def test_jsonl_and_folders(run, tmp_path):
    common = (*FEW, "--method", "fgsm", "--eps", "1.5", "--norm", "l2", "--out", tmp_path / "run")
    code, out, err = run(*common, "--jsonl")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["image"] for row in rows] == [f"test:{i}" for i in range(60)]
    assert {(row["norm"], row["eps"], row["clip"]) for row in rows} == {("l2", 1.5, True)}
    assert all(row["certified"] == (row["lead"] <= 0.0) for row in rows)
    assert "accuracy" in err
    assert len(pd.read_csv(tmp_path / "run" / "results.csv")) == 60
    assert "(60 of 60 rows from earlier sessions)" in run(*common)[2]
    code, _, err = run(*common, "--no-clip")
    assert code == 2
    assert "choose another folder" in err


def test_lippa_on_an_image_file(run, tmp_path, test_images):
    np.save(tmp_path / "seven.npy", test_images.image(0))
    code, out, _ = run(
        "attack", "thesis", "--images", tmp_path / "seven.npy", "--label", 7, "--method", "lippa",
        "--eps", 0.1, "--regions", 3, "--time-limit", 30,
    )  # fmt: skip
    assert code == 0
    assert "lippa (steps 50, step_size 0.00195312, regions 3, time_limit 30)" in out
    assert "100.00 % clean, 0.00 % attacked, on 1 images" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "cw", "--eps", 1], "method: expected one of fgsm, bim, pgd, lippa"),
        (["--method", "pgd"], "--eps: expected the radius of the ball"),
        (["--eps", "0.1"], "--eps: expected with --method"),
        (["--no-clip"], "--clip: expected with --method"),
        (["--method", "fgsm", "--eps", 1, "--target", "3"], "--target: expected without --method"),
        (["--method", "fgsm", "--eps", 1, "--engine", "bnb"], "--engine: expected without"),
        (["--method", "fgsm", "--eps", 1, "--steps", 3], "method fgsm: expected no settings"),
        (["--method", "pgd", "--eps", 1, "--time-limit", 3], "found time_limit"),
        (["--method", "fgsm", "--eps", 1, "--attacked", "both"], "--attacked: expected true or"),
        (["--method", "fgsm", "--eps", 1, "--norm", "blend:0.5"], "norm: expected l1, l2, linf"),
        (["--method", "fgsm", "--eps", -1], "eps: expected a finite radius >= 0, found -1.0"),
    ],
)
def test_errors_are_one_line_and_exit_2(run, arguments, message):
    code, out, err = run(*FEW, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_every_setting_of_a_method_is_an_option():
    options = {each.name for each in fields(BallAttackOptions)} | {"seed", "time_limit"}
    for name in METHODS.names:
        assert {each.name for each in fields(METHODS.load(name))} <= options
