"""One change for several images: its network, its task, and its optimum against brute force."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tests.helpers.exact import exact_optimum

from reluopt import Method, solve
from reluopt.answers.check import check_perturbation
from reluopt.answers.solution import Status
from reluopt.engines import ENGINES
from reluopt.engines.base import EngineRequest
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    ShiftTarget,
    UniversalPerturbation,
)

GRID = np.stack(np.meshgrid(*2 * [np.linspace(-2.5, 2.5, 251)]), axis=-1).reshape(-1, 2)
WIDE = Box(np.full(2, -2.0), np.full(2, 3.0))


def small_network(generator, inputs=2, hidden=(4, 3), classes=3):
    sizes = (inputs, *hidden, classes)
    return ReLUNetwork(
        tuple(
            Dense(generator.normal(size=(after, before)), generator.normal(size=after) * 0.3)
            for before, after in itertools.pairwise(sizes)
        )
    )


def asked(generator, network, count, **settings):
    images = generator.uniform(0.2, 0.8, size=(count, network.input_size))
    labels = network.predict(images).tolist()
    settings = {"margin": AbsoluteMargin(0.05), "target": AnyTarget(), **settings}
    return UniversalPerturbation(images, labels, **settings)


def answer_of(network, question, engine="bnb"):
    options = EngineOptions(time_limit=20.0)
    posed, task = question.posed(network), question.task(network)
    return posed, task, ENGINES.get(engine).solve(EngineRequest(posed, task, None, None, options))


def meets(network, question, deltas):
    """Whether all images are answered with the margin: the words of the question, and no task."""
    met = np.ones(len(deltas), dtype=bool)
    for image, label in zip(question.images, question.labels, strict=True):
        logits = network.forward(image + deltas)
        some = np.zeros(len(deltas), dtype=bool)
        for target in question.target.candidates(label, network.forward(image)):
            others = np.delete(logits, target, axis=1).max(axis=1)
            some |= logits[:, target] >= others + question.margin.kappa
        met &= some
    return met


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_posed_network_is_the_given_one_at_every_image(count):
    generator = np.random.default_rng(count)
    kernels = generator.normal(size=(2, 1, 2, 2))
    first = Conv2d(kernels, generator.normal(size=2), Windows((1, 4, 4), (2, 2)))
    dense = Dense(generator.normal(size=(3, first.output_size)), generator.normal(size=3))
    for network in (small_network(generator), ReLUNetwork((first, dense))):
        question = asked(generator, network, count)
        posed = question.posed(network)
        deltas = generator.normal(size=(5, network.input_size))
        expected = np.hstack([network.forward(image + deltas) for image in question.images])
        np.testing.assert_array_equal(posed.forward(deltas), expected)
        np.testing.assert_allclose(posed.pre_activations(deltas)[-1], expected, atol=1e-12)
        assert posed.sizes == (network.input_size, *(count * width for width in network.sizes[1:]))


def met_on_grid(network, question):
    """Points of the grid that keep all images in the box and meet the question."""
    moved = GRID[:, None] + question.images
    inside = ((moved >= -2.0) & (moved <= 3.0)).all(axis=(1, 2))
    return GRID[inside][meets(network, question, GRID[inside])]


def answerable(seed, count=2, **settings):
    """A network and a question that a point of the grid answers, but no change does not."""
    generator = np.random.default_rng(seed)
    while True:
        network = small_network(generator, **settings)
        question = asked(generator, network, count, box=WIDE)
        if met_on_grid(network, question).size:
            return network, question


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Norm.LINF])
@pytest.mark.parametrize("seed", range(12))
def test_no_point_of_a_grid_is_better(norm, seed):
    network, question = answerable(seed)
    question = replace(question, norm=norm)
    _, task, answer = answer_of(network, question)
    best = min(norm.objective(delta) for delta in met_on_grid(network, question))
    assert 0.0 < answer.bound <= best + 1e-9
    assert task.distance(answer.image) == pytest.approx(answer.bound, rel=1e-3, abs=1e-6)
    slightly_less = replace(question, margin=AbsoluteMargin(question.margin.kappa - 1e-6))
    assert meets(network, slightly_less, answer.image[None]).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_is_that_of_rational_arithmetic(seed):
    network, question = answerable(100 + seed, hidden=(3,))
    posed, task, answer = answer_of(network, question)
    exact = exact_optimum(ReLUNetwork(posed.affine_layers), task)
    assert answer.image is not None
    assert float(exact) == pytest.approx(answer.bound, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("engine", ["bnb", "highs"])
@pytest.mark.parametrize("seed", range(4))
def test_solutions_are_checked_by_the_given_network(engine, seed):
    network, question = answerable(seed)
    solution = solve(network, question, Method(engine))
    assert solution.status is Status.OPTIMAL
    assert solution.certified
    expected = answer_of(network, question)[2].objective
    assert solution.objective == pytest.approx(expected, rel=1e-3)
    logits = np.hstack([network.forward(image + solution.image) for image in question.images])
    np.testing.assert_allclose(solution.certificate.logits, logits, atol=1e-12)


def test_a_change_that_misses_one_image_is_refused():
    network, question = answerable(0)
    posed, task = question.posed(network), question.task(network)
    one = replace(question, images=question.images[:1], labels=question.labels[:1])
    deltas = met_on_grid(network, one)
    misses = deltas[~meets(network, question, deltas)][:20]
    assert misses.size
    for delta in misses:
        for alternative in task.alternatives:
            assert not check_perturbation(posed, task, alternative, delta).certified


def test_one_image_is_a_minimal_perturbation():
    network, question = answerable(3, count=1)
    alone = MinimalPerturbation(
        question.images[0], question.labels[0], AnyTarget(), margin=question.margin, box=WIDE
    )
    options = EngineOptions(time_limit=20.0)
    request = EngineRequest(network, alone.task(network), None, None, options)
    expected = ENGINES.get("bnb").solve(request)
    _, _, answer = answer_of(network, question)
    assert answer.objective == pytest.approx(expected.objective, rel=1e-4)


def test_more_images_cost_no_less():
    network, question = answerable(8, count=3)
    fewer = replace(question, images=question.images[:2], labels=question.labels[:2])
    more = answer_of(network, question)[2].objective
    assert answer_of(network, fewer)[2].bound <= more + 1e-6 < np.inf


def test_the_box_holds_every_changed_image():
    generator = np.random.default_rng(5)
    network = small_network(generator)
    question = asked(generator, network, 3, box=Box(np.full(2, 0.1), np.full(2, 0.9)))
    box = question.task(network).box
    for end in (box.lower, box.upper):
        moved = question.images + end
        assert moved.min() >= 0.1 - 1e-12
        assert moved.max() <= 0.9 + 1e-12
    np.testing.assert_allclose((question.images + box.upper).max(axis=0), 0.9)


def test_alternatives_are_the_products_of_the_targets():
    generator = np.random.default_rng(6)
    network = small_network(generator)
    task = asked(generator, network, 2).task(network)
    assert len({each.targets for each in task.alternatives}) == len(task.alternatives) == 4
    task = asked(generator, network, 3, target=ShiftTarget(1)).task(network)
    assert len(task.alternatives) == 1


def test_a_lead_counts_image_by_image():
    generator = np.random.default_rng(7)
    network = small_network(generator)
    alternative = asked(generator, network, 2, target=ShiftTarget(1)).task(network).alternatives[0]
    first, second = alternative.targets
    logits = np.zeros(6)
    logits[first], logits[3 + second] = 2.0, 9.0
    assert alternative.least_lead(logits) == (2.0, first, first)
    logits[3 + (second + 1) % 3] = 10.0
    assert alternative.least_lead(logits) == (-1.0, second, (second + 1) % 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": [0]}, "labels: expected one for each"),
        ({"labels": [0, 9]}, "label: expected a label from 0 to 2, found 9"),
        ({"images": [[0.5, 2.0], [0.5, 0.5]]}, "images: expected values inside the box"),
        ({"images": [[0.5], [0.5]]}, "input: expected shape"),
    ],
)
def test_refusals(settings, message):
    network = small_network(np.random.default_rng(1))
    given = {"images": np.full((2, 2), 0.5), "labels": [0, 1], **settings}
    with pytest.raises(InputError, match=message):
        UniversalPerturbation(**given).task(network)


def test_too_many_combinations_are_refused():
    network = small_network(np.random.default_rng(1), classes=10)
    question = UniversalPerturbation(np.full((3, 2), 0.5), [0, 1, 2], margin=RelativeMargin(0.2))
    with pytest.raises(InputError, match=r"at most 500 combinations .* found 729"):
        question.task(network)
