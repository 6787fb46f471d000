r"""The program of a network at one fixed input, its activations summed: what Davoli (2022) solves.

.. math:: \min \sum_k \sum_i x^k_i + \sum_w y_w \quad\text{s.t.}\quad x^0 = image,

over all ReLUs, all maxima, and the logits where a variant has them. With its input fixed a network
leaves no choice, so the values are those of the forward pass, whatever the objective.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reluopt.answers.solution import Status
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.base import PreActivationBounds
from reluopt.bounds.constant import Constant
from reluopt.deadline import Deadline
from reluopt.engines import ENGINES
from reluopt.engines.base import ProgressCallback
from reluopt.engines.options import EngineOptions
from reluopt.engines.program_engine import ProgramEngine, ProgramTask
from reluopt.errors import InputError
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.base import ABSENT, EncodedLayer, EncodedProblem
from reluopt.formulation.maxima import EncodedMaximum
from reluopt.networks.layers.base import Dense, Layer
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.elementwise import Permute, Scale
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.linear_programs import IndexArray, Program
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.tasks import Task
from reluopt.runs.instances import Instance
from reluopt.runs.job import Finished
from reluopt.runs.row import InferenceRow
from reluopt.runs.solving import LimitedJob, limit_settings, network_settings

MEAN, DEVIATION = 0.1307, 0.3081
"""Of MNIST's pixels, as most PyTorch examples normalise them."""

Layers = tuple[Layer, ...]


def without_linear(layers: Layers) -> Layers:
    """The layers but for the linear one at the end.

    Raises:
        InputError: they do not end with a pool and a linear layer.
    """
    last = layers[-1]
    if not (isinstance(last, Chain) and isinstance(last.parts[-1], Dense)):
        raise InputError(f"network: expected a pool and a linear layer last, found {last.kind}")
    return (*layers[:-1], Chain(last.parts[:-1]))


def with_relu(layers: Layers) -> Layers:
    """The layers with a ReLU behind the last one."""
    return (*layers, Permute(np.arange(layers[-1].output_size)))


def normalised(layers: Layers) -> Layers:
    """The layers for pixels in [0, 1] where they were meant for normalised ones."""
    size = layers[0].input_size
    scale = Scale(np.full(size, 1.0 / DEVIATION), np.full(size, -MEAN / DEVIATION))
    return (Chain((scale, layers[0])), *layers[1:])


@dataclass(frozen=True)
class Variant:
    """What stands at the end of the network.

    Attributes:
        change: makes its layers.
        logits: whether the logits are variables of their own that count in the objective.
        nonnegative: whether these variables have the lower bound 0.
    """

    change: Callable[[Layers], Layers]
    logits: bool = False
    nonnegative: bool = False


VARIANTS = {
    "without": Variant(without_linear),
    "nonnegative": Variant(tuple, logits=True, nonnegative=True),
    "relu": Variant(with_relu),
    "free": Variant(tuple, logits=True),
}
"""Without the linear layer; with it and logits of at least 0; with a ReLU behind it; with it."""

PIXELS: dict[str, Callable[[Layers], Layers]] = {"plain": tuple, "normalised": normalised}
"""What stands before the network."""


def constant_bounds(network: ReLUNetwork, box: Box) -> PreActivationBounds:
    """One constant for all neurons, after a proof that it holds."""
    Constant().refuse_untrue(network, box)
    return Constant().compute(network, InputSet(box))


def interval_bounds(network: ReLUNetwork, box: Box) -> PreActivationBounds:
    """Interval arithmetic at the input."""
    return BOUNDING_METHODS.get("interval").compute(network, InputSet(box))


BOUNDS = {"constant": constant_bounds, "interval": interval_bounds}
"""Bounds of -1000 and 1000, and those at the fixed input."""


@dataclass(frozen=True, eq=False)
class InferenceUnit:
    """One image in one variant.

    Attributes:
        instance: the image.
        pixels, variant, bounds: see :data:`PIXELS`, :data:`VARIANTS`, :data:`BOUNDS`.
        engine: a solver of programs.
    """

    instance: Instance
    pixels: str
    variant: str
    engine: str
    bounds: str

    @property
    def key(self) -> str:
        """All of it."""
        words = (self.instance.key, self.pixels, self.variant, self.engine, self.bounds)
        return " ".join(words)

    def network(self, network: ReLUNetwork) -> ReLUNetwork:
        """The variant of a network."""
        layers = PIXELS[self.pixels](VARIANTS[self.variant].change(network.layers))
        return ReLUNetwork(layers, NetworkMetadata(network.metadata.name))


@dataclass(frozen=True, eq=False)
class FixedProgram:
    """A program with its input fixed.

    Attributes:
        encoded: as the formulation writes it.
        program: the same with objective and lower bounds of the variant.
        counted: variables of the objective.
        reference: all variables by the forward pass.
    """

    encoded: EncodedProblem
    program: Program
    counted: IndexArray
    reference: FloatArray


def fixed_program(network: ReLUNetwork, unit: InferenceUnit) -> FixedProgram:
    """The program of a unit; ``network`` is its variant already."""
    variant, image = VARIANTS[unit.variant], unit.instance.image
    box = Box(image, image)
    bounds = BOUNDS[unit.bounds](network, box)
    task = Task.largest_logit(0, box)
    encoded = FORMULATIONS.get("thesis").encode(network, task, bounds)
    blocks = []
    for _, each in encoded.network.steps:
        if isinstance(each, EncodedMaximum):
            blocks.append(each.y)
        elif isinstance(each, EncodedLayer) and (variant.logits or not each.output):
            blocks.append(each.x)
    counted = np.concatenate(blocks)
    counted = counted[counted != ABSENT]
    program, cost = encoded.program, np.zeros(encoded.program.cost.size)
    np.add.at(cost, counted, 1.0)
    lower, upper = program.lower.copy(), program.upper.copy()
    if variant.nonnegative:  # not above the upper bound, which solvers refuse to read
        logits = encoded.network.logits
        lower[logits], upper[logits] = 0.0, np.maximum(upper[logits], 0.0)
    program = replace(program, maximise=False, cost=cost, lower=lower, upper=upper)
    return FixedProgram(encoded, program, counted, encoded.start(image))


@dataclass(frozen=True, eq=False)
class InferenceJob(LimitedJob[InferenceUnit, InferenceRow]):
    """Solve programs with fixed inputs; what is kept beside a row are its hidden ReLUs' values."""

    network: ReLUNetwork
    options: EngineOptions = field(default_factory=EngineOptions)

    row_class = InferenceRow

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results, JSON-serialisable."""
        settings = {**network_settings(self.network), **limit_settings(self.options)}
        return {"experiment": "inference", **settings}

    def identify(self, unit: InferenceUnit) -> dict[str, Any]:
        """A row stands for the image with these pixels only."""
        return {"image_sha256": unit.instance.fingerprint}

    def run(
        self, unit: InferenceUnit, progress: ProgressCallback | None = None
    ) -> Finished[InferenceRow]:
        """Write the program, solve it, and compare its values with the forward pass."""
        network, engine = unit.network(self.network), ENGINES.get(unit.engine)
        if not isinstance(engine, ProgramEngine):
            raise InputError(f"engine: expected one that solves programs, found {unit.engine}")
        made = fixed_program(network, unit)
        started, deadline = time.perf_counter(), Deadline.after(self.options.time_limit)
        task = ProgramTask(made.program, self.options, deadline, progress=progress)
        result = engine.solve_program(task)
        seconds, found = time.perf_counter() - started, result.values
        row = self.blank(unit, str(result.status)).but(
            expected=made.program.objective(made.reference),
            seconds=seconds,
            nodes=result.nodes,
            message=result.message,
            **made.program.size,
        )
        if result.status is not Status.INFEASIBLE and np.isfinite(result.bound):
            row = row.but(bound=result.bound)
        if found is None:
            return Finished(row)
        difference = np.abs(found - made.reference)[made.counted].max()
        row = row.but(objective=made.program.objective(found), difference=float(difference))
        layers = made.encoded.network.layers[: len(self.network.layers) - 1]
        return Finished(row, np.concatenate([found[layer.x] for layer in layers]))

    def blank(self, unit: InferenceUnit, status: str) -> InferenceRow:
        """What is known before anything is solved."""
        logits = ReLUNetwork(PIXELS[unit.pixels](self.network.layers)).forward(unit.instance.image)
        return InferenceRow(
            run=unit.key,
            image=unit.instance.key,
            label=unit.instance.label,
            pixels=unit.pixels,
            variant=unit.variant,
            engine=unit.engine,
            bounds=unit.bounds,
            status=status,
            negative=int(np.count_nonzero(logits < 0.0)),
            seed=self.options.seed,
            threads=self.options.threads,
            time_limit=self.options.time_limit,
            network=self.network.metadata.name,
            image_sha256=unit.instance.fingerprint,
        )
