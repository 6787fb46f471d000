"""The pipeline: what leaves it is true."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status
from reluopt.engines import get_engine
from reluopt.engines.highs import HighsEngine
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.method import Method, engine_for
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import TRAINED_BY, load_bundled
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    BareRelativeMargin,
    Box,
    Classification,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    OptimalInput,
    RelativeMargin,
    RunnerUpTarget,
    Verification,
)

FAST = EngineOptions(time_limit=30.0)


@pytest.mark.parametrize("index", range(3))
def test_a_verdict_turns_at_the_distance(thesis, test_images, index):
    image, label = test_images.image(index), test_images.label(index)
    almost_a_tie = RelativeMargin(0.0, strict_gap=1e-9)
    nearest = solve(
        thesis, MinimalPerturbation(image, label, AnyTarget(), Norm.LINF, almost_a_tie), Method()
    )
    assert nearest.status is Status.OPTIMAL
    for factor, status in ((1.0 - 1e-5, Status.ROBUST), (1.0 + 1e-5, Status.NOT_ROBUST)):
        verdict = solve(thesis, Verification(image, label, factor * nearest.certificate.distance))
        assert verdict.status is status


@pytest.mark.parametrize("index", range(5))
def test_engines_agree_on_l1_of_real_digits(thesis, test_images, index):
    problem = MinimalPerturbation(test_images.image(index), test_images.label(index))
    solutions = [
        solve(thesis, problem, Method(engine, options=FAST))
        for engine in ("highs", "gurobi", "scip")
    ]
    objectives = [solution.objective for solution in solutions]
    assert max(objectives) - min(objectives) <= 1e-5 * max(objectives)
    for solution in solutions:
        assert solution.status is Status.OPTIMAL
        assert solution.certified
        assert solution.gap <= 1e-6
        # Do not trust the certificate either: recompute here.
        logits = thesis.forward(solution.image)
        target = (test_images.label(index) + 5) % 10
        assert np.argmax(logits) == target == solution.target
        others = np.delete(logits, target)
        assert (logits[target] >= 1.2 * others - 1e-6).all()
        change = np.abs(solution.image - test_images.image(index).ravel())
        assert change.sum() == pytest.approx(solution.objective)
        assert solution.image.min() >= 0.0
        assert solution.image.max() <= 1.0


def test_thesis_model_finds_the_same_optimum(thesis, test_images):
    problem = MinimalPerturbation(test_images.image(0), test_images.label(0))
    published = solve(thesis, problem, Method("gurobi", "thesis", options=FAST))
    ours = solve(thesis, problem, Method("gurobi", options=FAST))
    assert published.size["variables"] == 1742
    assert published.bounds == "thesis"
    assert published.timings.attack < 1e-3  # as published: no incumbent
    assert ours.status is Status.OPTIMAL
    assert published.objective == pytest.approx(ours.objective, rel=1e-4)


def test_untargeted_is_the_best_of_all_targets(make_network):
    network = make_network((5, 5, 4, 3), 6)
    image = np.random.default_rng(6).random(5)
    label = int(network.predict(image))
    method = Method("highs", options=FAST)
    best = solve(network, MinimalPerturbation(image, label, AnyTarget()), method)
    single = [
        solve(network, MinimalPerturbation(image, label, FixedTarget(t)), method)
        for t in range(3)
        if t != label
    ]
    assert best.objective == pytest.approx(min(s.objective for s in single))
    assert best.target in [s.target for s in single if s.objective <= best.objective + 1e-9]


@pytest.mark.parametrize("seed", [1, 3, 4, 5])
@pytest.mark.parametrize("norm", list(Norm))
def test_all_engines_agree_on_the_best_of_many_targets(make_network, seed, norm):
    """With an incumbent, targets that bounds rule out, and the loop over the others."""
    network = make_network((5, 6, 5, 6), seed)
    image = np.random.default_rng(seed).random(5)
    problem = MinimalPerturbation(image, int(network.predict(image)), AnyTarget(), norm)
    solutions = [
        solve(network, problem, Method(name, options=FAST))
        for name in ("bnb", "highs", "gurobi", "scip")
        if get_engine(name).supports(problem.task(network))
    ]
    assert len(solutions) >= 3
    assert {solution.status for solution in solutions} == {Status.OPTIMAL}
    objectives = [solution.objective for solution in solutions]
    assert max(objectives) - min(objectives) <= 1e-5 * max(1.0, *objectives)
    assert len({solution.target for solution in solutions}) == 1


@pytest.mark.parametrize("norm", [Norm.L2, Norm.LINF])
def test_other_norms(make_network, norm):
    network = make_network((5, 5, 4, 3), 6)
    image = np.random.default_rng(6).random(5)
    problem = MinimalPerturbation(image, int(network.predict(image)), AnyTarget(), norm)
    solutions = [solve(network, problem, Method(e, options=FAST)) for e in ("scip", "gurobi")]
    assert [s.status for s in solutions] == [Status.OPTIMAL] * 2
    assert solutions[0].objective == pytest.approx(solutions[1].objective, rel=1e-5)


def test_image_that_already_answers_the_target_needs_no_change(thesis, test_images):
    image = test_images.image(0)
    solution = solve(thesis, MinimalPerturbation(image, 3, FixedTarget(7)))
    assert solution.status is Status.OPTIMAL
    assert solution.objective == solution.bound == solution.gap == 0.0
    np.testing.assert_array_equal(solution.image, image.ravel())


def test_infeasible(make_network):
    network = make_network((4, 3, 2), 1)
    image = np.full(4, 0.5)
    problem = MinimalPerturbation(
        image, int(network.predict(image)), AnyTarget(), margin=AbsoluteMargin(1e3)
    )
    solution = solve(network, problem, Method("highs"))
    assert solution.status is Status.INFEASIBLE
    assert solution.proven
    assert not solution.certified
    assert solution.image is None


def test_bare_condition_is_never_called_adversarial():
    """Logits (x - 3, -2): the bare condition holds from x_0 <= -2.4 on, long before it wins."""
    network = ReLUNetwork((Dense(np.array([[1.0], [0.0]]), np.array([-3.0, -2.0])),))
    problem = MinimalPerturbation(
        np.array([0.9]), 0, FixedTarget(1), margin=BareRelativeMargin(0.2)
    )
    # x_1 = -2 >= 1.2 x_0 = 1.2 (0.9 - 3) holds at once; the network answers 1 already.
    easy = solve(network, problem, Method("highs"))
    assert easy.status is Status.OPTIMAL
    network = ReLUNetwork((Dense(np.array([[1.0], [0.0]]), np.array([-2.5, -2.0])),))
    image = np.array([0.9])  # logits (-1.6, -2): 0 wins, and -2 >= 1.2 * -1.6 does not hold
    problem = replace(problem, image=image)
    bare = solve(network, problem, Method("highs"))
    # -2 >= 1.2 (x - 2.5) from x = 5/6 on, where 0 still wins: -1.667 > -2.
    assert bare.status is Status.NOT_ADVERSARIAL
    assert not bare.certified
    assert bare.objective == pytest.approx(0.9 - 5 / 6, abs=1e-6)
    assert "answers 0, not 1" in bare.message
    strict = solve(network, replace(problem, margin=RelativeMargin(0.2)), Method("highs"))
    assert strict.status is Status.OPTIMAL
    assert strict.certified
    assert strict.objective == pytest.approx(0.9 - (0.5 - 1e-4), abs=1e-6)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            Method("highs", "indicator"),
            "engine highs: expected formulation bigm or thesis or hull or",
        ),
        (Method("auto", "indicator"), r"engine \w+: expected formulation bigm or .*, found"),
        (Method("bnb", "bigm"), "engine bnb: expected no formulation"),
        (Method("bnb", bounds="lp"), "engine bnb: expected no formulation"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_before_any_work(
    thesis, test_images, monkeypatch, method, message
):
    monkeypatch.setattr("reluopt.pipeline.find_incumbent", None)
    problem = MinimalPerturbation(test_images.image(0), 7)
    with pytest.raises(InputError, match=message):
        solve(thesis, problem, method)
    with pytest.raises(InputError, match=message):
        engine_for(method, problem.task(thesis), thesis)


def test_runner_up(thesis, test_images):
    image = test_images.image(0)
    problem = MinimalPerturbation(image, 7, RunnerUpTarget())
    logits = thesis.forward(image)
    assert problem.task(thesis).alternatives[0].target == np.argsort(logits)[-2]


def test_time_limit_is_honest(thesis, test_images):
    problem = MinimalPerturbation(test_images.image(1), test_images.label(1))
    method = Method("highs", "thesis", options=EngineOptions(time_limit=1.0))
    solution = solve(thesis, problem, method)
    best = solve(thesis, problem, Method("gurobi", options=FAST))
    assert solution.status in (Status.FEASIBLE, Status.TIME_LIMIT)
    assert solution.bound <= best.objective + 1e-6
    assert solution.objective >= best.objective - 1e-6
    assert not solution.proven


@pytest.mark.parametrize("name", [name for name, made in TRAINED_BY.items() if "--hidden" in made])
def test_classification_equals_the_forward_pass(test_images, name):
    network = load_bundled(name)
    images = test_images.images[:20]  # of each of eight networks: HiGHS takes the time
    expected = network.predict(images)
    for index, (image, label) in enumerate(zip(images, expected, strict=True)):
        formulation = ("bigm", "thesis")[index % 2]
        solution = solve(network, Classification(image), Method("highs", formulation))
        assert solution.certified
        assert solution.status is Status.OPTIMAL
        assert solution.target == label


def test_optimal_input(lecture):
    box = Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0]))
    solution = solve(lecture, OptimalInput(0, box))
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(50.0)
    assert lecture.forward(solution.image)[0] == pytest.approx(50.0)


def test_l2_on_highs_names_engines_that_can(thesis, test_images):
    problem = MinimalPerturbation(test_images.image(0), 7, norm=Norm.L2)
    with pytest.raises(UnsupportedProblemError, match="engines that can"):
        solve(thesis, problem, Method("highs"))


class _Liar(HighsEngine):
    """An engine whose answers the pipeline must not believe."""

    def __init__(self, answer):
        self._answer = answer

    def solve(self, request):
        return self._answer


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (EngineAnswer(Status.OPTIMAL, np.zeros(784), 0, 1.0, 1.0), "refused"),
        (EngineAnswer(Status.OPTIMAL, None, 0, math.inf, 0.0), ""),
    ],
)
def test_lies_are_found_out(thesis, test_images, monkeypatch, lie, message):
    monkeypatch.setattr("reluopt.method.choose_engine", lambda *_, **__: _Liar(lie))
    monkeypatch.setattr("reluopt.pipeline.linear_region_minimum", lambda *_: None)
    problem = MinimalPerturbation(test_images.image(0), 7)
    solution = solve(thesis, problem, Method("highs", attack=False))
    assert solution.status is Status.NUMERICAL
    assert message in solution.message
    assert not solution.certified
    assert solution.objective == math.inf


def test_a_bound_above_a_checked_image_is_a_contradiction(thesis, test_images, monkeypatch):
    problem = MinimalPerturbation(test_images.image(0), 7)
    true = solve(thesis, problem, Method("gurobi", options=FAST))
    lie = EngineAnswer(Status.OPTIMAL, true.image, 0, true.objective, 2.0 * true.objective)
    monkeypatch.setattr("reluopt.method.choose_engine", lambda *_, **__: _Liar(lie))
    solution = solve(thesis, problem, Method("highs", attack=False))
    assert solution.status is Status.NUMERICAL
    assert "exceeds the objective" in solution.message


def test_constants_are_refused_where_they_are_not_true():
    """The thesis' bounds of 1000 would cut off the true maximum of 4000."""
    layers = (Dense(4000.0 * np.eye(2), np.zeros(2)), Dense(np.eye(2), np.zeros(2)))
    network = ReLUNetwork(layers)
    with pytest.raises(UnsupportedProblemError, match=r"neuron 0 of layer 1 may reach .* 4000\]"):
        solve(network, OptimalInput(0), Method("highs", "thesis"))
    honest = solve(network, OptimalInput(0), Method("highs"))
    assert honest.objective == pytest.approx(4000.0)
    problem = MinimalPerturbation(np.array([0.9, 0.1]), 0, FixedTarget(1))
    with pytest.raises(UnsupportedProblemError, match="bounds thesis"):
        solve(network, problem, Method("highs", bounds="thesis"))


@pytest.mark.parametrize("exponent", [-33, -20, 20])
@pytest.mark.parametrize("engine", ["highs", "gurobi", "scip", "bnb"])
def test_scaling_neurons_changes_nothing(make_network, engine, exponent):
    """ReLU is homogeneous: neurons scaled by a power of two make the same function."""
    network = make_network((5, 5, 4, 3), 6)
    factor = 2.0**exponent
    first, second, third = network.layers
    rescaled = ReLUNetwork(
        (
            Dense(first.weight * factor, first.bias * factor),
            Dense(second.weight / factor, second.bias),
            third,
        )
    )
    image = np.random.default_rng(6).random(5)
    problem = MinimalPerturbation(image, int(network.predict(image)), AnyTarget())
    method = Method(engine, options=FAST)
    expected, found = solve(network, problem, method), solve(rescaled, problem, method)
    assert expected.status is found.status is Status.OPTIMAL
    assert found.objective == pytest.approx(expected.objective, rel=1e-6)


def test_the_time_limit_counts_every_step(test_images):
    network = load_bundled("mlp-100")
    problem = MinimalPerturbation(test_images.image(0), 7)
    started = time.perf_counter()
    solution = solve(network, problem, Method("highs", bounds="lp", options=EngineOptions(2.0)))
    assert time.perf_counter() - started < 8.0
    assert solution.status is not Status.OPTIMAL


def test_engines_that_bound_on_their_own_take_no_settings(thesis, test_images):
    problem = MinimalPerturbation(test_images.image(0), 7)
    for method in (
        Method("bnb", "thesis"),
        Method("bnb", bounds="lp"),
        Method("bnb", attack=False),
    ):
        with pytest.raises(InputError, match="engine bnb: expected no formulation"):
            solve(thesis, problem, method)
    chosen = solve(thesis, problem, Method(bounds="interval", options=FAST))
    assert chosen.engine == "gurobi"
    assert chosen.bounds == "interval"


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
def test_auto_proves_real_digits(thesis, test_images, norm):
    for index in range(8):
        problem = MinimalPerturbation(test_images.image(index), test_images.label(index), norm=norm)
        solution = solve(thesis, problem)
        assert solution.engine == "bnb"
        assert solution.status is Status.OPTIMAL
        assert solution.gap <= 1e-6


def test_a_bare_optimum_is_not_hidden_by_a_worse_image(monkeypatch):
    """The engine's optimum fools nobody; a certified incumbent lies far away."""
    network = ReLUNetwork((Dense(np.array([[1.0], [0.0]]), np.array([-2.5, -2.0])),))
    task_image = np.array([0.9])
    problem = MinimalPerturbation(task_image, 0, FixedTarget(1), margin=BareRelativeMargin(0.2))
    far = Incumbent(np.array([0.3]), 0.6, 0)
    monkeypatch.setattr("reluopt.pipeline.find_incumbent", lambda *_, **__: far)
    solution = solve(network, problem, Method("highs"))
    assert solution.status is Status.NOT_ADVERSARIAL
    assert solution.objective == pytest.approx(0.9 - 5 / 6, abs=1e-6)
    assert "optimum of the bare condition" in solution.message


def test_a_certified_incumbent_survives_a_refused_image(make_network, monkeypatch):
    network = make_network((5, 5, 4, 3), 6)
    image = np.random.default_rng(6).random(5)
    label = int(network.predict(image))
    problem = MinimalPerturbation(image, label, AnyTarget())
    true = solve(network, problem, Method("highs", options=FAST))
    targets = [a.target for a in problem.task(network).alternatives]
    mine = targets.index(true.target)
    lie = EngineAnswer(Status.FEASIBLE, image, 1 - mine, 0.0, 0.0)
    monkeypatch.setattr("reluopt.method.choose_engine", lambda *_, **__: _Liar(lie))
    monkeypatch.setattr("reluopt.pipeline.linear_region_minimum", lambda *_: None)
    known = Incumbent(true.image, true.objective, mine)
    monkeypatch.setattr("reluopt.pipeline.find_incumbent", lambda *_, **__: known)
    solution = solve(network, problem, Method("highs"))
    assert solution.status is Status.FEASIBLE
    assert solution.certified
    assert solution.target == true.target


def test_one_class_leaves_nothing_to_choose(lecture):
    with pytest.raises(InputError, match="at least two classes"):
        MinimalPerturbation(np.zeros(2), 0, AnyTarget()).task(lecture)
