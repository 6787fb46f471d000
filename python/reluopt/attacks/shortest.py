"""The shortest change that PGD finds: its smallest successful epsilon, by bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from reluopt.attacks.criteria import Misclassification
from reluopt.attacks.gradient import pgd
from reluopt.attacks.linear_model import linear_distances
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.margins import Margin
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import flat_image

STEPS, RESTARTS = 40, 3
"""Gradient steps and random starts for each epsilon. Madry et al. (2018) use 40 steps on MNIST."""

PRECISION = 1e-3
"""Bisection ends when the smallest success is at most this share above the largest failure: far
less than what PGD overestimates, and ten epsilons for one image."""

MOST_DOUBLINGS = 30
"""Epsilons tried upward before giving up; the first success is usually among the first three."""


def shortest_pgd(
    network: ReLUNetwork,
    image: FloatArray,
    label: int,
    *,
    norm: Norm,
    margin: Margin | None = None,
    steps: int = STEPS,
    restarts: int = RESTARTS,
    precision: float = PRECISION,
    seed: int = 0,
) -> FloatArray | None:
    """The nearest misclassified image that PGD finds, whatever epsilon it needs.

    PGD answers for a given epsilon. Epsilon starts where the linear model of the network would
    change its answer, doubles until PGD succeeds and is then bisected (on a logarithmic scale, and
    from the length of what was found, which may be shorter than epsilon). PGD's success need not
    grow with epsilon, so this is a smallest successful epsilon, not always the only one.

    Args:
        network: the network.
        image: shape ``(n_0,)`` or the network's input shape, in [0, 1].
        label: the true label.
        norm: how length is measured.
        margin: by how much a wrong label must lead; None asks for any lead > 0.
        steps: gradient steps of one run.
        restarts: random starts for each epsilon, >= 1.
        precision: relative width of the last bracket, > 0.
        seed: seed of the random starts.

    Returns:
        An image, shape ``(n_0,)``, whose forward pass meets the criterion (``image`` itself when it
        does), or None when nothing was found, which proves nothing.

    Raises:
        InputError: image, label or a count does not fit.
    """
    if restarts < 1:
        raise InputError(f"restarts: expected at least 1, found {restarts}")
    if not precision > 0.0:
        raise InputError(f"precision: expected a number > 0, found {precision}")
    start = flat_image(network, image)
    batch = np.repeat(start[None], restarts, axis=0)
    criterion = Misclassification(np.full(restarts, label), margin)
    # An epsilon of its own number has random starts of its own.
    calls = iter(range(restarts * seed, restarts * seed + 10_000))

    def attempt(epsilon: float) -> Found | None:
        result = pgd(network, batch, criterion, epsilon, norm=norm, steps=steps, seed=next(calls))
        found = np.asarray(result.clipped)[result.success]
        if not len(found):
            return None
        sizes = norm.lengths(found - start)
        return float(sizes.min()), found[int(np.argmin(sizes))]

    guess = _linear_guess(network, start, label, norm)
    found = _smallest_success(attempt, guess, precision)
    return None if found is None else found[1]


Found: TypeAlias = tuple[float, FloatArray]
"""How far an image is, and the image."""


def _smallest_success(
    attempt: Callable[[float], Found | None], guess: float, precision: float
) -> Found | None:
    """What the smallest epsilon finds that finds something, by doubling and bisection."""
    best = attempt(0.0)
    below, epsilon = 0.0, guess
    for _ in range(MOST_DOUBLINGS):
        if best is not None:
            break
        best = attempt(epsilon)
        below, epsilon = (epsilon, 2.0 * epsilon) if best is None else (0.5 * epsilon, epsilon)
    if best is None:
        return None
    while best[0] > below * (1.0 + precision) and best[0] > 0.0:
        middle = math.sqrt(below * best[0])
        closer = attempt(middle)
        if closer is None:
            below = middle
        else:
            best = closer  # perhaps shorter than an epsilon that failed
            below = below if below < best[0] else 0.5 * best[0]
    return best


def _linear_guess(network: ReLUNetwork, image: FloatArray, label: int, norm: Norm) -> float:
    """The length after which the linear model about ``image`` changes its answer.

    The smallest over all other labels; 1 when it never does.
    """
    others = [target for target in range(network.output_size) if target != label]
    rows = np.zeros((len(others), network.output_size))
    rows[range(len(others)), others] = 1.0
    rows[:, label] = -1.0
    guess = float(linear_distances(network, image, rows, np.zeros(len(others)), norm).min())
    return max(guess, 1e-6) if math.isfinite(guess) else 1.0
