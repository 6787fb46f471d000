r"""Kept proofs that a box holds no input that meets an alternative.

A proof is about one network, one task and one radius r: the box is that of the task, cut by the
Linf ball of radius r around its centre. It holds how the layers were bounded
(:class:`.chain.Step`), and for each alternative a binary tree. An inner node names a hidden
neuron: inputs have it inactive or active. A leaf holds multipliers. :func:`replay`

1. bounds the layers anew with the multipliers and planes of the steps;
2. checks that every alternative has a complete tree, so that its leaves cover the box;
3. evaluates every leaf with outward rounding (:mod:`.certificate`);
4. returns the largest slack that any alternative may have.

Nothing is taken from the search but neurons, points and multipliers, and these may be anything:
other multipliers give another valid bound, other points other valid planes. So the result is an
upper bound on the slack over the box whatever stands in the file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.engines.branch_and_bound.dual.boxes import folded_over, is_box
from reluopt.engines.branch_and_bound.dual.certificate import Forms, lower_bounds
from reluopt.engines.branch_and_bound.dual.chain import Chain, Step
from reluopt.engines.branch_and_bound.dual.cutting import Recipe
from reluopt.engines.branch_and_bound.dual.decision import Decision
from reluopt.engines.branch_and_bound.dual.domains import BoxDomain
from reluopt.engines.branch_and_bound.dual.goals import goal_of
from reluopt.engines.branch_and_bound.dual.layers import signed_rows
from reluopt.engines.branch_and_bound.dual.planes import NO_PLANES, mixed_planes
from reluopt.engines.branch_and_bound.dual.tree import NO_CUT, KeptLeaf, Record
from reluopt.errors import InputError
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray, FloatMatrix, IntArray
from reluopt.questions.margins import LogitConditions
from reluopt.questions.norms.base import Norm
from reluopt.questions.tasks import Alternative, Task

LEAF = -1
"""Split of a leaf."""

MOST_EMPTY = 1_000_000
"""Longest side of an array without entries: a file may state any, and it would be walked along."""

LEAVES = 512
"""Leaves evaluated at once."""


@dataclass(frozen=True, eq=False)
class BoxTree:
    """The proof of one alternative.

    Attributes:
        alternative: which.
        condition: the one of its conditions that no input meets; -1 where it is all of them.
        chain: which of the proof's chains bounds its layers.
        points: where planes were made, shape ``(cuts, planes, inputs)``; no cut without planes.
        plane_shares: of each undecided first-layer neuron's planes, shape
            ``(cuts, neurons, planes)``.
        splits: the tree in preorder, inactive child first; ``LEAF`` for a leaf.
        cuts: whose planes the leaves have, in the same order; ``NO_CUT`` for none.
        multipliers: of the leaves, shape ``(leaves, neurons)``.
        shares: of mixed planes, shape ``(leaves, undecided first-layer neurons)``; or no column.
        mixture: of conditions, shape ``(leaves, conditions)``; none where there is one.
    """

    alternative: int
    condition: int
    chain: int
    points: NDArray[np.int8]
    plane_shares: NDArray[np.float32]
    splits: IntArray
    cuts: IntArray
    multipliers: FloatMatrix
    shares: FloatMatrix
    mixture: FloatMatrix


@dataclass(frozen=True, eq=False)
class BoxProof:
    """A proof; see the module.

    Attributes:
        network_sha256, task_sha256: fingerprints.
        radius: of the ball around the task's centre; infinite for the whole box.
        chains: steps by which layers were bounded.
        trees: one for each alternative.
    """

    network_sha256: str
    task_sha256: str
    radius: float
    chains: tuple[tuple[Step, ...], ...]
    trees: tuple[BoxTree, ...]

    @property
    def leaves(self) -> int:
        """Leaves of all trees."""
        return sum(int(np.count_nonzero(tree.splits == LEAF)) for tree in self.trees)


def made_proof(
    network: ReLUNetwork, task: Task, radius: float, conditions: Sequence[int], decision: Decision
) -> BoxProof:
    """The proof of a search over the box of a radius that kept what it did.

    Args:
        network: the network.
        task: what was asked.
        radius: of the box.
        conditions: the one condition of each alternative that was searched for, or -1.
        decision: what the search ended with, an empty box.
    """
    trees = []
    for alternative, (grown, root) in sorted(decision.proofs.items()):
        chain = decision.chains[grown.chain]
        splits, leaves = _preorder(grown.record, root)
        points, plane_shares, shares = _planes_kept(grown.record.cuts, leaves, chain)
        multipliers, mixture = ([parts[k] for _, parts in leaves] for k in (0, 2))
        trees.append(
            BoxTree(
                alternative,
                conditions[alternative],
                grown.chain,
                points,
                plane_shares,
                splits,
                np.array([number for number, _ in leaves], dtype=np.int64),
                np.array(multipliers, dtype=np.float64).reshape(len(leaves), chain.starts[-1]),
                shares,
                np.array(mixture, dtype=np.float64),
            )
        )
    chains = tuple(tuple(chain.steps) for chain in decision.chains)
    return BoxProof(network.fingerprint, box_fingerprint(task), radius, chains, tuple(trees))


def _undecided(chain: Chain) -> IntArray:
    """Undecided neurons of the first layer, which planes are made for."""
    return np.flatnonzero(chain.phases[: chain.layers[0].bias.size] == 0)


def _planes_kept(
    cuts: Sequence[Recipe], leaves: Sequence[KeptLeaf], chain: Chain
) -> tuple[NDArray[np.int8], NDArray[np.float32], FloatMatrix]:
    """Points and shares of planes, and the leaves' shares of them, for all undecided neurons."""
    count, inputs, neurons = len(cuts), chain.domain.columns, _undecided(chain)
    rounds = len(cuts[0].points) if cuts else 0
    points = np.array([made.points for made in cuts], dtype=np.int8)
    plane_shares = np.zeros((count, neurons.size, rounds), dtype=np.float32)
    shares = np.zeros((len(leaves), neurons.size if cuts else 0))
    where = [np.searchsorted(neurons, made.neurons) for made in cuts]
    for each, made in enumerate(cuts):
        plane_shares[each, where[each]] = made.shares
    for leaf, (number, parts) in enumerate(leaves):
        if number != NO_CUT:
            shares[leaf, where[number]] = parts[1]
    return points.reshape(count, rounds, inputs), plane_shares, shares


def _preorder(record: Record, root: int) -> tuple[IntArray, list[KeptLeaf]]:
    """Splits below one root of a search's record, and what closed the leaves."""
    splits: list[int] = []
    leaves: list[KeptLeaf] = []
    stack = [root]
    while stack:
        name = stack.pop()
        if name in record.children:
            neuron, inactive, active = record.children[name]
            splits.append(neuron)
            stack += [active, inactive]
        else:
            splits.append(LEAF)
            leaves.append(record.leaves[name])
    return np.array(splits, dtype=np.int64), leaves


def box_fingerprint(task: Task) -> str:
    """SHA-256 (hex) of everything that the task asks."""
    inputs = task.inputs
    asked = f"{type(task.objective).__name__} {inputs.norm} {inputs.radius!r}"
    if task.minimises_distance:
        asked += f" {task.norm} {task.distance.tilt!r}"
    digest = hashlib.sha256(asked.encode())
    center = np.zeros(0) if inputs.center is None else inputs.center
    arrays = [center, task.box.lower, task.box.upper]
    for alternative in task.alternatives:
        arrays += [alternative.conditions.matrix, alternative.conditions.rhs]
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()


@np.errstate(over="ignore", invalid="ignore")  # nothing is proven then
def replay(proof: BoxProof, network: ReLUNetwork, task: Task) -> float:
    """Verify a proof; see the module.

    Returns:
        An upper bound on the slack of every alternative over the box of the proof's radius that
        holds in exact arithmetic, whatever the numbers in the proof are.

    Raises:
        InputError: the task is neither a verdict on a box nor a distance in Linf, or the proof
            belongs to another network or task, or is malformed.
    """
    asked = task.norm is Norm.LINF if task.minimises_distance else task.decides
    if not (asked and is_box(task.inputs)):
        raise InputError("proof: expected one about this kind of task, found one about a box")
    if proof.network_sha256 != network.fingerprint:
        raise InputError("proof: expected one about this network, found another fingerprint")
    if proof.task_sha256 != box_fingerprint(task):
        raise InputError("proof: expected one about this task, found another fingerprint")
    least = 0.0 if task.minimises_distance else task.inputs.radius
    if not proof.radius >= least:
        raise InputError(f"proof: expected a radius >= {least:g}, found {proof.radius}")
    ends = replace(task.inputs, norm=Norm.LINF, radius=proof.radius).ends
    whole = [tree.alternative for tree in proof.trees] == list(range(len(task.alternatives)))
    chosen = [_chosen(tree, task) for tree in proof.trees] if whole else task.alternatives
    folded = folded_over(network, replace(task, alternatives=tuple(chosen)), ends, keeps_proof=True)
    if folded.empty:
        return folded.slack
    if not (whole and proof.trees):
        raise InputError(
            f"proof: expected a tree for each of {len(task.alternatives)} alternatives, found "
            f"{len(proof.trees)}"
        )
    try:
        chains = rebuilt_chains(folded.network, ends, proof.chains, folded.known)
        return max(
            _tree_slack(tree, chains[tree.chain], each.conditions)
            for tree, each in zip(proof.trees, folded.task.alternatives, strict=True)
        )
    except (IndexError, ValueError) as error:
        raise InputError(f"proof: expected parts that fit together, found {error}") from None


def _chosen(tree: BoxTree, task: Task) -> Alternative:
    """The alternative with the conditions that a tree is about: fewer are met by more inputs."""
    alternative = task.alternatives[tree.alternative]
    count = alternative.conditions.rhs.size
    if tree.condition >= count:
        raise InputError(f"proof: expected one of {count} conditions, found {tree.condition}")
    return alternative.weakened(tree.condition)


def rebuilt_chains(
    network: ReLUNetwork,
    ends: tuple[FloatArray, FloatArray],
    chains: Sequence[Sequence[Step]],
    known: Sequence[FloatMatrix] = (),
) -> list[Chain]:
    """The network over the box between some ends, its layers bounded by each chain's steps.

    Bounds that are known besides are those of :class:`~.boxes.Folded`.

    Raises:
        ValueError: steps do not fit.
    """
    return [_rebuilt(Chain(network, BoxDomain(*ends), known), steps) for steps in chains]


def _rebuilt(chain: Chain, steps: Sequence[Step]) -> Chain:
    """A chain, its layers bounded by the multipliers of steps."""
    for step in steps:
        while len(chain.layers) - 1 < step.layer and not chain.complete:
            chain.advance()
        if len(chain.layers) - 1 != step.layer or step.neurons.size == 0 or step.layer == 0:
            raise ValueError("a step about another layer")
        if step.neurons.min() < 0 or not np.isin(step.signs, (-1, 1)).all():
            raise ValueError("a step about other neurons")
        chain.bound_last(step, _step_bounds(chain, step))
    while not chain.complete:
        chain.advance()
    return chain


def _step_bounds(chain: Chain, step: Step) -> FloatArray:
    """What the multipliers of a step prove."""
    forms = signed_rows(chain, step.neurons, step.signs)
    count = step.neurons.size
    phases = np.repeat(chain.phases[None], count, axis=0)
    _same_shape(step.multipliers, phases.shape)
    if step.points.shape[1] == 0:
        return lower_bounds(chain, forms, phases, step.multipliers, np.zeros((count, 0)))
    found = np.empty(count)
    neurons = _undecided(chain)
    _same_shape(step.points, (count, step.points.shape[1], chain.domain.columns))
    _same_shape(step.shares, (count, neurons.size, step.points.shape[1]))
    for row in range(count):
        planes = mixed_planes(chain, neurons, list(step.points[row]), step.shares[row])
        form = Forms(forms.top, forms.rows[row : row + 1], forms.constants[row : row + 1])
        shares = np.minimum(step.shares[row].sum(axis=1), 1.0)[None]
        own = (phases[row : row + 1], step.multipliers[row : row + 1], shares)
        found[row] = lower_bounds(chain, form, *own, planes)[0]
    return found


def _same_shape(array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape or (array.size == 0 and max(shape) > MOST_EMPTY):
        raise ValueError(f"an array of shape {array.shape}, not {shape}")


def _tree_slack(tree: BoxTree, chain: Chain, conditions: LogitConditions) -> float:
    """The largest slack that the leaves of a tree leave."""
    neurons, goal = _undecided(chain), goal_of([conditions])
    cuts, rounds = tree.points.shape[:2]
    if cuts and not rounds:
        raise ValueError("planes without points")
    count = int(np.count_nonzero(tree.splits == LEAF))
    mixed_width = 0 if goal.conditions is None else goal.conditions.rhs.size
    _same_shape(tree.points, (cuts, rounds, chain.domain.columns))
    _same_shape(tree.plane_shares, (cuts, neurons.size, rounds))
    _same_shape(tree.cuts, (count,))
    _same_shape(tree.multipliers, (count, chain.starts[-1]))
    _same_shape(tree.shares, (count, neurons.size if cuts else 0))
    _same_shape(tree.mixture, (count, mixed_width))
    if not ((tree.cuts >= NO_CUT) & (tree.cuts < cuts)).all():
        raise ValueError("a leaf with planes that are not there")
    phases, least = _leaf_phases(tree.splits, chain.phases), math.inf
    for number in np.unique(tree.cuts).tolist():
        own = np.flatnonzero(tree.cuts == number)
        planes = NO_PLANES
        if number != NO_CUT:
            points = list(tree.points[number])
            planes = mixed_planes(chain, neurons, points, tree.plane_shares[number])
        for first in range(0, own.size, LEAVES):
            part = own[first : first + LEAVES]
            shares = tree.shares[part, : planes.count]
            free = (tree.multipliers[part], shares, tree.mixture[part])
            form = np.zeros(part.size, dtype=np.int64)
            least = min(least, float(goal.bounds(chain, planes, form, phases[part], free).min()))
    return -least


def _leaf_phases(splits: IntArray, root: NDArray[np.int8]) -> NDArray[np.int8]:
    """Phases of the leaves in their order; ValueError unless the tree is whole."""
    stack, found = [(root, 0)], []
    for neuron in splits.tolist():
        if not stack:
            raise ValueError("more nodes than the tree has")
        phases, depth = stack.pop()
        if neuron == LEAF:
            found.append(phases)
            continue
        if not 0 <= neuron < root.size or depth > root.size:
            raise ValueError(f"a split of neuron {neuron} of {root.size}")
        for phase in (1, -1):
            child = phases.copy()
            child[neuron] = phase
            stack.append((child, depth + 1))
    if stack:
        raise ValueError("a tree whose leaves are missing")
    return np.array(found, dtype=np.int8).reshape(len(found), root.size)
