"""Reports say what the runs hold, in every format, and never more than that."""

import base64
import io
import json
import math
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from reluopt.cli import main
from reluopt.errors import InputError
from reluopt.questions.problems import Norm
from reluopt.report import load_runs, render_report, write_report
from reluopt.report.charts import _measured, charts
from reluopt.report.kinds import KINDS
from reluopt.report.pictures import change_png, change_scale, picture_png
from reluopt.report.runs import Entry, natural
from reluopt.report.tables import (
    contradictions,
    instance_table,
    latex,
    markdown,
    ratio_table,
    summary_table,
)
from reluopt.runs.row import AttackRow


def _pixels(uri):
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_the_page_holds_the_rows_and_the_images(real, entries_of):
    (run,) = load_runs([real / "l1"])
    page = render_report([run])
    entries = entries_of(page)
    assert [entry["key"] for entry in entries] == [row["image"] for row in run.rows]
    for number, entry in enumerate(entries):
        original = np.load(entry["key"])
        np.testing.assert_array_equal(_pixels(entry["original"]), np.rint(original * 255))
        answer = run.answers[number]
        np.testing.assert_array_equal(_pixels(entry["adversarial"]), np.rint(answer * 255))
        difference = _pixels(entry["difference"])
        changed = np.abs(answer - original) > 0.5 / 255
        np.testing.assert_array_equal(difference[..., 3] > 0, changed)
        brighter = difference[..., 0] > difference[..., 2]
        np.testing.assert_array_equal(brighter[changed], (answer > original)[changed])
        assert ["pixels changed", f"{int((np.abs(answer - original) > 1e-6).sum())} of 6"] in (
            entry["numbers"]
        )
        assert entry["status"] in page
    assert run.settings["network_sha256"] in page
    assert "&lt;b&gt;small&lt;/b&gt;" in page
    assert "<b>small" not in page
    assert not re.search(r'(src|href)\s*=\s*"(?!#|data:)', page)
    assert "http" not in page.replace("http-equiv", "")


def test_pictures():
    assert _pixels(picture_png(np.linspace(0, 1, 4).reshape(2, 2))).tolist() == [
        [0, 85],
        [170, 255],
    ]
    assert _pixels(picture_png(np.zeros((1, 3)))).shape == (1, 3)
    original, answer = np.full((1, 4), 0.5), np.array([[0.5, 1.0, 0.25, 0.5001]])
    opacity = _pixels(change_png(original, answer, 0.5))[0, :, 3]
    assert opacity.tolist() == [0, 255, 140, 0]
    assert change_scale([answer - original]) == 0.5
    assert change_scale([np.array([0.31, -0.42])]) == 0.5
    assert change_scale([]) == change_scale([np.zeros(2)]) == 1.0


def test_tables_of_one_run(real):
    (run,) = load_runs([real / "l1"])
    text = render_report([run], "md")
    assert "## Summary" in text
    assert "| l1 | 3 | 3 |" in text
    assert text.count("OPTIMAL") + text.count("INFEASIBLE") == 3
    distance = next(row["distance"] for row in run.rows if row["certified"])
    assert f"{distance:.4g}" in text
    assert "≥" not in text
    assert ratio_table([run]) is None


def test_latex_is_escaped_and_compiles_in_shape(real):
    (run,) = load_runs([real / "l1"])
    run.rows[0]["image"] = "100%_{x}&y"
    text = render_report([run], "latex")
    assert r"100\%\_\{x\}\&y" in text
    for rule in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\begin{longtable}",
        r"\end{longtable}",
    ):
        assert text.count(rule) == 2
    table = instance_table([run])
    line = next(line for line in latex(table).splitlines() if line.startswith("100"))
    assert line.count(" & ") == len(table.columns) - 1
    assert text.isascii()


def test_markdown_cells_cannot_break_the_table(real):
    (run,) = load_runs([real / "l1"])
    run.rows[0]["image"] = "a|b"
    assert r"a\|b" in markdown(instance_table([run]))


def test_two_runs_are_compared(real, entries_of):
    runs = load_runs([real / "l1", real / "l2"])
    table = summary_table(runs)
    titles = [column.title for column in table.columns]
    assert titles[:3] == ["run", "norm", "engine"]
    assert [row[1].text for row in table.rows] == ["l1", "l2"]
    assert ratio_table(runs).rows[0][1].text == "3"
    page = render_report(runs)
    assert "2 runs, side by side" in page
    assert "different questions" in page
    assert len(entries_of(page)) == 6
    assert contradictions(runs) == []  # different norms contradict nobody
    assert [chart.title for chart in charts(runs)] == ["Proven within"]


def test_images_of_a_label_lie_around_the_middle_of_their_median(real):
    (run,) = load_runs([real / "l1"])
    (chart,) = [chart for chart in charts([run]) if chart.title == "Distance by label"]
    points = [float(x) for x in re.findall(r'<circle [^>]*cx="([0-9.]+)"', chart.svg)]
    bars = re.findall(r'class="median" d="M([0-9.]+) [0-9.]+H([0-9.]+)"', chart.svg)
    middles = [(float(left) + float(right)) / 2 for left, right in bars]
    labels = sorted(row["label"] for row in run.rows)
    assert [labels.count(label) for label in sorted(set(labels))] == [1, 2]
    assert points[0] == pytest.approx(middles[0], abs=0.11)
    assert points[1] != points[2]
    assert (points[1] + points[2]) / 2 == pytest.approx(middles[1], abs=0.11)


def test_contradictions_are_shown(real, copy):
    table = pd.read_csv(copy / "results.csv")
    row = table.index[table["status"] == "OPTIMAL"][0]
    table.loc[row, ["objective", "bound", "distance"]] *= 2.0
    table.to_csv(copy / "results.csv", index=False)
    runs = load_runs([real / "l1", copy])
    assert len(contradictions(runs)) == 1
    assert "These runs contradict each other" in render_report(runs)
    assert "## Contradictions" in render_report(runs, "md")
    assert "% contradiction:" in render_report(runs, "latex")


def test_stopped_runs_are_bounds(copy):
    table = pd.read_csv(copy / "results.csv")
    table.loc[:, "status"] = "FEASIBLE"
    table["seconds"] = 30.2
    table.to_csv(copy / "results.csv", index=False)
    (row,) = summary_table(load_runs([copy])).rows
    text = [cell.text for cell in row]
    assert text[2] == "0"
    assert text[-3:] == ["≥ 30.0 s"] * 3
    assert text[-5].startswith("≤ ")
    assert "not proven smallest" in render_report(load_runs([copy]))


def test_rows_without_an_answer(copy, entries_of):
    with (copy / "results.csv").open("a") as stream:
        cells = dict.fromkeys(AttackRow.columns(), "")
        cells |= {"image": "nowhere.npy", "status": "CRASHED", "certified": "False"}
        stream.write(",".join(cells.values()) + "\n" + "torn,row")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    (run,) = load_runs([copy])
    page = render_report([run])
    assert len(run.rows) == 4
    assert "CRASHED" in page
    assert "could not be read" in page  # nowhere.npy
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    assert len(entries_of(page)) == 3
    assert all(entry["difference"] is None for entry in entries_of(page))


def test_changed_originals_are_not_shown(real, copy, tmp_path):
    (run,) = load_runs([copy])
    moved = tmp_path / "image-9.npy"
    np.save(moved, np.zeros((2, 3)))
    text = (copy / "results.csv").read_text().replace(str(real / "image-1.npy"), str(moved))
    (copy / "results.csv").write_text(text)
    (spoiled,) = load_runs([copy])
    assert len(spoiled.originals) == len(run.originals) - 1
    assert "1 original images have changed since the run" in render_report([spoiled])


def test_a_gallery_has_its_limit(real, entries_of):
    runs = load_runs([real / "l1", real / "l2"])
    page = render_report(runs, max_images=2)
    assert [entry["run"] for entry in entries_of(page)] == ["l1", "l2"]
    assert "The first of each run, 2 of 6 images" in page
    assert 'id="cards"' not in render_report(runs, max_images=0)


def test_a_benchmark_is_compared_by_method(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    rows = []
    for number in range(4):
        for method, seconds in (("bnb", 1.0 + number), ("highs", 4.0 + number)):
            key = f"net test:{number} {method}"
            rows.append(
                {"run": key, "network": "net", "image": f"test:{number}", "method": method,
                 "proven": True, "status": "OPTIMAL", "seconds": seconds, "objective": 1.0,
                 "bound": 1.0, "distance": 1.0, "gap": 0.0, "certified": True, "time_limit": 10.0}
            )  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "results.csv", index=False)
    settings = {"experiment": "bench", "norm": "l1", "target": "+5", "margin": "x1.2"}
    (folder / "run.json").write_text(json.dumps({"settings": settings}))
    runs = load_runs([folder])
    assert [row[0].text for row in summary_table(runs).rows] == ["bnb", "highs"]
    assert ratio_table(runs).rows[0][0].text == "bnb / highs"
    page = render_report(runs)
    assert "by method" in page
    assert 'id="cards"' not in page


def test_optimal_inputs_have_logits(optimal_inputs, tmp_path, entries_of):
    runs = load_runs([optimal_inputs])
    (row,) = summary_table(runs).rows
    assert [cell.text for cell in row][4:6] == ["≥ 26.5", "≥ 26.5"]
    page = render_report(runs)
    assert "Optimal inputs" in page
    assert "median logit" in page
    assert "could not be read" not in page
    assert [entry["original"] for entry in entries_of(page)] == [None, None]
    other = shutil.copytree(optimal_inputs, tmp_path / "other")
    text = (other / "results.csv").read_text().replace("26.5,40.0", "27.5,40.0")
    (other / "results.csv").write_text(text)
    assert contradictions(load_runs([optimal_inputs, other])) == []


def test_bad_input_is_one_line(real, tmp_path):
    with pytest.raises(InputError, match=r"expected a folder with results\.csv"):
        load_runs([tmp_path])
    with pytest.raises(InputError, match=rf"such folders in it: .*{real.name}/l1, "):
        load_runs([real])
    with pytest.raises(InputError, match="each folder once"):
        load_runs([real / "l1", real / ".." / real.name / "l1"])
    (tmp_path / "results.csv").write_text("image\n")
    with pytest.raises(InputError, match="expected finished rows"):
        load_runs([tmp_path])
    (tmp_path / "results.csv").write_text("image\na\n")
    with pytest.raises(InputError, match=r"found none"):
        load_runs([tmp_path])
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(InputError, match="record of a run"):
        load_runs([tmp_path])
    runs = load_runs([real / "l1"])
    for arguments, message in (((runs, "pdf"), "--format"), ((runs, "html", -1), "--max-images")):
        with pytest.raises(InputError, match=message):
            render_report(*arguments)
    with pytest.raises(InputError, match="at least one"):
        render_report([])
    with pytest.raises(InputError, match="expected a place to write to"):
        write_report([real / "l1"], real / "small.safetensors" / "x.html")


def _main(capfd, *arguments):
    with pytest.raises(SystemExit) as info:
        main(["report", *map(str, arguments)])
    return info.value.code, *capfd.readouterr()


def test_command_line(copy, real, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = _main(capfd, copy)
    assert (code, out) == (0, "")
    assert f"wrote {copy / 'report.html'}" in err.replace("\n", "")
    assert (copy / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert _main(capfd, copy, real / "l2", "--max-images", "0")[0] == 0
    assert (tmp_path / "report.html").exists()
    code, out, _ = _main(capfd, copy, "--format", "latex")
    assert code == 0
    assert r"\toprule" in out
    assert _main(capfd, copy, "--format", "md", "--out", tmp_path / "table.md")[0] == 0
    assert (tmp_path / "table.md").read_text().startswith("## Summary")
    code, out, err = _main(capfd, copy, "--format", "docx")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "html, md, latex" in err


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_latex_compiles(real, tmp_path):
    body = render_report(load_runs([real / "l1", real / "l2"]), "latex")
    document = r"\documentclass{article}\usepackage{booktabs,longtable}\begin{document}"
    (tmp_path / "t.tex").write_text(document + body + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("seconds", "fast", "line 2: seconds: expected a number, found 'fast'"),
        ("nodes", "1.5", "line 2: nodes: expected a whole number"),
        ("certified", "yes", "line 2: certified: expected True or False"),
    ],
)
def test_rows_of_anything_are_refused_in_one_line(copy, column, value, message):
    table = pd.read_csv(copy / "results.csv", dtype=object)
    table.loc[0, column] = value
    table.to_csv(copy / "results.csv", index=False)
    with pytest.raises(InputError, match=message) as caught:
        load_runs([copy])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 4), (0,), (2, 3)])
def test_answers_that_are_no_image_are_refused(copy, shape):
    (part,) = (copy / "images").iterdir()
    tensors = load_file(part)
    key = sorted(tensors)[0]
    tensors[key] = np.full(shape, np.nan if shape == (2, 3) else 0.5)
    save_file(tensors, part)
    with pytest.raises(InputError, match=r"answer of .*image-0\.npy: expected"):
        load_runs([copy])


def test_names_of_any_digits_can_be_sorted():
    names = ["a²", "a10", "a9", "a" + "9" * 5000, "a", "10", "9", "a09b2", "a9b10"]
    assert sorted(names, key=natural) == [
        "9", "10", "a", "a9", "a09b2", "a9b10", "a10", "a" + "9" * 5000, "a²",
    ]  # fmt: skip


def test_names_that_look_like_numbers_stay_names(copy):
    text = (copy / "results.csv").read_text().replace(",small,", ",007,")
    (copy / "results.csv").write_text(text)
    (run,) = load_runs([copy])
    assert {row["network"] for row in run.rows} == {"007"}
    assert {row["margin_rule"] for row in run.rows} == {"+0.01"}


def test_damaged_rows_without_a_distance_are_in_no_chart():
    rows = [{"certified": "True", "distance": d} for d in (0.5, None, math.nan, math.inf)]
    rows.append({"certified": "False", "distance": 0.5})
    entries = [
        Entry.of(SimpleNamespace(norm=Norm.L1, kind=KINDS.get("attack")), row) for row in rows
    ]
    assert _measured(entries) == entries[:1]
