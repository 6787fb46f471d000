"""Reports say what the runs hold, in every format, and never more than that."""

import base64
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

from reluopt.cli import main
from reluopt.engines.base import EngineOptions
from reluopt.errors import InputError
from reluopt.experiments.attack import COLUMNS, AttackSettings, run_attack
from reluopt.experiments.instances import load_instances
from reluopt.experiments.store import ResultStore
from reluopt.network import NetworkMetadata, ReLUNetwork
from reluopt.problems import AbsoluteMargin, Norm, ShiftTarget
from reluopt.report import load_runs, render_report, write_report
from reluopt.report.charts import charts
from reluopt.report.pictures import change_png, change_scale, grey_png
from reluopt.report.tables import (
    contradictions,
    instance_table,
    latex,
    markdown,
    ratio_table,
    summary_table,
)
from reluopt.solve import Method
from reluopt.weights import save_network


@pytest.fixture(scope="module")
def real(tmp_path_factory, make_network):
    """Two real runs of a small network, one in L1 and one in L2."""
    folder = tmp_path_factory.mktemp("report")
    drawn = make_network((6, 5, 4, 3), 6)
    network = ReLUNetwork(drawn.layers, NetworkMetadata(name="small", input_shape=(2, 3)))
    path = folder / "small.safetensors"
    save_network(network, path)
    images = []
    for number in range(3):
        images.append(str(folder / f"image-{number}.npy"))
        np.save(images[-1], np.random.default_rng(number).random((2, 3)))
    instances = load_instances(network, images)
    for norm, engine in ((Norm.L1, "highs"), (Norm.L2, "scip")):
        method = Method(engine, options=EngineOptions(30.0))
        target, margin = ShiftTarget(1), AbsoluteMargin(0.01)
        settings = AttackSettings(target, norm, margin, method, str(path))
        record = {"command": ["reluopt", "attack", "<b>small</b>"], "versions": {"numpy": "2"}}
        store = ResultStore(folder / str(norm), COLUMNS, settings.describe(network), record)
        run_attack(network, instances, settings, store)
    return folder


@pytest.fixture
def copy(real, tmp_path):
    """The L1 run, for a test to spoil."""
    return shutil.copytree(real / "l1", tmp_path / "run")


def _entries(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def _pixels(uri):
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_the_page_holds_the_rows_and_the_images(real):
    (run,) = load_runs([real / "l1"])
    page = render_report([run])
    entries = _entries(page)
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
    assert _pixels(grey_png(np.linspace(0, 1, 4))).tolist() == [[0, 85], [170, 255]]
    assert _pixels(grey_png(np.zeros(3))).shape == (1, 3)
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


def test_two_runs_are_compared(real):
    runs = load_runs([real / "l1", real / "l2"])
    table = summary_table(runs)
    titles = [column.title for column in table.columns]
    assert titles[:3] == ["run", "norm", "engine"]
    assert [row[1].text for row in table.rows] == ["l1", "l2"]
    assert ratio_table(runs).rows[0][1].text == "3"
    page = render_report(runs)
    assert "2 runs, side by side" in page
    assert "different questions" in page
    assert len(_entries(page)) == 6
    assert contradictions(runs) == []  # different norms contradict nobody
    assert [chart.title for chart in charts(runs)] == ["Proven within"]


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


def test_rows_without_an_answer(copy):
    with (copy / "results.csv").open("a") as stream:
        cells = dict.fromkeys(COLUMNS, "")
        cells |= {"image": "nowhere.npy", "status": "CRASHED", "certified": "False"}
        stream.write(",".join(cells.values()) + "\n" + "torn,row")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    (run,) = load_runs([copy])
    page = render_report([run])
    assert len(run.rows) == 4
    assert "CRASHED" in page
    assert "could not be read" in page  # nowhere.npy
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    assert len(_entries(page)) == 3
    assert all(entry["difference"] is None for entry in _entries(page))


def test_changed_originals_are_not_shown(real, copy, tmp_path):
    (run,) = load_runs([copy])
    moved = tmp_path / "image-9.npy"
    np.save(moved, np.zeros((2, 3)))
    text = (copy / "results.csv").read_text().replace(str(real / "image-1.npy"), str(moved))
    (copy / "results.csv").write_text(text)
    (spoiled,) = load_runs([copy])
    assert len(spoiled.originals) == len(run.originals) - 1
    assert "1 original images have changed since the run" in render_report([spoiled])


def test_a_gallery_has_its_limit(real):
    runs = load_runs([real / "l1", real / "l2"])
    page = render_report(runs, max_images=2)
    assert [entry["run"] for entry in _entries(page)] == ["l1", "l2"]
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


@pytest.fixture
def optimal_inputs(tmp_path):
    """Two optimal inputs: logits that shall be large, and no image to start from."""
    folder = tmp_path / "ideal"
    columns = ("image", "label", "status", "objective", "bound", "predicted", "certified",
               "seconds", "time_limit", "network")  # fmt: skip
    settings = {"experiment": "ideal", "network": "thesis", "time_limit": 9.0}
    store = ResultStore(folder, columns, settings, {})
    for label, status, bound in ((0, "OPTIMAL", 26.5), (1, "FEASIBLE", 40.0)):
        row = (f"label:{label}", label, status, 26.5, bound, 0, True, 2.0 + label, 9.0, "thesis")
        store.append(dict(zip(columns, row, strict=True)), np.full((28, 28), 1.0 - label))
    return folder


def test_optimal_inputs_have_logits(optimal_inputs, tmp_path):
    runs = load_runs([optimal_inputs])
    (row,) = summary_table(runs).rows
    assert [cell.text for cell in row][4:6] == ["≥ 26.5", "≥ 26.5"]
    page = render_report(runs)
    assert "Optimal inputs" in page
    assert "median logit" in page
    assert "could not be read" not in page
    assert [entry["original"] for entry in _entries(page)] == [None, None]
    other = shutil.copytree(optimal_inputs, tmp_path / "other")
    text = (other / "results.csv").read_text().replace("26.5,40.0", "27.5,40.0")
    (other / "results.csv").write_text(text)
    assert contradictions(load_runs([optimal_inputs, other])) == []


def test_optimal_inputs_have_one_layer(page, optimal_inputs):
    path = write_report([optimal_inputs], optimal_inputs / "report.html")
    page.open(path, 1280, 900)
    adversarial = [entry["adversarial"] for entry in _entries(path.read_text())]
    page.hover(".card")
    assert page.run(SOURCE.format(".card")) == adversarial[0]
    page.click(".card")
    page.press("ArrowDown")
    assert page.run(SOURCE.format("#picture")) == adversarial[0]
    page.press("ArrowRight")
    assert page.run(SOURCE.format("#picture")) == adversarial[1]
    assert (
        page.run("getComputedStyle(document.querySelector('dialog .segments')).display") == "none"
    )
    assert page.complaints() == []


def test_bad_input_is_one_line(real, tmp_path):
    with pytest.raises(InputError, match=r"expected a folder with results\.csv"):
        load_runs([tmp_path])
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


def _large_run(folder, count=1000):
    """A made-up run on MNIST, as large as people have them."""
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    statuses = generator.choice(["OPTIMAL", "FEASIBLE", "INFEASIBLE"], count, p=[0.9, 0.08, 0.02])
    answered = statuses != "INFEASIBLE"
    distance = np.where(answered, generator.gamma(4.0, 1.5, count), np.nan)
    frame = pd.DataFrame(
        {
            "image": [f"test:{number}" for number in range(count)],
            "label": generator.integers(10, size=count),
            "norm": "l1",
            "status": statuses,
            "objective": distance,
            "distance": distance,
            "bound": np.where(statuses == "FEASIBLE", 0.8 * distance, distance),
            "gap": np.where(statuses == "FEASIBLE", 0.2, 0.0),
            "seconds": generator.lognormal(size=count),
            "original_predicted": generator.integers(10, size=count),
            "predicted": np.where(answered, generator.integers(10, size=count), np.nan),
            "margin": 0.1,
            "certified": answered,
            "time_limit": 20.0,
            "network": "thesis",
        }
    ).sample(frac=1.0, random_state=0)
    frame.to_csv(folder / "results.csv", index=False)
    for part in range(count // 100):
        images = {
            f"test:{number}": (generator.random((28, 28)) > 0.9).astype(float)
            for number in range(100 * part, 100 * part + 100)
            if answered[number]
        }
        save_file(images, folder / "images" / f"part-{part:04d}.safetensors")
    settings = {"experiment": "attack", "network_path": "thesis", "norm": "l1", "target": "+5"}
    record = {"settings": {**settings, "margin": "x1.2", "time_limit": 20.0}}
    (folder / "run.json").write_text(json.dumps(record))
    return frame


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The page of a run of 1,000 instances, and its table."""
    folder = tmp_path_factory.mktemp("large") / "run"
    frame = _large_run(folder)
    return write_report([folder], folder.parent / "large.html"), frame


@pytest.fixture(scope="module")
def small_pages(real):
    one = write_report([real / "l1"], real / "one.html")
    two = write_report([real / "l1", real / "l2"], real / "two.html")
    return one, two


def test_a_large_page_stays_small(large):
    path, frame = large
    text = path.read_text()
    assert path.stat().st_size < 3_000_000
    assert text.count("<tr data-status") == len(frame) == 1000
    assert "The first 400 of 1,000 images" in text


@pytest.mark.parametrize(("width", "height", "touch"), [(1280, 900, False), (390, 844, True)])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_need_nothing_and_fit(page, small_pages, tmp_path, width, height, touch, dark):
    for path in small_pages:
        page.open(path, width, height, dark=dark, touch=touch)
        assert page.requests() == [path.as_uri()]
        assert page.complaints() == []
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        assert page.run(
            "[...document.images].every((i) => i.complete && (!i.src || i.naturalWidth))"
        )
        picture = page.screenshot(tmp_path / "page.png", whole=True)
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
        assert (pixels[:3].mean() < 60) == dark
        assert pixels.std() > 10


def test_sorting_and_filters(page, large):
    path, frame = large
    page.open(path, 1280, 900)
    column = (
        "[...document.querySelectorAll('#instances tbody tr')].map((r) => r.cells[3].innerText)"
    )
    heading = "#instances th:nth-child(4) button"
    page.click(heading)
    known = sorted(frame["distance"].dropna())
    missing = int(frame["distance"].isna().sum())
    ascending = page.run(column)
    assert ascending[: len(known)] == [f"{value:.4g}" for value in known]
    assert ascending[len(known) :] == ["\N{EN DASH}"] * missing
    page.click(heading)
    assert page.run(column) == [f"{v:.4g}" for v in known[::-1]] + ["\N{EN DASH}"] * missing
    assert page.run("document.querySelector('#instances th:nth-child(4)').ariaSort") == "descending"
    page.click("[data-filter=OPTIMAL]")
    shown = "[...document.querySelectorAll('#instances tbody tr')].filter((r) => !r.hidden).length"
    assert page.run(shown) == int((frame["status"] != "OPTIMAL").sum())
    first = [f"test:{number}" for number in range(400)]
    rest = frame[frame["image"].isin(first) & (frame["status"] != "OPTIMAL")]
    cards = "document.querySelectorAll('.card').length"
    assert page.run(cards) == len(rest)
    page.click("[data-filter=FEASIBLE]")
    page.click("[data-filter=INFEASIBLE]")
    assert page.run(cards) == 0
    assert page.run("document.querySelector('#none').hidden") is False
    page.click("[data-filter=OPTIMAL]")
    assert page.run(cards) == 60
    page.click("#more")
    shown = frame[frame["image"].isin(first) & (frame["status"] == "OPTIMAL")]
    assert page.run(cards) == len(shown)
    page.run(
        "document.querySelector('#order').value = '-distance';"
        "document.querySelector('#order').dispatchEvent(new Event('change'))"
    )
    farthest = shown.loc[shown["distance"].idxmax(), "image"]
    assert page.run("document.querySelector('.card small:last-child').innerText") == farthest
    assert page.complaints() == []


SOURCE = "document.querySelector('{} img:not(.ghost)').src"


def test_images_are_compared_with_mouse_and_keyboard(page, small_pages):
    path = small_pages[0]
    entries = _entries(path.read_text())
    page.open(path, 1280, 900)
    card = SOURCE.format(".card")
    assert page.run(card) == entries[0]["adversarial"]
    page.hover(".card")
    assert page.run(card) == entries[0]["original"]
    page.hover("h1")
    assert page.run(card) == entries[0]["adversarial"]
    page.click(".head [data-layer=difference]")
    assert page.run(card) == entries[0]["difference"]
    assert page.run("document.querySelector('.card .ghost').hidden") is False
    page.click(".card")
    large, title = SOURCE.format("#picture"), "document.querySelector('#viewer-title').innerText"
    assert page.run("document.querySelector('#viewer').open")
    assert page.run(large) == entries[0]["difference"]
    page.press("ArrowUp")
    assert page.run(large) == entries[0]["adversarial"]
    page.press("ArrowUp")
    assert page.run(large) == entries[0]["original"]
    page.press("ArrowRight")
    assert page.run(large) == entries[1]["original"]
    assert page.run(title).startswith(entries[1]["key"])
    page.press("ArrowLeft")
    page.press("ArrowLeft")
    assert page.run(title).startswith(entries[-1]["key"])
    numbers = page.run("document.querySelector('#numbers').innerText")
    assert all(text in numbers for pair in entries[-1]["numbers"] for text in pair)
    page.press("Escape")
    assert not page.run("document.querySelector('#viewer').open")
    assert page.complaints() == []


def test_images_are_compared_on_a_phone(page, small_pages):
    path = small_pages[1]
    entries = _entries(path.read_text())
    page.open(path, 390, 844, touch=True)
    page.tap(".card")
    large = SOURCE.format("#picture")
    assert page.run(large) == entries[0]["adversarial"]
    page.tap("#picture")
    assert page.run(large) == entries[0]["difference"]
    page.swipe("#picture", -120)
    assert page.run(large) == entries[1]["difference"]
    page.swipe("#picture", 120)
    assert page.run(large) == entries[0]["difference"]
    page.tap(".viewer-head button")
    page.run(
        "document.querySelector('#run').value = 'l2';"
        "document.querySelector('#run').dispatchEvent(new Event('change'))"
    )
    assert page.run("document.querySelectorAll('.card').length") == 3
    assert page.complaints() == []


def test_the_reader_may_choose_light_or_dark(page, small_pages):
    page.open(small_pages[0], 1280, 900, dark=True)
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.run(colour)
    page.click("#theme")
    light = page.run(colour)
    assert light != dark
    page.click("#theme")
    assert page.run(colour) == dark


def test_nothing_in_a_run_can_run(page, copy):
    evil = (
        "</script><script>document.title='evil'</script><img src=x onerror=document.title='evil'>"
    )
    table = pd.read_csv(copy / "results.csv", dtype=object)
    table.loc[0, "message"] = evil
    table.loc[1, "status"] = evil
    table.to_csv(copy / "results.csv", index=False)
    path = write_report([copy], copy / "report.html")
    page.open(path, 1280, 900)
    assert "evil" not in page.run("document.title")
    page.click(".card")
    assert page.run("document.querySelector('#message').innerText") == evil
    assert page.requests() == [path.as_uri()]
