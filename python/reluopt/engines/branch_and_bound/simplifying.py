"""Networks over an input set as searches take them: poolings led, bounded, then folded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reluopt.engines.branch_and_bound.folding import FoldedNetwork, fold, is_folded, weaker
from reluopt.engines.branch_and_bound.leading import is_pooled, led_over
from reluopt.networks.flattening import flatten
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.flat import FlatNetwork
from reluopt.numerics.input_sets import FlatInputSet
from reluopt.numerics.propagate import tighten
from reluopt.questions.input_sets import InputSet
from reluopt.questions.tasks import Task


def is_simplified(network: ReLUNetwork, keeps_proof: bool) -> bool:
    """Whether searches fold a network (:mod:`.folding`) or lead its poolings (:mod:`.leading`).

    Proofs of small networks are about these as they lower, which the exact checker reads.
    """
    return is_folded(network) or (not keeps_proof and is_pooled(network))


@dataclass(frozen=True, eq=False)
class Bounded:
    """A network that answers as a given one over an input set, and bounds of it there.

    Attributes:
        network: with its poolings led, or as it was given.
        task: with conditions that are weaker by what that rounds.
        is_led: whether poolings were led.
        is_empty: whether bounds prove that the set is empty; they mean nothing then.
        flat, inputs: network and set for kernels.
        lower, upper: bounds of all neurons, the hidden ones first.
        sizes: of the hidden neurons' terms.
    """

    network: ReLUNetwork
    task: Task
    is_led: bool
    is_empty: bool
    flat: FlatNetwork
    inputs: FlatInputSet
    lower: FloatArray
    upper: FloatArray
    sizes: FloatArray

    def folded(self) -> FoldedNetwork:
        """The network of its undecided neurons.

        Raises:
            InputError: they are too many.
        """
        return fold(self.network, self.task, self.inputs, self.lower, self.upper)


def bounded_over(network: ReLUNetwork, task: Task, inputs: InputSet) -> Bounded:
    """A network, its poolings led where it has any, bounded by linear forms over a set."""
    led = led_over(network, inputs)
    if led is not None:
        network, task = led.network, weaker(task, led.errors)
    flat = flatten(network)
    place, unknown = inputs.flat(flat), np.full(flat.biases.size, np.inf)
    lower, upper, sizes = -unknown, unknown, np.empty(unknown.size)
    layers = flat.weight_offsets.size - 1
    found = tighten(flat, place, lower, upper, sizes, 0, layers, False)
    return Bounded(network, task, led is not None, not found, flat, place, lower, upper, sizes)
