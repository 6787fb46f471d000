"""Compiled kernels (numba) that bounds, attacks and the branch and bound share.

* :mod:`reluopt.kernels.flat`: networks as flat arrays, forward pass and gradients;
* :mod:`reluopt.kernels.regions`: the search region {ball ∩ box};
* :mod:`reluopt.kernels.maxima`: linear maxima over it, rounded outward;
* :mod:`reluopt.kernels.propagate`: pre-activation bounds, interval arithmetic and CROWN;
* :mod:`reluopt.kernels.vectors`: copies and sorting that compile fast;
* :mod:`reluopt.kernels.jit`: the decorators; :mod:`reluopt.kernels.signatures`: what a kernel is
  compiled for; :mod:`reluopt.kernels.sets`: which kernels serve what;
  :mod:`reluopt.kernels.prepare`: all of a set compiled before a clock runs.

Every array is contiguous, ``float64`` or ``int64``, and *writable*: numba compiles a second version
of a kernel for read-only arguments, so callers copy frozen arrays first.
"""
