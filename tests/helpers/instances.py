"""Random small networks and tasks of any scale, degenerate ones included."""

import itertools

import numpy as np

from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    BareRelativeMargin,
    Blend,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    RunnerUpTarget,
)

SHORT = 2.0**-10
"""Most weights are multiples of it times a power of ten: exact arithmetic is faster with them."""


def random_layer(generator, inputs, outputs, scale, reach):
    """A layer with ties, twins, opposites, zeros or hardly any weights; biases by ``reach``."""
    if generator.random() < 0.3:
        weight = generator.integers(-2, 3, size=(outputs, inputs)).astype(float)
        bias = generator.integers(-1, 2, size=outputs).astype(float)
    else:
        weight, bias = (
            generator.normal(size=(outputs, inputs)),
            0.5 * generator.normal(size=outputs),
        )
        if generator.random() < 0.8:
            weight, bias = np.round(weight / SHORT) * SHORT, np.round(bias / SHORT) * SHORT
    flaw = generator.integers(0, 12)
    if flaw == 0:
        weight[0] = 0.0
    elif flaw == 1:
        weight[-1], bias[-1] = weight[0], bias[0]
    elif flaw == 2:
        weight[-1], bias[-1] = -weight[0], -bias[0]
    elif flaw == 3:
        weight[:, 0] *= 2.0**-30
    elif flaw == 4:
        weight[0], bias[0] = -np.abs(weight[0]), -1.0
    return Dense(scale * weight, reach * bias)


def random_network(generator):
    """At most five hidden neurons in up to three layers; each layer of its own scale."""
    shapes = ((), (2,), (3,), (4,), (5,), (2, 2), (3, 2), (2, 3), (2, 1, 2))
    hidden = shapes[generator.integers(len(shapes))]
    sizes = (int(generator.integers(1, 6)), *hidden, int(generator.integers(2, 4)))
    extreme, fitting = generator.random() < 0.5, generator.random() < 0.9
    layers, reach = [], 1.0
    for inputs, outputs in itertools.pairwise(sizes):
        scale = 10.0 ** generator.uniform(-9.0, 6.0) if extreme else 1.0
        reach = scale * reach if fitting else scale
        layers.append(random_layer(generator, inputs, outputs, scale, reach))
    return ReLUNetwork(tuple(layers))


def within_reach(generator, network, box, label):
    """A label that some inputs of the box are given, not ``label`` if possible, and its lead."""
    corners = generator.integers(0, 2, size=(40, network.input_size))
    mixed = np.where(
        generator.random(corners.shape) < 0.3, generator.random(corners.shape), corners
    )
    logits = network.forward(box.lower + mixed * (box.upper - box.lower))
    leads = np.sort(logits, axis=1)[:, -1] - np.sort(logits, axis=1)[:, -2]
    leads[logits.argmax(axis=1) == label] = -np.inf
    best = int(np.argmax(leads))
    return int(logits[best].argmax()), max(float(leads[best]), 0.0)


def random_margin(generator, network, image, lead):
    """Margins that fit the scale of the logits, tiny ones and huge ones."""
    size = lead or float(np.abs(network.forward(image)).max()) or 1.0
    choices = (
        RelativeMargin(0.2),
        RelativeMargin(0.0, strict_gap=1e-4 * size),
        RelativeMargin(0.1, strict_gap=1e-9 * size),
        AbsoluteMargin(0.1 * size),
        AbsoluteMargin(size * 10.0 ** generator.uniform(-12.0, 1.0)),
        BareRelativeMargin(0.2),
    )
    return choices[generator.choice(6, p=(0.1, 0.25, 0.15, 0.25, 0.15, 0.1))]


def random_problem(generator, network, norms=(Norm.L1, Norm.L2, Blend(0.5), Blend(0.05))):
    """An image on, beside or far from the sides of a box of any width; the first norms often."""
    size = network.input_size
    low = -generator.random(size) * generator.choice([0.0, 1.0, 3.0])
    high = low + generator.random(size) * 10.0 ** generator.choice([0.0, 0.5, 1.0, -3.0, -6.0])
    if generator.random() < 0.6:
        low, high = np.zeros(size), np.ones(size)
    fixed = generator.random(size) < 0.1
    high[fixed] = low[fixed]
    place = generator.choice([0.0, 1.0, 0.25, 0.5, 0.7], size=size)
    image = np.clip(low + place * (high - low), low, high)
    label = int(network.predict(image))
    reached, lead = within_reach(generator, network, Box(low, high), label)
    target = (
        AnyTarget(),
        RunnerUpTarget(),
        FixedTarget(reached),
        FixedTarget((label + 1) % network.output_size),
        FixedTarget(label),
    )[generator.choice(5, p=(0.3, 0.05, 0.5, 0.1, 0.05))]
    norm = norms[min(int(generator.geometric(0.45)) - 1, len(norms) - 1)]
    margin = random_margin(generator, network, image, lead)
    return MinimalPerturbation(image, label, target, norm, margin, Box(low, high))
