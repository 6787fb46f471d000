"""Figures for papers: matplotlib only, result tables in, ``Figure`` objects out.

Nothing here solves, reads files or knows where numbers came from. :func:`save_figure` writes what
the other functions return.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reluopt.figures.anytime import anytime_figure as anytime_figure
    from reluopt.figures.corrections import Tradeoff as Tradeoff
    from reluopt.figures.corrections import correction_figure as correction_figure
    from reluopt.figures.corrections import tradeoff_figure as tradeoff_figure
    from reluopt.figures.curves import blend_figure as blend_figure
    from reluopt.figures.curves import distribution_figure as distribution_figure
    from reluopt.figures.curves import growth_figure as growth_figure
    from reluopt.figures.curves import limit_figure as limit_figure
    from reluopt.figures.feature_maps import feature_map_figure as feature_map_figure
    from reluopt.figures.features import feature_figure as feature_figure
    from reluopt.figures.leads import lead_figure as lead_figure
    from reluopt.figures.leads import logit_figure as logit_figure
    from reluopt.figures.matrices import confusion_figure as confusion_figure
    from reluopt.figures.matrices import distance_matrix_figure as distance_matrix_figure
    from reluopt.figures.networks import network_times_figure as network_times_figure
    from reluopt.figures.networks import time_versus_size_figure as time_versus_size_figure
    from reluopt.figures.pictures import blend_pictures as blend_pictures
    from reluopt.figures.pictures import digit_figure as digit_figure
    from reluopt.figures.pictures import limit_pictures as limit_pictures
    from reluopt.figures.pictures import optimal_input_figure as optimal_input_figure
    from reluopt.figures.pictures import perturbation_figure as perturbation_figure
    from reluopt.figures.pictures import shared_change_figure as shared_change_figure
    from reluopt.figures.regions import arrangement_figure as arrangement_figure
    from reluopt.figures.regions import search_figure as search_figure
    from reluopt.figures.relu import relu_figure as relu_figure
    from reluopt.figures.robust_error import robust_error_figure as robust_error_figure
    from reluopt.figures.robustness import certified_accuracy_figure as certified_accuracy_figure
    from reluopt.figures.robustness import class_distance_figure as class_distance_figure
    from reluopt.figures.robustness import confidence_figure as confidence_figure
    from reluopt.figures.robustness import overestimate_figure as overestimate_figure
    from reluopt.figures.style import DOUBLE_COLUMN as DOUBLE_COLUMN
    from reluopt.figures.style import SINGLE_COLUMN as SINGLE_COLUMN
    from reluopt.figures.style import check_figure_path as check_figure_path
    from reluopt.figures.style import save_figure as save_figure
    from reluopt.figures.surfaces import relaxation_figure as relaxation_figure
    from reluopt.figures.times import benchmark_figure as benchmark_figure
    from reluopt.figures.times import performance_profile as performance_profile
    from reluopt.figures.times import performance_profile_figure as performance_profile_figure
    from reluopt.figures.times import time_figure as time_figure

_PLACES = {
    "DOUBLE_COLUMN": "style",
    "SINGLE_COLUMN": "style",
    "Tradeoff": "corrections",
    "anytime_figure": "anytime",
    "arrangement_figure": "regions",
    "benchmark_figure": "times",
    "blend_figure": "curves",
    "blend_pictures": "pictures",
    "certified_accuracy_figure": "robustness",
    "check_figure_path": "style",
    "class_distance_figure": "robustness",
    "confidence_figure": "robustness",
    "confusion_figure": "matrices",
    "correction_figure": "corrections",
    "digit_figure": "pictures",
    "distance_matrix_figure": "matrices",
    "distribution_figure": "curves",
    "feature_figure": "features",
    "feature_map_figure": "feature_maps",
    "growth_figure": "curves",
    "lead_figure": "leads",
    "limit_figure": "curves",
    "limit_pictures": "pictures",
    "logit_figure": "leads",
    "network_times_figure": "networks",
    "optimal_input_figure": "pictures",
    "overestimate_figure": "robustness",
    "performance_profile": "times",
    "performance_profile_figure": "times",
    "perturbation_figure": "pictures",
    "relaxation_figure": "surfaces",
    "relu_figure": "relu",
    "robust_error_figure": "robust_error",
    "save_figure": "style",
    "search_figure": "regions",
    "shared_change_figure": "pictures",
    "time_figure": "times",
    "time_versus_size_figure": "networks",
    "tradeoff_figure": "corrections",
}
"""Module of every public name: matplotlib is loaded when the first is used."""

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'reluopt.figures' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"reluopt.figures.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
