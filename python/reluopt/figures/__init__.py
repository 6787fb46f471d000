"""Figures for papers: matplotlib only, result tables in, ``Figure`` objects out.

Nothing here solves, reads files or knows where numbers came from. :func:`save_figure` writes what
the other functions return.
"""

from reluopt.figures.anytime import anytime_figure
from reluopt.figures.corrections import Tradeoff, correction_figure, tradeoff_figure
from reluopt.figures.curves import blend_figure, distribution_figure, growth_figure, limit_figure
from reluopt.figures.feature_maps import feature_map_figure
from reluopt.figures.features import feature_figure
from reluopt.figures.leads import lead_figure, logit_figure
from reluopt.figures.matrices import confusion_figure, distance_matrix_figure
from reluopt.figures.networks import network_times_figure, time_versus_size_figure
from reluopt.figures.pictures import (
    blend_pictures,
    digit_figure,
    limit_pictures,
    optimal_input_figure,
    perturbation_figure,
    shared_change_figure,
)
from reluopt.figures.regions import arrangement_figure, search_figure
from reluopt.figures.relu import relu_figure
from reluopt.figures.robust_error import robust_error_figure
from reluopt.figures.robustness import (
    certified_accuracy_figure,
    class_distance_figure,
    confidence_figure,
    overestimate_figure,
)
from reluopt.figures.style import (
    DOUBLE_COLUMN,
    SINGLE_COLUMN,
    check_figure_path,
    save_figure,
    style,
)
from reluopt.figures.surfaces import relaxation_figure
from reluopt.figures.times import (
    benchmark_figure,
    performance_profile,
    performance_profile_figure,
    time_figure,
)

__all__ = [
    "DOUBLE_COLUMN",
    "SINGLE_COLUMN",
    "Tradeoff",
    "anytime_figure",
    "arrangement_figure",
    "benchmark_figure",
    "blend_figure",
    "blend_pictures",
    "certified_accuracy_figure",
    "check_figure_path",
    "class_distance_figure",
    "confidence_figure",
    "confusion_figure",
    "correction_figure",
    "digit_figure",
    "distance_matrix_figure",
    "distribution_figure",
    "feature_figure",
    "feature_map_figure",
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
    "relaxation_figure",
    "relu_figure",
    "robust_error_figure",
    "save_figure",
    "search_figure",
    "shared_change_figure",
    "style",
    "time_figure",
    "time_versus_size_figure",
    "tradeoff_figure",
]
