"""Figures for papers: matplotlib only, result tables in, ``Figure`` objects out.

Nothing here solves, reads files or knows where numbers came from. :func:`save_figure` writes what
the other functions return.
"""

from reluopt.figures.images import optimal_input_figure, perturbation_figure
from reluopt.figures.style import DOUBLE_COLUMN, SINGLE_COLUMN, save_figure, style

__all__ = [
    "DOUBLE_COLUMN",
    "SINGLE_COLUMN",
    "optimal_input_figure",
    "perturbation_figure",
    "save_figure",
    "style",
]
