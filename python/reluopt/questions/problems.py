"""The vocabulary of questions in one place: what people import to ask, and what comes of it."""

from __future__ import annotations

from reluopt.questions.change_limits import ChangeLimits
from reluopt.questions.classification import Classification
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.margins import (
    STRICT_GAP,
    AbsoluteMargin,
    BareRelativeMargin,
    LogitConditions,
    Margin,
    RelativeMargin,
    parse_margin,
)
from reluopt.questions.minimal_perturbation import MinimalPerturbation
from reluopt.questions.norms.base import Norm, parse_norm
from reluopt.questions.norms.blend import Blend
from reluopt.questions.optimal_input import OptimalInput
from reluopt.questions.targets import (
    AnyTarget,
    FixedTarget,
    RunnerUpTarget,
    ShiftTarget,
    Target,
    parse_target,
)
from reluopt.questions.tasks import (
    Alternative,
    Distance,
    LargestSlack,
    LinearForm,
    Question,
    Task,
    check_label,
    fitting_box,
    flat_image,
)
from reluopt.questions.universal_perturbation import UniversalPerturbation
from reluopt.questions.verification import Verification
from reluopt.questions.worst_case import WorstCase

__all__ = [
    "STRICT_GAP",
    "AbsoluteMargin",
    "Alternative",
    "AnyTarget",
    "BareRelativeMargin",
    "Blend",
    "Box",
    "ChangeLimits",
    "Classification",
    "Distance",
    "FixedTarget",
    "InputSet",
    "LargestSlack",
    "LinearForm",
    "LogitConditions",
    "Margin",
    "MinimalPerturbation",
    "Norm",
    "OptimalInput",
    "Question",
    "RelativeMargin",
    "RunnerUpTarget",
    "ShiftTarget",
    "Target",
    "Task",
    "UniversalPerturbation",
    "Verification",
    "WorstCase",
    "check_label",
    "fitting_box",
    "flat_image",
    "parse_margin",
    "parse_norm",
    "parse_target",
]
