"""Which kernels serve what, by name: light, so that a help text can tell."""

from __future__ import annotations

from collections.abc import Mapping

_INPUTS = (
    "numerics.flat:forward",
    "numerics.input_sets:make_flat_input_set",
    "numerics.rounding:gamma",
)
_BOUNDS = (*_INPUTS, "numerics.propagate:layer_magnitudes", "numerics.propagate:tighten")
_ATTACKS = (
    "attacks.descent:decoupled_steps",
    "attacks.descent:least_slack",
    "attacks.descent:walk",
    "numerics.flat:forward",
)
_PIXELS = (
    "attacks.descent:greedy_pixels",
    "attacks.descent:soft_gradient",
    "attacks.descent:undo_pixels",
)
_NEAREST = ("attacks.dual_newton:nearest_point",)
_LP, _QP = "engines.branch_and_bound.lp_", "engines.branch_and_bound.qp_"

SETS: Mapping[str, tuple[str, ...]] = {
    "attacks": (*_ATTACKS, *_PIXELS),
    "regions": _NEAREST,
    "bounds": (
        *_BOUNDS,
        "numerics.propagate:condition_maxima",
        "numerics.propagate:tighten_intervals",
    ),
    "l1": (
        *_ATTACKS,
        *_PIXELS,
        *_BOUNDS,
        "engines.branch_and_bound.certificate:safe_bound",
        "numerics.maxima:l1_maximum",
        f"{_LP}basis:copy_state",
        f"{_LP}basis:refresh",
        f"{_LP}build:load_bounds",
        f"{_LP}node:keep_promising",
        f"{_LP}node:probe",
        f"{_LP}node:read_point",
        f"{_LP}node:solve_node",
        f"{_LP}node:solve_region",
        f"{_LP}node:start",
        f"{_LP}squeeze:squeeze",
    ),
    "l2": (
        *_ATTACKS,
        *_BOUNDS,
        *_NEAREST,
        "numerics.propagate:condition_maxima",
        f"{_QP}certificate:first_layer",
        f"{_QP}certificate:safe_quadratic_bound",
        f"{_QP}interior:gains",
        f"{_QP}interior:solve_program",
        f"{_QP}model:build_model",
        f"{_QP}program:build_program",
        f"{_QP}program:product_values",
        f"{_QP}program:start_multipliers",
        f"{_QP}program:tabulate",
    ),
}
"""Kernels that Python calls, by what they serve: ``l1`` and ``l2`` are all that ``bnb`` needs for a
norm, the others the steps of a solve with another engine."""

COSTS: Mapping[str, float] = {
    "engines.branch_and_bound.lp_simplex:_pivots": 4.2,
    "attacks.dual_newton:_newton_step": 3.7,
    "engines.branch_and_bound.qp_newton:direction": 3.5,
    "engines.branch_and_bound.qp_newton:factorise": 3.0,
    "attacks.dual_newton:nearest_point": 2.5,
    "engines.branch_and_bound.qp_interior:solve_program": 2.4,
    "engines.branch_and_bound.lp_squeeze:squeeze": 2.0,
    "engines.branch_and_bound.qp_model:build_model": 1.7,
    "engines.branch_and_bound.qp_certificate:_negative_curvature": 1.6,
    "engines.branch_and_bound.qp_program:start_multipliers": 1.4,
    "engines.branch_and_bound.qp_iterate:longest_step": 1.4,
    "engines.branch_and_bound.qp_certificate:safe_quadratic_bound": 1.4,
    "numerics.vectors:ascending": 1.3,
    "numerics.propagate:tighten": 1.3,
    "engines.branch_and_bound.lp_node:probe": 1.3,
    "attacks.descent:decoupled_steps": 1.2,
    "engines.branch_and_bound.lp_node:solve_node": 1.1,
    "engines.branch_and_bound.lp_basis:resynchronise": 1.1,
    "engines.branch_and_bound.certificate:safe_bound": 0.9,
    "engines.branch_and_bound.lp_node:solve_region": 0.8,
    "engines.branch_and_bound.lp_simplex:dual_simplex": 0.8,
    "numerics.maxima:l2_maximum": 0.8,
}
"""Seconds on one core that a kernel takes to compile, where it is not about :data:`USUAL_COST`."""

USUAL_COST = 0.4
"""What the others take, most of it for arguments of many arrays."""
