"""The pipeline: problem -> attack -> bounds -> engine -> polish -> check -> solution.

:func:`solve` answers any problem of :mod:`reluopt.problems` with any engine. Engines only make
claims; what leaves this module was recomputed by the real network (:mod:`reluopt.check`).
"""

from __future__ import annotations

import math
import platform
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from reluopt.attacks.region import find_incumbent, region_minimum
from reluopt.bounds import InputRegion, PreActivationBounds, compute_bounds
from reluopt.check import check_logit
from reluopt.engines import choose_engine, get_engine
from reluopt.engines.base import (
    Engine,
    EngineAnswer,
    EngineOptions,
    EngineRequest,
    Incumbent,
    ProgressCallback,
)
from reluopt.network import FloatArray, ReLUNetwork
from reluopt.problems import (
    BareRelativeMargin,
    Box,
    Classification,
    LogitTask,
    MinimalPerturbation,
    OptimalInput,
    PerturbationTask,
    Problem,
    check_label,
    fitting_box,
    flat_image,
)
from reluopt.solution import Solution, Status, Timings
from reluopt.verdict import Checked, best_certified, compare_logits, verdict, verdict_of_maximum

BALL_SLACK = 1e-9
"""Relative enlargement of the incumbent's ball, so that rounding its radius keeps it valid."""


@dataclass(frozen=True)
class Method:
    """How to solve a problem.

    Attributes:
        engine: ``auto`` or a name from :func:`reluopt.engines.engine_names`.
        formulation: ``bigm`` or ``thesis`` (see :mod:`reluopt.formulation`); engines that write
            no program ignore it.
        bounds: ``thesis``, ``interval``, ``linear``, ``lp``, or ``ball`` (linear bounds over the
            ball that the incumbent leaves). None means ``thesis`` for the thesis' formulation,
            else ``ball`` for perturbations and ``linear`` for the rest.
        attack: whether to look for an incumbent first. None means yes, except for the thesis'
            formulation, which is kept as it was published.
        options: limits, gap, threads, seed.
    """

    engine: str = "auto"
    formulation: str = "bigm"
    bounds: str | None = None
    attack: bool | None = None
    options: EngineOptions = EngineOptions()

    @property
    def wants_attack(self) -> bool:
        """Whether an incumbent is looked for before the search."""
        return self.formulation != "thesis" if self.attack is None else self.attack

    def bounds_for(self, task: PerturbationTask | LogitTask) -> str:
        """Name of the bounds used for ``task``."""
        if self.bounds is not None:
            return self.bounds
        if self.formulation == "thesis":
            return "thesis"
        return "ball" if isinstance(task, PerturbationTask) else "linear"


def solve(
    network: ReLUNetwork,
    problem: Problem,
    method: Method | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> Solution:
    """Solve a problem to proven optimality and check the answer with the real network.

    Args:
        network: the network.
        problem: :class:`MinimalPerturbation`, :class:`OptimalInput` or :class:`Classification`.
        method: engine, formulation, bounds and limits; None means all defaults.
        progress: called now and then with incumbent, bound and node count.

    Returns:
        The checked solution. For :class:`OptimalInput` and :class:`Classification` the objective
        is a logit; for :class:`Classification` ``image`` is the classified image and the
        certificate compares the program's logits with the forward pass.

    Raises:
        InputError: the problem does not fit the network.
        UnsupportedProblemError: the engine cannot solve it.
        EngineUnavailableError: the engine is not usable on this machine.

    Example:
        >>> network = load_bundled("thesis")
        >>> solution = solve(network, MinimalPerturbation(image, label=7))
        >>> solution.status, solution.certified
        (<Status.OPTIMAL: 'OPTIMAL'>, True)
    """
    method = Method() if method is None else method
    if isinstance(problem, MinimalPerturbation):
        return _solve_perturbation(network, problem, method, progress)
    if isinstance(problem, OptimalInput):
        return _maximise(network, problem, method, progress)
    return _classify(network, problem, method)


def _solve_perturbation(
    network: ReLUNetwork,
    problem: MinimalPerturbation,
    method: Method,
    progress: ProgressCallback | None,
) -> Solution:
    """Attack, bound, search, polish, check."""
    task = problem.task(network)
    engine = choose_engine(method.engine, task, network)
    clock = _Clock()
    incumbent = None
    if method.wants_attack and not engine.self_contained:
        incumbent = find_incumbent(network, task, seed=method.options.seed)
    attack_seconds = clock.lap()
    if incumbent is not None and incumbent.objective == 0.0:
        answer = EngineAnswer(Status.OPTIMAL, None, incumbent.alternative, 0.0, 0.0)
        bounds_name, bounds_seconds = "none", 0.0
    else:
        bounds_name = "own" if engine.self_contained else method.bounds_for(task)
        bounds = None if engine.self_contained else _bounds(network, task, bounds_name, incumbent)
        bounds_seconds = clock.lap()
        answer = engine.solve(
            EngineRequest(
                network, task, bounds, method.formulation, method.options, incumbent, progress
            )
        )
    search_seconds = clock.lap() - answer.build_seconds
    best = best_certified(network, task, answer.alternative, _found(task, answer, incumbent))
    # Self-contained engines polish on their own; an image of theirs that passes is left alone.
    if not engine.self_contained or best is None or not best[1].certified:
        polished = _polished(network, task, answer)
        best = best_certified(network, task, answer.alternative, polished, best)
    polish_seconds = clock.lap()
    timings = Timings(
        attack=attack_seconds,
        bounds=bounds_seconds,
        build=answer.build_seconds,
        search=search_seconds,
        polish=polish_seconds,
    )
    bare = isinstance(problem.margin, BareRelativeMargin)
    status, message = verdict(answer, best, method.options, bare)
    several = len(task.alternatives) > 1
    target = task.alternatives[answer.alternative].target
    run = _Run(engine, method, answer, timings, bounds_name)
    return run.solution(status, message, best, None if several and best is None else target)


def _bounds(
    network: ReLUNetwork, task: PerturbationTask, name: str, incumbent: Incumbent | None
) -> PreActivationBounds:
    """Bounds over the box, or over the incumbent's ball for ``ball``."""
    if name != "ball":
        return compute_bounds(name, network, InputRegion(task.box))
    if incumbent is None:
        return compute_bounds("linear", network, InputRegion(task.box))
    radius = task.norm.distance_of(incumbent.objective) * (1.0 + BALL_SLACK) + BALL_SLACK
    region = InputRegion(task.box, task.image, task.norm, radius)
    return compute_bounds("linear", network, region)


def _found(
    task: PerturbationTask, answer: EngineAnswer, incumbent: Incumbent | None
) -> list[FloatArray]:
    """The engine's image, and the incumbent if it meets the same alternative."""
    images = [] if answer.image is None else [task.box.clip(answer.image)]
    if incumbent is not None and incumbent.alternative == answer.alternative:
        images.append(task.box.clip(incumbent.image))
    return images


def _polished(
    network: ReLUNetwork, task: PerturbationTask, answer: EngineAnswer
) -> list[FloatArray]:
    """The optimum of the linear region that the engine's rounded binaries name."""
    if answer.image is None:
        return []
    pattern = answer.pattern or network.activation_pattern(answer.image)
    alternative = task.alternatives[answer.alternative]
    image = region_minimum(network, task, alternative, pattern)
    return [] if image is None else [image]


def _maximise(
    network: ReLUNetwork, problem: OptimalInput, method: Method, progress: ProgressCallback | None
) -> Solution:
    """Maximise a logit over a box."""
    check_label(network, problem.label)
    task = LogitTask(problem.label, fitting_box(network, problem.box))
    run = _run_logit(network, task, task.box, method, progress)
    if run.answer.image is None:
        return run.solution(run.answer.status, run.answer.message, None, task.label)
    image = task.box.clip(run.answer.image)
    certificate = check_logit(network, task.box, task.label, image)
    status, message = verdict_of_maximum(run.answer, certificate, method.options)
    return run.solution(status, message, (image, certificate), task.label)


def _classify(network: ReLUNetwork, problem: Classification, method: Method) -> Solution:
    """Compute logits by the program and compare them with the forward pass."""
    image = flat_image(network, problem.image)
    task = LogitTask(0, Box(image, image))
    # Bounds over a box that holds more than the image: otherwise every neuron would be stable
    # and the program would have nothing to decide.
    hull = Box(np.minimum(image, 0.0), np.maximum(image, 1.0))
    run = _run_logit(network, task, hull, method, None)
    outputs = run.answer.outputs
    if outputs is None:
        return run.solution(run.answer.status, run.answer.message, None, None)
    certificate = compare_logits(network, task, image, outputs)
    status, message = run.answer.status, run.answer.message
    if not certificate.certified:
        status, message = Status.NUMERICAL, "; ".join(certificate.failures)
    return run.solution(status, message, (image, certificate), int(np.argmax(outputs)))


@dataclass(frozen=True, eq=False)
class _Run:
    """An engine's answer with what is needed to report it."""

    engine: Engine
    method: Method
    answer: EngineAnswer
    timings: Timings
    bounds: str

    def solution(
        self, status: Status, message: str, best: Checked | None, target: int | None
    ) -> Solution:
        """The solution that reports this run."""
        certificate = None if best is None else best[1]
        counts = certificate is not None and (
            certificate.certified or status is Status.NOT_ADVERSARIAL
        )
        options = self.method.options
        return Solution(
            status=status,
            objective=certificate.objective if certificate is not None and counts else math.inf,
            bound=self.answer.bound,
            image=None if best is None else best[0],
            target=target,
            certificate=certificate,
            engine=self.engine.name,
            formulation="none" if self.engine.self_contained else self.method.formulation,
            bounds=self.bounds,
            nodes=self.answer.nodes,
            timings=self.timings,
            seed=options.seed,
            threads=options.threads,
            time_limit=options.time_limit,
            gap_tolerance=options.gap,
            versions=versions(self.engine.name),
            size=dict(self.answer.size),
            message=message,
        )


def _run_logit(
    network: ReLUNetwork,
    task: LogitTask,
    region: Box,
    method: Method,
    progress: ProgressCallback | None,
) -> _Run:
    """Bound over ``region`` and run the engine."""
    engine = choose_engine(method.engine, task, network)
    clock = _Clock()
    name = method.bounds_for(task)
    bounds = compute_bounds("linear" if name == "ball" else name, network, InputRegion(region))
    bounds_seconds = clock.lap()
    answer = engine.solve(
        EngineRequest(network, task, bounds, method.formulation, method.options, progress=progress)
    )
    timings = Timings(
        bounds=bounds_seconds,
        build=answer.build_seconds,
        search=clock.lap() - answer.build_seconds,
    )
    return _Run(engine, method, answer, timings, bounds.method)


@cache
def versions(engine: str) -> dict[str, str]:
    """Versions of Python, reluopt and the solver behind the engine called ``engine``."""
    try:
        own = version("reluopt")
    except PackageNotFoundError:
        own = "unknown"
    return {
        "python": platform.python_version(),
        "reluopt": own,
        engine: get_engine(engine).state().version,
    }


class _Clock:
    """Wall-clock laps."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        return elapsed
