"""Random deep networks whose relaxations are weak and degenerate."""

from itertools import pairwise

import numpy as np

from reluopt.engines.branch_and_bound.ball import no_bounds
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.l1.ball import make_row_ball
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Box, FixedTarget, MinimalPerturbation, Norm, RelativeMargin

FIVE_LAYERS = (60, *[24] * 5, 5)


def deep_case(seed, sizes=FIVE_LAYERS, radius=2.0):
    """A random deep network with a task, and the bounds over a ball."""
    generator = np.random.default_rng(seed)
    network = ReLUNetwork(
        tuple(
            Dense(generator.normal(size=(b, a)) / np.sqrt(a), 0.1 * generator.normal(size=b))
            for a, b in pairwise(sizes)
        )
    )
    image = generator.random(sizes[0])
    label = int(network.predict(image))
    target = FixedTarget((label + 1) % sizes[-1])
    box = Box.unit(sizes[0])
    problem = MinimalPerturbation(image, label, target, Norm.L1, RelativeMargin(0.2), box)
    task = problem.task(network)
    frame = make_frame(network, task)
    return frame, make_row_ball(frame, radius, *no_bounds(frame))
