"""Small networks with convolutions and pools, and what their units are."""

import numpy as np

from helpers.boxes import random_network
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, MinimalPerturbation

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


def folded_question(seed, norm, pooled=True, far=0.0):
    """A small convolution, an untargeted question and its frame; logits lead by ``far`` more."""
    random = np.random.default_rng(seed)
    windows = Windows((1, SIDE, SIDE), (3, 3))
    conv = Conv2d(random.normal(size=(2, 1, 3, 3)), random.normal(size=2), windows)
    pool = [MaxPool2d(Windows((2, 3, 3), (2, 2), (1, 1)))] if pooled else []
    first = Dense(random.normal(size=(6, 8 if pooled else 18)), random.normal(size=6))
    last = Dense(random.normal(size=(3, 6)), random.normal(size=3))
    image = random.random(SIDE * SIDE)
    label = int(ReLUNetwork((conv, *pool, first, last)).predict(image))
    bias = np.array(last.bias) + far * (np.arange(3) == label)
    network = ReLUNetwork((conv, *pool, first, Dense(last.weight, bias)))
    question = MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(0.01))
    return network, question, make_frame(network, question.task(network))
