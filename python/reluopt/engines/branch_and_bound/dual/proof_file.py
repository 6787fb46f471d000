"""Proofs about boxes as safetensors files.

Step s of chain c has the tensors ``chain.{c}.{s}.{part}``, the tree of alternative t
``tree.{t}.{part}``, parts being the attributes of :class:`.chain.Step` and :class:`.proof.BoxTree`
that are arrays. Multipliers that float32 holds exactly are stored so. The metadata key ``reluopt``
holds a JSON object with everything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from reluopt.engines.branch_and_bound.dual.chain import Step
from reluopt.engines.branch_and_bound.dual.proof import BoxProof, BoxTree
from reluopt.errors import InputError, shown
from reluopt.networks.tensor_files import TensorFile

KIND = "box-proof"
"""What tells these files from other proofs."""

SCHEMA_VERSION = 2
"""Version of the file's layout."""

_STEP: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "neurons": (1, ("int64",)),
    "signs": (1, ("int8",)),
    "multipliers": (2, ("float32",)),
    "points": (3, ("int8",)),
    "shares": (3, ("float32",)),
}
_FREE = ("float32", "float64")
_TREE: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "points": (3, ("int8",)),
    "plane_shares": (3, ("float32",)),
    "splits": (1, ("int64",)),
    "cuts": (1, ("int64",)),
    "multipliers": (2, _FREE),
    "shares": (2, _FREE),
    "mixture": (2, _FREE),
}
"""Dimensions and types of the parts."""


Parts: TypeAlias = tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]
"""Tensors and fields of a file."""

NO_PARTS: Parts = ({}, {})
"""Nothing."""

CLAIM = "claim."
"""Begin of the names of tensors that state what a proof claims (:mod:`..claim`)."""


def proving_names(names: Iterable[str]) -> set[str]:
    """Those of tensors that replaying reads."""
    return {name for name in names if not name.startswith(CLAIM)}


def proof_bytes(proof: BoxProof, claim: Parts = NO_PARTS) -> bytes:
    """The file that holds a proof, and what it claims (:mod:`..claim`)."""
    tensors: dict[str, NDArray[Any]] = {}
    for c, steps in enumerate(proof.chains):
        for s, step in enumerate(steps):
            tensors |= {f"chain.{c}.{s}.{name}": getattr(step, name) for name in _STEP}
    for t, tree in enumerate(proof.trees):
        tensors |= {f"tree.{t}.{name}": shortened(getattr(tree, name)) for name in _TREE}
    described = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "network_sha256": proof.network_sha256,
        "task_sha256": proof.task_sha256,
        "radius": proof.radius if math.isfinite(proof.radius) else None,
        "chains": [[step.layer for step in steps] for steps in proof.chains],
        "trees": [[tree.alternative, tree.condition, tree.chain] for tree in proof.trees],
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in {**tensors, **claim[0]}.items()}
    return save(arrays, {"reluopt": json.dumps({**described, **claim[1]})})


def shortened(array: NDArray[Any]) -> NDArray[Any]:
    """An array of float64 in float32, where that is exact."""
    if array.dtype != np.float64:
        return array
    short = array.astype(np.float32)
    return short if (short == array).all() else array


def proof_of(file: TensorFile, about: Mapping[str, Any]) -> BoxProof:
    """The proof in an open file with this description.

    Raises:
        InputError: it is damaged.
    """
    try:
        return _proof(file.read_stored(), about)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{file.path}: expected a proof of schema version {SCHEMA_VERSION}, found "
            f"{shown(error)}"
        ) from None


def _proof(tensors: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> BoxProof:
    """The proof, or a ValueError."""
    if about["schema_version"] != SCHEMA_VERSION:
        raise ValueError("another version")
    names = about["network_sha256"], about["task_sha256"]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("fingerprints that are no texts")
    radius = math.inf if about["radius"] is None else float(about["radius"])
    chains = tuple(
        tuple(
            Step(_whole(layer), **_parts(tensors, f"chain.{c}.{s}", _STEP))
            for s, layer in enumerate(layers)
        )
        for c, layers in enumerate(about["chains"])
    )
    trees = tuple(
        BoxTree(
            _whole(alternative),
            _whole(condition),
            _whole(chain),
            **_parts(tensors, f"tree.{t}", _TREE),
        )
        for t, (alternative, condition, chain) in enumerate(about["trees"])
    )
    known = {
        f"chain.{c}.{s}.{n}"
        for c, steps in enumerate(chains)
        for s, _ in enumerate(steps)
        for n in _STEP
    }
    known |= {f"tree.{t}.{name}" for t, _ in enumerate(trees) for name in _TREE}
    if known != proving_names(tensors):
        raise ValueError(f"a tensor '{min(known ^ proving_names(tensors))}'")
    if any(not 0 <= tree.chain < len(chains) for tree in trees):
        raise ValueError("a tree of no chain")
    return BoxProof(*names, radius, chains, trees)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{shown(repr(value))} for a whole number")
    return value


def _parts(
    tensors: Mapping[str, NDArray[Any]],
    prefix: str,
    kinds: Mapping[str, tuple[int, tuple[str, ...]]],
) -> dict[str, Any]:
    """Arrays of one step or tree, of the right kinds."""
    found = {}
    for name, (dimensions, types) in kinds.items():
        array = tensors[f"{prefix}.{name}"]
        if array.ndim != dimensions or array.dtype.name not in types:
            raise ValueError(f"{prefix}.{name} of type {array.dtype} and shape {array.shape}")
        found[name] = array.astype(np.float64) if types == _FREE else array
    return found
