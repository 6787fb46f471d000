"""Where the time of a solve goes: the own engine's steps, beside the least that any solve costs."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import pandas as pd

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, relative_gap
from reluopt.engines.base import EngineRequest, Progress
from reluopt.engines.options import EngineOptions
from reluopt.engines.proving import proving_engine
from reluopt.errors import UnsupportedProblemError
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import open_network
from reluopt.questions.problems import (
    Margin,
    MinimalPerturbation,
    Norm,
    Target,
    Task,
)
from reluopt.runs.instances import Instance

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Profile:
    """Medians over several solves of one instance.

    Attributes:
        answer: the last answer.
        norm: which distance its objective tells, squared in L2.
        seconds: of a whole solve.
        steps: calls and seconds of every step; the rest is what remains of ``seconds``.
        reading: seconds for reading the weights.
        root: seconds for bounds over the optimum's ball and the root relaxation of the answer's
            own target: the least that a search costs this engine. None where nothing was searched,
            because the image needs no change, or where the search did not end.
        moments: what the last solve knew as time went by, from nothing to its end.
    """

    answer: EngineAnswer
    norm: Norm
    seconds: float
    steps: dict[str, tuple[int, float]]
    reading: float
    root: float | None
    moments: list[Progress]

    @property
    def table(self) -> pd.DataFrame:
        """The moments: ``seconds``, ``incumbent``, ``bound`` and ``nodes``, L2 as lengths."""
        rows = [(each.seconds, each.objective, each.bound, each.nodes) for each in self.moments]
        found = pd.DataFrame(rows, columns=["seconds", "incumbent", "bound", "nodes"])
        if self.norm is Norm.L2:
            found[["incumbent", "bound"]] **= 0.5
        return found


def profile(
    network_name: str,
    instance: Instance,
    target: Target,
    norm: Norm,
    margin: Margin,
    options: EngineOptions,
    repeats: int = 5,
    loading: Mapping[str, Any] | None = None,
) -> Profile:
    """Solve an instance several times and take the medians.

    ``loading`` has further arguments of :func:`~reluopt.networks.zoo.open_network`.

    Raises:
        UnsupportedProblemError: the engine does not know the norm.
    """
    told = loading or {}
    network: ReLUNetwork = open_network(network_name, **told)
    task = MinimalPerturbation(instance.image, instance.label, target, norm, margin).task(network)
    engine = proving_engine()
    if not engine.keeps_proofs(task):
        raise UnsupportedProblemError(f"profile: expected norm l1, l2 or linf, found {norm}")
    request = EngineRequest(network, task, None, options=options)
    engine.solve(request)  # compiles what is not yet compiled
    timed = [_timed(lambda: engine.solve(request)) for _ in range(repeats - 1)]
    moments = [Progress(math.inf, 0.0, 0, 0.0)]
    timed.append(_timed(lambda: engine.solve(replace(request, progress=moments.append))))
    taken, answer = timed[-1]
    moments.append(Progress(answer.objective, answer.bound, answer.nodes, taken))
    steps = {
        name: (
            answer.steps[name][0],
            statistics.median(run.steps.get(name, (0, 0.0))[1] for _, run in timed),
        )
        for name in answer.steps
    }
    seconds = statistics.median(taken for taken, _ in timed)
    steps["rest"] = (1, max(seconds - sum(step[1] for step in steps.values()), 0.0))
    reading = [_timed(lambda: open_network(network_name, **told))[0] for _ in range(repeats)]
    root = _root_seconds(network, task, answer, options.gap, repeats)
    medians = seconds, steps, statistics.median(reading), root
    return Profile(answer, norm, *medians, moments)


def _root_seconds(
    network: ReLUNetwork, task: Task, answer: EngineAnswer, gap: float, repeats: int
) -> float | None:
    """See :attr:`Profile.root`; other targets may be excluded without any relaxation."""
    if answer.objective == 0.0 or relative_gap(answer.objective, answer.bound) > gap:
        return None  # what did not end in its time may not end here either, without any
    best = None
    if answer.image is not None:
        task = task.only(task.alternatives[answer.alternative])
        best = Incumbent(answer.image, answer.objective, 0)
    engine = proving_engine()
    solve = partial(engine.root_bound, network, task, best, gap)
    runs = [_timed(solve)[0] for _ in range(repeats)]
    return statistics.median(runs)


def _timed(run: Callable[[], _Result]) -> tuple[float, _Result]:
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result
