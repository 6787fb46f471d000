"""``reluopt experiment`` and ``reluopt reproduce`` as a user meets them."""

import json

import pytest

from reluopt.studies import STUDIES
from reluopt.studies.base import Study


def test_reproduce_prints_an_overview(run, tmp_path):
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    common = ("reproduce", "--only", "digits", "--only", "labels", "--runs", runs)
    code, out, err = run(*common, "--figures", figures, "--limit", 1)
    assert code == 0
    for word in ("study", "images", "result", "seconds", "labels", "1 digits"):
        assert word in out
    assert f"rows, figures and tables of each study: {runs}" in out
    assert "reduced numbers of images, not published: digits, labels; --full takes all" in out
    assert "1 of 2: digits, one random digit of each class (Figure 1) ..." in err
    assert not figures.exists()
    assert set(json.loads((runs / "reproduce.json").read_text())["seconds"]) == {"digits", "labels"}


def test_a_failed_study_is_named_and_ends_in_exit_code_1(run, tmp_path):
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    assert run("experiment", "labels", "--limit", 1, "--runs", runs)[0] == 0
    command = ("reproduce", "--only", "digits", "--only", "labels", "--seed", 1, "--runs", runs)
    code, out, _ = run(*command, "--figures", figures)
    assert code == 1
    failure = next(line for line in out.splitlines() if line.startswith("failed: labels: "))
    assert "holds results with seed = 0" in failure
    assert (figures / "digits.png").exists()  # the others were done all the same
    assert f"published: {figures}" in out


@pytest.mark.parametrize("command", [("experiment", "digits"), ("reproduce", "--only", "digits")])
def test_ctrl_c_says_where_the_finished_rows_are(run, tmp_path, monkeypatch, command):
    def stop(context):
        raise KeyboardInterrupt

    study = Study("digits", stop)
    monkeypatch.setattr("reluopt.cli.study_commands.load_study", lambda name: study)
    monkeypatch.setattr("reluopt.studies.reproduce.load_study", lambda name: study)
    code, _, err = run(*command, "--runs", tmp_path / "runs")
    assert code == 130
    assert f"finished rows are in {tmp_path / 'runs'}, the same command resumes" in err


def test_an_experiment_says_what_came_out_and_where(run, tmp_path):
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    code, out, err = run("experiment", "digits", "--runs", runs, "--figures", figures)
    assert code == 0
    assert out.startswith("10 digits, one of each class, 10 of them classified correctly")
    assert f"wrote {runs / 'digits' / 'digits.png'}" in err
    assert f"published {figures / 'data' / 'digits.csv'}" in err
    assert "on two cores" not in err
    code, _, err = run("experiment", "digits", "--runs", runs, "--figures", figures, "--limit", 3)
    assert code == 0
    assert "these are few images; --full takes all of them" in err
    assert "published" not in err


@pytest.mark.parametrize("command", [("experiment", "digits"), ("reproduce", "--only", "digits")])
def test_all_images_say_beforehand_how_long_they_take(run, tmp_path, monkeypatch, command):
    def stop(context):
        raise KeyboardInterrupt

    study = Study("digits", stop, minutes=70.0)
    monkeypatch.setattr("reluopt.cli.study_commands.load_study", lambda name: study)
    monkeypatch.setattr("reluopt.studies.reproduce.load_study", lambda name: study)
    runs = tmp_path / "runs"
    _, _, err = run(*command, "--full", "--runs", runs)
    assert f"all images: about 1 h 10 min on two cores, less what lies in {runs}" in err
    assert "on two cores" not in run(*command, "--runs", runs)[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "--only", "figure-1"], f"--only: expected one of {', '.join(STUDIES)}"),
        (["reproduce", "--only", "digits", "--workers", "0"], "workers: expected at least 1"),
        (["reproduce", "--only", "digits", "--seed", "-1"], "seed: expected 0 to"),
        (["reproduce", "--limit", "0"], "--limit"),
        (["experiment", "figure-1"], "No such command 'figure-1'. Expected digits, "),
        (["experiment", "digits", "--network", "adm"], "--network: expected none, because digits"),
        (["reproduce", "--only", "digits", "--network", "adm"], "--network: expected none"),
        (["experiment", "adversarial", "--workers", "1", "--scheduler", "tcp://x"], "--workers"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
