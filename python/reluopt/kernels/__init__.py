"""Compiled kernels (numba) that bounds, attacks and the branch and bound share.

* :mod:`reluopt.kernels.flat`: networks as flat arrays, forward pass and gradients;
* :mod:`reluopt.kernels.regions`: the search region {ball ∩ box};
* :mod:`reluopt.kernels.maxima`: linear maxima over it, rounded outward;
* :mod:`reluopt.kernels.propagate`: pre-activation bounds, interval arithmetic and CROWN.

Every array is contiguous, ``float64`` or ``int64``, and *writable*: numba compiles a second version
of a kernel for read-only arguments, so callers copy frozen arrays first.
"""
