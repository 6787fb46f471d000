"""Bounds of hidden layers over a box, by optimised slopes."""

from __future__ import annotations

import numpy as np

from reluopt.engines.branch_and_bound.dual.ascent import Batch, Climbed, Model, climb
from reluopt.engines.branch_and_bound.dual.certificate import Forms, lower_bounds
from reluopt.engines.branch_and_bound.dual.chain import Chain
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, SingleMatrix

ITERATIONS = 20
"""Steps of an ascent at the root: within 1e-3 of the linear program over triangles."""

MOST_ROWS = 512
"""Rows of one batch: more would not stay in the cache."""


def root_batch(
    chain: Chain, rows: SingleMatrix, constants: FloatArray, conditions: int = 0
) -> Batch:
    """Forms over the whole box, with the slopes of CROWN (Zhang et al. 2018) to begin with."""
    count = rows.shape[0]
    lower = np.concatenate([np.zeros(0), *(layer.lower for layer in chain.hidden)])
    upper = np.concatenate([np.zeros(0), *(layer.upper for layer in chain.hidden)])
    slopes = ((chain.phases == 0) & (upper > -lower)).astype(np.float32)
    return Batch(
        np.ascontiguousarray(rows, dtype=np.float32),
        constants.astype(np.float32),
        np.repeat(chain.phases[None], count, axis=0),
        np.repeat(slopes[None], count, axis=0),
        np.zeros((count, 0), dtype=np.float32),
        np.full((count, conditions), 1.0 / max(conditions, 1), dtype=np.float32),
    )


def bound_last(chain: Chain, iterations: int = ITERATIONS) -> None:
    """Bound the last layer of a chain: all neurons once, the undecided ones by an ascent."""
    last = chain.layers[-1]
    if len(chain.layers) == 1:
        return
    lower, upper = last.lower.copy(), last.upper.copy()
    every = np.arange(last.bias.size)
    for neurons, steps in ((every, 1), (None, iterations)):
        if neurons is None:
            neurons = np.flatnonzero((lower < 0.0) & (upper > 0.0))
        for first in range(0, neurons.size, MOST_ROWS // 2):
            some = neurons[first : first + MOST_ROWS // 2]
            found = _both_ends(chain, some, steps)
            lower[some] = np.maximum(lower[some], found[: some.size])
            upper[some] = np.minimum(upper[some], -found[some.size :])
    chain.bound_last(lower, upper)


def _both_ends(chain: Chain, neurons: FloatArray, steps: int) -> FloatArray:
    """Proven lower bounds on ``a`` and on ``-a`` for some neurons of the last layer."""
    width = chain.layers[-1].bias.size
    ends = np.zeros((2 * neurons.size, width))
    index = np.arange(neurons.size)
    ends[index, neurons], ends[neurons.size + index, neurons] = 1.0, -1.0
    top, constants = len(chain.layers) - 1, np.zeros(2 * neurons.size)
    batch = root_batch(chain, ends.astype(np.float32), constants)
    climbed: Climbed = climb(Model.of(chain), batch, steps)
    return lower_bounds(chain, Forms(top, ends, constants), batch.phases, *climbed.free[:2])


def bounded_chain(
    network: ReLUNetwork, lower: FloatArray, upper: FloatArray, iterations: int = ITERATIONS
) -> Chain:
    """The network over a box, with all hidden layers bounded, and the logits on top."""
    chain = Chain(network, lower, upper)
    while not chain.complete:
        chain.advance()
        if not chain.complete:
            bound_last(chain, iterations)
    return chain
