"""Small networks with convolutions and pools, and what their units are."""

import numpy as np

from helpers.boxes import random_network
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork

SIDE = 5
KINDS = ("dense", "deep", "pool", "pool before a ReLU", "pool of pools")


def network_of(kind, random):
    """A network of 25 pixels and three logits."""
    if kind in ("dense", "deep"):
        sizes = (SIDE * SIDE, 8, 6, 3) if kind == "dense" else (SIDE * SIDE, 6, 6, 5, 4, 3)
        return random_network(random, sizes)
    conv = Conv2d(
        random.normal(size=(2, 1, 3, 3)), random.normal(size=2), Windows((1, SIDE, SIDE), (3, 3))
    )
    pool = MaxPool2d(Windows((2, 3, 3), (2, 2), (1, 1)))
    pools = [pool]
    if kind == "pool of pools":
        pools.append(MaxPool2d(Windows((2, 2, 2), (2, 1), (1, 1))))
    first = Dense(random.normal(size=(5, pools[-1].output_size)), random.normal(size=5))
    last = Dense(random.normal(size=(3, 5)), random.normal(size=3))
    if kind == "pool before a ReLU":
        return ReLUNetwork((Chain((conv, pool, first)), last))
    return ReLUNetwork((conv, *pools, first, last))


def unit_values(units, inputs):
    """Units of every layer, and logits."""
    for own in units:
        pieces = own.pieces.forward(inputs)
        taken = pieces
        if own.windows is not None:
            taken = np.where(own.windows >= 0, pieces[:, own.windows], -np.inf).max(axis=2)
        inputs = np.maximum(taken, 0.0) if own.rectified else taken
        yield inputs
