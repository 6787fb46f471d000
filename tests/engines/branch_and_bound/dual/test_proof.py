"""Proofs about boxes: replayed, read back, tampered with."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.boxes import brute_linf, brute_slack, mutated_proof, random_network
from helpers.convolutions import folded_question
from reluopt.answers.solution import Status
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.goals import goal_of
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES
from reluopt.engines.branch_and_bound.dual.proof import LEAF, BoxProof, BoxTree, box_fingerprint
from reluopt.engines.branch_and_bound.proof import Proof, task_fingerprint
from reluopt.engines.branch_and_bound.within import nearest
from reluopt.engines.options import EngineOptions
from reluopt.engines.proving import proving_engine
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.layers import base
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    LogitConditions,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    Verification,
)
from reluopt.questions.tasks import Alternative

ENGINE = proving_engine()
KEEPING = Method("bnb", options=EngineOptions(time_limit=20.0, extra={"proof": True}))
MUTANTS = 150


def robust(seed, norm=Norm.LINF):
    """A robust ball of a small network, with its proof."""
    generator = np.random.default_rng(seed)
    while True:
        network = random_network(generator, (3, 5, 4, 3))
        image = generator.random(3)
        question = Verification(image, int(network.predict(image)), 0.1, norm)
        solution = solve(network, question, KEEPING)
        if solution.status is Status.ROBUST:
            return network, question.task(network), solution


@pytest.mark.parametrize("norm", list(Norm))
def test_a_kept_verdict_is_replayed_from_its_file(tmp_path, norm):
    network, task, solution = robust(1, norm)
    path = tmp_path / "proof.safetensors"
    path.write_bytes(ENGINE.proof_bytes(solution.proof))
    shown = ENGINE.replay(ENGINE.read_proof(path), network, task)
    assert shown > 0.0
    assert -shown == pytest.approx(solution.bound, abs=1e-9)


def test_a_kept_distance_is_replayed(tmp_path):
    generator = np.random.default_rng(4)
    network = random_network(generator, (3, 5, 4, 3))
    image = generator.random(3)
    question = MinimalPerturbation(
        image, int(network.predict(image)), AnyTarget(), Norm.LINF, RelativeMargin(0.0)
    )
    solution = solve(network, question, KEEPING)
    path = tmp_path / "proof.safetensors"
    path.write_bytes(ENGINE.proof_bytes(solution.proof))
    shown = ENGINE.replay(ENGINE.read_proof(path), network, question.task(network))
    assert shown == solution.bound
    assert shown <= brute_linf(network, question.task(network)) + 1e-7


def test_no_mutant_proves_too_much():
    generator = np.random.default_rng(0)
    for seed in range(3):
        network, task, solution = robust(seed)
        exact = brute_slack(network, task)
        for _ in range(MUTANTS // 3):
            try:
                shown = ENGINE.replay(mutated_proof(solution.proof, generator), network, task)
            except InputError:
                continue
            assert -shown >= exact - 1e-7


def test_a_proof_of_something_else_is_refused():
    network, task, solution = robust(2)
    other = random_network(np.random.default_rng(9), (3, 5, 4, 3))
    with pytest.raises(InputError, match="network"):
        ENGINE.replay(solution.proof, other, task)
    with pytest.raises(InputError, match="task"):
        ENGINE.replay(solution.proof, network, Verification(np.zeros(3), 0, 0.1).task(network))
    with pytest.raises(InputError, match="alternatives"):
        ENGINE.replay(replace(solution.proof, trees=()), network, task)


def test_a_damaged_file_is_refused(tmp_path):
    _, _, solution = robust(3)
    data = bytearray(ENGINE.proof_bytes(solution.proof))
    path = tmp_path / "proof.safetensors"
    path.write_bytes(bytes(data).replace(b'"layer', b'"lay3r')[:-4])
    with pytest.raises(InputError, match=str(path)):
        ENGINE.read_proof(path)


def test_a_proof_over_a_smaller_ball_shows_nothing_of_a_larger_one():
    network, task, solution = robust(1)
    wide = replace(task, inputs=replace(task.inputs, radius=0.9))
    forged = replace(solution.proof, task_sha256=box_fingerprint(wide))
    with pytest.raises(InputError, match="radius"):
        ENGINE.replay(forged, network, wide)


def planes_without_points(network, task):
    """A proof by planes that no point stands for: they would say that the first ReLUs are 0."""
    chain = bounded_chain(network, BoxDomain(*task.inputs.ends))
    neurons = int(np.count_nonzero(chain.phases[: chain.layers[0].bias.size] == 0))
    parts = (
        np.zeros((1, 0, chain.domain.columns), dtype=np.int8),
        np.zeros((1, neurons, 0), dtype=np.float32),
        np.array([LEAF]),
        np.zeros(1, dtype=np.int64),
        np.zeros((1, chain.starts[-1])),
        np.ones((1, neurons)),
        np.zeros((1, 0)),
    )
    trees = tuple(BoxTree(each, -1, 0, *parts) for each in range(len(task.alternatives)))
    return BoxProof(network.fingerprint, box_fingerprint(task), task.inputs.radius, ((),), trees)


def test_planes_without_points_prove_nothing(tmp_path):
    generator = np.random.default_rng(0)
    path = tmp_path / "proof.safetensors"
    for _ in range(10):
        network = random_network(generator, (3, 5, 3))
        image = generator.random(3)
        task = Verification(image, int(network.predict(image)), 0.3).task(network)
        path.write_bytes(ENGINE.proof_bytes(planes_without_points(network, task)))
        with pytest.raises(InputError, match="planes without points"):
            ENGINE.replay(ENGINE.read_proof(path), network, task)


def extreme(generator, shape, kind):
    """Numbers of any size, and some that are none."""
    values = [0.0, 5e-324, 1e-310, 1e-40, 0.5, 1.0, 3e38, 1e308, 1.7e308, -1.0, np.inf, np.nan]
    chosen = generator.choice(values, shape, p=[0.2, *[0.02] * 3, 0.3, 0.2, *[0.04] * 6])
    with np.errstate(over="ignore"):
        return chosen.astype(kind)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(30))
def test_no_numbers_prove_too_much(seed):
    generator = np.random.default_rng(seed)
    network = random_network(generator, (3, 4, 3))
    task = Verification(generator.random(3), seed % 3, 0.3).task(network)
    if seed % 2:
        asked = LogitConditions(generator.normal(size=(2, 3)), generator.normal(size=2))
        task = replace(task, alternatives=(Alternative(0, asked),))
    exact = brute_slack(network, task)
    chain = bounded_chain(network, BoxDomain(*task.inputs.ends))
    neurons = int(np.count_nonzero(chain.phases[: chain.layers[0].bias.size] == 0))
    for _ in range(20):
        trees = []
        for each, alternative in enumerate(task.alternatives):
            conditions = alternative.conditions.rhs.size
            parts = (
                generator.integers(-128, 128, (1, 2, chain.domain.columns)).astype(np.int8),
                extreme(generator, (1, neurons, 2), np.float32),
                np.array([LEAF]),
                generator.integers(-1, 1, 1),
                extreme(generator, (1, chain.starts[-1]), np.float64),
                extreme(generator, (1, neurons), np.float64),
                extreme(generator, (1, conditions if conditions > 1 else 0), np.float64),
            )
            trees.append(BoxTree(each, -1, 0, *parts))
        marks = network.fingerprint, box_fingerprint(task)
        proof = BoxProof(*marks, task.inputs.radius, ((),), tuple(trees))
        assert -ENGINE.replay(proof, network, task) >= exact - 1e-7


def kept(network, image, norm, eps=None):
    """A proof of a robust ball, or of a distance, and its task."""
    label = int(network.predict(image))
    asked = (
        MinimalPerturbation(image, label, norm=norm)
        if eps is None
        else Verification(image, label, eps, norm)
    )
    solution = solve(network, asked, KEEPING)
    assert solution.proof is not None
    return solution.proof, asked.task(network)


def test_proofs_of_one_kind_of_task_are_refused_for_another():
    """Whatever they call themselves: bounds in Linf are no bounds on squares."""
    generator = np.random.default_rng(0)
    network, image = random_network(generator, (3, 5, 3)), generator.random(3)
    made = [kept(network, image, norm, eps) for norm in Norm for eps in (None, 0.01)]
    refused = 0
    for proof, own in made:
        for other, task in made:
            asked = nearest(task) if isinstance(other, Proof) and task.decides else task
            mark = box_fingerprint(task)
            if isinstance(proof, Proof) and asked.minimises_distance:
                mark = task_fingerprint(asked)
            for forged in (proof, replace(proof, task_sha256=mark)):
                if task is own:
                    assert ENGINE.replay(forged, network, task) > 0.0
                elif getattr(proof, "norm", None) is not getattr(other, "norm", None):
                    refused += 1
                    with pytest.raises(InputError, match="this kind of task"):
                        ENGINE.replay(forged, network, task)
    assert refused > 20


def test_a_proof_in_linf_is_none_in_another_norm():
    generator = np.random.default_rng(4)
    network = random_network(generator, (3, 5, 4, 3))
    image = generator.random(3)
    asked = {"target": AnyTarget(), "margin": RelativeMargin(0.0)}
    label = int(network.predict(image))
    tasks = [
        MinimalPerturbation(image, label, norm=norm, **asked).task(network)
        for norm in (Norm.LINF, Norm.L2)
    ]
    assert box_fingerprint(tasks[0]) != box_fingerprint(tasks[1])


def test_mixtures_of_any_sum_bound_the_slack_itself():
    generator = np.random.default_rng(2)
    network = random_network(generator, (2, 4, 3))
    chain = bounded_chain(network, BoxDomain(np.zeros(2), np.ones(2)))
    conditions = LogitConditions(generator.normal(size=(5, 3)), generator.normal(size=5))
    goal = goal_of([conditions])
    points = generator.random((4000, 2))
    largest = conditions.slack(network.forward(points)).min(axis=1).max()
    batch = goal.root(chain)
    for size in (1e-310, 1e-9, 0.5, 1.0 + 1e-7, 1e9, 0.0):
        mixture = size * generator.random((1, 5))
        free = (batch.multipliers, batch.shares, mixture)
        form = np.zeros(1, dtype=np.int64)
        found = goal.bounds(chain, NO_PLANES, form, batch.phases, free)[0]
        assert -found >= largest
        assert np.isinf(found) == (size < 1e-100)


def test_a_kept_proof_of_a_folded_box_that_is_empty_is_replayed():
    layers = (
        Dense(np.ones((1100, 2)), np.full(1100, -5.0)),
        Dense(np.ones((2, 1100)), np.array([1.0, 0.0])),
    )
    network = ReLUNetwork(layers)
    question = Verification(np.full(2, 0.5), 0, 0.1)
    solution = solve(network, question, KEEPING)
    assert solution.status is Status.ROBUST
    assert ENGINE.replay(solution.proof, network, question.task(network)) > 0.0


def test_kept_proofs_of_folded_pools_are_replayed(monkeypatch):
    """Of a small box linear forms show all, of one near the nearest image trees do."""
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "SPARSE_SHARE", 1.0)
    trees = []
    for seed in (0, 2):
        network, asked, _ = folded_question(seed, Norm.LINF)
        found = solve(network, replace(asked, margin=AbsoluteMargin(1e-6)), Method("bnb"))
        assert found.proven
        for share in (0.1, 0.98):
            question = Verification(asked.image, asked.label, share * found.objective, Norm.LINF)
            solution = solve(network, question, KEEPING)
            assert solution.status is Status.ROBUST
            trees.append((share, len(solution.proof.trees)))
            assert ENGINE.replay(solution.proof, network, question.task(network)) > 0.0
    assert (0.1, 0) in trees
    assert any(count for share, count in trees if share > 0.5)


def test_a_distance_that_linear_forms_prove_keeps_its_proof(monkeypatch):
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "SPARSE_SHARE", 1.0)
    wide = Method("bnb", options=EngineOptions(gap=0.6, extra={"proof": True}))
    trees = []
    for seed in range(3):
        network, asked, _ = folded_question(seed, Norm.LINF)
        found = solve(network, asked, wide)
        assert found.proven
        trees.append(len(found.proof.trees))
        shown = ENGINE.replay(found.proof, network, asked.task(network))
        assert shown == pytest.approx(found.bound, rel=1e-9)
    assert 0 in trees
