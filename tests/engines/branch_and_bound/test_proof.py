"""Kept proofs: replaying reproduces bounds, and no false proof proves more than is true."""

import json
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from reluopt.answers.solution import Status
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.frame import make_frame
from reluopt.engines.branch_and_bound.leaf import EMPTY, FARKAS, LEAF, Leaf
from reluopt.engines.branch_and_bound.proof import (
    TreeProof,
    check_shape,
    child_bounds,
    proof_ball,
    replay,
)
from reluopt.engines.branch_and_bound.proof_file import proof_bytes, read_proof
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.networks.tensor_files import open_tensor_file
from reluopt.networks.zoo import load_bundled
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    FixedTarget,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    ShiftTarget,
)

ENGINE = BranchAndBoundEngine()
KEEP = {"proof": True}


def solve(network, task, **options):
    options = EngineOptions(extra=KEEP, **options)
    return ENGINE.solve(EngineRequest(network, task, None, options=options))


def digit_task(network, images, index, norm=Norm.L1, target=None):
    image, label = images.images[index].reshape(-1), int(images.labels[index])
    target = target or ShiftTarget(5)
    return MinimalPerturbation(image, label, target, norm, RelativeMargin(0.2)).task(network)


@st.composite
def small_tasks(draw, make):
    seed = draw(st.integers(0, 10_000))
    inputs, depth = draw(st.integers(2, 6)), draw(st.integers(1, 3))
    widths = [draw(st.integers(2, 6)) for _ in range(depth)]
    network = make((inputs, *widths, 3), seed)
    image = np.random.default_rng(seed).random(inputs)
    label = int(network.predict(image))
    target = draw(st.sampled_from([AnyTarget(), FixedTarget((label + 1) % 3)]))
    norm = draw(st.sampled_from([Norm.L1, Norm.L2]))
    margin = AbsoluteMargin(draw(st.sampled_from([0.05, 0.5, 20.0])))
    problem = MinimalPerturbation(image, label, target, norm, margin, Box.unit(inputs))
    return network, problem.task(network)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_replay_reproduces_the_bound_on_random_networks(data, make_network):
    network, task = data.draw(small_tasks(make_network))
    plain = ENGINE.solve(EngineRequest(network, task, None))
    answer = solve(network, task)
    assert answer.status is plain.status
    bound = replay(answer.proof, network, task)
    assert bound >= answer.bound - 1e-9
    assert bound <= answer.objective * (1.0 + 1e-9) or answer.status is Status.INFEASIBLE
    if answer.status is Status.INFEASIBLE:
        assert bound == np.inf


@pytest.mark.parametrize("seed", [15, 331, 1042])
def test_leaves_whose_finest_solve_fails_are_proven_otherwise(make_network, seed):
    generator = np.random.default_rng(seed + 10**6)
    depth, inputs = generator.integers(1, 4), int(generator.integers(2, 7))
    widths = [int(generator.integers(2, 7)) for _ in range(depth)]
    network = make_network((inputs, *widths, 3), seed)
    image = np.random.default_rng(seed).random(inputs)
    label = int(network.predict(image))
    problem = MinimalPerturbation(
        image, label, AnyTarget(), Norm.L2, AbsoluteMargin(0.05), Box.unit(inputs)
    )
    task = problem.task(network)
    answer = solve(network, task)
    assert answer.status is Status.OPTIMAL
    assert replay(answer.proof, network, task) >= answer.bound - 1e-9


@pytest.mark.parametrize("norm", [Norm.L1, Norm.L2])
@pytest.mark.parametrize("index", [100, 101, 102, 103, 131])
def test_replay_reproduces_the_bound_on_digits(thesis, test_images, tmp_path, index, norm):
    task = digit_task(thesis, test_images, index, norm)
    answer = solve(thesis, task)
    assert answer.status is Status.OPTIMAL
    path = tmp_path / "proof.safetensors"
    path.write_bytes(proof_bytes(answer.proof))
    proof = read_proof(path)
    assert replay(proof, thesis, task) >= answer.bound - 1e-9
    assert proof.leaves == answer.proof.leaves


@pytest.fixture(scope="module")
def proven(thesis, test_images):
    """A task with a proof of several leaves."""
    task = digit_task(thesis, test_images, 131)
    answer = solve(thesis, task)
    assert answer.proof.leaves > 5
    return thesis, task, answer


def changed(proof, **changes):
    return replace(proof, trees=(replace(proof.trees[0], **changes),))


def test_a_dropped_leaf_is_refused(proven):
    network, task, answer = proven
    tree = answer.proof.trees[0]
    place = int(np.flatnonzero(tree.splits == LEAF)[1])
    for splits, leaves in (
        (tree.splits, tree.leaves[:-1]),
        (tree.splits[:-1], tree.leaves[:-1]),
        (np.delete(tree.splits, place), tree.leaves[:1] + tree.leaves[2:]),
        (np.append(tree.splits, LEAF), (*tree.leaves, tree.leaves[0])),
    ):
        false = changed(
            answer.proof, splits=splits, refined=np.ones_like(splits), leaves=tuple(leaves)
        )
        with pytest.raises(InputError, match="complete binary tree"):
            replay(false, network, task)


@pytest.mark.parametrize("seed", range(10))
def test_a_false_proof_never_proves_more_than_is_true(proven, seed):
    network, task, answer = proven
    generator = np.random.default_rng(seed)
    tree = answer.proof.trees[0]
    hidden = sum(network.hidden_sizes)
    lies = [
        changed(answer.proof, leaves=tuple(reversed(tree.leaves))),
        changed(answer.proof, leaves=(Leaf(EMPTY),) * len(tree.leaves)),
        changed(
            answer.proof,
            leaves=tuple(Leaf(FARKAS, leaf.parts) if leaf.parts else leaf for leaf in tree.leaves),
        ),
        changed(
            answer.proof,
            leaves=tuple(
                Leaf(leaf.kind, tuple(p * generator.normal(1.0, 0.3, p.size) for p in leaf.parts))
                for leaf in tree.leaves
            ),
        ),
        changed(
            answer.proof,
            splits=np.where(
                tree.splits == LEAF, LEAF, generator.integers(0, hidden, tree.splits.size)
            ),
        ),
        replace(answer.proof, radius=answer.proof.radius * 0.5),
        replace(answer.proof, radius=answer.proof.radius * 2.0),
    ]
    for lie in lies:
        assert replay(lie, network, task) <= answer.objective
    # All but the smaller radius, which proves less by itself, and the rest lose what they changed.
    assert replay(lies[1], network, task) < answer.bound
    assert replay(lies[3], network, task) < answer.bound
    assert replay(lies[5], network, task) <= answer.proof.radius * 0.5


def test_a_wrong_phase_lowers_the_bound(proven):
    network, task, answer = proven
    tree = answer.proof.trees[0]
    first = next(i for i, leaf in enumerate(tree.leaves) if leaf.parts)
    # The certificates of both children of the root change places.
    swapped = list(tree.leaves)
    swapped[first], swapped[-1] = swapped[-1], swapped[first]
    assert replay(changed(answer.proof, leaves=tuple(swapped)), network, task) < answer.bound


def test_another_network_or_task_is_refused(proven, thesis, test_images, make_network):
    _, task, answer = proven
    other = digit_task(thesis, test_images, 100)
    with pytest.raises(InputError, match="about this task"):
        replay(answer.proof, thesis, other)
    with pytest.raises(InputError, match="about this network"):
        replay(answer.proof, make_network((784, 32, 16, 10), 0), task)
    with pytest.raises(InputError, match="each of 1 alternatives"):
        replay(replace(answer.proof, trees=answer.proof.trees * 2), thesis, task)
    with pytest.raises(InputError, match="radius"):
        replay(replace(answer.proof, radius=float("nan")), thesis, task)


def test_an_interrupted_search_keeps_what_it_has(test_images):
    network = load_bundled("mlp-100")
    task = digit_task(network, test_images, 102)
    answer = solve(network, task, time_limit=1.0)
    assert answer.status is Status.FEASIBLE
    assert 0.0 < answer.bound <= replay(answer.proof, network, task) <= answer.objective


def test_untargeted_proofs_have_a_tree_for_each_target(thesis, test_images):
    task = digit_task(thesis, test_images, 100, target=AnyTarget())
    answer = solve(thesis, task)
    assert len(answer.proof.trees) == 9
    assert replay(answer.proof, thesis, task) >= answer.bound - 1e-9
    without = replace(answer.proof, trees=answer.proof.trees[:-1])
    with pytest.raises(InputError, match="each of 9"):
        replay(without, thesis, task)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.pop("tree.0.kinds"), "expected a proof"),
        (lambda t: t.update({"tree.0.kinds": t["tree.0.kinds"] + 5}), "expected a proof"),
        (lambda t: t.update({"tree.0.neurons": t["tree.0.neurons"][:-1]}), "expected a proof"),
        (lambda t: t.update({"tree.0.neurons": t["tree.0.neurons"] * np.nan}), "not finite"),
    ],
)
def test_damaged_files_are_refused(proven, tmp_path, spoil, message):
    path = tmp_path / "proof.safetensors"
    path.write_bytes(proof_bytes(proven[2].proof))
    tensors = load_file(path)
    metadata = dict(open_tensor_file(path).metadata)
    spoil(tensors)
    save_file(tensors, path, metadata)
    with pytest.raises(InputError, match=message):
        read_proof(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"proof\.safetensors"):
        read_proof(path)


@pytest.mark.parametrize(
    "change",
    [
        {"radius": 10**400},
        {"radius": True},
        {"radius": "1"},
        {"trees": 1e400},
        {"trees": -1},
        {"trees": 10**18},
        {"trees": 0},
        {"trees": True},
        {"norm": ["l1"]},
        {"norm": "l7"},
        {"norm": "l2"},
        {"network_sha256": None},
        {"kind": {}},
        {"schema_version": 1.0},
    ],
)
def test_descriptions_that_lie_are_refused(proven, tmp_path, change):
    path = tmp_path / "proof.safetensors"
    path.write_bytes(proof_bytes(proven[2].proof))
    about = json.loads(open_tensor_file(path).metadata["reluopt"]) | change
    save_file(load_file(path), path, {"reluopt": json.dumps(about)})
    with pytest.raises(InputError, match="expected a proof") as caught:
        read_proof(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", '"proof"', "7", "null", ""])
def test_descriptions_that_are_no_object_are_refused(proven, tmp_path, text):
    path = tmp_path / "proof.safetensors"
    path.write_bytes(proof_bytes(proven[2].proof))
    save_file(load_file(path), path, {"reluopt": text})
    with pytest.raises(InputError, match="expected a proof"):
        read_proof(path)


def test_tensors_of_another_type_shape_or_name_are_refused(proven, tmp_path):
    path = tmp_path / "proof.safetensors"
    path.write_bytes(proof_bytes(proven[2].proof))
    tensors, metadata = load_file(path), dict(open_tensor_file(path).metadata)
    ends = tensors["tree.0.neurons.ends"].copy()
    ends[:2] = 2**62, -(2**63)
    for change in (
        {"tree.0.splits": tensors["tree.0.splits"].astype(np.float64)},
        {"tree.0.kinds": tensors["tree.0.kinds"].reshape(1, -1)},
        {"tree.0.neurons.ends": ends},
        {"more": np.zeros(1)},
    ):
        save_file(tensors | change, path, metadata)
        with pytest.raises(InputError, match="expected a proof"):
            read_proof(path)


def test_reading_many_leaves_takes_little_more_memory_than_their_file(proven, tmp_path):
    count = 100_000
    tree = TreeProof(
        np.full(2 * count - 1, LEAF), np.zeros(2 * count - 1, int), (Leaf(EMPTY),) * (2 * count - 1)
    )
    path = tmp_path / "proof.safetensors"
    path.write_bytes(proof_bytes(replace(proven[2].proof, trees=(tree,))))
    tracemalloc.start()
    read = read_proof(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(read.trees[0].leaves) == 2 * count - 1
    assert peak < 3 * path.stat().st_size


def test_a_tree_deeper_than_there_are_neurons_is_refused():
    def chain(depth):
        splits = np.array([0] * depth + [LEAF] * (depth + 1))
        return TreeProof(splits, np.zeros_like(splits), (Leaf(EMPTY),) * (depth + 1))

    check_shape(chain(48), hidden=48)
    with pytest.raises(InputError, match="complete binary tree"):
        check_shape(chain(49), hidden=48)


def _exact(array):
    return np.array([Fraction(float(v)) for v in np.ravel(array)], dtype=object).reshape(
        np.shape(array)
    )


def _exact_lagrangian(frame, ball, lower, upper, leaf):
    """The bound of the certificate's derivation in rational arithmetic (one alternative)."""
    network, starts = frame.network, frame.flat.neuron_offsets
    conditions = frame.task.alternatives[0].conditions
    pi, mu = _exact(leaf.parts[0]), _exact(np.maximum(leaf.parts[1], 0.0))
    tau = _exact(np.maximum(leaf.parts[2], 0.0))
    neurons = ball.rows.neurons
    total = sum(mu * _exact(conditions.rhs), Fraction(0))
    total -= sum(tau[neurons] * _exact(ball.rows.offset), Fraction(0))
    held = np.array([Fraction(0)] * pi.size, dtype=object)
    held[neurons] = tau[neurons]
    vector = _exact(conditions.matrix).T @ mu
    for k in range(len(network.layers) - 1, -1, -1):
        total -= sum(vector * _exact(network.layers[k].bias), Fraction(0))
        vector = _exact(network.layers[k].weight).T @ vector
        if k == 0:
            break
        part = slice(starts[k - 1], starts[k])
        for p, h in zip(
            pi[part] - vector + held[part], range(starts[k - 1], starts[k]), strict=True
        ):
            low, high = Fraction(float(lower[h])), Fraction(float(upper[h]))
            corners = [(high, 0), (0, -low), (0, 0)]
            if low >= 0:
                corners = [(low, 0), (high, 0)]
            elif high <= 0:
                corners = [(0, -low), (0, -high)]
            total += min(p * x - pi[h] * s for x, s in corners)
        vector = pi[part]
    n, factor = network.input_size, 0 if leaf.kind == FARKAS else 1
    rise, fall = (_exact(v.reshape(-1, n)) for v in (ball.rows.rise, ball.rows.fall))
    for j in range(n):
        image = Fraction(float(frame.task.image[j]))
        up = Fraction(float(frame.task.box.upper[j])) - image
        down = image - Fraction(float(frame.task.box.lower[j]))
        cost_up = factor - vector[j] - sum(tau[neurons] * rise[:, j], Fraction(0))
        cost_down = factor + vector[j] - sum(tau[neurons] * fall[:, j], Fraction(0))
        total += -vector[j] * image + min(cost_up * up, 0) + min(cost_down * down, 0)
    return total


@pytest.mark.parametrize("seed", range(12))
def test_leaves_hold_in_exact_arithmetic(make_network, seed):
    network = make_network((6, 5, 4, 3), seed)
    image = np.random.default_rng(seed).random(6)
    label = int(network.predict(image))
    margin = AbsoluteMargin((0.3, 3.0)[seed % 2])
    problem = MinimalPerturbation(
        image, label, FixedTarget((label + 1) % 3), Norm.L1, margin, Box.unit(6)
    )
    task = problem.task(network)
    answer = solve(network, task)
    proof, frame = answer.proof, make_frame(network, task)
    ball = proof_ball(frame, proof.radius)
    if ball.empty:
        pytest.skip("nothing is left to prove")
    tree = proof.trees[0]
    stack, leaves = [(ball.lower.copy(), ball.upper.copy())], iter(tree.leaves)
    for neuron, refined in zip(tree.splits, tree.refined, strict=True):
        lower, upper = stack.pop()
        alive = frame.tighten(ball.radius, lower, upper) if refined else True
        if neuron != LEAF:
            stack += [child_bounds(lower, upper, int(neuron), active) for active in (True, False)]
            continue
        leaf = next(leaves)
        if leaf.kind == EMPTY or not alive:
            assert not alive
            continue
        exact = _exact_lagrangian(frame, ball, lower, upper, leaf)
        assert exact > 0 if leaf.kind == FARKAS else exact >= Fraction(answer.bound)
