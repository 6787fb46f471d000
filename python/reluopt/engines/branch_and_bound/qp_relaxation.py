r"""The L2 relaxation behind the tree's interface: semidefinite bounds by cutting planes.

One solve is: the program with ReLU terms and the products inherited from the parent, then, while
it pays, rounds in which products :math:`x_i \ell_k \ge 0` that the relaxation violates most are
added (:func:`qp_program.product_values`), then the safe bound of the best iterate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from reluopt.attacks.region import solve_region
from reluopt.engines.branch_and_bound.qp_certificate import (
    FirstLayer,
    Witness,
    first_layer,
    safe_quadratic_bound,
)
from reluopt.engines.branch_and_bound.qp_interior import (
    CUT_OFF,
    SOLVED,
    TROUBLE,
    Answer,
    solve_program,
)
from reluopt.engines.branch_and_bound.qp_model import IntArray, Model, build_model
from reluopt.engines.branch_and_bound.qp_program import (
    FormTable,
    Program,
    build_program,
    product_values,
    start_multipliers,
    tabulate,
)
from reluopt.engines.branch_and_bound.relaxation import (
    Frame,
    Multipliers,
    Outcome,
    RegionPoint,
)
from reluopt.network import BoolArray, FloatArray
from reluopt.problems import LogitConditions

__all__ = ["QPRelaxation"]
