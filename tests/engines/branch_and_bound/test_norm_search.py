"""Norms are found by name, and their packages declare what they need."""

from importlib import import_module

import pytest

from reluopt.engines import get_engine
from reluopt.engines.branch_and_bound import NORMS
from reluopt.engines.branch_and_bound.norm_search import NormSearch, norm_search
from reluopt.errors import InputError
from reluopt.numerics.prepare import place_of
from reluopt.numerics.sets import COSTS, SETS
from reluopt.questions.problems import Norm


@pytest.mark.parametrize("name", NORMS)
def test_every_norm_has_a_search_and_kernels(name):
    search = norm_search(name)
    assert isinstance(search, NormSearch)
    assert len({part for part, _ in search.parts}) == len(search.parts)
    package = import_module(f"reluopt.engines.branch_and_bound.{name}")
    assert SETS[name] == package.KERNELS
    assert package.COSTS.items() <= dict(COSTS).items()


def test_other_norms_are_refused():
    with pytest.raises(InputError, match="expected norm l1 or l2, found linf"):
        norm_search(Norm.LINF)


def test_kernels_that_a_norm_declares_are_those_at_their_places():
    for name in NORMS:
        for place in SETS[name]:
            module, kernel = place.split(":")
            assert place_of(getattr(import_module(f"reluopt.{module}"), kernel)) == place


def test_the_engine_asks_for_the_kernels_of_its_norm():
    assert get_engine("bnb").name == "bnb"
    assert set(NORMS) <= set(SETS)
