"""Indicator constraints in place of big-M rows, which the Julia package writes."""

from __future__ import annotations

from reluopt.bounds.base import PreActivationBounds
from reluopt.deadline import NEVER, Deadline
from reluopt.errors import UnsupportedProblemError
from reluopt.formulation.base import EncodedProblem, Formulation
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.tasks import Task


class Indicator(Formulation):
    """``z = 1`` implies ``s <= 0``, and ``z = 0`` implies ``x <= 0``; for engine ``julia``."""

    name = "indicator"
    in_python = False

    def encode(
        self,
        network: ReLUNetwork,
        task: Task,
        bounds: PreActivationBounds,
        deadline: Deadline = NEVER,
    ) -> EncodedProblem:
        raise UnsupportedProblemError("formulation indicator: expected engine julia")
