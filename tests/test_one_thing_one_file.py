"""A norm, a formulation and a bounding method are one class and one registry line."""

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.bounds import BOUNDING_METHODS
from reluopt.bounds.interval import Interval
from reluopt.engines.base import EngineOptions
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.forms.bigm import BigM
from reluopt.formulation.relu import add_neurons
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.norms import NORMS
from reluopt.questions.norms.base import Change, Norm, parse_norm
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, MinimalPerturbation

OPTIONS = EngineOptions(time_limit=60.0)


class SumAndMax(Norm):
    """``sum|delta| + max|delta|``."""

    name = "sum+max"

    def objective(self, delta):
        return float(np.abs(delta).sum() + np.abs(delta).max(initial=0.0))

    def ball(self, objective):
        return Norm.L1, objective

    def encode_change(self, builder, low, high, *, spare=False):
        parts = Norm.L1.encode_change(builder, low, high)
        largest = builder.add_variables([0.0], [float(np.maximum(high, -low).max())], cost=1.0)
        ones = np.ones((low.size, 1))
        rows = tuple(
            [(ones, largest), (sign * parts.matrix, parts.columns)] for sign in (1.0, -1.0)
        )
        return Change(parts.matrix, parts.columns, largest, lambda d: np.abs(d).max(), rows)


class AllBinaries(BigM):
    """Every neuron gets a binary, whatever its bounds."""

    name = "all"

    def add_hidden(self, builder, affine, lower, upper):
        return add_neurons(builder, affine, lower, upper, np.ones(lower.size, dtype=np.bool_))


class Doubled(Interval):
    """Interval arithmetic, twice as wide."""

    name = "doubled"

    def _bounds(self, network, inputs, deadline):
        found = super()._bounds(network, inputs, deadline)
        wide = [np.maximum(-low, up) for low, up in zip(found.lower, found.upper, strict=True)]
        return type(found)(tuple(-2.0 * w for w in wide), tuple(2.0 * w for w in wide), self.name)


@pytest.fixture
def registered(monkeypatch):
    """The registries with the three toys, for one test."""
    for registry, name, toy in (
        (NORMS, "sum+max", SumAndMax),
        (FORMULATIONS, "all", AllBinaries),
        (BOUNDING_METHODS, "doubled", Doubled),
    ):
        monkeypatch.setattr(registry, "_makers", {**registry._makers})
        monkeypatch.setattr(registry, "_made", {**registry._made})
        registry.add(name, toy)


def _case(make_network, norm):
    network = make_network((6, 8, 5, 3), 4)
    image = np.random.default_rng(2).uniform(0.1, 0.9, 6)
    label = int(np.argmax(network.forward(image)))
    return network, MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(0.05))


@pytest.mark.parametrize("engine", ["highs", "scip", "gurobi", "auto"])
def test_a_toy_norm_is_minimised_by_every_program_engine(make_network, registered, engine):
    toy = parse_norm("sum+max")
    network, question = _case(make_network, toy)
    solution = solve(network, question, Method(engine, options=OPTIONS))
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(toy.objective(solution.image - question.image))
    # It lies between L1 and twice L1, and a search without attack or polish agrees.
    l1 = solve(network, _case(make_network, Norm.L1)[1], Method("highs", options=OPTIONS))
    assert l1.objective < solution.objective <= 2.0 * l1.objective
    plain = solve(network, question, Method("highs", attack=False, options=OPTIONS))
    assert plain.objective == pytest.approx(solution.objective, rel=1e-5)


@pytest.mark.parametrize("engine", ["highs", "scip", "gurobi"])
def test_toy_formulations_and_bounds_work_in_every_program_engine(make_network, registered, engine):
    network, question = _case(make_network, Norm.L1)
    usual = solve(network, question, Method(engine, options=OPTIONS))
    method = Method.parse(f"{engine}:all:doubled", OPTIONS)
    solution = solve(network, question, method)
    assert solution.status is Status.OPTIMAL
    assert (solution.formulation, solution.bounds) == ("all", "doubled")
    assert solution.objective == pytest.approx(usual.objective, rel=1e-5)
    assert solution.size["binaries"] == 13 > usual.size["binaries"]
