# Public names: type checkers read them here, and the package loads each when it is first used.

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

__all__: list[str]
