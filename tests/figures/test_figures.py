"""Figures: what they show, that they do not overlap, and that saving is reproducible."""

import itertools
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from reluopt.errors import InputError
from reluopt.figures import (
    DOUBLE_COLUMN,
    SINGLE_COLUMN,
    benchmark_figure,
    confusion_figure,
    network_times_figure,
    optimal_input_figure,
    performance_profile,
    performance_profile_figure,
    perturbation_figure,
    save_figure,
    time_figure,
    time_versus_size_figure,
)
from reluopt.figures.style import style
from reluopt.images.mnist import Dataset
from reluopt.networks.network import ReLUNetwork


def texts(figure: Figure) -> list[str]:
    """Every text that the figure shows outside of its axes."""
    return [text.get_text() for text in figure.texts]


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of the figure's own texts that overlap when drawn."""
    renderer = figure.canvas.get_renderer()
    with style():
        figure.draw_without_rendering()
        boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.texts]
    pairs = itertools.combinations(boxes, 2)
    return [(a, b) for (a, first), (b, second) in pairs if first.overlaps(second)]


def over_the_edge(figure: Figure) -> float:
    """Inches by which anything drawn reaches over the edge of the page."""
    with style():
        figure.draw_without_rendering()
        box = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    return max(0.0, -box.x0, -box.y0, box.x1 - width, box.y1 - height)


def perturbations(images: Dataset, count: int, **changes: object) -> Figure:
    """A figure of bright borders as "adversarial" images."""
    originals = images.images[:count]
    changed = originals.copy()
    changed[:, 0, :4] = 1.0
    changed[:, 14, 14] *= 0.5
    labels = [int(label) for label in images.labels[:count]]
    arguments = {
        "originals": originals,
        "changed": list(changed),
        "labels": labels,
        "predicted_original": labels,
        "predicted_changed": [(label + 5) % 10 for label in labels],
        "distances": [4.0] * count,
        "norm": "l1",
        "proven": [True] * count,
    }
    return perturbation_figure(**{**arguments, **changes})


@pytest.mark.parametrize(("count", "bands"), [(1, 1), (4, 1), (5, 1), (10, 1), (13, 2), (40, 4)])
def test_perturbations_wrap_into_bands_without_overlaps(
    test_images: Dataset, count: int, bands: int
) -> None:
    figure = perturbations(test_images, count)
    # Three tiles an image, and one colour bar a band.
    assert len(figure.axes) == 3 * count + bands
    assert overlaps(figure) == []
    assert over_the_edge(figure) == 0.0
    expected = SINGLE_COLUMN if count <= 4 else DOUBLE_COLUMN
    assert figure.get_figwidth() <= expected + 1e-9
    assert texts(figure).count("original") == bands


def test_perturbation_tiles_show_original_answer_and_difference(test_images: Dataset) -> None:
    figure = perturbations(test_images, 1)
    original, changed, difference = (axes.images[0] for axes in figure.axes[:3])
    np.testing.assert_array_equal(original.get_array(), test_images.image(0))
    np.testing.assert_allclose(
        difference.get_array(), changed.get_array() - original.get_array(), atol=1e-15
    )
    # Nothing changed is white; a brighter pixel is red, a darker one blue, on one scale.
    colours = difference.cmap(difference.norm(np.array([0.0, 1.0, -1.0, 0.5])))
    np.testing.assert_allclose(colours[0, :3], 1.0, atol=1e-6)
    assert colours[1, 0] > 3 * colours[1, 2]
    assert colours[2, 2] > 3 * colours[2, 0]
    assert colours[3, :3].sum() > colours[1, :3].sum()
    assert difference.get_clim() == (-1.0, 1.0)


def test_bands_may_have_scales_of_their_own(test_images: Dataset) -> None:
    originals = test_images.images[:13]
    changed = originals.copy()
    changed[:10, 0, 0] = 0.004
    changed[10:, 0, 0] = 0.3
    drawn = {"originals": originals, "changed": list(changed)}
    figure = perturbations(test_images, 13, **drawn, scale_each_band=True)
    limits = [axes.images[0].get_clim() for axes in figure.axes if axes.images][2::3]
    assert limits == [(-0.004, 0.004)] * 10 + [(-0.3, 0.3)] * 3
    bars = [axes.get_yticklabels()[-1].get_text() for axes in figure.axes if not axes.images]
    assert bars == ["+0.004", "+0.3"]
    assert overlaps(figure) == []
    assert over_the_edge(figure) == 0.0
    together = perturbations(test_images, 13, **drawn)
    assert {axes.images[0].get_clim() for axes in together.axes[2:39:3]} == {(-0.3, 0.3)}


def test_perturbation_captions_say_what_is_known(test_images: Dataset) -> None:
    count = 5
    labels = [int(label) for label in test_images.labels[:count]]
    changed = list(test_images.images[:count])
    changed[2] = None
    figure = perturbations(
        test_images,
        count,
        changed=changed,
        predicted_original=[*labels[:4], 6],
        predicted_changed=[2, 7, None, 5, 9],
        distances=[4.214, 0.5, np.inf, 12.0, 3.0],
        proven=[True, False, "infeasible", 0.123, float("inf")],
    )
    shown = texts(figure)
    assert "7 → 2" in shown
    assert "1 → ?" in shown
    assert f"label {labels[4]}" in shown
    assert "$L_1$ = 4.21" in shown
    assert "$L_1$ = 12.0" in shown
    assert "no distance" in shown
    marks = {"proven", "not proven", "infeasible", "gap 12 %", "no bound"}
    assert marks <= set(shown)
    assert [t.get_text() for axes in figure.axes for t in axes.texts] == ["no\nimage"]
    assert overlaps(figure) == []


@pytest.mark.parametrize(("size", "shape"), [(784, (28, 28)), (6, (1, 6))])
def test_flat_images_are_folded(test_images: Dataset, size: int, shape: tuple[int, int]) -> None:
    flat = np.linspace(0.0, 1.0, 2 * size).reshape(2, size)
    figure = perturbations(test_images, 2, originals=flat, changed=list(flat[::-1]))
    assert figure.axes[0].images[0].get_array().shape == shape
    assert overlaps(figure) == []
    assert over_the_edge(figure) == 0.0


def test_small_changes_are_scaled_up(test_images: Dataset) -> None:
    originals = test_images.images[:2]
    figure = perturbations(test_images, 2, changed=list(originals * 0.9 + 0.03), norm="l2")
    assert figure.axes[2].images[0].get_clim() == pytest.approx((-0.07, 0.07))


def test_long_class_names_take_two_lines(test_images: Dataset) -> None:
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"]
    names += ["Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    figure = perturbations(test_images, 10, class_names=names)
    assert "Sneaker" in texts(figure)
    assert "→ Pullover" in texts(figure)
    assert overlaps(figure) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [1]}, "expected 2 entries"),
        ({"norm": "l3"}, "expected norm l1, l2, linf, found 'l3'"),
        ({"originals": np.zeros((2, 5, 28, 28))}, r"expected originals of shape"),
        ({"originals": np.zeros((0, 28, 28))}, r"expected originals of shape"),
        ({"changed": [np.zeros(5), np.zeros(5)]}, r"expected changed images of shape \(28, 28\)"),
    ],
)
def test_perturbations_refuse_bad_input(
    test_images: Dataset, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        perturbations(test_images, 2, **changes)


@pytest.mark.parametrize("count", [1, 2, 5, 10, 12])
def test_optimal_inputs(count: int) -> None:
    images = np.random.default_rng(0).random((count, 28, 28)).round()
    logits = np.linspace(-20.0, 90.0, count)
    labels = [k % 10 for k in range(count)]
    figure = optimal_input_figure(images, labels, logits, [0] * count, [True] * count)
    assert len(figure.axes) == count
    assert "label 0, logit \N{MINUS SIGN}20" in texts(figure)
    assert texts(figure).count("classified as 0") == count
    wrong = [t for t in figure.texts if t.get_color() == "#b34700"]
    assert len(wrong) == sum(label != 0 for label in labels)
    assert overlaps(figure) == []
    assert over_the_edge(figure) == 0.0
    with pytest.raises(InputError, match=f"expected {count} entries"):
        optimal_input_figure(images, labels, logits, [0] * (count + 1), [True] * count)


def test_confusion_counts_and_title(thesis: ReLUNetwork, test_images: Dataset) -> None:
    matrix = np.zeros((10, 10), dtype=int)
    np.add.at(matrix, (test_images.labels, thesis.predict(test_images.images)), 1)
    figure = confusion_figure(matrix, thesis.class_names)
    (axes,) = figure.axes
    assert axes.get_title().startswith(f"{np.trace(matrix):,} of 10,000 correct (93.")
    shown = {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in axes.texts}
    assert {key: int(t.get_text()) for key, t in shown.items()} == {
        (int(i), int(j)): int(matrix[i, j]) for i, j in np.argwhere(matrix)
    }
    assert over_the_edge(figure) == 0.0
    with pytest.raises(InputError, match=r"shape \(3, 3\)"):
        confusion_figure(matrix, ["a", "b", "c"])
    with pytest.raises(InputError, match="counts >= 0"):
        confusion_figure(-matrix, thesis.class_names)


def test_confusion_of_many_long_names() -> None:
    names = [f"a rather long name {k}" for k in range(20)]
    figure = confusion_figure(np.eye(20, dtype=int) * 12345, names)
    assert figure.get_figwidth() == DOUBLE_COLUMN
    assert over_the_edge(figure) == 0.0


def times_table(rows: list[tuple[str, int, str, float, bool]], limit: float = 100.0):
    """A table of times from (network, image, method, seconds, proven)."""
    names = ["network", "image", "method", "seconds", "proven"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(time_limit=limit, neurons=table["network"].map(len) * 10)


TIMES = times_table(
    [
        ("one", 0, "fast", 1.0, True),
        ("one", 0, "slow", 8.0, True),
        ("one", 1, "fast", 2.0, True),
        ("one", 1, "slow", 100.3, False),
        ("one", 2, "fast", 6.0, True),
        ("one", 2, "slow", 3.0, True),
        ("one", 3, "fast", 5.0, False),
        ("one", 3, "slow", 100.0, False),
        ("three", 0, "fast", 0.1, True),
        ("three", 0, "slow", 10.0, True),
    ]
)


def test_profile_of_a_table_computed_by_hand() -> None:
    profiles = performance_profile(TIMES[TIMES["network"] == "one"])
    fast, slow = profiles["fast"], profiles["slow"]
    # fast: ratios 1, 1, 2 over four images, the last of which nobody proved.
    np.testing.assert_allclose(fast[0], [1.0, 1.0, 2.0])
    np.testing.assert_allclose(fast[1], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(slow[0], [1.0, 8.0])
    np.testing.assert_allclose(slow[1], [0.25, 0.5])


def test_profile_of_a_method_that_proves_nothing_is_empty() -> None:
    table = times_table([("n", 0, "a", 1.0, True), ("n", 0, "b", 0.5, False)])
    profiles = performance_profile(table)
    assert profiles["b"][0].size == 0
    np.testing.assert_allclose(profiles["a"][0], [1.0])
    # Drawn all the same: its name is in the legend.
    (axes,) = performance_profile_figure(table).axes
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]


@pytest.mark.parametrize("draw", [time_figure, benchmark_figure, performance_profile_figure])
def test_time_figures_stay_on_the_page(draw) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(TIMES)
        assert over_the_edge(figure) == 0.0
    assert overlaps(figure) == []


def legend_texts(figure: Figure) -> list[str]:
    """Texts of the figure's own legends, which stand beside the panels."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize("length", [3, 22, 40])
def test_curves_are_named_on_the_right_whatever_the_names(length: int) -> None:
    names = {"fast": "f" * length, "slow": "s" * length}
    figure = benchmark_figure(TIMES.assign(method=TIMES["method"].map(names)))
    assert legend_texts(figure)[-2:] == list(names.values())
    assert over_the_edge(figure) == 0.0
    with style():
        renderer = figure.canvas.get_renderer()
        boxes = [each.get_window_extent(renderer) for each in figure.legends]
        boxes += [axes.get_window_extent(renderer) for axes in figure.axes]
        boxes += [text.get_window_extent(renderer) for text in figure.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_marks_are_explained_where_they_stand() -> None:
    stopped = "number of images not proven within the limit"
    assert legend_texts(time_figure(TIMES)) == ["one image", "median", stopped]
    assert stopped not in legend_texts(time_figure(TIMES[TIMES["proven"]]))
    shown = legend_texts(network_times_figure(TIMES, REFERENCES))
    assert shown[-2:] == ["average, where these count with the limit", "published average"]
    assert "published average" not in legend_texts(network_times_figure(TIMES, REFERENCES[:0]))


@pytest.mark.parametrize(
    "draw", [time_figure, lambda table: network_times_figure(table, REFERENCES)]
)
def test_values_of_medians_do_not_meet_the_strip_above(draw) -> None:
    table = times_table(
        [("one", k, method, 1.0 + k / 30, True) for method in "abcd" for k in range(30)]
    )
    figure = draw(table)
    axes = figure.axes[0]
    with style():
        figure.draw_without_rendering()
        renderer = figure.canvas.get_renderer()
        labels = [text.get_window_extent(renderer) for text in axes.texts[:4]]
        lines = [line for line in axes.lines if line.get_marker() == "None" and line.get_lw() > 1]
        bars = [line.get_window_extent(renderer) for line in lines]
    assert len(labels) == 4
    assert len(bars) >= 4
    for label, bar in itertools.product(labels, bars):
        assert label.y1 < bar.y0 or label.y0 > bar.y1 - 1.0
    for points in axes.collections:
        radius = 0.5 * np.sqrt(9.0) * figure.dpi / 72
        for x, y in axes.transData.transform(points.get_offsets()):
            for box in labels:
                beside = not box.x0 - radius < x < box.x1 + radius
                assert beside or y > box.y1 + radius or y < box.y0 - radius


def test_times_count_and_mark_censored_runs() -> None:
    figure = time_figure(TIMES)
    first, second = figure.axes
    notes = [text.get_text() for text in first.texts]
    # Of slow's four runs two hit the limit: its median is a lower bound. fast's failed run
    # counts as one at the limit, whenever it gave up.
    assert notes == ["1", "4.00 s", "2", "≥ 54.0 s", "limit 100 s"]
    assert [text.get_text() for text in second.texts] == ["0.100 s", "10.0 s"]
    assert first.get_xlim() == second.get_xlim()
    assert texts(figure) == ["one (4 images)", "three (1 image)"]


def test_size_figure_orders_networks_by_size() -> None:
    figure = time_versus_size_figure(TIMES[::-1])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one\n30", "three\n50"]
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_allclose(lines["fast"].get_ydata(), [4.0, 0.1])
    np.testing.assert_allclose(lines["slow"].get_ydata(), [54.0, 10.0])
    assert lines["slow"].get_markevery() == [1]
    assert over_the_edge(figure) == 0.0


def test_time_figures_refuse_bad_tables() -> None:
    with pytest.raises(InputError, match="column 'proven'"):
        time_figure(TIMES.drop(columns="proven"))
    with pytest.raises(InputError, match="column 'neurons'"):
        time_versus_size_figure(TIMES.drop(columns="neurons"))
    with pytest.raises(InputError, match="without rows"):
        performance_profile_figure(TIMES[:0])


def test_saving_twice_gives_the_same_bytes(tmp_path: Path, test_images: Dataset) -> None:
    paths = save_figure(perturbations(test_images, 2), tmp_path / "new" / "a.png")
    assert [path.name for path in paths] == ["a.png", "a.pdf"]
    again = save_figure(perturbations(test_images, 2), tmp_path / "b.png")
    for first, second in zip(paths, again, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.pdf", "b.png", "new"]
    vector = paths[1].read_bytes()
    assert b"CreationDate" not in vector
    assert b"/Type3" not in vector
    assert b"CIDFontType2" in vector


def test_saving_one_format_writes_one_file(tmp_path: Path) -> None:
    figure = performance_profile_figure(TIMES)
    for name in ("c.pdf", "c.svg"):
        assert save_figure(figure, tmp_path / name) == (tmp_path / name,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.pdf", "c.svg"]
    assert "<dc:date>" not in (tmp_path / "c.svg").read_text()


def test_saving_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    figure = performance_profile_figure(TIMES)
    with pytest.raises(InputError, match=r"expected a name ending in \.png"):
        save_figure(figure, tmp_path / "a.jpeg")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_figure(figure, tmp_path / "file" / "a.png")


def test_style_leaves_no_trace() -> None:
    before = dict(mpl.rcParams)
    performance_profile_figure(TIMES)
    assert dict(mpl.rcParams) == before


REFERENCES = pd.DataFrame(
    {"network": ["one", "three"], "method": "theirs", "seconds": [57.87, 2e3]}
)


def test_networks_side_by_side_share_an_axis_with_published_numbers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = network_times_figure(TIMES, REFERENCES)
    first, second = figure.axes
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == ["fast", "slow", "theirs"]
    assert {label.get_text() for label in second.get_yticklabels()} == {""}
    assert first.get_xlim() == second.get_xlim()
    assert first.get_xlim()[1] > 2e3
    notes = [text.get_text() for text in first.texts]
    assert notes == ["1", "4.00 s", "2", "≥ 54.0 s", "limit 100 s", "57.87 s"]
    assert [text.get_text() for text in second.texts] == ["0.100 s", "10.0 s", "2,000 s"]
    ours, theirs = (line for line in first.lines if line.get_marker() == "x")
    averages = TIMES[TIMES["network"] == "one"].assign(
        seconds=lambda table: table["seconds"].where(table["proven"], table["time_limit"])
    )
    expected = averages.groupby("method")["seconds"].mean()
    assert list(ours.get_xdata()) == pytest.approx([expected["fast"], expected["slow"]])
    assert list(ours.get_ydata()) == [0, 1]
    assert (list(theirs.get_xdata()), list(theirs.get_ydata())) == ([57.87], [2])
    assert ours.get_color() != theirs.get_color()
    assert over_the_edge(figure) == 0.0
    assert overlaps(figure) == []
    with pytest.raises(InputError, match="references with 'seconds'"):
        network_times_figure(TIMES, REFERENCES.drop(columns="seconds"))


def test_many_stopped_runs_stay_on_the_page() -> None:
    table = times_table([("one", k, "slow", 100.0, False) for k in range(1000)])
    fast = times_table([("one", k, "fast", 0.1, True) for k in range(1000)])
    figure = time_figure(pd.concat([fast, table]))
    assert over_the_edge(figure) == 0.0


def test_names_from_files_are_drawn_literally(tmp_path):
    names = [r"$\frac{$", "\x1b[31m", "_" * 500]
    figure = confusion_figure(np.eye(3, dtype=np.int64), names)
    save_figure(figure, tmp_path / "x.png")
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks[:2] == [r"\$\frac{\$", r"\x1b[31m"]
    assert len(ticks[2]) == 30
