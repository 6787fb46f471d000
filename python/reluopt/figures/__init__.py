"""Figures for papers: matplotlib only, result tables in, ``Figure`` objects out.

Nothing here solves, reads files or knows where numbers came from. :func:`save_figure` writes what
the other functions return.
"""

from reluopt.figures.blend import blend_figure, blend_pictures
from reluopt.figures.comparison import network_times_figure
from reluopt.figures.distances import distribution_figure, growth_figure
from reluopt.figures.images import digit_figure, optimal_input_figure, perturbation_figure
from reluopt.figures.leads import lead_figure, logit_figure
from reluopt.figures.matrices import confusion_figure, distance_matrix_figure
from reluopt.figures.robustness import (
    certified_accuracy_figure,
    class_distance_figure,
    confidence_figure,
    overestimate_figure,
)
from reluopt.figures.sizes import time_versus_size_figure
from reluopt.figures.smoothness import limit_figure, limit_pictures
from reluopt.figures.style import (
    DOUBLE_COLUMN,
    SINGLE_COLUMN,
    check_figure_path,
    save_figure,
    style,
)
from reluopt.figures.times import (
    benchmark_figure,
    performance_profile,
    performance_profile_figure,
    time_figure,
)

__all__ = [
    "DOUBLE_COLUMN",
    "SINGLE_COLUMN",
    "benchmark_figure",
    "blend_figure",
    "blend_pictures",
    "certified_accuracy_figure",
    "check_figure_path",
    "class_distance_figure",
    "confidence_figure",
    "confusion_figure",
    "digit_figure",
    "distance_matrix_figure",
    "distribution_figure",
    "growth_figure",
    "lead_figure",
    "limit_figure",
    "limit_pictures",
    "logit_figure",
    "network_times_figure",
    "optimal_input_figure",
    "overestimate_figure",
    "performance_profile",
    "performance_profile_figure",
    "perturbation_figure",
    "save_figure",
    "style",
    "time_figure",
    "time_versus_size_figure",
]
