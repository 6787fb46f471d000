"""Compiled kernels (numba) that bounds, attacks and the branch and bound share.

* :mod:`reluopt.numerics.flat`: networks as flat arrays, dense and sparse;
* :mod:`reluopt.numerics.products`, :mod:`reluopt.numerics.passes`: products with their matrices,
  forward passes and gradients;
* :mod:`reluopt.numerics.input_sets`: the input set {ball ∩ box};
* :mod:`reluopt.numerics.maxima`: linear maxima over it, rounded outward;
* :mod:`reluopt.numerics.propagate`: pre-activation bounds, interval arithmetic and CROWN;
* :mod:`reluopt.numerics.vectors`: copies and sorting that compile fast;
* :mod:`reluopt.numerics.jit`: the decorators; :mod:`reluopt.numerics.signatures`: what a kernel is
  compiled for; :mod:`reluopt.numerics.sets`: which kernels serve what;
  :mod:`reluopt.numerics.prepare`: all of a set compiled before a clock runs.

Every array is contiguous, ``float64`` or ``int64``, and *writable*: numba compiles a second version
of a kernel for read-only arguments, so callers copy frozen arrays first.
"""

TIGHTENING = (
    "numerics.passes:forward",
    "numerics.input_sets:make_flat_input_set",
    "numerics.products:copy_row",
    "numerics.propagate:layer_magnitudes",
    "numerics.propagate:tighten",
    "numerics.rounding:gamma",
)
"""Kernels that bound neurons over an input set."""

SLACKS = ("numerics.propagate:condition_maxima",)
"""What bounds conditions over an input set."""

KERNELS = {
    "bounds": (
        *TIGHTENING,
        *SLACKS,
        "numerics.propagate:tighten_intervals",
        "numerics.rounding:chord",
    ),
    "balls": ("numerics.l1_projection:project_l1",),
}
"""See :mod:`reluopt.numerics.sets`."""

COSTS = {
    "numerics.maxima:l2_maximum": 0.8,
    "numerics.propagate:tighten": 1.3,
    "numerics.vectors:ascending": 1.3,
}
"""See :mod:`reluopt.numerics.sets`."""
