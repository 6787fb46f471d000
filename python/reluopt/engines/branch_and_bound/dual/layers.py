"""Bounds of hidden layers over a domain, by optimised slopes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from reluopt.deadline import NEVER, Deadline
from reluopt.engines.branch_and_bound.dual.ascent import Model, climb
from reluopt.engines.branch_and_bound.dual.certificate import Forms, lower_bounds
from reluopt.engines.branch_and_bound.dual.chain import Chain, Step
from reluopt.engines.branch_and_bound.dual.domains import Domain
from reluopt.engines.branch_and_bound.dual.slots import Batch
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, FloatMatrix, SingleMatrix

ITERATIONS = 12
"""Steps of an ascent at the root: more are not paid back, in small trees or large ones."""

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


def bound_last(chain: Chain, iterations: int = ITERATIONS, deadline: Deadline = NEVER) -> None:
    """Bound the last layer of a chain: all neurons once, the undecided ones by an ascent.

    Neurons of which something is known already are bounded by the ascent alone, until a deadline.
    """
    if len(chain.layers) == 1:
        return
    last = chain.layers[-1]
    unknown = ~(np.isfinite(last.lower) & np.isfinite(last.upper))
    _bound_some(chain, np.flatnonzero(unknown), 1, NEVER)
    until = NEVER if unknown.any() else deadline
    _bound_some(chain, chain.layers[-1].undecided, iterations, until)


def _bound_some(
    chain: Chain, neurons: NDArray[np.int64], iterations: int, deadline: Deadline
) -> None:
    """Bound both ends of some neurons of the last layer."""
    top = len(chain.layers) - 1
    for both, signs, forms, batch in both_ends(chain, neurons):
        if deadline.passed:
            return
        free = climb(Model.of(chain), batch, iterations).free
        none = np.zeros((both.size, 0, 0), dtype=np.int8)
        step = Step(top, both, signs, free[0], none, none.astype(np.float32))
        chain.bound_last(step, lower_bounds(chain, forms, batch.phases, *free[:2]))


def both_ends(
    chain: Chain, neurons: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int8], Forms, Batch]]:
    """Some neurons of the last layer twice, with signs, their forms, and roots for these."""
    for first in range(0, neurons.size, MOST_ROWS // 2):
        both = np.tile(neurons[first : first + MOST_ROWS // 2], 2)
        signs = np.repeat(np.array([1, -1], dtype=np.int8), both.size // 2)
        forms = signed_rows(chain, both, signs)
        yield both, signs, forms, root_batch(chain, forms.rows.astype(np.float32), forms.constants)


def signed_rows(chain: Chain, neurons: NDArray[np.int64], signs: NDArray[np.int8]) -> Forms:
    """``a`` or ``-a`` of some neurons of the last layer."""
    rows = np.zeros((neurons.size, chain.layers[-1].bias.size))
    rows[np.arange(neurons.size), neurons] = signs
    return Forms(len(chain.layers) - 1, rows, np.zeros(neurons.size))


def bounded_chain(
    network: ReLUNetwork,
    domain: Domain,
    tighten: Callable[[Chain], None] = lambda _: None,
    known: Sequence[FloatMatrix] = (),
    deadline: Deadline = NEVER,
    *,
    keep: bool = True,
) -> Chain:
    """The network over a domain, with all hidden layers bounded, and the logits on top.

    ``tighten`` is called for each layer behind the first, as the last of the chain by then. Where
    bounds are ``known`` they stay as they are after a deadline. Without ``keep`` no proof of it can
    be kept: multipliers of large networks take most of the memory.
    """
    chain = Chain(network, domain, known, keep=keep)
    while not chain.complete:
        chain.advance()
        if not chain.complete:
            bound_last(chain, deadline=deadline)
            tighten(chain)
    return chain
