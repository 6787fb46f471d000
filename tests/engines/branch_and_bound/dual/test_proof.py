"""Proofs about boxes: replayed, read back, tampered with."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.boxes import brute_linf, brute_slack, mutated_proof, random_network
from reluopt.answers.solution import Status
from reluopt.engines.options import EngineOptions
from reluopt.engines.proving import proving_engine
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AnyTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    Verification,
)

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
