"""``reluopt finetune``: a network that is written, and what is refused."""

import pytest

from reluopt.networks.loading import load_network


def test_it_writes_a_network_and_says_what_came_of_it(run, tmp_path):
    out = tmp_path / "tuned.safetensors"
    asked = ["finetune", "thesis-96", "--out", str(out), "--images", "train:0-199"]
    code, shown, _ = run(*asked, "--iterations", "2")
    assert code == 0
    assert "the worst of 10 images is missed by" in " ".join(shown.split())
    tuned = load_network(out)
    assert tuned.sizes == (784, 32, 16, 10)
    code, _, error = run(*asked)
    assert code == 2
    assert "expected a new file" in error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["thesis-96", "--points", "7"], "points: expected a multiple of 10, found 7"),
        (["thesis-96", "--eps", "-1"], "eps: expected a finite radius >= 0, found -1.0"),
        (["thesis-96", "--margin", "nan"], "--margin: expected a finite number >= 0, found nan"),
        (["thesis-96", "--omega", "2"], "--omega: expected less than or equal to 1, found '2'"),
        (["adm"], "expected dense layers and convolutions, found chain"),
    ],
)
def test_what_does_not_fit_is_one_line(run, tmp_path, options, words):
    where = ["--out", str(tmp_path / "x.safetensors"), "--images", "train:0-59"]
    code, _, error = run("finetune", *options, *where, "--iterations", "1")
    assert code == 2
    assert words in " ".join(error.split())
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("place", ["missing/x.safetensors", "."])
def test_a_place_that_cannot_be_is_refused_before_anything_is_solved(run, tmp_path, place):
    code, _, error = run("finetune", "thesis-96", "--out", str(tmp_path / place), "--force")
    assert code == 2
    assert "expected a file in a folder that exists" in " ".join(error.split())
