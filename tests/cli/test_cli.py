"""The command line as a user meets it: output, exit codes, resuming, errors."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network


def _reluopt(*arguments, **options):
    command = [sys.executable, "-m", "reluopt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


REQUIRED = {
    "image", "label", "target", "norm", "engine", "formulation", "bounds", "status", "objective",
    "bound", "gap", "seconds", "nodes", "predicted", "margin", "certified",
}  # fmt: skip


def test_info_lists_engines_and_networks(run):
    code, out, _ = run("info")
    assert code == 0
    for word in ("highs", "gurobi", "scip", "784-32-16-10", "93.32 %"):
        assert word in out


def test_attack_jsonl_has_one_object_an_image(run):
    code, out, _ = run("attack", "thesis", "--images", "test:0-1", "--engine", "gurobi", "--jsonl")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["image"] for row in rows] == ["test:0", "test:1"]
    for row in rows:
        assert set(row) >= REQUIRED
        assert row["status"] == "OPTIMAL"
        assert row["certified"] is True
        assert row["predicted"] == row["target"] == (row["label"] + 5) % 10
        assert row["bound"] <= row["objective"] * (1 + 1e-9)
        assert row["margin"] > 0


def test_attack_writes_resumes_and_refuses_other_settings(run, tmp_path):
    out_dir = tmp_path / "run"
    common = ("attack", "thesis", "--engine", "gurobi", "--out", out_dir)
    code, out, _ = run(*common, "--images", "test:0")
    assert code == 0
    assert "1 of 1 proven, 1 checked adversarial" in out
    first = (out_dir / "results.csv").read_text()
    code, _, err = run(*common, "--images", "test:0-1")
    assert code == 0
    assert "(1 of 2 rows from earlier sessions)" in err
    both = (out_dir / "results.csv").read_text()
    assert both.startswith(first)  # the first row was kept, not computed again
    frame = pd.read_csv(out_dir / "results.csv")
    assert list(frame["image"]) == ["test:0", "test:1"]
    tensors = load_file(out_dir / "images" / "part-0000.safetensors")
    assert tensors["test:1"].shape == (28, 28)
    record = json.loads((out_dir / "run.json").read_text())
    assert {"settings", "machine", "versions", "command"} <= set(record)
    code, _, err = run(*common, "--images", "test:0", "--norm", "l2")
    assert code == 2
    assert "choose another folder" in err
    assert (out_dir / "results.csv").read_text() == both


def test_attack_on_image_files_draws_a_figure(run, tmp_path, test_images):
    png, npy = tmp_path / "seven.png", tmp_path / "two.npy"
    Image.fromarray(test_images.pixels[0]).save(png)
    np.save(npy, test_images.image(1))
    figure = tmp_path / "figure.png"
    code, out, _ = run(
        "attack", "thesis", "--images", png, "--images", npy, "--target", "runner-up",
        "--engine", "gurobi", "--figure", figure, "--jsonl",
    )  # fmt: skip
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["label"] for row in rows] == [7, 2]  # what the network answers
    assert figure.stat().st_size > 10_000


def test_classify_and_ideal(run, tmp_path):
    code, out, _ = run("classify", "thesis", "--images", "test:0-4", "--formulation", "thesis")
    assert code == 0
    assert "agree on 5 of 5 images" in out
    assert "958 variables" in out
    figure = tmp_path / "ideal.pdf"
    code, out, _ = run(
        "ideal", "thesis", "--label", "0,3", "--gap", "0.5", "--figure", figure, "--jsonl"
    )
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["label"] for row in rows] == [0, 3]
    assert all(row["certified"] and row["bound"] >= row["objective"] - 1e-6 for row in rows)
    assert figure.read_bytes().startswith(b"%PDF")


def test_evaluate(run, tmp_path):
    figure = tmp_path / "confusion.png"
    code, out, _ = run("evaluate", "thesis", "--figure", figure)
    assert code == 0
    assert "accuracy 93.32 % on 10000 images" in out
    assert figure.exists()


def test_train(run, tmp_path):
    weights = tmp_path / "small.safetensors"
    command = ("train", "--out", weights, "--hidden", "8", "--images", "500")
    code, out, _ = run(*command)
    assert code == 0
    assert "784-8-10" in out
    before = weights.read_bytes()
    code, _, err = run(*command)
    assert code == 2
    assert "--force" in err
    assert weights.read_bytes() == before
    assert run("evaluate", weights, "--images", "test:0-99")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attack", "nowhere", "--images", "test:0"], "nowhere"),
        (["attack", "thesis", "--images", "test:10000"], "from 0 to 9999"),
        (["attack", "thesis", "--images", "valid:0"], "train: or test:"),
        (["attack", "thesis", "--images", "test:0", "--target", "12"], "label from 0 to 9"),
        (["attack", "thesis", "--images", "test:0", "--target", "seven"], "target: expected"),
        (["attack", "thesis", "--images", "test:0", "--margin", "1.2"], "margin: expected x1.2"),
        (["attack", "thesis", "--images", "test:0", "--engine", "cplex"], "--engine: expected"),
        (["attack", "thesis", "--images", "test:0", "--bounds", "tight"], "--bounds: expected"),
        (["attack", "thesis", "--images", "test:0", "--formulation", "x"], "--formulation"),
        (["attack", "thesis", "--images", "test:0", "--time-limit", "0"], "--time-limit"),
        (["attack", "thesis", "--images", "test:0", "--threads", "0"], "threads"),
        (["attack", "thesis", "--images", "test:0", "--norm", "l3"], "l3"),
        (
            ["attack", "thesis", "--images", "test:0", "--figure", "a.gif"],
            "figure: expected a name",
        ),
        (["attack", "thesis"], "--images"),
        (["attack", "thesis", "--images", "test:0", "--shard", "2/1"], "expected i/n"),
        (["attack", "thesis", "--images", "test:0", "--limit", "0"], "--limit: expected"),
        (["attack", "thesis", "--images", "test:0", "--workers", "0"], "workers: expected"),
        (
            [
                "attack",
                "thesis",
                "--images",
                "test:0",
                "--workers",
                "1",
                "--scheduler",
                "tcp://x:1",
            ],
            "found both",
        ),
        (["attack", "thesis", "--images", "missing.png"], "missing.png"),
        (
            ["attack", "thesis", "--images", "test:0", "--engine", "highs", "--norm", "l2"],
            "engines that can",
        ),
        (["ideal", "thesis", "--label", "ten"], "--label"),
        (["train", "--out", "x.safetensors", "--hidden", "a"], "--hidden"),
        (["train", "--out", "x.safetensors", "--hidden", "0"], "hidden sizes: expected"),
        (["train", "--out", "x.safetensors", "--recipe", "x"], "recipe: expected"),
        (["attack", "thesis", "--images", "test:0", "--gap", "1"], "gap from 0 to below 1"),
        (["conquer"], "conquer"),
    ],
)
def test_errors_are_one_line_and_exit_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_ctrl_c_keeps_finished_rows(tmp_path):
    out_dir = tmp_path / "run"
    _reluopt("attack", "thesis", "--images", "test:0", "--engine", "highs")  # compiles, if it must
    process = subprocess.Popen(
        [sys.executable, "-m", "reluopt", "attack", "thesis", "--images", "test:0-999",
         "--engine", "highs", "--out", str(out_dir)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    table = out_dir / "results.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if table.exists() and table.read_text().count("\n") >= 3:
            break
        time.sleep(0.1)
    assert table.exists()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resumes" in err
    assert "Traceback" not in err
    assert len(pd.read_csv(table)) >= 2


def test_a_full_disk_or_a_wrong_place_is_one_line(run):
    code, _, err = run("attack", "thesis", "--images", "test:0", "--out", "/proc/nowhere")
    assert code == 2
    assert err.startswith("error: ")
    assert "/proc" in err
    assert "Traceback" not in err
    assert run("attack", "thesis", "--images", "test:0", "--figure", "/proc/x.png")[0] == 2


def test_settings_that_an_engine_does_not_take_are_refused(run):
    code, _, err = run(
        "attack", "thesis", "--images", "test:0", "--engine", "bnb", "--formulation", "thesis"
    )
    assert code == 2
    assert "engine bnb" in err


@pytest.mark.parametrize("given", [["--eps", "abc"], ["--eps=abc"], ["--eps", "0.1", "--eps=abc"]])
def test_values_that_are_no_numbers_are_told_in_one_line(run, given):
    code, _, err = run("verify", "thesis", "--images", "test:0", *given)
    assert code == 2
    assert err == "error: --eps: expected a valid number, found 'abc'\n"


def test_the_module_runs_and_prints_help():
    done = _reluopt("--help")
    assert done.returncode == 0
    assert "attack" in done.stdout


def test_attack_in_workers_and_shards(run, tmp_path):
    common = ("attack", "thesis", "--images", "test:0-9", "--engine", "gurobi", "--limit", "3")
    rows = {}
    for part in ("1/2", "2/2"):
        code, out, _ = run(*common, "--shard", part, "--workers", "2", "--jsonl")
        assert code == 0
        rows |= {row["image"]: row for row in map(json.loads, out.splitlines())}
    code, out, _ = run(*common, "--out", tmp_path / "run", "--jsonl")
    assert code == 0
    whole = {row["image"]: row for row in map(json.loads, out.splitlines())}
    assert set(whole) == {"test:0", "test:1", "test:2"} == set(rows)
    assert all(rows[key]["objective"] == whole[key]["objective"] for key in whole)


def test_failed_instances_can_be_run_again(run, tmp_path):
    command = ("attack", "thesis", "--images", "test:2,4", "--engine", "gurobi")
    command += ("--out", tmp_path / "run")
    assert run(*command)[0] == 0
    table = tmp_path / "run" / "results.csv"
    frame = pd.read_csv(table, dtype=object)
    frame.loc[0, ["status", "certified", "objective"]] = ["CRASHED", "False", ""]
    frame.to_csv(table, index=False)
    assert "1 of 2 proven" in run(*command)[1]
    assert "2 of 2 proven" in run(*command, "--retry-failed")[1]
    assert sorted(pd.read_csv(table)["image"]) == ["test:2", "test:4"]


def test_other_images_under_the_same_name_are_refused(run, tmp_path, test_images):
    image, out_dir = tmp_path / "image.npy", tmp_path / "run"
    command = ("attack", "thesis", "--images", image, "--label", "4", "--engine", "gurobi")
    np.save(image, test_images.image(4))
    assert run(*command, "--out", out_dir)[0] == 0
    np.save(image, test_images.image(6))
    code, _, err = run(*command, "--out", out_dir)
    assert code == 2
    assert "image_sha256" in err
    assert err.count("\n") == 1


def test_another_true_label_of_the_same_file_is_refused(run, tmp_path, test_images):
    image = tmp_path / "image.npy"
    np.save(image, test_images.image(4))
    command = ("attack", "thesis", "--images", image, "--engine", "bnb", "--target", "any")
    command += ("--out", tmp_path / "run", "--label")
    assert run(*command, "4")[0] == 0
    assert run(*command, "4")[0] == 0
    code, _, err = run(*command, "9")
    assert code == 2
    assert "expected label of" in err
    assert err.count("\n") == 1


# ---- what a file does not say --------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path):
    """Weights of another tool, which do not say what stands between their layers."""
    rng = np.random.default_rng(0)
    tensors = {}
    for i, (inputs, outputs) in enumerate([(784, 6), (6, 10)]):
        tensors[f"fc{i}.weight"] = rng.normal(size=(outputs, inputs)).astype(np.float32)
        tensors[f"fc{i}.bias"] = np.zeros(outputs, np.float32)
    save_file(tensors, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


ASSUMED = (
    "assumed: ReLU between the layers of {} (the file does not say); --activation relu confirms"
)


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--images", "test:0-9"),
        ("attack", "--images", "test:0-1", "--engine", "gurobi", "--target", "runner-up"),
        ("classify", "--images", "test:0-1", "--engine", "gurobi"),
        ("ideal", "--label", "3", "--engine", "gurobi", "--gap", "0.9"),
        ("profile", "--image", "test:0", "--repeats", "2", "--target", "runner-up"),
        ("bench", "--images", "test:0", "--method", "gurobi", "--target", "runner-up"),
    ],
    ids=lambda command: command[0],
)
def test_an_assumed_activation_is_told_once_and_can_be_confirmed(run, tmp_path, foreign, command):
    name, *options = command
    if name == "bench":
        options += ["--out", tmp_path / "bench"]
    code, _, err = run(name, foreign, *options)
    assert code == 0
    assert err.count(ASSUMED.format(foreign)) == err.count("assumed: ") == 1
    code, _, err = run(name, foreign, *options, "--activation", "relu")
    assert code == 0
    assert "assumed: " not in err
    code, _, err = run(name, foreign, *options, "--activation", "leaky_relu")
    assert code == 2
    assert err.startswith("error: --activation: expected 'relu'")
    assert err.count("\n") == 1


def test_runs_record_how_the_activation_is_known(run, tmp_path, foreign):
    command = ("attack", foreign, "--images", "test:0-1", "--engine", "gurobi")
    command += ("--target", "runner-up", "--out", tmp_path / "run")
    assert run(*command, "--limit", "1")[0] == 0
    code, out, _ = run(*command, "--activation", "relu")
    assert code == 0
    assert "2 of 2 proven" in out
    sessions = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]
    assert [s["activation"] for s in sessions] == ["relu (assumed)", "relu (confirmed)"]
    code, _, err = run("verify-result", tmp_path / "run")
    assert code == 0
    assert err.count(ASSUMED.format(foreign)) == 1
    code, _, err = run("verify-result", tmp_path / "run", "--activation", "relu")
    assert code == 0
    assert "assumed" not in err


def test_a_label_for_images_that_have_one_is_refused(run):
    code, _, err = run("attack", "thesis", "--images", "test:0", "--label", "77")
    assert code == 2
    assert err == (
        "error: --label: expected for image files only, found 77 for test:0, whose labels are "
        "known\n"
    )


def test_names_in_a_file_reach_the_terminal_harmlessly(run, tmp_path):
    layer = Dense(np.ones((10, 784)), np.zeros(10))
    names = ("[/]", "\x1b[2J", *"23456789")
    metadata = NetworkMetadata("[/red]\x1b[31mred\u202e", (28, 28), names)
    save_network(ReLUNetwork((layer,), metadata), tmp_path / "net.safetensors")
    code, out, err = run("evaluate", tmp_path / "net.safetensors", "--images", "test:0-9")
    assert code == 0
    assert r"[/red]\x1b[31mred\u202e" in out
    assert "\x1b" not in out + err


def test_a_file_of_another_format_is_named(run, tmp_path):
    path = tmp_path / "net.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    code, _, err = run("evaluate", path)
    assert code == 2
    assert f"error: {path}: expected a safetensors file, found an HDF5 file" in err
    assert err.count("\n") == 1
