"""The pipeline: problem -> attack -> bounds -> engine -> polish -> check -> solution.

:func:`solve` answers any problem of :mod:`reluopt.questions.problems` with any engine. Engines only
make claims; what leaves this module was recomputed by the real network
(:mod:`reluopt.answers.check`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.check import check_logit
from reluopt.answers.solution import Incumbent, Solution, Status, Timings
from reluopt.answers.verdict import (
    Checked,
    best_answer,
    compare_logits,
    verdict,
    verdict_of_maximum,
    verdict_without_image,
)
from reluopt.attacks.region import find_incumbent, region_minimum
from reluopt.bounds import InputSet, PreActivationBounds, compute_bounds
from reluopt.bounds.conditions import hopeless_alternatives
from reluopt.deadline import Deadline, Laps
from reluopt.engines import choose_engine
from reluopt.engines.base import Engine, EngineOptions, EngineRequest, EngineTask, ProgressCallback
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.preparation import prepare_solve
from reluopt.questions.problems import (
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
from reluopt.versions import versions

ATTACK_SHARE, BOUNDS_SHARE = 0.25, 0.5
"""Most of the time limit that the attack may use, and most of what is then left that bounds may
use: a search that never begins proves nothing. Attacks take 0.01 to 4 s, linear bounds 1 to 10 ms,
so the shares matter under short limits and for LP bounds."""

POLISHING_SECONDS = 0.1
"""What polishing is given beyond the time limit: without it the image that a solver has found may
be lost to its rounding. A linear region takes 5 to 100 ms."""

BALL_SLACK = 1e-9
"""Relative enlargement of the incumbent's ball, so that rounding its radius keeps it valid."""


@dataclass(frozen=True)
class Method:
    """How to solve a problem.

    Attributes:
        engine: ``auto`` or a name from :func:`reluopt.engines.engine_names`.
        formulation: ``bigm`` or ``thesis`` (see :mod:`reluopt.formulation`); None means ``bigm``.
            Engines that write no program (``bnb``) take none, and ``auto`` then chooses another.
        bounds: ``thesis``, ``interval``, ``linear``, ``lp``, or ``ball`` (linear bounds over the
            ball that the incumbent leaves). None means ``thesis`` for the thesis' formulation,
            else ``ball`` for perturbations and ``linear`` for the rest.
        attack: whether to look for an incumbent first. None means yes, except for the thesis'
            formulation, which is kept as it was published.
        options: limits, gap, threads, seed.
    """

    engine: str = "auto"
    formulation: str | None = None
    bounds: str | None = None
    attack: bool | None = None
    options: EngineOptions = EngineOptions()

    @property
    def program(self) -> str:
        """Name of the formulation for engines that write a program."""
        return self.formulation or "bigm"

    @property
    def wants_program(self) -> bool:
        """Whether something is asked for that only engines with a program can do."""
        return (
            self.formulation is not None
            or self.bounds not in (None, "ball")
            or self.attack is False
        )

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
        >>> from reluopt import load_images, load_network
        >>> network, digits = load_network("thesis"), load_images("test")
        >>> solution = solve(network, MinimalPerturbation(digits.image(0), label=digits.label(0)))
        >>> solution.status, solution.certified, round(solution.objective, 4)
        (<Status.OPTIMAL: 'OPTIMAL'>, True, 5.6144)
    """
    method = Method() if method is None else method
    if isinstance(problem, MinimalPerturbation):
        return _solve_perturbation(network, problem, method, progress)
    if isinstance(problem, OptimalInput):
        return _maximise(network, problem, method, progress)
    return _classify(network, problem, method)


def engine_for(method: Method, task: EngineTask, network: ReLUNetwork) -> Engine:
    """The engine for ``task``.

    Raises:
        InputError: it cannot do what the method asks, or there is none of this name.
        UnsupportedProblemError: it cannot solve ``task``.
        EngineUnavailableError: it is not usable on this machine.
    """
    engine = choose_engine(method.engine, task, network, program=method.wants_program)
    if engine.self_contained and method.wants_program:
        raise InputError(
            f"engine {engine.name}: expected no formulation, bounds or attack setting, because it "
            f"finds its own, found formulation {method.formulation}, bounds {method.bounds}"
        )
    if method.formulation is not None and method.formulation not in engine.formulations:
        known, found = " or ".join(engine.formulations), method.formulation
        raise InputError(f"engine {engine.name}: expected formulation {known}, found {found}")
    return engine


def _solve_perturbation(
    network: ReLUNetwork,
    problem: MinimalPerturbation,
    method: Method,
    progress: ProgressCallback | None,
) -> Solution:
    """Attack, bound, search, polish, check."""
    task = problem.task(network)
    engine = engine_for(method, task, network)
    prepare_solve(engine, method, task)
    clock = Laps(Deadline.after(method.options.time_limit))
    incumbent = None
    if method.wants_attack and not engine.self_contained:
        incumbent = find_incumbent(
            network, task, method.options.seed, clock.deadline.share(ATTACK_SHARE)
        )
    attack_seconds = clock.lap()
    if incumbent is not None and incumbent.objective == 0.0:
        answer = EngineAnswer(Status.OPTIMAL, None, incumbent.alternative, 0.0, 0.0)
        bounds_name, bounds_seconds = "none", 0.0
    else:
        bounds_name = "own" if engine.self_contained else method.bounds_for(task)
        request = EngineRequest(
            network, task, None, method.program, method.options, incumbent, progress
        )
        if not engine.self_contained:
            request = _bounded(request, task, bounds_name, clock.deadline)
        bounds_seconds = clock.lap()
        options = replace(method.options, time_limit=clock.deadline.solver_seconds)
        answer = engine.solve(replace(request, options=options))
    search_seconds = clock.lap() - answer.build_seconds
    bare = isinstance(problem.margin, BareRelativeMargin)
    found = _found(task, answer, incumbent)
    best = best_answer(network, task, found, bare)
    # Self-contained engines polish on their own; an image of theirs that passes is left alone.
    if not engine.self_contained or best is None or not best.certificate.certified:
        polished = _polished(network, task, answer, clock.deadline)
        best = best_answer(network, task, found + polished, bare)
    timings = Timings(
        attack=attack_seconds,
        bounds=bounds_seconds,
        build=answer.build_seconds,
        search=search_seconds,
        polish=clock.lap(),
    )
    status, message = verdict(answer, best, method.options.gap, bare)
    run = _Run(engine, method, answer, timings, bounds_name)
    if best is None:
        several = len(task.alternatives) > 1
        return run.solution(status, message, None, None if several else task.alternatives[0].target)
    target = task.alternatives[best.alternative].target
    return run.solution(status, message, (best.image, best.certificate), target)


def _bounded(
    request: EngineRequest, task: PerturbationTask, name: str, deadline: Deadline
) -> EngineRequest:
    """``request`` with bounds, and with the alternatives that bounds over the ball rule out."""
    region = _region(task, name, request.incumbent)
    bounds = _bounds(request.network, region, name, deadline)
    hopeless = request.hopeless
    if name == "ball":
        hopeless = hopeless_alternatives(request.network, region, bounds, task)
    return replace(request, bounds=bounds, hopeless=hopeless)


def _region(task: PerturbationTask, name: str, incumbent: Incumbent | None) -> InputSet:
    """The box, or for ``ball`` the incumbent's ball in it, with the task's limits."""
    if name != "ball":
        return InputSet(task.box)
    objective = math.inf if incumbent is None else incumbent.objective
    norm, radius = task.norm.ball(objective)
    radius = radius * (1.0 + BALL_SLACK) + BALL_SLACK
    return InputSet(task.box, task.image, norm, radius, task.limits)


def _bounds(
    network: ReLUNetwork, region: InputSet, name: str, deadline: Deadline
) -> PreActivationBounds:
    """Bounds by name; the thesis' constants only where they are true.

    Raises:
        UnsupportedProblemError: a pre-activation may leave the thesis' bounds of -1000 and 1000,
            or the deadline passed before that was known.
    """
    if name != "thesis":
        own = "linear" if region.limits is None else "lp"
        chosen = own if name == "ball" else name
        return compute_bounds(chosen, network, region, deadline=deadline.share(BOUNDS_SHARE))
    from reluopt.bounds.validity import check_thesis_bounds  # loads HiGHS and scipy

    check_thesis_bounds(network, region.box, deadline)
    return compute_bounds("thesis", network, region)


def _found(
    task: PerturbationTask, answer: EngineAnswer, incumbent: Incumbent | None
) -> list[Incumbent]:
    """The engine's image and the incumbent, each with the alternative that it meets."""
    found = []
    if answer.image is not None:
        image = task.box.clip(answer.image)
        found.append(Incumbent(image, task.objective(image), answer.alternative))
    if incumbent is not None:
        found.append(incumbent)
    return found


def _polished(
    network: ReLUNetwork, task: PerturbationTask, answer: EngineAnswer, deadline: Deadline
) -> list[Incumbent]:
    """The optimum of the linear region that the engine's rounded binaries name."""
    if answer.image is None:
        return []
    pattern = answer.pattern or network.activation_pattern(answer.image)
    alternative = task.alternatives[answer.alternative]
    extra = Deadline.after(max(deadline.left, POLISHING_SECONDS))
    image = region_minimum(network, task, alternative, pattern, extra)
    return [] if image is None else [Incumbent(image, task.objective(image), answer.alternative)]


def _maximise(
    network: ReLUNetwork, problem: OptimalInput, method: Method, progress: ProgressCallback | None
) -> Solution:
    """Maximise a logit over a box."""
    check_label(network, problem.label)
    task = LogitTask(problem.label, fitting_box(network, problem.box))
    run = _run_logit(network, task, task.box, method, progress)
    if run.answer.image is None:
        return run.solution(*verdict_without_image(run.answer), None, task.label)
    image = task.box.clip(run.answer.image)
    certificate = check_logit(network, task.box, task.label, image)
    status, message = verdict_of_maximum(run.answer, certificate, method.options.gap)
    return run.solution(status, message, (image, certificate), task.label)


def _classify(network: ReLUNetwork, problem: Classification, method: Method) -> Solution:
    """Compute logits by the program and compare them with the forward pass."""
    image = flat_image(network, problem.image)
    task = LogitTask(0, Box(image, image))
    # Bounds over a box that holds more than the image: otherwise every neuron would be stable
    # and the program would have nothing to decide.
    hull = fitting_box(network, Box(np.minimum(image, 0.0), np.maximum(image, 1.0)))
    run = _run_logit(network, task, hull, method, None)
    outputs = run.answer.outputs
    if outputs is None:
        return run.solution(*verdict_without_image(run.answer), None, None)
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
    trivial: float = 0.0

    @property
    def bound(self) -> float:
        """The engine's bound; what holds of every answer (``trivial``) where it is not a number."""
        return self.trivial if math.isnan(self.answer.bound) else self.answer.bound

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
            bound=self.bound,
            image=None if best is None else best[0],
            target=target,
            certificate=certificate,
            engine=self.engine.name,
            formulation="none" if self.engine.self_contained else self.method.program,
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
            proof=self.answer.proof,
        )


def _run_logit(
    network: ReLUNetwork,
    task: LogitTask,
    region: Box,
    method: Method,
    progress: ProgressCallback | None,
) -> _Run:
    """Bound over ``region`` and run the engine."""
    engine = engine_for(method, task, network)
    prepare_solve(engine, method, task)
    clock = Laps(Deadline.after(method.options.time_limit))
    name = method.bounds_for(task)
    # Constants must be true where the task looks, computed bounds may cover more.
    place = InputSet(task.box if name == "thesis" else region)
    bounds = _bounds(network, place, name, clock.deadline)
    bounds_seconds = clock.lap()
    options = replace(method.options, time_limit=clock.deadline.solver_seconds)
    answer = engine.solve(
        EngineRequest(network, task, bounds, method.program, options, progress=progress)
    )
    timings = Timings(
        bounds=bounds_seconds,
        build=answer.build_seconds,
        search=clock.lap() - answer.build_seconds,
    )
    return _Run(engine, method, answer, timings, bounds.method, trivial=math.inf)
