"""L2: a semidefinite relaxation, solved by an interior point method of its own, and its tree."""

from reluopt.attacks import NEAREST, WALKS
from reluopt.numerics import SLACKS, TIGHTENING

_HERE = "engines.branch_and_bound.l2."

KERNELS = (
    *WALKS,
    *NEAREST,
    *TIGHTENING,
    *SLACKS,
    f"{_HERE}algebra:cholesky",
    f"{_HERE}algebra:inverse_from_factor",
    f"{_HERE}algebra:is_positive_definite",
    f"{_HERE}certificate:bound_by_tangent",
    f"{_HERE}certificate:form_spread",
    f"{_HERE}certificate:negative_curvature",
    f"{_HERE}certificate:safe_quadratic_bound",
    f"{_HERE}fixing:springs_at",
    f"{_HERE}fixing:stepped",
    f"{_HERE}interior:solve_program",
    f"{_HERE}iterate:start_iterate",
    f"{_HERE}iterate:unevenness",
    f"{_HERE}model:build_model",
    f"{_HERE}program:build_program",
    f"{_HERE}program:curvature",
    f"{_HERE}program:product_values",
    f"{_HERE}program:start_multipliers",
    f"{_HERE}program:tabulate",
)
"""See :mod:`reluopt.numerics.sets`."""

COSTS = {
    f"{_HERE}newton:direction": 3.5,
    f"{_HERE}newton:factorise": 3.0,
    f"{_HERE}interior:solve_program": 2.4,
    f"{_HERE}model:build_model": 1.7,
    f"{_HERE}certificate:negative_curvature": 1.6,
    f"{_HERE}program:start_multipliers": 1.4,
    f"{_HERE}iterate:longest_step": 1.4,
    f"{_HERE}certificate:bound_by_tangent": 1.4,
}
"""See :mod:`reluopt.numerics.sets`."""
