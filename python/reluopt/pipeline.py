"""The pipeline: question -> task -> attack -> bounds -> engine -> polish -> check -> solution.

:func:`solve` answers any question of :mod:`reluopt.questions` with any engine, all on this one
way; self-contained engines find their own incumbents and bounds on it. Engines only make claims;
what leaves this module was recomputed by the real network (:mod:`reluopt.answers.check`).
"""

from __future__ import annotations

import math
from dataclasses import replace

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Solution, Status, Timings
from reluopt.answers.verdict import Claim, Verdict, judged
from reluopt.attacks.linear_regions import find_incumbent, linear_region_minimum
from reluopt.attacks.slack import incumbent_at, largest_found, middle
from reluopt.bounds.conditions import hopeless_alternatives, slack_ceilings
from reluopt.deadline import Deadline, Laps
from reluopt.engines.base import Engine, EngineRequest, ProgressCallback
from reluopt.method import BALL, Method, engine_for
from reluopt.networks.network import ReLUNetwork
from reluopt.preparation import prepare_solve
from reluopt.questions.input_sets import InputSet
from reluopt.questions.tasks import Logits, Question, Task, posed_network
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


def solve(
    network: ReLUNetwork,
    problem: Question,
    method: Method | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> Solution:
    """Solve a problem to proven optimality and check the answer with the real network.

    Args:
        network: the network.
        problem: a question of :mod:`reluopt.questions.problems`: a smallest change, a verdict or a
            worst case over a ball, one change for several images, an optimal input, a
            classification.
        method: engine, formulation, bounds and limits; None means all defaults.
        progress: called now and then with incumbent, bound and node count.

    Returns:
        The checked solution. For optimal inputs and classifications the objective is a logit; for
        classifications ``image`` is the classified image and the certificate compares the
        program's logits with the forward pass. For verdicts ``image`` is a witness, the objective
        the lead of another label there, and the bound one on that lead over the whole ball.

    Raises:
        InputError: the problem does not fit the network.
        UnsupportedProblemError: the engine cannot solve it.
        EngineUnavailableError: the engine is not usable on this machine.

    Example:
        >>> from reluopt import MinimalPerturbation, load_images, load_network
        >>> network, digits = load_network("thesis"), load_images("test")
        >>> solution = solve(network, MinimalPerturbation(digits.image(0), label=digits.label(0)))
        >>> solution.status, solution.certified, round(solution.objective, 4)
        (<Status.OPTIMAL: 'OPTIMAL'>, True, 5.6144)
    """
    method = Method() if method is None else method
    task, network = problem.task(network), posed_network(problem, network)
    engine = engine_for(method, task, network)
    prepare_solve(engine, method, task)
    clock = Laps(Deadline.after(method.options.time_limit))
    program = None if engine.self_contained else method.program
    request = EngineRequest(network, task, None, program, method.options, progress=progress)
    request = replace(request, incumbent=_incumbent(request, engine, method, clock.deadline))
    attack_seconds = clock.lap()
    answer, bounds, bounds_seconds = _answer(request, engine, method, clock)
    search_seconds = clock.lap() - answer.build_seconds
    verdict = _verdict(request, engine, answer, clock.deadline)
    timings = Timings(
        attack_seconds, bounds_seconds, answer.build_seconds, search_seconds, clock.lap()
    )
    return _solution(request, engine, answer, verdict, bounds, timings)


def _incumbent(
    request: EngineRequest, engine: Engine, method: Method, deadline: Deadline
) -> Incumbent | None:
    """An input to begin with: what an attack finds, or one that needs no search to be found."""
    network, task, seed = request.network, request.task, method.options.seed
    if isinstance(task.objective, Logits):
        return None
    if task.decides:
        clean = incumbent_at(network, task, middle(task.inputs))
        if clean is not None and clean.objective >= 0.0:
            return clean
    if engine.self_contained or not method.wants_attack:
        return None
    attack = find_incumbent if task.minimises_distance else largest_found
    return attack(network, task, seed, deadline.share(ATTACK_SHARE))


def _solution(
    request: EngineRequest,
    engine: Engine,
    answer: EngineAnswer,
    verdict: Verdict,
    bounds: str,
    timings: Timings,
) -> Solution:
    """What is left of an answer, and how it came about."""
    options, program = request.options, request.formulation
    trivial = request.task.objective.trivial_bound
    return Solution(
        status=verdict.status,
        objective=verdict.objective,
        bound=trivial if math.isnan(answer.bound) else answer.bound,
        image=verdict.image,
        target=verdict.target,
        certificate=verdict.certificate,
        engine=engine.name,
        formulation="none" if program is None else program.name,
        bounds=bounds,
        nodes=answer.nodes,
        timings=timings,
        seed=options.seed,
        threads=options.threads,
        time_limit=options.time_limit,
        gap_tolerance=options.gap,
        versions=versions(engine.name),
        size=dict(answer.size),
        message=verdict.message,
        proof=answer.proof,
        others=verdict.others,
    )


def _answer(
    request: EngineRequest, engine: Engine, method: Method, clock: Laps
) -> tuple[EngineAnswer, str, float]:
    """The engine's answer, the name of the bounds it was given, and the seconds they took."""
    incumbent, task = request.incumbent, request.task
    if incumbent is not None and task.settles(incumbent.objective):
        value, bound = incumbent.objective, task.objective.trivial_bound
        answer = EngineAnswer(Status.FEASIBLE, None, incumbent.alternative, value, bound)
        return answer, "none", 0.0
    request, bounds = _bounded(request, engine, method, clock.deadline)
    seconds = clock.lap()
    options = replace(method.options, time_limit=clock.deadline.solver_seconds)
    return engine.solve(replace(request, options=options)), bounds, seconds


def _verdict(
    request: EngineRequest, engine: Engine, answer: EngineAnswer, deadline: Deadline
) -> Verdict:
    """What the real network leaves of an answer, polished where the engine does not polish."""
    network, task = request.network, request.task
    found = _found(task, answer, request.incumbent)
    claim = Claim(network, task, answer, found, request.options.gap)
    if not task.minimises_distance:
        return judged(claim)
    # Self-contained engines polish on their own; an image of theirs that passes is left alone.
    if engine.self_contained and (verdict := judged(claim)).certified:
        return verdict
    return judged(replace(claim, found=[*found, *_polished(network, task, answer, deadline)]))


def _bounded(
    request: EngineRequest, engine: Engine, method: Method, deadline: Deadline
) -> tuple[EngineRequest, str]:
    """``request`` with bounds and the alternatives that they rule out, and their name.

    Raises:
        UnsupportedProblemError: bounds that are only assumed are not proven.
    """
    if engine.self_contained:
        return request, "own"
    network, task = request.network, request.task
    bounding, over_ball = method.bounding(task)
    bounding.refuse_untrue(network, task.box, deadline)
    inputs = _inputs(task, request.incumbent if over_ball else None, over_ball)
    bounds = bounding.compute(network, inputs, deadline=deadline.share(BOUNDS_SHARE))
    request = replace(request, bounds=bounds)
    if task.maximises_slack:
        request = replace(request, ceilings=slack_ceilings(network, inputs, bounds, task))
    elif over_ball or not task.minimises_distance:
        hopeless = hopeless_alternatives(network, inputs, bounds, task)
        request = replace(request, hopeless=hopeless)
    return request, (method.bounds_name or BALL) if over_ball else bounding.name


def _inputs(task: Task, incumbent: Incumbent | None, over_ball: bool) -> InputSet:
    """The task's inputs, or of a distance the incumbent's ball in them with the task's limits."""
    if not over_ball:
        around = task.surroundings
        return replace(task.inputs, limits=None) if around is None else InputSet(around)
    norm, radius = task.norm.ball(math.inf if incumbent is None else incumbent.objective)
    radius = radius * (1.0 + BALL_SLACK) + BALL_SLACK
    return InputSet(task.box, task.image, norm, radius, task.limits)


def _found(task: Task, answer: EngineAnswer, incumbent: Incumbent | None) -> list[Incumbent]:
    """The engine's image and the incumbent, each with the alternative that it meets."""
    found = []
    if answer.image is not None:
        image = task.inputs.brought_in(answer.image)
        value = task.distance(image) if task.minimises_distance else answer.objective
        found.append(Incumbent(image, value, answer.alternative))
    return found if incumbent is None else [*found, incumbent]


def _polished(
    network: ReLUNetwork, task: Task, answer: EngineAnswer, deadline: Deadline
) -> list[Incumbent]:
    """The optimum of the linear region that the engine's rounded binaries name."""
    if answer.image is None:
        return []
    pattern = answer.pattern or network.activation_pattern(answer.image)
    alternative = task.alternatives[answer.alternative]
    extra = Deadline.after(max(deadline.left, POLISHING_SECONDS))
    image = linear_region_minimum(network, task, alternative, pattern, extra)
    return [] if image is None else [Incumbent(image, task.distance(image), answer.alternative)]
