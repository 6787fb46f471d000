"""Networks of any inputs on the command line: tabular data, colours, two classes, one output."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network

CONV = "conv(2, 3, 2, 2) s2 / fc32-2"


@pytest.fixture
def table(tmp_path, make_network):
    """A folder with a network of tabular data and its box, and rows with labels."""
    plain = make_network((5, 8, 3), 1)
    box = (-1.0, 0.0, 0.0, -5.0, 2.0), (1.0, 4.0, 0.1, 5.0, 2.0)
    network = ReLUNetwork(plain.layers, NetworkMetadata("table", (5,), input_box=box))
    save_network(network, tmp_path / "net.safetensors")
    rows = np.random.default_rng(0).uniform(*box, size=(6, 5))
    labels = network.predict(rows)
    text = ["a,b,c,d,e,label", *(",".join(map(repr, [*row.tolist(), int(label)]))
            for row, label in zip(rows, labels, strict=True))]  # fmt: skip
    (tmp_path / "rows.csv").write_text("\n".join(text))
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path


def attack(run, place, *options):
    return run("attack", place / "net.safetensors", "--target", "any", *options)


def test_rows_of_a_table_are_attacked_resumed_and_verified(run, table):
    out, picture = table / "run", table / "changes.png"
    chosen = ("--images", f"{table / 'rows.csv'}:0-1,4", "--out", out)
    code, shown, err = attack(run, table, *chosen, "--figure", picture)
    assert code == 0, err
    assert "3 of 3 proven" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    record = json.loads((out / "run.json").read_text())
    assert record["instances"] == [f"{table / 'rows.csv'}:{row}" for row in (0, 1, 4)]
    assert record["settings"]["input_box"][1] == [1.0, 4.0, 0.1, 5.0, 2.0]
    code, _, err = attack(run, table, *chosen)
    assert "3 of 3 rows from earlier sessions" in err
    code, shown, err = run("verify-result", out)
    assert (code, "3 of 3 rows verified" in shown + err) == (0, True)
    code, _, err = attack(run, table, *chosen, "--box", "-9:9")
    assert code == 2
    assert "input_box" in err
    assert run("report", out)[0] == 0
    page = (out / "report.html").read_text()
    assert "inputs changed" in page
    assert "data:image/png" not in page


def test_tables_with_labels_are_evaluated(run, table):
    name = table / "net.safetensors"
    code, shown, _ = run("evaluate", name, "--images", table / "rows.csv")
    assert code == 0
    assert "accuracy 100.00 % on 6 images" in shown
    assert "on 2 images" in run("evaluate", name, "--images", f"{table / 'rows.csv'}:2,5")[1]
    code, _, err = run("evaluate", name, "--images", table / "rows.npy")
    assert code == 2
    assert "a column 'label'" in err


def test_an_answer_outside_the_recorded_box_is_found_out(run, table):
    out = table / "run"
    assert attack(run, table, "--images", table / "rows.csv", "--out", out)[0] == 0
    path = out / "run.json"
    record = json.loads(path.read_text())
    record["settings"]["input_box"][1] = [0.0, 2.0, 0.05, 0.0, 2.0]
    path.write_text(json.dumps(record))
    code, shown, err = run("verify-result", out)
    assert code != 0
    assert "box" in shown + err


def test_a_box_of_the_command_line_replaces_that_of_the_file(run, table):
    images = ("--images", table / "rows.npy")
    code, shown, _ = attack(run, table, *images, "--box", "-5:5", "--jsonl")
    wide = [json.loads(line)["distance"] for line in shown.splitlines()]
    assert code == 0
    code, shown, _ = attack(run, table, *images, "--jsonl")
    narrow = [json.loads(line)["distance"] for line in shown.splitlines()]
    assert len(wide) == len(narrow) == 6
    wide, narrow = (np.array(each, dtype=float) for each in (wide, narrow))
    narrow = np.where(np.isnan(narrow), np.inf, narrow)  # no answer in the box
    assert (wide <= narrow + 1e-9).all()
    assert (wide < narrow - 1e-6).any()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--images", "rows.csv:6"), "a table with rows 0 to 5"),
        (("--images", "rows.csv:1,1"), "each image once"),
        (("--images", "rows.csv", "--label", "0"), "files without labels"),
        (("--images", "rows.csv", "--box", "0:0.1"), "inside the box"),
        (("--images", "rows.csv", "--box", "1:0"), "--box: expected finite bounds"),
        (("--images", "rows.csv", "--box", "box.csv"), "box.csv"),
        (("--images", "rows.csv", "--input-shape", "5y"), "--input-shape: expected"),
        (("--images", "rows.csv", "--input-shape", "6"), "input_shape: expected a shape of 5"),
        (("--images", "rows.csv", "--architecture", "fc5-3"), "expected none"),
        (("--images", "x.png",), "PNG, whose pixels"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_line(run, table, monkeypatch, options, part):
    monkeypatch.chdir(table)
    code, _, err = run("attack", "net.safetensors", "--target", "any", *options)
    assert code == 2
    assert part in err
    assert err.count("\n") == 1


@pytest.fixture
def colours(tmp_path):
    """Weights of another tool for colour images of 8 x 8 pixels and two classes, and a picture."""
    random = np.random.default_rng(5)
    shapes = {"0.weight": (2, 3, 2, 2), "0.bias": (2,), "1.weight": (2, 32), "1.bias": (2,)}
    tensors = {name: random.normal(size=shape) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "net.safetensors")
    pixels = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "c.png")
    return tmp_path


def test_colour_pictures_and_two_classes(run, colours):
    out = colours / "run"
    told = ("--architecture", CONV, "--input-shape", "3x8x8")
    options = ("--images", colours / "c.png", "--figure", colours / "c.pdf", "--out", out)
    code, shown, err = attack(run, colours, *told, *options, "--norm", "l2")
    assert code == 0, err
    assert "1 of 1 proven, 1 checked" in shown
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["architecture"], settings["input_shape"]) == (CONV, [3, 8, 8])
    code, shown, err = run("verify-result", out)
    assert (code, "1 of 1 rows verified" in shown + err) == (0, True)
    assert run("report", out)[0] == 0
    assert "of 64" in (out / "report.html").read_text()  # pixels, whatever their colours
    code, _, err = attack(run, colours, "--images", colours / "c.png")
    assert code == 2
    code, shown, err = run("classify", colours / "net.safetensors", *told, *options[:2],
                           "--engine", "highs")  # fmt: skip
    assert code == 0, err
    assert "agree on 1 of 1" in shown
    code, _, err = attack(run, colours, *told, "--images", colours / "c.png", "--target", "+2")
    assert "a shift that changes the label among 2 classes" in err


def test_one_output_has_a_largest_value_and_no_classes(run, tmp_path, make_network):
    plain = make_network((3, 6, 1), 2)
    box = (-1.0, 0.0, 0.0), (1.0, 2.0, 3.0)
    network = ReLUNetwork(plain.layers, NetworkMetadata("cost", (3,), input_box=box))
    save_network(network, tmp_path / "net.safetensors")
    np.save(tmp_path / "x.npy", np.array([0.0, 1.0, 1.0]))
    name = tmp_path / "net.safetensors"
    code, shown, _ = run("ideal", name, "--jsonl", "--figure", tmp_path / "i.svg")
    best = json.loads(shown)["objective"]
    assert code == 0
    grid = np.stack(np.meshgrid(*map(np.linspace, *box, (9, 9, 9))), axis=-1).reshape(-1, 3)
    assert best >= network.forward(grid).max() - 1e-9
    code, shown, _ = run("classify", name, "--images", tmp_path / "x.npy", "--engine", "highs")
    assert code == 0
    for command in (("attack", name, "--images", tmp_path / "x.npy"),
                    ("evaluate", name, "--images", "test:0")):  # fmt: skip
        code, _, err = run(*command)
        assert code == 2
        assert err.count("\n") == 1
    assert "at least two classes" in run("attack", name, "--images", tmp_path / "x.npy")[2]
