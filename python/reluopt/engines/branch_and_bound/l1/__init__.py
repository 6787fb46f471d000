"""L1: a linear relaxation, solved by a dual simplex method of its own, and its tree."""

from reluopt.attacks import PIXELS, WALKS
from reluopt.numerics import TIGHTENING

_HERE = "engines.branch_and_bound.l1."

KERNELS = (
    *WALKS,
    *PIXELS,
    *TIGHTENING,
    "numerics.maxima:l1_maximum",
    f"{_HERE}certificate:safe_bound",
    f"{_HERE}basis:copy_state",
    f"{_HERE}basis:refresh",
    f"{_HERE}build:load_bounds",
    f"{_HERE}node:keep_promising",
    f"{_HERE}node:probe",
    f"{_HERE}node:read_point",
    f"{_HERE}node:solve_node",
    f"{_HERE}node:solve_region",
    f"{_HERE}node:start",
    f"{_HERE}squeeze:squeeze",
)
"""See :mod:`reluopt.numerics.sets`."""

COSTS = {
    f"{_HERE}simplex:_pivots": 4.2,
    f"{_HERE}squeeze:squeeze": 2.0,
    f"{_HERE}node:probe": 1.3,
    f"{_HERE}node:solve_node": 1.1,
    f"{_HERE}basis:resynchronise": 1.1,
    f"{_HERE}certificate:safe_bound": 0.9,
    f"{_HERE}node:solve_region": 0.8,
    f"{_HERE}simplex:dual_simplex": 0.8,
}
"""See :mod:`reluopt.numerics.sets`."""
