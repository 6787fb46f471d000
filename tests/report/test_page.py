"""The page in a real browser: nothing missing, nothing loaded, nothing in the way."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

from reluopt.report import write_report


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


def test_charts_stand_side_by_side_where_there_is_room(page, large):
    path, _ = large
    boxes = (
        "[...document.querySelectorAll('.charts figure')]"
        ".map((f) => f.getBoundingClientRect()).map((b) => [b.x, b.y, b.width])"
    )
    page.open(path, 1280, 900)
    first, second = page.run(boxes)
    assert first[1] == second[1]
    assert first[2] + second[2] > 0.9 * page.run("document.querySelector('main').clientWidth - 80")
    page.open(path, 390, 844, touch=True)
    first, second = page.run(boxes)
    assert first[0] == second[0]


@pytest.mark.parametrize(("width", "told"), [(1280, False), (390, True)])
def test_a_table_that_is_cut_says_so(page, large, width, told):
    path, _ = large
    page.open(path, width, 844)
    shown = "getComputedStyle(document.querySelector('#instances .sideways')).display"
    assert (page.run(shown) == "block") == told


def test_cards_of_one_row_stand_on_one_line(page, large):
    path, _ = large
    page.open(path, 390, 844)
    tops = page.run(
        "[...document.querySelectorAll('.card .frame')].slice(0, 12)"
        ".map((f) => f.getBoundingClientRect().y)"
    )
    assert len(set(tops)) == 4  # rows of three, whatever stands below the images


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


def test_images_are_compared_with_mouse_and_keyboard(page, small_pages, entries_of):
    path = small_pages[0]
    entries = entries_of(path.read_text())
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


def test_images_are_compared_on_a_phone(page, small_pages, entries_of):
    path = small_pages[1]
    entries = entries_of(path.read_text())
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


def test_optimal_inputs_have_one_layer(page, optimal_inputs, entries_of):
    path = write_report([optimal_inputs], optimal_inputs / "report.html")
    page.open(path, 1280, 900)
    adversarial = [entry["adversarial"] for entry in entries_of(path.read_text())]
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
