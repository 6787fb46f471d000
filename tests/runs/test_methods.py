"""Methods in words."""

import pytest

from reluopt.engines import engine_names
from reluopt.runs.methods import ENGINES, method_titles, method_words


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("bnb", "our engine"),
        ("gurobi:thesis:thesis", "Gurobi, thesis' model"),
        ("highs:bigm:ball", "HiGHS, ball bounds"),
        ("scip:bigm:lp", "SCIP, LP bounds"),
        ("scip:thesis:interval", "SCIP, thesis' program, interval bounds"),
        ("highs:bigm:thesis", "HiGHS, ±1000"),
        ("julia", "JuMP"),
    ],
)
def test_methods_are_called_by_words(method, words):
    assert method_words(method) == words


def test_every_engine_has_a_name():
    assert set(engine_names()) <= set(ENGINES)


def test_methods_that_would_share_a_name_keep_their_options():
    assert method_titles(["highs", "highs:bigm", "bnb"]) == {
        "highs": "highs",
        "highs:bigm": "highs:bigm",
        "bnb": "our engine",
    }
