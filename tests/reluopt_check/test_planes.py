"""Planes above ReLUs of the first layer: made again from points, as the engine makes them."""

import numpy as np
import pytest

from helpers.boxes import random_network
from helpers.checked_mutants import checked
from helpers.kept_proofs import Kept, untrue
from reluopt.engines.branch_and_bound.dual.chain import Step
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.layers import bounded_chain
from reluopt.engines.branch_and_bound.dual.proof import BoxProof, BoxTree, box_fingerprint, replay
from reluopt.engines.proving import Claim, proving_engine
from reluopt.networks.writers.safetensors import encode
from reluopt.questions.problems import Verification

LEAF, CASES = -1, 30


def proof_by_planes(generator, shares):
    """Network, task and a proof of one leaf for each label, with planes of random points."""
    network = random_network(generator, (3, 4, 3, 2))
    image = generator.random(3)
    label = int(network.predict(image))
    eps = generator.choice([0.05, 0.1, 0.2, 0.3])
    task = Verification(image, label, eps).task(network)
    chain = bounded_chain(network, BoxDomain(*task.inputs.ends))
    neurons = int(np.count_nonzero(chain.phases[: chain.layers[0].bias.size] == 0))
    columns = chain.domain.columns
    points = generator.integers(-127, 128, (1, 2, columns)).astype(np.int8)
    plane_shares = generator.random((1, neurons, 2)).astype(np.float32)
    slopes = generator.random((1, chain.starts[-1]))
    shared = (chain.phases == 0) * slopes
    parts = (points, plane_shares, np.array([LEAF]), np.zeros(1, dtype=np.int64), shared)
    tree = BoxTree(0, -1, 0, *parts, np.full((1, neurons), shares), np.zeros((1, 0)))
    steps = [_with_planes(step, points, plane_shares, shares) for step in chain.steps]
    proof = (network.fingerprint, box_fingerprint(task), task.inputs.radius, (tuple(steps),))
    return network, task, BoxProof(*proof, (tree,))


def _with_planes(step: Step, points, plane_shares, share) -> Step:
    """A step whose rows have planes, too, or none for no share."""
    count = step.neurons.size
    if not share:
        return step
    repeated = np.repeat(points, count, axis=0), np.repeat(plane_shares, count, axis=0)
    return Step(step.layer, step.neurons, step.signs, step.multipliers, *repeated)


def test_planes_show_what_they_show_in_floating_point(tmp_path, capsys):
    counts, slacks = {0.0: 0, 0.7: 0}, {0.0: [], 0.7: []}
    for seed in range(CASES):
        for shares in counts:
            generator = np.random.default_rng(seed)
            network, task, proof = proof_by_planes(generator, shares)
            slack = replay(proof, network, task)
            claim = Claim(network, task, 0.0, None)
            kept = Kept.of(proving_engine().proof_bytes(proof, claim), encode(network))
            code, text = checked(kept, tmp_path, capsys)
            assert code == (0 if slack < 0.0 else 1), (seed, slack, text)
            assert code or not untrue(kept)
            if "shows" in text:
                shown = float(text.split("shows ")[1].split(",")[0])
                assert shown == pytest.approx(-slack, rel=1e-9)
            counts[shares] += not code
            slacks[shares].append(slack)
    assert all(0 < count < CASES for count in counts.values())
    assert np.max(np.subtract(slacks[0.0], slacks[0.7])) > 0.01  # planes do something
