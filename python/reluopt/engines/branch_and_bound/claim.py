"""What a kept proof claims, beside it in its file, for those who check it without reluopt.

A proof names its network and task by fingerprints alone, and its replay bounds neurons anew by
whatever the propagation of this version does. An independent checker (``reluopt_check``) needs the
task itself, the bounds, each of which it confirms before it uses it, leaves in terms of neurons,
and the answer. All of that stands in tensors whose names begin with ``claim.``, and the field
``claim``; docs/proof.md says what they mean. Replaying (:mod:`.proof`, :mod:`.dual.proof`) does not
look at it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reluopt.answers.solution import Incumbent
from reluopt.engines.branch_and_bound import within
from reluopt.engines.branch_and_bound.dual.proof import BoxProof, rebuilt_chains
from reluopt.engines.branch_and_bound.dual.proof_file import CLAIM, NO_PARTS, Parts, shortened
from reluopt.engines.branch_and_bound.folding import is_folded
from reluopt.engines.branch_and_bound.leaf import EMPTY, Leaf
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.engines.branch_and_bound.proof import (
    Proof,
    proof_ball,
    replayed_frame,
    walk,
)
from reluopt.engines.branch_and_bound.repair import repaired
from reluopt.engines.proving import Claim
from reluopt.numerics.arrays import FloatArray
from reluopt.numerics.rounding import gamma
from reluopt.questions.norms.base import Norm

VERSION = 3
"""Of what claims hold and how."""

Stated: TypeAlias = tuple[dict[str, NDArray[Any]], list[int]]
"""Tensors, and from which of the bounds each tree begins."""


def claimed(proof: Proof | BoxProof, claim: Claim) -> Parts:
    """Tensors and fields that state a claim; none where no independent checker reads them.

    These are proofs over folded or rescaled networks (:mod:`.folding`,
    :func:`~reluopt.bounds.scaling.balanced`), and those about boxes without centre.
    """
    task, inputs = claim.task, claim.task.inputs
    if inputs.center is None or is_folded(claim.network):
        return NO_PARTS
    made = _box_bounds(proof, claim) if isinstance(proof, BoxProof) else _ball_bounds(proof, claim)
    if made is None:
        return NO_PARTS
    tensors = {"image": inputs.center, "lower": task.box.lower, "upper": task.box.upper, **made[0]}
    distance = task.minimises_distance
    for t, alternative in enumerate(task.alternatives):
        tensors[f"{t}.matrix"] = alternative.conditions.matrix
        tensors[f"{t}.rhs"] = alternative.conditions.rhs
    bound = claim.bound if distance else inputs.radius
    fields: dict[str, Any] = {
        "version": VERSION,
        "question": "distance" if distance else "verdict",
        "norm": str(task.norm if distance else inputs.norm),
        "bound": bound if math.isfinite(bound) else None,
        "alternatives": len(task.alternatives),
        "stages": made[1],
        "incumbent": None,
        "name": claim.name,
    }
    answer = _settled(claim, claim.answer) if distance and claim.answer is not None else None
    if answer is not None and claim.answer is not None:
        tensors["incumbent"], fields["incumbent"] = answer, claim.answer.alternative
    stored = {CLAIM + name: shortened(np.array(each)) for name, each in tensors.items()}
    return stored, {"claim": fields}


def _settled(claim: Claim, answer: Incumbent) -> FloatArray | None:
    """An image at the answer that meets the conditions whatever a forward pass rounds.

    The answer itself meets them in float64, up to whose rounding it may lie where they end. None
    where no small move does.
    """
    network, alternative = claim.network, claim.task.alternatives[answer.alternative]
    conditions = alternative.conditions
    reach, errors = np.abs(answer.image), np.zeros(answer.image.size)
    for layer in network.affine_layers:
        weight = np.abs(layer.matrix)
        sizes = weight @ (reach + errors) + np.abs(layer.bias)
        errors = weight @ errors + gamma(layer.input_size + 8.0) * sizes
        reach = sizes
    room = np.abs(conditions.matrix) @ (errors + gamma(16.0) * reach)
    room += gamma(16.0) * np.abs(conditions.rhs)
    if (conditions.slack(network.forward(answer.image)) >= 2.0 * room).all():
        return answer.image
    return repaired(network, claim.task, alternative, answer.image, 2.0 * room)


def _ball_bounds(proof: Proof, claim: Claim) -> Stated | None:
    """Bounds over the ball, and at the nodes that bound anew; None of a rescaled network."""
    task = claim.task if claim.task.minimises_distance else within.nearest(claim.task)
    frame, norm = replayed_frame(proof, claim.network, task), norm_search(task.norm)
    if frame.network is not claim.network:
        return None
    ball = proof_ball(frame, proof.radius)
    found: dict[str, NDArray[Any]] = {"bounds": _pairs(ball.stages, frame.hidden)}
    for t, (tree, asked) in enumerate(zip(proof.trees, task.alternatives, strict=True)):
        check, pairs, leaves = norm.check(frame, asked.conditions, ball), [], []
        for node in () if ball.empty else walk(tree, frame, ball):
            if node.refined:
                pairs.append((node.lower, node.upper))
            if node.leaf is not None:
                leaf = node.leaf if node.alive else Leaf(EMPTY)
                leaves.append(check.stated(leaf, node.lower, node.upper))
        found[f"{t}.marked"] = np.flatnonzero(tree.refined)[: len(pairs)]
        found[f"{t}.nodes"] = _pairs(pairs, frame.hidden)
        for name in leaves[0] if leaves else ():
            parts = [leaf[name] for leaf in leaves]
            found[f"{t}.{name}"] = np.concatenate(parts)
            found[f"{t}.{name}.ends"] = np.cumsum([part.size for part in parts], dtype=np.int64)
    return found, [len(ball.stages) - 1] * len(proof.trees)


def _pairs(pairs: Sequence[tuple[FloatArray, FloatArray]], hidden: int) -> FloatArray:
    """Bounds of hidden neurons, shape ``(pairs, 2, H)``."""
    kept = np.array([(low[:hidden], high[:hidden]) for low, high in pairs])
    bounds: FloatArray = np.nan_to_num(kept.reshape(len(pairs), 2, hidden))
    return bounds


def _box_bounds(proof: BoxProof, claim: Claim) -> Stated:
    """Bounds of each chain, how much of its planes a step used, and how leaves mix conditions."""
    inputs, sizes = replace(claim.task.inputs, norm=Norm.LINF, radius=proof.radius), [0]
    chains = rebuilt_chains(claim.network, inputs.ends, proof.chains)
    sizes += claim.network.hidden_sizes
    bounds = [np.concatenate([np.zeros((2, 0)), *chain.whole], axis=1) for chain in chains]
    found = {"bounds": np.nan_to_num(np.array(bounds).reshape(len(bounds), 2, sum(sizes)))}
    for c, steps in enumerate(proof.chains):
        for s, step in enumerate(steps):
            found[f"chain.{c}.{s}.neurons"] = step.neurons + sum(sizes[: step.layer + 1])
            found[f"chain.{c}.{s}.shares"] = np.minimum(step.shares.sum(axis=2), 1.0)
    for tree in proof.trees:
        mixture, count = tree.mixture, claim.task.alternatives[tree.alternative].conditions.rhs.size
        if mixture.shape[1] == 0:
            mixture = np.zeros((tree.cuts.size, count))
            mixture[:, tree.condition] = 1.0
        found[f"{tree.alternative}.mixture"] = mixture
        found[f"{tree.alternative}.marked"] = np.zeros(0, dtype=np.int64)
        found[f"{tree.alternative}.nodes"] = np.zeros((0, 2, sum(sizes)))
    return found, [tree.chain for tree in proof.trees]
