"""Blends of L1 and L2: the L2 search on the lifted network (:mod:`~reluopt.bridges.lifting`).

The biases of the lifted first layer are rounded sums. The kernels allow for the rounding of a first
layer by its *errors* and by multiples of its *magnitudes*, so what the lifted biases may be wrong
by is added to both, and every bound stays a theorem about the original weights and pixels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reluopt.answers.answer import EngineAnswer
from reluopt.bounds.scaling import balanced
from reluopt.bridges.lifting import Lift, lift
from reluopt.engines.base import EngineRequest, Progress, ProgressCallback
from reluopt.engines.branch_and_bound.frame import Frame, largest_input, make_frame
from reluopt.errors import UnsupportedProblemError
from reluopt.networks.layers.base import Affine
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.rounding import gamma
from reluopt.questions.problems import Task

LEAST_CHAIN = 16.0
"""Roundings that every kernel allows for in the first layer, besides one for each input."""


def lifted_frame(network: ReLUNetwork, task: Task) -> tuple[Frame, Lift]:
    r"""The frame of a blend's lifted task.

    Kernels allow for at least :math:`\gamma_{N+16}` times the magnitudes, N being the number of
    parts. The lifted biases are wrong by at most :math:`\gamma_{n+1} S`, S being
    :attr:`Lift.bias_sizes`; so :math:`S \max(1, (n + 16) / (N + 16))` more is enough. The errors
    of the input set grow by :math:`\gamma_{n+16} S` itself. Where the box fixes the pixels that
    weigh most, little is left of a neuron, and the frame rescales it once more: S has to follow.
    """
    raised = lift(balanced(network, largest_input(task.box)), task)
    frame = make_frame(raised.network, raised.task)
    inputs, parts = network.input_size, raised.network.input_size
    share = max(1.0, (inputs + LEAST_CHAIN) / (parts + LEAST_CHAIN))
    before, after = (
        _row_sizes(raised.network.affine_layers[0]),
        _row_sizes(frame.network.affine_layers[0]),
    )
    factors = np.divide(after, before, out=np.ones_like(before), where=before > 0.0)
    sizes = factors * raised.bias_sizes
    magnitudes = frame.inputs.magnitudes + 1.01 * share * sizes
    mistaken = gamma(inputs + LEAST_CHAIN) * sizes
    errors = frame.inputs.errors + mistaken
    tilt = raised.task.distance.tilt
    allowed = frame.inputs._replace(errors=errors, magnitudes=magnitudes, tilt=tilt)
    return replace(frame, inputs=allowed, bias_errors=mistaken), raised


def _row_sizes(layer: Affine) -> FloatArray:
    """Sums of absolute weights and bias, shape ``(outputs,)``; powers of two scale them exactly."""
    sizes: FloatArray = abs(layer.weight).sum(axis=1) + np.abs(layer.bias)
    return sizes


def lifted_request(request: EngineRequest, raised: Lift) -> EngineRequest:
    """What is asked of the search on the lifted network.

    Raises:
        UnsupportedProblemError: a proof is to be kept.
    """
    if request.options.extra.get("proof"):
        raise UnsupportedProblemError("--proof: expected norm l1 or l2, found a blend")
    return replace(
        request,
        network=raised.network,
        task=raised.task,
        bounds=None,
        incumbent=raised.lifted(request.incumbent),
        progress=_lowered_progress(request.progress, raised),
    )


def lowered_answer(answer: EngineAnswer, raised: Lift) -> EngineAnswer:
    """The answer to the lifted request as one to the original; the bound is rounded down."""
    image = None if answer.image is None else raised.image(answer.image)
    objective = raised.objective(answer.objective)
    if image is not None:
        objective = raised.original.distance(image)
    bound = raised.bound(answer.bound)
    return replace(
        answer,
        image=image,
        objective=objective,
        bound=bound if bound == np.inf else min(bound, objective),
    )


def _lowered_progress(progress: ProgressCallback | None, raised: Lift) -> ProgressCallback | None:
    """A callback that tells of the blend."""
    if progress is None:
        return None
    callback = progress

    def report(now: Progress) -> None:
        callback(
            replace(now, objective=raised.objective(now.objective), bound=raised.bound(now.bound))
        )

    return report
