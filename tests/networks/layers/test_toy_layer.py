"""CONTRIBUTING's checklists, tried: what is added touches one file and one registry line."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.layers import LAYERS
from reluopt.networks.layers.base import Dense, Layer
from reluopt.networks.loading import load_network
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.pipeline import solve
from reluopt.questions.problems import AbsoluteMargin, AnyTarget, MinimalPerturbation, Norm


@dataclass(frozen=True, eq=False)
class PairwiseMaximum(Layer):
    """A toy layer: the larger of every two neighbours, ``max(a, b) = (a - b)+ + b+ - (-b)+``."""

    kind: ClassVar[str] = "pairwise-maximum"
    setting_names: ClassVar[tuple[str, ...]] = ("size",)

    size: int

    def __post_init__(self):
        if not isinstance(self.size, int):
            raise InputError(f"size: expected a number, found {self.size}")

    @property
    def input_size(self):
        return self.size

    @property
    def output_size(self):
        return self.size // 2

    def forward(self, values):
        return values.reshape(len(values), -1, 2).max(axis=2)

    def lower(self):
        parts = np.array([[1.0, -1.0], [0.0, 1.0], [0.0, -1.0]])
        pairs = np.eye(self.output_size)
        first, second = np.kron(pairs, parts), np.kron(pairs, [1.0, 1.0, -1.0])
        return Dense(first, np.zeros(len(first))), Dense(second, np.zeros(len(second)))


@pytest.fixture
def pooled(monkeypatch):
    """A network with the toy layer between dense ones, the layer being registered."""
    monkeypatch.setattr(LAYERS, "_makers", {**LAYERS._makers})
    LAYERS.add(PairwiseMaximum.kind, PairwiseMaximum)
    random = np.random.default_rng(6)

    def dense(outputs, inputs):
        return Dense(random.normal(size=(outputs, inputs)), random.normal(size=outputs))

    return ReLUNetwork((dense(6, 4), PairwiseMaximum(6), dense(3, 3)))


def test_a_layer_is_equal_to_what_it_lowers_to(pooled):
    inputs = np.random.default_rng(0).random((200, 4))
    np.testing.assert_allclose(
        pooled.forward(inputs), pooled.pre_activations(inputs)[-1], rtol=1e-12, atol=1e-12
    )
    assert pooled.sizes == (4, 6, 9, 3, 3)


def test_a_layer_is_written_and_read(pooled, tmp_path):
    save_network(pooled, tmp_path / "pooled.safetensors")
    again = load_network(tmp_path / "pooled.safetensors")
    assert again.fingerprint == pooled.fingerprint
    assert [layer.kind for layer in again.layers] == ["dense", "pairwise-maximum", "dense"]
    other = ReLUNetwork((pooled.layers[0], Dense(np.eye(3, 6), np.zeros(3)), pooled.layers[2]))
    assert other.fingerprint != pooled.fingerprint


def test_a_file_with_a_layer_of_an_unknown_kind_is_refused(pooled, tmp_path):
    save_network(pooled, tmp_path / "pooled.safetensors")
    LAYERS._makers.pop(PairwiseMaximum.kind)
    with pytest.raises(InputError, match=r"pooled\.safetensors: layer: expected one of dense"):
        load_network(tmp_path / "pooled.safetensors")


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2, Norm.LINF])
def test_engines_answer_for_a_network_with_the_layer(pooled, norm):
    """The optimum by two engines, and no image of a fine grid is nearer."""
    image = np.random.default_rng(1).random(4)
    label = int(pooled.predict(image))
    problem = MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(0.1))
    engines = {Norm.L1: ("bnb", "highs"), Norm.L2: ("bnb", "gurobi"), Norm.LINF: ("highs", "scip")}
    found = [solve(pooled, problem, Method(engine)) for engine in engines[norm]]
    assert all(solution.certified for solution in found)
    np.testing.assert_allclose(found[0].objective, found[1].objective, rtol=1e-6)
    grid = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 21)] * 4), axis=-1).reshape(-1, 4)
    fooled = grid[_met(problem, pooled, grid)]
    nearest = min(norm.objective(point - image) for point in fooled)
    assert found[0].objective <= nearest * (1.0 + 1e-6)


def _met(problem, network, points):
    """Which points meet an alternative of the problem."""
    logits = network.forward(points)
    task = problem.task(network)
    met = [
        (logits @ each.conditions.matrix.T >= each.conditions.rhs).all(axis=1)
        for each in task.alternatives
    ]
    return np.any(met, axis=0)
