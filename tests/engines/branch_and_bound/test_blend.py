"""Blends by our own engine: against SCIP, against all activation patterns, and at both ends."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, minimize

from helpers.regions import enumerate_patterns, split_rooms
from reluopt.answers.solution import Incumbent, Status
from reluopt.attacks.linear_regions import find_incumbent, linear_region_minimum
from reluopt.engines import get_engine
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.ball import make_ball
from reluopt.engines.branch_and_bound.blend import lifted_frame
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Blend,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
)

ENGINE = BranchAndBoundEngine()
WEIGHTS = (0.05, 0.5, 0.95)


def ask(network, seed, measure, target=None, margin=0.3):
    """A problem whose image touches the box here and there."""
    generator = np.random.default_rng(seed)
    image = np.clip(generator.uniform(-0.3, 1.3, network.input_size), 0.0, 1.0)
    label = int(network.predict(image))
    wanted = FixedTarget((label + 1) % network.output_size) if target is None else target
    return MinimalPerturbation(image, label, wanted, measure, AbsoluteMargin(margin))


def pattern_optimum(task, matrix, least):
    """The smallest blend within one linear region, by a general solver on the parts."""
    weight, rooms = task.norm.weight, split_rooms(task)
    both = np.hstack([matrix, -matrix])
    result = minimize(
        lambda u: weight * u.sum() + (1.0 - weight) * (u @ u),
        0.5 * rooms,
        jac=lambda u: weight + 2.0 * (1.0 - weight) * u,
        bounds=np.stack([np.zeros(rooms.size), rooms], axis=1),
        constraints=LinearConstraint(both, least),
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 300},
    )
    met = (both @ result.x - least).min() > -1e-7
    return result.fun if met else math.inf


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("seed", range(3))
def test_against_all_activation_patterns(make_network, weight, seed):
    network = make_network((3, 3, 2, 2), seed)
    task = ask(network, seed, Blend(weight)).task(network)
    best = enumerate_patterns(network, task, pattern_optimum)
    answer = ENGINE.solve(EngineRequest(network, task, None))
    if answer.status is Status.INFEASIBLE:
        assert best == math.inf
        return
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(best, rel=1e-5, abs=1e-6)
    assert answer.bound <= best * (1.0 + 1e-6) + 1e-7


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize(
    ("sizes", "seed"), [((4, 5, 3), 7), ((5, 6, 4, 3), 3), ((5, 4, 3, 3), 3), ((4, 2), 4)]
)
def test_agrees_with_scip(make_network, sizes, seed, weight):
    if not get_engine("scip").state().usable:
        pytest.skip("pyscipopt is not installed")
    network = make_network(sizes, seed)
    problem = ask(network, seed, Blend(weight), AnyTarget())
    own, other = (solve(network, problem, Method(engine=name)) for name in ("bnb", "scip"))
    assert own.status == other.status
    assert own.certified == other.certified
    if own.status is Status.OPTIMAL:
        assert own.objective == pytest.approx(other.objective, rel=1e-5, abs=1e-7)
        assert own.bound <= other.objective * (1.0 + 1e-9)
        assert Box.unit(sizes[0]).violation(own.image) == 0.0
        assert own.certificate.objective == own.objective


@pytest.mark.parametrize("index", [0, 4])
@pytest.mark.parametrize("weight", [0.1, 0.9])
def test_digits_are_proven_and_certified(thesis, test_images, index, weight):
    """Weights at which a point outside the box is the reference of the squares."""
    problem = MinimalPerturbation(
        test_images.image(index), test_images.label(index), norm=Blend(weight)
    )
    solution = solve(thesis, problem)
    assert solution.engine == "bnb"
    assert solution.status is Status.OPTIMAL
    assert solution.certified
    assert solution.gap <= 1e-6
    change = solution.image - test_images.image(index).ravel()
    assert solution.objective == pytest.approx(Blend(weight).objective(change), rel=1e-12)


@pytest.mark.parametrize(("weight", "norm"), [(1e-7, Norm.L2), (0.999, Norm.L1)])
@pytest.mark.parametrize("seed", [3, 4])
def test_ends_approach_the_norms(make_network, weight, norm, seed):
    network = make_network((5, 6, 4, 3), seed)
    blend = solve(network, ask(network, seed, Blend(weight), AnyTarget()))
    alone = solve(network, ask(network, seed, norm, AnyTarget()))
    assert blend.status is alone.status is Status.OPTIMAL
    assert blend.objective == pytest.approx(alone.objective, rel=1e-2, abs=1e-6)


def test_no_blend_is_below_the_weighted_optima(make_network):
    """The blend of the optima of both norms is a bound that any proven optimum respects."""
    network = make_network((6, 8, 5, 3), 5)
    least = [solve(network, ask(network, 5, norm, AnyTarget())) for norm in (Norm.L1, Norm.L2)]
    for weight in WEIGHTS:
        found = solve(network, ask(network, 5, Blend(weight), AnyTarget()))
        blended = weight * least[0].bound + (1.0 - weight) * least[1].bound
        assert found.objective >= blended * (1.0 - 1e-9)


def test_unchanged_images_and_impossible_targets(make_network):
    network = make_network((4, 5, 3), 7)
    image = np.full(4, 0.5)
    label = int(network.predict(image))
    already = MinimalPerturbation(
        image, label, FixedTarget(label), Blend(0.5), AbsoluteMargin(1e-6)
    )
    solution = solve(network, already)
    assert (solution.status, solution.objective) == (Status.OPTIMAL, 0.0)
    flat = ReLUNetwork((Dense(np.zeros((2, 4)), np.array([1.0, 0.0])),))
    never = MinimalPerturbation(image, 0, FixedTarget(1), Blend(0.5), AbsoluteMargin(0.1))
    assert solve(flat, never).status is Status.INFEASIBLE


def test_incumbents_progress_and_regions_speak_of_the_blend(make_network):
    network = make_network((5, 6, 4, 3), 3)
    task = ask(network, 3, Blend(0.6), AnyTarget()).task(network)
    incumbent = find_incumbent(network, task)
    assert incumbent is not None
    assert incumbent.objective == task.objective(incumbent.image)
    seen = []
    answer = ENGINE.solve(
        EngineRequest(network, task, None, incumbent=incumbent, progress=seen.append)
    )
    assert answer.objective <= incumbent.objective * (1.0 + 1e-12)
    assert seen
    assert seen[0].objective <= incumbent.objective * (1.0 + 1e-9)
    best = answer.image if answer.image is not None else incumbent.image
    alternative = task.alternatives[answer.alternative]
    again = linear_region_minimum(network, task, alternative, network.activation_pattern(best))
    assert task.objective(again) == pytest.approx(answer.objective, rel=1e-6)


def test_a_frame_allows_for_the_rounding_of_the_lifted_biases(make_network):
    network = make_network((5, 6, 4, 3), 3)
    task = ask(network, 3, Blend(0.6)).task(network)
    frame, raised = lifted_frame(network, task)
    first = raised.network.layers[0]
    plain = np.abs(first.bias) + np.abs(first.weight) @ frame.inputs.high
    assert (frame.inputs.magnitudes >= plain + raised.bias_sizes).all()
    assert frame.inputs.tilt == raised.task.distance.tilt > 0.0
    point = [Fraction(v) for v in task.image.tolist()]
    original = network.layers[0]
    for row, bias, value, error in zip(
        original.weight.tolist(),
        original.bias.tolist(),
        frame.inputs.values.tolist(),
        frame.inputs.errors.tolist(),
        strict=True,
    ):
        exact = sum((Fraction(w) * v for w, v in zip(row, point, strict=True)), Fraction(bias))
        assert abs(Fraction(value) - exact) <= Fraction(error)


def test_bounds_of_kernels_hold_for_the_exact_lifted_biases(make_network):
    """The lifted bias is a rounded sum: bounds of the ball of radius 0 must leave room for that."""
    network = make_network((5, 6, 4, 3), 3)
    frame, raised = lifted_frame(network, ask(network, 3, Blend(0.6)).task(network))
    count = frame.flat.biases.size
    ball = make_ball(frame, 0.0, np.full(count, -np.inf), np.full(count, np.inf))
    bias = raised.network.layers[0].bias
    wrong = (network.input_size + 2) * 2.0**-53 * raised.bias_sizes
    assert (ball.upper[: bias.size] - bias >= wrong).all()
    assert (bias - ball.lower[: bias.size] >= wrong).all()


@pytest.mark.parametrize("seed", [12, 20, 25])
def test_bounds_hold_where_all_heavy_pixels_are_fixed(seed):
    """What is left of a neuron is then tiny beside the rounding of its lifted bias."""
    generator, free, scale = np.random.default_rng(seed), slice(3, 5), 1e-10
    image = np.concatenate([generator.random(5)[:3], 0.5 * generator.random(2)])
    weight = generator.normal(size=(3, 5))
    weight[:, free] = scale * np.abs(weight[:, free])
    first = Dense(weight, -(weight[:, :3] @ image[:3]))
    network = ReLUNetwork((first, Dense([[0.0] * 3, [1.0 / scale] * 3], [0.9, 0.0])))
    lower, upper = image.copy(), image.copy()
    lower[free], upper[free] = 0.0, 1.0
    margin = AbsoluteMargin(0.001)
    problem = MinimalPerturbation(image, 0, FixedTarget(1), Blend(0.5), margin, Box(lower, upper))
    frame, _ = lifted_frame(network, problem.task(network))
    # The frame's units are powers of two of the network's, told by the weights that are left.
    units = np.abs(frame.network.layers[0].weight).max(axis=1) / weight[:, free].max(axis=1)
    point = [Fraction(v) for v in image.tolist()]
    rows = zip(
        first.weight.tolist(),
        first.bias.tolist(),
        units.tolist(),
        frame.inputs.values.tolist(),
        frame.inputs.errors.tolist(),
        strict=True,
    )
    for row, bias, unit, value, error in rows:
        exact = sum((Fraction(w) * v for w, v in zip(row, point, strict=True)), Fraction(bias))
        assert abs(Fraction(value) - Fraction(unit) * exact) <= Fraction(error)


def test_other_engines_and_proofs_are_refused_in_one_line(make_network):
    network = make_network((4, 5, 3), 1)
    problem = ask(network, 1, Blend(0.5))
    for name in ("highs", "julia"):
        with pytest.raises(UnsupportedProblemError, match=r"cannot solve blend:0\.5 problems"):
            solve(network, problem, Method(engine=name))
    kept = Method(engine="bnb", options=EngineOptions(extra={"proof": True}))
    with pytest.raises(UnsupportedProblemError, match="expected norm l1 or l2, found a blend"):
        solve(network, problem, kept)
    smooth = MinimalPerturbation(np.zeros(4), 0, FixedTarget(1), Blend(0.5), smoothness=0.1)
    with pytest.raises(InputError, match="expected"):
        smooth.task(network)


def test_a_given_incumbent_is_not_claimed_as_found(make_network):
    network = make_network((4, 5, 3), 7)
    task = ask(network, 7, Blend(0.5), AnyTarget()).task(network)
    first = ENGINE.solve(EngineRequest(network, task, None))
    best = Incumbent(first.image, task.objective(first.image), first.alternative)
    second = ENGINE.solve(EngineRequest(network, task, None, incumbent=best))
    assert second.status is Status.OPTIMAL
    assert second.objective == pytest.approx(first.objective, rel=1e-9)
