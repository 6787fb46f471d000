"""One look for every figure, and one way to save them.

Sizes are inches at print size: :data:`SINGLE_COLUMN` and :data:`DOUBLE_COLUMN` are the columns of a
two-column paper. Text is 6 to 8 points in STIX, a Times that comes with matplotlib, so that figures
look the same on every machine. Colours are Okabe and Ito's (2008), which people with the common
colour vision deficiencies can tell apart; no figure relies on colour alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from reluopt.errors import InputError, shown
from reluopt.files import atomic_path

SINGLE_COLUMN = 3.4
DOUBLE_COLUMN = 7.0

TEXT, SMALL, TINY = 8.0, 7.0, 6.0
"""Font sizes in points: titles and axis labels, tick labels and captions, notes inside a plot."""

CHARACTER = 0.047
"""Inches that a character of a tick label takes, on average."""

LONGEST_NAME = 30
"""Characters of a class name."""

INK, MUTED = "#1a1a1a", "#666666"
GOOD, BAD = "#00684c", "#b34700"
"""Text that reports a proof, and text that reports what is missing: darker shades of bluish green
and vermillion with a contrast of at least 4.5 on white."""

CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1a1a1a")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def series_look(number: int) -> tuple[str, str]:
    """Colour and marker of a series by its number; both begin again after the last."""
    return CYCLE[number % len(CYCLE)], MARKERS[number % len(MARKERS)]


NORM_SYMBOLS = {"l1": r"$L_1$", "l2": r"$L_2$", "linf": r"$L_\infty$"}
"""Norms in the text of figures."""

DIVERGING = LinearSegmentedColormap.from_list(
    "reluopt_change",
    [
        (0.0, "#08488e"),
        (0.25, "#3d8fc6"),
        (0.42, "#b5d2ea"),
        (0.5, "#ffffff"),
        (0.58, "#f9c7ab"),
        (0.75, "#e0583b"),
        (1.0, "#9b0d16"),
    ],
    N=257,
)
"""Blue below zero, white at zero (an odd number of colours has a middle), red above: the darker,
the larger the change."""

SHADES = LinearSegmentedColormap.from_list(
    "reluopt_shades", ["#ffffff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"]
)
"""White for nothing to dark blue for everything."""

_SETTINGS: Any = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    # Labels of shorter ticks stand a point farther away: on one line with those of the longer.
    "xtick.major.pad": 3.5,
    "ytick.major.pad": 3.5,
    "xtick.minor.pad": 4.5,
    "ytick.minor.pad": 4.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "figure.dpi": 100.0,
    "figure.facecolor": "white",
    "savefig.dpi": 300.0,
    "savefig.facecolor": "white",
    "image.interpolation": "nearest",
    # Type 42 embeds whole TrueType outlines; publishers refuse Type 3 fonts.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "reluopt",
}

_NO_DATES: dict[str, dict[str, Any]] = {
    ".png": {"Software": "reluopt"},
    ".pdf": {"Creator": "reluopt", "Producer": "matplotlib", "CreationDate": None},
    ".svg": {"Creator": "reluopt", "Date": None},
}
"""Metadata of each format without anything that changes from run to run."""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The settings that every figure is drawn and saved under; usable as a decorator."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches, outside of pyplot's global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def inch_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes whose upper left corner is ``left`` and ``top`` inches from that of the figure."""
    total_width, total_height = figure.get_size_inches()
    box = (
        left / total_width,
        1.0 - (top + height) / total_height,
        width / total_width,
        height / total_height,
    )
    return figure.add_axes(box)


def inch_text(figure: Figure, left: float, top: float, text: str, **options: Any) -> None:
    """Text at a point given in inches from the upper left corner of the figure."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1.0 - top / height, text, **options)


def inch_legend(
    figure: Figure,
    side: float,
    top: float,
    handles: Sequence[Artist],
    columns: int,
    corner: Literal["upper left", "upper right"] = "upper left",
) -> None:
    """What marks mean, in ``columns`` columns; its corner lies as for :func:`inch_text`."""
    width, height = figure.get_size_inches()
    figure.legend(
        handles=list(handles), loc=corner, borderaxespad=0.0, borderpad=0.0, ncols=columns,
        bbox_to_anchor=(side / width, 1.0 - top / height), columnspacing=1.6, labelspacing=0.3,
        handletextpad=0.5,
    )  # fmt: skip


def check_figure_path(path: str | os.PathLike[str]) -> Path:
    """Refuse a figure's name that :func:`save_figure` would refuse, before hours of work.

    Raises:
        InputError: it does not end in ``.png``, ``.pdf`` or ``.svg``, or cannot be written there.
    """
    checked = Path(path)
    if checked.suffix.lower() not in _NO_DATES:
        raise InputError(f"figure: expected a name ending in .png, .pdf or .svg, found '{checked}'")
    if checked.is_dir():
        raise InputError(f"figure: expected a file to write, found the folder '{checked}'")
    folder = next(place for place in checked.absolute().parents if place.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InputError(f"figure: cannot write '{checked}', because {folder} takes no files")
    return checked


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Save a figure; the same figure gives the same bytes, and no half-written file is ever seen.

    Args:
        figure: any figure of this package.
        path: ends in ``.png``, ``.pdf`` or ``.svg``. A PNG (300 dots per inch) gets its vector
            twin, the PDF of the same name, next to it. Missing folders are made.

    Returns:
        The files written, ``path`` first.

    Raises:
        InputError: another ending, or the folder cannot be written to.
    """
    first = check_figure_path(path)
    ending = first.suffix.lower()
    paths = (first, first.with_suffix(".pdf")) if ending == ".png" else (first,)
    try:
        for place in paths:
            _save(figure, place, place.suffix.lower())
    except OSError as error:
        raise InputError(f"figure: cannot write '{first}': {error.strerror or error}") from error
    return paths


@style()
def _save(figure: Figure, path: Path, ending: str) -> None:
    """Write one file under a temporary name and move it into place."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=ending[1:], metadata=_NO_DATES[ending])


def literal(text: str) -> str:
    """A name from a file as short text that matplotlib takes literally, dollar signs and all."""
    return shown(text, LONGEST_NAME).replace("$", r"\$")
