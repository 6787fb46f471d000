"""Every public figure is documented, typed, and takes a frame where rows are what it draws."""

import inspect

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import reluopt.figures as figures
from reluopt.errors import InputError
from reluopt.runs.row import VerifyRow

FIGURES = [
    n for n in figures.__all__ if n.endswith(("_figure", "_pictures")) and n != "save_figure"
]

ARRAYS = {
    "arrangement_figure", "blend_figure", "blend_pictures", "feature_figure", "feature_map_figure",
    "limit_pictures", "logit_figure", "relaxation_figure", "relu_figure", "search_figure",
    "shared_change_figure",
}  # fmt: skip
"""Figures of grids, of one image, or of pictures in rows: no table of rows stands behind them."""

TABLES = {"benchmark_figure", "network_times_figure", "performance_profile_figure", "time_figure"}
TABLES |= {"time_versus_size_figure"}
"""Figures of tables of times, which never took anything else."""

_PIXELS = list(np.random.default_rng(0).random((3, 4, 4)))
_CELLS = {
    "search": ["one", "one", "two"], "series": ["a", "a", "b"], "attack": ["a", "a", "b"],
    "norm": ["l1"] * 3, "image": ["x", "y", "z"], "network": ["n"] * 3, "method": ["m"] * 3,
    "seconds": [0.1, 0.2, 0.3], "incumbent": [4.0, 3.0, 2.0], "bound": [0.5, 0.5, 1.0],
    "violation": [0.1, 0.2, 0.3], "loss": [1.0, 2.0, 3.0], "chosen": [True, False, True],
    "before": [1.0] * 3, "distance": [1.0, 2.0, 3.0], "percent": [10.0] * 3,
    "smoothness": [0.1] * 3, "largest": [0.2, 0.3, 0.4], "lead": [-0.1, 0.2, 0.3],
    "label": [0, 1, 1], "predicted": [0, 1, 0], "target": [1, 0, 0], "eps": [0.1, 0.1, 0.2],
    "original_predicted": [0, 1, 1], "status": ["ROBUST", "NOT_ROBUST", "UNDECIDED"],
    "confidence": [0.5, 0.6, 0.7], "overestimate": [0.1, 0.2, 0.3], "pixels": _PIXELS,
    "original": _PIXELS, "changed": _PIXELS, "caption": ["c"] * 3, "logit": [1.0, 2.0, 3.0],
    "points": [1, 2, 3], "lower": [0.1, 0.2, 0.3], "upper": [0.2, 0.3, 0.4],
    "proven": [True, True, False], "time_limit": [1.0] * 3, "neurons": [5] * 3,
}  # fmt: skip
"""A few values for every column that a figure takes."""


def _frame(columns):
    return pd.DataFrame({name: _CELLS[name] for name in columns})


def _columns(name):
    found = getattr(getattr(figures, name), "columns", None)
    return found or ("network", "image", "method", "seconds", "time_limit", "proven", "neurons")


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_documented_and_typed(name):
    figure = getattr(figures, name)
    assert inspect.getdoc(figure)
    signature = inspect.signature(figure)
    assert signature.return_annotation == "Figure"
    parameters = signature.parameters.values()
    assert all(each.annotation is not inspect.Parameter.empty for each in parameters)
    for column in getattr(figure, "columns", ()):
        assert f"``{column}``" in figure.__doc__


def test_each_figure_takes_a_frame_or_says_why_not():
    framed = {name for name in FIGURES if hasattr(getattr(figures, name), "columns")}
    assert framed | ARRAYS | TABLES == set(FIGURES)
    assert not framed & (ARRAYS | TABLES)


@pytest.mark.parametrize("name", sorted(set(FIGURES) - ARRAYS))
def test_a_frame_is_drawn_and_one_without_a_column_refused(name):
    figure, columns = getattr(figures, name), _columns(name)
    frame = _frame(columns)
    more = [frame.iloc[:0]] if name == "network_times_figure" else []
    assert isinstance(figure(frame, *more), Figure)
    needed = columns if hasattr(figure, "columns") else ("seconds", "method", "time_limit")
    for column in needed:
        with pytest.raises(InputError, match=f"column '?{column}'?, found") as error:
            figure(frame.drop(columns=column), *more)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"rows"):
        figure(frame.iloc[:0], *more)


def test_typed_rows_are_drawn_as_their_frame_is():
    known = {"norm": "linf", "engine": "bnb", "network": "n", "image_sha256": "0"}
    rows = [
        VerifyRow(
            run=f"{place} {eps}", image=str(place), label=0, original_predicted=0, eps=eps,
            status=status, certified=True, **known,
        )
        for eps, statuses in ((0.1, ("ROBUST", "ROBUST")), (0.2, ("ROBUST", "NOT_ROBUST")))
        for place, status in enumerate(statuses)
    ]  # fmt: skip
    made = figures.robust_error_figure(rows)
    proven = made.axes[0].lines[0].get_ydata()
    assert proven.tolist() == [1.0, 1.0, 0.5]  # one bound for each radius, and radius 0
    options = figures.anytime_figure(
        _frame(("search", "seconds", "incumbent", "bound")), quantity="q"
    )
    assert options.axes[0].get_ylabel() == "q"


def test_a_frame_of_several_norms_has_no_one_norm():
    frame = _frame(figures.robust_error_figure.columns).assign(norm=["l1", "l2", "l1"])
    with pytest.raises(InputError, match="expected one norm in a frame, found 2"):
        figures.robust_error_figure(frame)


def test_importing_the_figures_loads_no_matplotlib():
    import subprocess
    import sys

    code = "import sys, reluopt.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
