"""``reluopt universal``: one change for several images, its folder, its picture, and refusals."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from reluopt.networks.saving import save_network
from reluopt.runs.verify import Evidence, verify_run

ASKED = ("universal", "thesis", "--images", "test:0-2", "--target", "3")


@pytest.fixture
def folder(run, tmp_path):
    """A finished run."""
    out = tmp_path / "run"
    assert run(*ASKED, "--engine", "bnb", "--proof", "--out", out)[0] == 0
    return out


def test_one_change_moves_all_images(run, tmp_path, thesis, test_images):
    out, picture = tmp_path / "run", tmp_path / "change.png"
    code, text, _ = run(*ASKED, "--norm", "l1", "--out", out, "--figure", picture)
    assert code == 0
    assert "OPTIMAL: distance 4.618, bound 4.618" in text
    for line in ("test:0  7 → 3        3  yes", "test:1  2 → 3        3  yes"):
        assert line in text
    assert picture.exists()
    ((key, change),) = load_file(out / "images" / "part-0000.safetensors").items()
    assert key == "test:0 + test:1 + test:2"
    images = np.stack([test_images.image(i).ravel() for i in range(3)]) + change.ravel()
    assert thesis.predict(images).tolist() == [3, 3, 3]
    row = pd.read_csv(out / "results.csv").loc[0]
    assert row.distance == pytest.approx(np.abs(change).sum())
    assert (row.labels, row.targets, row.answers) == ("7 2 1", "3 3 3", "3 3 3")
    logits = thesis.forward(images)
    lead = (logits[:, 3] - np.delete(logits, 3, axis=1).max(axis=1)).min()
    assert row.margin == pytest.approx(lead)


def test_folders_resume_and_are_of_their_images_alone(run, folder):
    asked = (*ASKED, "--engine", "bnb", "--proof", "--out", folder)
    code, out, err = run(*asked, "--jsonl")
    assert code == 0
    assert "1 of 1 rows from earlier sessions" in err
    assert json.loads(out)["status"] == "OPTIMAL"
    more = ("universal", "thesis", "--images", "test:0-3", *ASKED[4:])
    code, _, err = run(*more, "--engine", "bnb", "--proof", "--out", folder)
    assert code == 2
    assert "holds results with images" in err


def test_honest_folders_pass(run, folder):
    (row,) = verify_run(folder)
    assert row.failures == ()
    assert row.evidence is Evidence.REPLAYED
    code, out, _ = run("verify-result", folder)
    assert code == 0
    assert "1 of 1 rows verified (1 OPTIMAL)" in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": 1.0}, "objective is"),
        ({"answers": "3 3 1"}, "answers is 3 3 3, not 3 3 1"),
        ({"original_answers": "7 2 2"}, "original_answers is 7 2 1"),
        ({"targets": "3 3 4"}, "target 3 3 4 was not asked for"),
        ({"labels": "7 2 8"}, "labels is 7 2 1"),
        ({"images_sha256": "0" * 64}, "images_sha256 is"),
        ({"image": "test:0"}, "image is test:0 + test:1 + test:2, not test:0"),
        ({"margin": 5.0}, "margin is"),
        ({"certified": False}, "denies"),
        ({"bound": 0.5}, "OPTIMAL is claimed with a gap"),
        ({"bound": 5.5, "gap": 0.0}, "the bound exceeds the objective"),
        ({"status": "INFEASIBLE"}, "certified answer is claimed with status INFEASIBLE"),
    ],
)
def test_lies_are_found(folder, changes, message):
    path = folder / "results.csv"
    table = pd.read_csv(path, dtype=object)
    for name, value in changes.items():
        table.loc[0, name] = value
    table.to_csv(path, index=False)
    row = next(iter(verify_run(folder)))
    assert any(message in failure for failure in row.failures), row.failures


def test_a_change_that_misses_one_image_is_found(folder):
    path = folder / "images" / "part-0000.safetensors"
    ((key, change),) = load_file(path).items()
    save_file({key: 0.5 * change}, path)
    (row,) = verify_run(folder)
    assert any("the network answers" in failure for failure in row.failures)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": ["test:0", "test:1"], "labels": [7, 2]}, "labels is 7 2"),
        ({"labels": [7]}, "settings: labels: expected one each, found 1 for 3 images"),
        ({"labels": ["a"]}, "labels: expected a list of whole numbers"),
        ({"images": ["test:0-2"], "labels": [7]}, "expected images that are there"),
    ],
)
def test_settings_are_no_place_for_lies(run, folder, settings, message):
    record = json.loads((folder / "run.json").read_text())
    record["settings"] |= settings
    (folder / "run.json").write_text(json.dumps(record))
    code, out, err = run("verify-result", folder)
    assert code in (1, 2)
    assert message in out + err


def test_inputs_that_are_no_pictures_are_drawn_as_features(run, tmp_path, make_network):
    network = make_network((3, 6, 3), 4)
    save_network(network, tmp_path / "net.safetensors")
    np.save(tmp_path / "rows.npy", np.array([[0.2, 0.4, 0.6], [0.5, 0.5, 0.4]]))
    asked = ("universal", tmp_path / "net.safetensors", "--images", tmp_path / "rows.npy")
    out, figure = tmp_path / "run", tmp_path / "change.png"
    code, text, err = run(*asked, "--target", "any", "--out", out, "--figure", figure)
    assert code == 0, err
    assert "OPTIMAL" in text
    assert figure.exists()
    assert run("verify-result", out)[0] == 0


def test_reports_say_that_there_is_no_original(run, folder):
    assert run("report", folder)[0] == 0
    assert "a change of several images" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--target", "any"), "--target: expected at most 500 combinations over the 3 images"),
        (("--target", "17"), "target"),
        (("--norm", "l3"), "l3"),
        (("--proof",), "--proof: expected --out"),
        (("--images", "test:0"), "expected each image once"),
        (("--engine", "cplex"), "--engine: expected one of"),
        (("--time-limit", "-1"), "time"),
        (("--figure", "change.xyz"), "change.xyz"),
    ],
)
def test_bad_options_are_one_line(run, change, message):
    code, out, err = run(*ASKED, *change)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
