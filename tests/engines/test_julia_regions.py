"""Questions over balls and boxes in Julia, against bnb, HiGHS' own maxima and brute force."""

import math

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.engines import get_engine
from reluopt.engines.base import EngineRequest
from reluopt.engines.julia import JuliaEngine
from reluopt.engines.options import EngineOptions
from reluopt.errors import UnsupportedProblemError
from reluopt.questions.problems import Box, Norm
from reluopt.questions.tasks import LargestSlack, LinearForm, Task
from reluopt.questions.verification import Verification
from reluopt.questions.worst_case import WorstCase


def answer_of(engine, network, task, **options):
    settings = EngineOptions(time_limit=20.0, **options)
    return get_engine(engine).solve(EngineRequest(network, task, None, None, settings))


def slack_of(task, network, image):
    logits = network.forward(image)
    return max(each.conditions.slack(logits).min() for each in task.alternatives)


def is_inside(inputs, image):
    length = inputs.norm.objective(image - inputs.center)
    radius = inputs.radius**2 if inputs.norm is Norm.L2 else inputs.radius
    return inputs.box.violation(image) == 0.0 and length <= radius * (1.0 + 1e-12)


def test_supports_says_what_julia_can(make_network):
    network, image = make_network((4, 5, 3), 1), np.full(4, 0.5)
    for norm in (Norm.L1, Norm.L2, Norm.LINF):
        assert JuliaEngine().supports(Verification(image, 0, 0.1, norm).task(network))
        form = LinearForm(((1, 2.0), (2, -1.0)))
        question = WorstCase(image, 0, 0.1, norm, objective=form, fooled=0.95)
        assert JuliaEngine().supports(question.task(network))


@pytest.mark.julia
def test_verdicts_are_those_of_bnb(usable, make_network):
    seen = set()
    for seed in range(12):
        network = make_network((6, 10, 8, 4), seed)
        image = np.random.default_rng(seed).random(6)
        label = int(network.predict(image))
        for eps in (0.01, 0.05, 0.15):
            task = Verification(image, label, eps).task(network)
            found, other = (answer_of(engine, network, task) for engine in ("julia", "bnb"))
            assert found.status is other.status
            seen.add(found.status)
            if found.status is Status.FEASIBLE:
                assert is_inside(task.inputs, found.image)
                slack = slack_of(task, network, found.image)
                assert slack >= 0.0
                assert found.objective == pytest.approx(slack)
                alternative = task.alternatives[found.alternative]
                own = alternative.conditions.slack(network.forward(found.image)).min()
                assert own == pytest.approx(slack)
            else:
                assert found.image is None
                assert found.bound < 0.0
    assert seen == {Status.FEASIBLE, Status.INFEASIBLE}


@pytest.mark.julia
def test_verdicts_on_digits_are_those_of_bnb(usable, thesis, test_images):
    seen = set()
    for i in range(100, 110):
        image, label = test_images.images[i], int(test_images.labels[i])
        for eps in (0.01, 0.03):
            task = Verification(image, label, eps).task(thesis)
            found, other = (answer_of(engine, thesis, task) for engine in ("julia", "bnb"))
            assert found.status is other.status
            seen.add(found.status)
    assert seen == {Status.FEASIBLE, Status.INFEASIBLE}


@pytest.mark.julia
@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF])
def test_largest_slack_decides_as_the_verdict(usable, make_network, norm):
    for seed in range(6):
        network = make_network((4, 6, 5, 3), seed)
        image = np.random.default_rng(seed).random(4)
        label = int(network.predict(image))
        task = WorstCase(image, label, 0.2, norm).task(network)
        found = answer_of("julia", network, task)
        assert found.status is Status.OPTIMAL
        assert is_inside(task.inputs, found.image)
        assert found.objective == pytest.approx(slack_of(task, network, found.image))
        assert found.bound == pytest.approx(found.objective, rel=1e-5, abs=1e-6)
        verdict = answer_of("julia", network, Verification(image, label, 0.2, norm).task(network))
        expected = Status.FEASIBLE if found.objective >= 0.0 else Status.INFEASIBLE
        assert verdict.status is expected
        for _ in range(200):
            step = np.random.default_rng(seed).uniform(-1.0, 1.0, 4)
            step *= 0.2 / (np.abs(step).sum() if norm is Norm.L1 else 1.0)
            inside = task.box.clip(image + step)
            assert slack_of(task, network, inside) <= found.bound + 1e-6


@pytest.mark.julia
def test_forms_with_and_without_conditions(usable, make_network):
    impossible = 0
    for seed in range(8):
        network = make_network((2, 6, 5, 3), seed)
        image = np.random.default_rng(seed).random(2)
        label, form = int(network.predict(image)), LinearForm(((0, 0.5), (2, -1.0)))
        questions = [WorstCase(image, label, 0.3, Norm.L1, form, s) for s in (None, 0.95)]
        free, fooled = (answer_of("julia", network, each.task(network)) for each in questions)
        steps = np.linspace(-0.3, 0.3, 41)
        grid = np.array([[a, b] for a in steps for b in steps if abs(a) + abs(b) <= 0.3])
        logits = network.forward(np.clip(image + grid, 0.0, 1.0))
        values = 0.5 * logits[:, 0] - logits[:, 2]
        counted = values[logits[:, label] <= (0.95 * logits).max(axis=1)]
        assert free.status is Status.OPTIMAL
        assert free.objective >= values.max() - 1e-6
        assert free.objective == pytest.approx(form(network.forward(free.image)))
        if fooled.status is Status.INFEASIBLE:
            impossible += 1
            assert counted.size == 0
            continue
        assert fooled.status is Status.OPTIMAL
        assert fooled.objective >= counted.max(initial=-math.inf) - 1e-6
        assert free.objective >= fooled.objective - 1e-6
        found = network.forward(fooled.image)
        assert found[label] <= 0.95 * found[fooled.alternative] + 1e-6
    assert impossible < 8


@pytest.mark.julia
def test_a_box_is_a_region_too(usable, make_network):
    network = make_network((3, 6, 3), 2)
    task = Verification(np.full(3, 0.5), 0, 0.4).task(network)
    box = Box(np.full(3, 0.1), np.full(3, 0.9))
    boxed = Task(LargestSlack(decides=True), type(task.inputs)(box), task.alternatives)
    assert answer_of("julia", network, boxed).status is answer_of("bnb", network, task).status


@pytest.mark.julia
def test_l2_balls_take_an_optimizer_with_quadratic_rows(usable, make_network):
    from juliacall import Main

    network, image = make_network((4, 6, 3), 3), np.full(4, 0.5)
    label = int(network.predict(image))
    task = Verification(image, label, 0.2, Norm.L2).task(network)
    with pytest.raises(UnsupportedProblemError, match="no quadratic constraint"):
        answer_of("julia", network, task)
    if not Main.seval('Base.find_package("SCIP") !== nothing'):
        pytest.skip("SCIP.jl is not installed in this Julia")
    task = WorstCase(image, label, 0.2, Norm.L2).task(network)
    found = answer_of("julia", network, task, extra={"optimizer": "scip"})
    assert found.status is Status.OPTIMAL
    assert is_inside(task.inputs, found.image)
    inner, outer = (
        answer_of("julia", network, WorstCase(image, label, 0.2, norm).task(network)).objective
        for norm in (Norm.L1, Norm.LINF)
    )
    assert inner - 1e-6 <= found.objective <= outer + 1e-6


@pytest.mark.julia
def test_a_limit_leaves_a_bound(usable, test_images):
    from reluopt.networks.zoo import load_bundled

    network = load_bundled("mlp-100")
    image, label = test_images.images[100], int(test_images.labels[100])
    task = Verification(image, label, 0.03).task(network)
    request = EngineRequest(network, task, None, None, EngineOptions(time_limit=0.5))
    found = JuliaEngine().solve(request)
    assert found.status in (Status.TIME_LIMIT, Status.FEASIBLE, Status.INFEASIBLE)
    assert not math.isnan(found.bound)
