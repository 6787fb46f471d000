"""Compilation is over before a solve's clock runs."""

import time

import pytest

from reluopt import preparation
from reluopt.answers.solution import Status
from reluopt.engines import get_engine
from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import MinimalPerturbation, Task, fitting_box, parse_norm


@pytest.mark.parametrize("engine", ["bnb", "highs"])
def test_compilation_does_not_count_against_the_limit(thesis, test_images, monkeypatch, engine):
    def slow(*_):
        time.sleep(2.0)

    method = Method(engine, options=EngineOptions(time_limit=20.0))
    problem = MinimalPerturbation(test_images.images[0], int(test_images.labels[0]))
    solve(thesis, problem, method)
    monkeypatch.setattr("reluopt.pipeline.prepare_solve", slow)
    method = Method(engine, options=EngineOptions(time_limit=1.5 if engine == "bnb" else 20.0))
    started = time.perf_counter()
    solution = solve(thesis, problem, method)
    assert time.perf_counter() - started > 2.0
    assert solution.status is Status.OPTIMAL
    assert solution.timings.total < time.perf_counter() - started - 1.9


def _asked(monkeypatch, thesis, method, norm="l1", logit=False):
    """The sets of kernels that a solve asks for."""
    asked = []
    monkeypatch.setattr(preparation, "prepare", asked.extend)
    problem = MinimalPerturbation(thesis_image(thesis), 7, norm=parse_norm(norm))
    task = Task.largest_logit(3, fitting_box(thesis, None)) if logit else problem.task(thesis)
    engine = get_engine("highs" if method.engine == "auto" else method.engine)
    preparation.prepare_solve(engine, method, task)
    return asked


def thesis_image(network):
    """Any image."""
    return fitting_box(network, None).upper * 0.5


@pytest.mark.parametrize(
    ("method", "norm", "logit", "sets"),
    [
        (Method("bnb"), "l1", False, ["l1", "simplex"]),
        (Method("bnb"), "l2", False, ["l2"]),
        (Method("bnb"), "blend:0.5", False, ["l2"]),
        (Method("highs"), "l1", False, ["bounds", "attacks"]),
        (Method("scip"), "l2", False, ["bounds", "attacks", "regions"]),
        (Method("highs", "thesis"), "l1", False, ["bounds"]),
        (Method("highs"), "l1", True, ["bounds"]),
    ],
)
def test_nothing_is_compiled_that_is_not_asked_for(monkeypatch, thesis, method, norm, logit, sets):
    assert _asked(monkeypatch, thesis, method, norm, logit) == sets
