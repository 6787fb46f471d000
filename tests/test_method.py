"""Methods: what people write, and what it means for a task."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method, names_of
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    MinimalPerturbation,
    Norm,
    Task,
)


def test_names_are_taken_for_what_they_name():
    method = Method.parse("gurobi:thesis:lp", EngineOptions(3.0))
    assert method == Method("gurobi", "thesis", "lp", options=EngineOptions(3.0))
    assert (method.formulation_name, method.bounds_name) == ("thesis", "lp")
    assert replace(method, engine="scip").formulation is method.formulation
    assert pickle.loads(pickle.dumps(method)).bounds_name == "lp"
    assert Method().formulation_name is Method().bounds_name is None
    assert Method(bounds="ball").bounds_name == "ball"


@pytest.mark.parametrize("what", ["engine", "formulation", "bounds"])
def test_every_name_is_read_and_others_are_refused(what):
    for name in names_of(what):
        assert Method(**{what: name}) is not None
    parts = {"engine": "auto", "formulation": "bigm", "bounds": "ball", what: "nothing"}
    with pytest.raises(InputError, match=f"expected {what} {names_of(what)[0]}, .* 'nothing'"):
        Method.parse(":".join(parts.values()))


def test_bounds_hold_over_the_ball_unless_others_are_asked_for(make_network):
    network = make_network((4, 5, 3), 0)
    nearest = MinimalPerturbation(np.full(4, 0.5), 0, AnyTarget(), Norm.L1).task(network)
    largest = Task.largest_logit(0, Box.unit(4))
    found = {
        (formulation, bounds): [
            (str(chosen), over_ball)
            for chosen, over_ball in (
                Method("highs", formulation, bounds).bounding(task) for task in (nearest, largest)
            )
        ]
        for formulation in (None, "thesis")
        for bounds in (None, "interval", "ball")
    }
    over_ball = [("linear", True), ("linear", False)]
    assert found[None, None] == found[None, "ball"] == found["thesis", "ball"] == over_ball
    assert found["thesis", None] == [("thesis", False)] * 2
    assert found[None, "interval"] == found["thesis", "interval"] == [("interval", False)] * 2


def test_a_name_of_bounds_and_the_ball_go_together():
    both = Method("highs", bounds="interval", over_ball=True)
    assert both.over_ball
    assert both.bounds_name == "interval over the ball"
    assert not Method("highs", bounds="linear").over_ball


def test_a_solution_tells_which_bounds_ran_over_the_ball(make_network):
    network = make_network((4, 5, 3), 1)
    image = np.full(4, 0.5)
    question = MinimalPerturbation(
        image, int(network.predict(image)), AnyTarget(), margin=AbsoluteMargin(0.01)
    )
    names = []
    for method in (Method("highs"), Method("highs", bounds="interval", over_ball=True)):
        names.append(solve(network, question, method).bounds)
    assert names == ["ball", "interval over the ball"]
