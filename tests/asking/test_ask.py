"""The three questions give what ``solve`` gives, for one input and for batches."""

import math

import numpy as np
import pytest

import reluopt as ro
from reluopt.answers.solution import Status
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AnyTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    ShiftTarget,
    Verification,
    WorstCase,
)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_nearest_images_are_those_of_solve(thesis, test_images, norm):
    image = test_images.image(0)
    result = ro.nearest(thesis, image, norm)
    problem = MinimalPerturbation(image, 7, AnyTarget(), Norm(norm), RelativeMargin(0.0))
    solution = solve(thesis, problem)
    assert result.status is Status.OPTIMAL
    assert result.certified
    assert result.proven
    assert result.distance == Norm(norm).distance_of(solution.objective)
    assert result.bound == Norm(norm).distance_of(solution.bound) <= result.distance
    assert result.image.shape == (28, 28)
    assert Norm(norm).lengths((result.image - image).reshape(1, -1)) == result.distance
    assert result.predicted == thesis.predict(result.image) == result.solution.target != 7


def test_a_batch_is_a_sequence_with_its_own_labels(thesis, test_images):
    images, labels = test_images.images[:3], test_images.labels[:3]
    results = ro.nearest(thesis, images, "l1", "+5", "x1.2", label=labels)
    assert [each.label for each in results] == labels.tolist()
    for each, image, label in zip(results, images, labels, strict=True):
        asked = MinimalPerturbation(image, int(label), ShiftTarget(5), Norm.L1, RelativeMargin(0.2))
        assert each.distance == solve(thesis, asked).objective
        assert each.predicted == (label + 5) % 10
    assert results[1:][0] is results[1]
    assert len(ro.nearest(thesis, images[:1], "l1")) == 1
    assert len(ro.nearest(thesis, images[:0], "l1")) == 0


def test_a_label_overrides_what_the_network_answers(thesis, test_images):
    image = test_images.image(0)
    assert ro.nearest(thesis, image, label=3).distance == 0.0
    assert ro.verify(thesis, image, 0.0, label=3).robust is False
    assert ro.worst_case(thesis, image, 0.0, label=3).lead > 0.0


def test_verdicts_are_those_of_solve(thesis, test_images):
    image = test_images.image(0)
    distance = ro.nearest(thesis, image, "linf").distance
    robust, broken = (ro.verify(thesis, image, each * distance) for each in (0.99, 1.01))
    assert (robust.robust, robust.status, robust.image) == (True, Status.ROBUST, None)
    assert robust.certified
    assert robust.distance == math.inf
    assert robust.bound == solve(thesis, Verification(image, 7, 0.99 * distance)).bound < 0.0
    assert (broken.robust, broken.status) == (False, Status.NOT_ROBUST)
    assert broken.certified
    assert broken.distance <= 1.01 * distance * (1.0 + 1e-9)
    assert thesis.predict(broken.image) == broken.predicted != 7


@pytest.mark.parametrize("target", ["any", 3, "+5"])
def test_worst_cases_are_those_of_solve(thesis, test_images, target):
    image = test_images.image(0)
    alone = {"any": None, 3: 3, "+5": 2}[target]
    worst = ro.worst_case(thesis, image, eps=0.5, norm="l2", target=target)
    problem = WorstCase(image, 7, 0.5, Norm.L2, target=alone)
    assert worst.lead == solve(thesis, problem).objective <= worst.bound
    logits = thesis.forward(worst.image)
    others = np.delete(logits, 7).max() if alone is None else logits[alone]
    assert worst.lead == pytest.approx(others - logits[7])


def test_modules_and_tensors_come_back_as_they_were(test_images):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))
    x = torch.tensor(test_images.images[:2], dtype=torch.float32)[:, None]
    for result, image in zip(ro.nearest(module, x), x, strict=True):
        assert (result.image.shape, result.image.dtype) == ((1, 28, 28), torch.float32)
        assert result.certified
        assert result.predicted == int(module(result.image[None]).argmax()) != result.label
        assert result.label == int(module(image[None]).argmax())
        length = float(torch.linalg.vector_norm(result.image.double() - image.double()))
        assert length == pytest.approx(result.distance, rel=1e-5)


def test_settings_reach_the_engine(thesis, test_images):
    result = ro.nearest(
        thesis, test_images.image(0), "l1", engine="highs", time_limit=30, threads=2
    )
    solution = result.solution
    assert (solution.engine, solution.time_limit, solution.threads) == ("highs", 30.0, 2)
    assert result.distance == pytest.approx(ro.nearest(thesis, test_images.image(0), 1).distance)


def test_a_box_limits_the_change(thesis, test_images):
    image = test_images.image(0)
    free, boxed = (ro.nearest(thesis, image, "linf", box=each) for each in (None, (0.0, 1.5)))
    assert boxed.distance <= free.distance
    with pytest.raises(InputError, match=r"^x: expected values in \[0, 0.5\], the box"):
        ro.nearest(thesis, image, box=(0.0, 0.5))


def test_where_nothing_is_found_there_is_no_image():
    constant = ReLUNetwork((Dense(np.zeros((2, 3)), np.array([1.0, 0.0])),))
    result = ro.nearest(constant, np.full(3, 0.5), "l1")
    assert (result.status, result.image, result.predicted) == (Status.INFEASIBLE, None, None)
    assert result.distance == math.inf
    assert not result.certified


class _Two:
    """A target of two labels, as anyone may write one."""

    def candidates(self, label, logits):
        return (0, 1)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (
            lambda n, x: ro.nearest(n, x, target=10),
            "target: expected a label from 0 to 9, found 10",
        ),
        (lambda n, x: ro.nearest(n, x, target="+10"), "target: expected a shift"),
        (lambda n, x: ro.nearest(n, x, label=10), "label: expected a label from 0 to 9, found 10"),
        (lambda n, x: ro.nearest(n, x, margin=1.2), "margin: expected .*, found 1.2"),
        (lambda n, x: ro.nearest(n, 255.0 * x), "x: expected values in .* divide by 255"),
        (lambda n, x: ro.nearest(n, [x, 2.0 * x]), r"x\[1\]: expected values in \[0, 1\]"),
        (lambda n, x: ro.nearest(n, np.full(784, np.nan)), "image: expected finite values"),
        (lambda n, x: ro.nearest(n, x, engine="bnx"), "method 'bnx': expected engine"),
        (lambda n, x: ro.verify(n, x, "0.1"), "eps: expected a number, found '0.1'"),
        (lambda n, x: ro.verify(n, x, -1), "eps: expected a finite radius"),
        (lambda n, x: ro.verify(n, x, 0.1, "blend:0.5"), "norm: expected l1, l2, linf for a ball"),
        (
            lambda n, x: ro.nearest(n, x, limit=2.0),
            "settings: expected box, engine, .* found limit",
        ),
        (lambda n, x: ro.ExactAttack(limit=2.0), "settings: expected box, engine, .* found limit"),
        (lambda n, x: ro.worst_case(n, x, 0.1, target=_Two()), "target: expected one label or all"),
        (lambda n, x: ro.worst_case(n, x, 0.1, target=7), "target: expected a label other than 7"),
    ],
)
def test_what_means_nothing_is_refused_with_a_sentence(thesis, test_images, ask, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        ask(thesis, test_images.image(0))
