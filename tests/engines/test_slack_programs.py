"""Verdicts and worst cases by HiGHS, Gurobi and SCIP, against brute force and the forward pass."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from helpers.regions import largest_value
from reluopt.answers.solution import Status
from reluopt.bounds import BOUNDING_METHODS
from reluopt.engines import choose_engine, get_engine
from reluopt.engines.options import EngineOptions
from reluopt.engines.program_engine import ProgramTask
from reluopt.errors import UnsupportedProblemError
from reluopt.formulation import FORMULATIONS
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    Box,
    InputSet,
    LargestSlack,
    LinearForm,
    LogitConditions,
    Norm,
    Verification,
    WorstCase,
)
from reluopt.questions.tasks import Alternative, Task

ENGINES = ("highs", "gurobi", "scip")
NORMS = (Norm.LINF, Norm.L1)


def _method(engine, **settings):
    return Method(engine, options=EngineOptions(gap=1e-7), **settings)


@pytest.mark.parametrize(("seed", "engine"), [*zip(range(24), itertools.cycle(ENGINES))])
@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_worst_cases_and_verdicts_are_those_of_brute_force(make_network, norm, seed, engine):
    network = make_network((3, 3, 2, 3), seed)
    generator = np.random.default_rng(seed)
    image = generator.random(3)
    label, eps = int(network.predict(image)), float(generator.choice([0.05, 0.2, 0.6]))
    worst = WorstCase(image, label, eps, norm)
    expected = largest_value(network, worst.task(network))
    attack = bool(seed % 2)
    found = solve(network, worst, _method(engine, attack=attack))
    assert found.status is Status.OPTIMAL
    assert found.certified
    assert found.objective == pytest.approx(expected, abs=1e-6)
    assert found.bound == pytest.approx(expected, abs=1e-6)
    verdict = solve(network, Verification(image, label, eps, norm), _method(engine, attack=attack))
    assert verdict.status is (Status.NOT_ROBUST if expected >= 0.0 else Status.ROBUST)
    if expected >= 0.0:
        assert verdict.certified
        assert 0.0 <= verdict.objective <= expected + 1e-6
        assert verdict.certificate.distance <= eps + 1e-9
    else:
        assert verdict.image is None
        assert verdict.objective == -np.inf
        assert expected - 1e-6 <= verdict.bound < 0.0


@pytest.mark.parametrize("formulation", ["bigm", "thesis"])
@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_forms_under_conditions_are_those_of_brute_force(make_network, norm, formulation):
    statuses = set()
    for seed in range(8):
        network = make_network((3, 4, 3), seed)
        image = np.random.default_rng(seed).random(3)
        label = int(network.predict(image))
        form = LinearForm((((label + 1) % 3, 1.0), (label, -0.5)))
        asked = WorstCase(image, label, 0.4, norm, form, fooled=0.9)
        expected = largest_value(network, asked.task(network))
        found = solve(network, asked, _method("highs", formulation=formulation, bounds="linear"))
        statuses.add(found.status)
        if expected == -np.inf:
            assert found.status is Status.INFEASIBLE
            assert found.image is None
            continue
        assert found.status is Status.OPTIMAL
        assert found.objective == pytest.approx(expected, abs=1e-6)
        assert found.certificate.margin >= -1e-6
        assert form(network.forward(found.image)) == found.objective
    assert Status.OPTIMAL in statuses


@pytest.mark.parametrize("formulation", ["bigm", "thesis"])
@pytest.mark.parametrize("engine", ENGINES)
def test_with_its_input_fixed_a_slack_program_gives_the_slack_of_the_forward_pass(
    make_network, formulation, engine
):
    network = make_network((4, 5, 4, 3), 3)
    bounds = BOUNDING_METHODS.get("linear").compute(network, InputSet(Box.unit(4)))
    conditions = LogitConditions(
        np.array([[1.0, -1.0, 0.0], [2.0, 0.5, -1.0]]), np.array([0.1, -3])
    )
    for norm, radius in ((None, np.inf), (Norm.L1, 0.5), (Norm.LINF, 0.3)):
        image = np.random.default_rng(7).random(4)
        inputs = InputSet(Box.unit(4), image, norm, radius)
        task = Task(LargestSlack(), inputs, (Alternative(0, conditions),))
        encoded = FORMULATIONS.get(formulation).encode(network, task, bounds)
        point = inputs.brought_in(np.random.default_rng(8).random(4))
        start = encoded.start(point)
        assert encoded.program.violation(start) <= 1e-9
        slack = conditions.slack(network.forward(point)).min()
        assert encoded.program.objective(start) == pytest.approx(slack, abs=1e-9)
        columns = encoded.network.input.columns
        lower, upper = encoded.program.lower.copy(), encoded.program.upper.copy()
        lower[columns] = upper[columns] = start[columns]
        fixed = replace(encoded.program, lower=lower, upper=upper)
        result = get_engine(engine).solve_program(ProgramTask(fixed, EngineOptions()))
        assert result.status is Status.OPTIMAL
        assert fixed.objective(result.values) == pytest.approx(slack, abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_solution_as_good_as_the_target_ends_the_search(thesis, test_images, engine):
    image, label = test_images.image(2), test_images.label(2)
    task = Verification(image, label, 0.03).task(thesis)  # at 0.05 SCIP takes 20 s
    single = task.only(task.alternatives[0])
    bounds = BOUNDING_METHODS.get("linear").compute(thesis, single.inputs)
    program = FORMULATIONS.get("bigm").encode(thesis, single, bounds).program
    given = ProgramTask(program, EngineOptions(time_limit=60.0))
    best = get_engine(engine).solve_program(given)
    target = program.objective(best.values) - 0.5
    stopped = get_engine(engine).solve_program(replace(given, target=target))
    assert stopped.status in (Status.FEASIBLE, Status.OPTIMAL)
    assert program.objective(stopped.values) >= target - 1e-9
    assert stopped.bound >= best.bound - 1e-6


def test_balls_that_rows_cannot_hold_are_refused_in_one_line(make_network):
    network = make_network((3, 4, 3), 0)
    task = Verification(np.full(3, 0.5), 0, 0.1, Norm.L2).task(network)
    for engine in ENGINES:
        with pytest.raises(UnsupportedProblemError, match="cannot solve questions over L2 balls"):
            choose_engine(engine, task, network)
