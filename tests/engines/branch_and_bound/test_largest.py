"""Worst cases over balls of L1 and L2 against brute force, other engines and verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.regions import largest_value
from reluopt.answers.solution import Incumbent, Status
from reluopt.attacks.slack import largest_found
from reluopt.deadline import NEVER
from reluopt.engines import engines_for, get_engine
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound import largest
from reluopt.engines.branch_and_bound.raised import RaisedTask
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.zoo import load_bundled
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    Box,
    InputSet,
    LinearForm,
    Norm,
    Task,
    Verification,
    WorstCase,
)

NORMS = (Norm.L1, Norm.L2)


def bnb(**options):
    return Method("bnb", options=EngineOptions(**options))


def question(network, seed, norm, eps=None, **settings):
    """A random worst case; settings may depend on the label."""
    generator = np.random.default_rng(seed)
    image = generator.random(network.input_size)
    label = int(network.predict(image))
    eps = float(generator.choice([0.05, 0.2, 0.6])) if eps is None else eps
    other = (label + 1) % network.output_size
    form = LinearForm(((other, 1.0), (label, -0.5)))
    chosen = {"other": other, "form": form}
    settings = {key: chosen.get(value, value) for key, value in settings.items()}
    return WorstCase(image, label, eps, norm, **settings)


KINDS = (
    {},
    {"target": "other"},
    {"objective": "other"},
    {"objective": "form"},
    {"objective": "form", "fooled": 0.9},
    {"objective": "other", "fooled": 1.2},
)


@pytest.mark.parametrize("settings", KINDS, ids=str)
@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_worst_cases_are_those_of_brute_force(make_network, norm, settings):
    statuses = set()
    for seed in range(6):
        network = make_network(((3, 4, 3), (3, 3, 2, 3))[seed % 2], seed)
        asked = question(network, seed, norm, **settings)
        exact = largest_value(network, asked.task(network))
        found = solve(network, asked, bnb())
        statuses.add(found.status)
        if exact == -np.inf:
            assert found.status is Status.INFEASIBLE
            assert found.image is None
            continue
        assert found.status is Status.OPTIMAL
        assert found.certified
        assert found.objective == pytest.approx(exact, abs=1e-6)
        assert found.bound >= exact - 1e-7
        assert found.bound - found.objective <= 1e-6 * max(abs(found.objective), 1e-6)
        assert found.certificate.distance <= asked.eps + 1e-9
    assert Status.OPTIMAL in statuses


@pytest.mark.parametrize("settings", [{}, {"objective": 3}, {"objective": 3, "fooled": 0.9}])
def test_l1_worst_cases_of_images_are_those_of_highs(thesis, test_images, settings):
    for index in (101, 107):
        image, label = test_images.image(index), test_images.label(index)
        asked = WorstCase(image, label, 2.0, Norm.L1, **settings)
        own, theirs = solve(thesis, asked, bnb()), solve(thesis, asked, Method("highs"))
        assert own.status is theirs.status
        assert own.objective == pytest.approx(theirs.objective, rel=3e-6)


class Given:
    """A task as a question."""

    def __init__(self, task):
        self._task = task

    def task(self, network):
        return self._task


def test_in_l2_scip_finds_nothing_better_within_the_radius(make_network):
    for seed in range(4):
        network = make_network((3, 4, 3), seed)
        asked = question(network, seed, Norm.L2, eps=0.3)
        worst = solve(network, asked, bnb())
        assert worst.status is Status.OPTIMAL
        raised = RaisedTask.of(network, asked.task(network))
        for change, inside in ((-1e-4, True), (1e-4, False)):
            task = raised.at(worst.objective + change, range(len(raised.goals)))
            bare = tuple(replace(each, bare=True) for each in task.alternatives)
            near = solve(network, Given(replace(task, alternatives=bare)), Method("scip"))
            assert near.status in (Status.OPTIMAL, Status.NOT_ADVERSARIAL)
            assert (near.objective <= asked.eps**2) == inside


@pytest.mark.parametrize(("norm", "eps"), [(Norm.L1, 2.0), (Norm.L2, 0.5)])
def test_a_worst_case_of_an_image_agrees_with_its_verdict(thesis, test_images, norm, eps):
    for index in (100, 101):
        image, label = test_images.image(index), test_images.label(index)
        asked = WorstCase(image, label, eps, norm)
        worst = solve(thesis, asked)
        assert worst.engine == "bnb"
        assert worst.status is Status.OPTIMAL
        assert worst.objective >= largest_found(thesis, asked.task(thesis)).objective
        verdict = solve(thesis, Verification(image, label, eps, norm))
        assert (verdict.status is Status.ROBUST) == (worst.objective < 0.0)


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_an_optimum_inside_the_ball_is_found_and_proven(make_network, norm):
    """Over a ball that holds the box nothing is nearest to its border."""
    network = make_network((3, 5, 3), 4)
    asked = question(network, 4, norm, eps=5.0)
    found = solve(network, asked, bnb())
    assert found.status is Status.OPTIMAL
    assert found.objective == pytest.approx(largest_value(network, asked.task(network)), abs=1e-6)


def test_the_gap_that_is_asked_for_ends_the_search(thesis, test_images):
    asked = WorstCase(test_images.image(104), test_images.label(104), 0.5, Norm.L2)
    exact = solve(thesis, asked, bnb())
    rough = solve(thesis, asked, bnb(gap=0.05))
    assert rough.status is Status.OPTIMAL
    assert rough.bound >= exact.objective
    assert rough.bound - rough.objective <= 0.05 * rough.objective


def test_the_bound_of_an_unfinished_search_is_proven(test_images):
    network, limit = load_bundled("mlp-100"), 1.0
    asked = WorstCase(test_images.image(100), test_images.label(100), 1.0, Norm.L2)
    raised = RaisedTask.of(network, asked.task(network))
    found = solve(network, asked, bnb(time_limit=limit))
    assert found.status is Status.FEASIBLE
    assert found.certified
    assert 5.39 < found.bound <= raised.ceilings(NEVER).max()
    assert found.timings.total < limit + 2.0


def test_where_the_best_value_is_too_hard_an_easier_one_is_proven(thesis, test_images, monkeypatch):
    asked = WorstCase(test_images.image(101), test_images.label(101), 0.5, Norm.L2)
    task = asked.task(thesis)
    exact, ceiling = solve(thesis, asked, bnb()), RaisedTask.of(thesis, task).ceilings(NEVER).max()
    hard = exact.objective + 0.5 * (ceiling - exact.objective)
    grown = largest.grown

    def easy_alone(search, seed, keep):
        value = search.frame.task.alternatives[0].conditions.rhs[0]
        return Unsettled(search) if value < hard else grown(search, seed, keep)

    monkeypatch.setattr(largest, "grown", easy_alone)
    found = solve(thesis, asked, bnb())
    assert found.status is Status.FEASIBLE
    assert found.message == "too hard"
    assert hard <= found.bound < ceiling
    assert found.objective == pytest.approx(exact.objective)


def test_easier_values_are_asked_about_until_the_rest_is_of_no_interest():
    """Every search about an easier value ends with a proof, so that no later one is hard."""
    options = EngineOptions(gap=1e-4, time_limit=np.inf)
    request = EngineRequest(None, None, None, None, options)
    best = Incumbent(np.zeros(1), 1.0, 0)
    rise = largest._Rise(request, None, NEVER, np.array([10.0]), best, hard=1.5, later=1)
    asked = []

    def proven(value):
        asked.append(value)
        rise.ceilings[:] = value

    rise._look = proven
    rise.run()
    assert 1.5 < rise.bound <= 1.5 + rise.tolerance
    assert len(asked) < 20


class Unsettled:
    """A search that did not end."""

    size, message = {}, "too hard"

    def __init__(self, search):
        self.bounds = [0.0] * len(search.frame.task.alternatives)


def test_a_ball_of_radius_zero_holds_its_center(thesis, test_images):
    image, label = test_images.image(0), test_images.label(0)
    for norm in NORMS:
        found = solve(thesis, WorstCase(image, label, 0.0, norm), bnb())
        logits = thesis.forward(image)
        assert found.objective == pytest.approx(np.delete(logits, label).max() - logits[label])
        assert found.bound == pytest.approx(found.objective, abs=1e-6)


def test_what_it_takes(thesis, test_images):
    engine = get_engine("bnb")
    for norm in NORMS:
        asked = WorstCase(test_images.image(0), 7, 0.2, norm, objective=3, fooled=0.9)
        task = asked.task(thesis)
        assert largest.takes(task)
        assert engine.supports(task)
        assert engines_for(task, thesis)[0] == "bnb"
        assert not engine.keeps_proofs(task)
    assert not largest.takes(Task.largest_logit(3, Box.unit(784)))
    linf = InputSet(task.box, task.inputs.center, Norm.LINF, 0.2)
    assert not largest.takes(replace(task, inputs=linf))
    assert not largest.takes(Verification(test_images.image(0), 7, 0.2, Norm.L1).task(thesis))


def test_slow_rises_ask_for_more(make_network, monkeypatch):
    """Without polish every search finds a little more; strides keep them few."""
    network = make_network((3, 5, 3), 3)
    asked = question(network, 3, Norm.L2, eps=0.6)
    monkeypatch.setattr(largest, "largest_found", lambda net, task, *_: center(net, task))
    monkeypatch.setattr(largest, "polished", lambda raised, start, *_: start)
    calls = []
    searched = largest.within.WithinSearch.of
    monkeypatch.setattr(
        largest.within.WithinSearch, "of", lambda *args: calls.append(1) or searched(*args)
    )
    found = solve(network, asked, bnb())
    assert found.status is Status.OPTIMAL
    assert found.objective == pytest.approx(largest_value(network, asked.task(network)), abs=2e-6)
    assert 3 < len(calls) < 200


def center(network, task):
    """The incumbent of no change."""
    return RaisedTask.of(network, task).value_at(task.inputs.center)


def test_progress_is_told(thesis, test_images):
    told = []
    asked = WorstCase(test_images.image(100), test_images.label(100), 2.0, Norm.L1)
    found = solve(thesis, asked, bnb(), progress=told.append)
    assert told
    assert told[-1].objective == found.objective
    assert told[-1].bound == found.bound
