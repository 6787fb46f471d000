"""Proofs as safetensors files.

Tensors ``tree.{t}.splits``, ``.refined`` and ``.kinds`` describe the tree of alternative t (see
:class:`~.proof.TreeProof`); each part of the leaves' certificates is one long vector
``tree.{t}.{part}`` with ``tree.{t}.{part}.ends`` telling where each leaf's share ends. The metadata
key ``reluopt`` holds a JSON object with everything else. What the proof claims may stand beside it
(:mod:`.claim`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from reluopt.engines.branch_and_bound import NORMS
from reluopt.engines.branch_and_bound.dual.proof import BoxProof
from reluopt.engines.branch_and_bound.dual.proof_file import (
    KIND,
    NO_PARTS,
    Parts,
    proof_of,
    proving_names,
)
from reluopt.engines.branch_and_bound.leaf import BOUND, EMPTY, FARKAS, LEAF, Leaf
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.engines.branch_and_bound.proof import Proof, TreeProof
from reluopt.errors import InputError, shown
from reluopt.files import parse_json
from reluopt.networks.tensor_files import open_tensor_file
from reluopt.numerics.arrays import IntArray
from reluopt.questions.problems import Norm, parse_norm

SCHEMA_VERSION = 1
"""Version of the file's layout."""


def proof_bytes(proof: Proof, claim: Parts = NO_PARTS) -> bytes:
    """The file that holds a proof, and what it claims (:mod:`.claim`)."""
    tensors: dict[str, Any] = {}
    for t, tree in enumerate(proof.trees):
        tensors[f"tree.{t}.splits"] = tree.splits.astype(np.int32)
        tensors[f"tree.{t}.refined"] = tree.refined.astype(np.uint8)
        tensors[f"tree.{t}.kinds"] = np.array([leaf.kind for leaf in tree.leaves], dtype=np.uint8)
        for place, (name, kind) in enumerate(norm_search(proof.norm).parts):
            parts = [leaf.parts[place] for leaf in tree.leaves if leaf.parts]
            sizes = [leaf.parts[place].size if leaf.parts else 0 for leaf in tree.leaves]
            stored = np.int32 if kind is np.int64 else kind
            joined = np.concatenate([np.zeros(0, dtype=kind), *parts]).astype(stored)
            tensors[f"tree.{t}.{name}"] = joined
            tensors[f"tree.{t}.{name}.ends"] = np.cumsum(sizes, dtype=np.int64)
    description = {
        "schema_version": SCHEMA_VERSION,
        "kind": "proof",
        "norm": str(proof.norm),
        "network_sha256": proof.network_sha256,
        "task_sha256": proof.task_sha256,
        "radius": proof.radius,
        "trees": len(proof.trees),
    }
    if proof.fold_radius < math.inf:
        description["fold_radius"] = proof.fold_radius
    text = json.dumps({**description, **claim[1]})
    return save({**tensors, **claim[0]}, {"reluopt": text})


def read_proof(path: str | os.PathLike[str]) -> Proof | BoxProof:
    """Read a proof, of distances by trees or about a box.

    Its vectors are kept as they are, and a leaf's share of them is cut out when it is asked for: a
    proof takes about twice the memory of its file.

    Raises:
        InputError: the file is missing, damaged, or no proof.
    """
    file = open_tensor_file(path)
    try:
        about = parse_json(file.metadata["reluopt"])
        if isinstance(about, dict) and about.get("kind") == KIND:
            return proof_of(file, about)
        norm, radius, count = _described(about, len(file.tensors))
        names = {f"tree.{t}.{name}" for t in range(count) for name in _tensor_types(norm)}
        if names != proving_names(file.tensors):
            strange = shown(min(names ^ proving_names(file.tensors)))
            raise ValueError(f"tensors of {count} trees, but for '{strange}'")
        tensors = file.read_stored()
        trees = tuple(_tree(tensors, t, norm) for t in range(count))
    except InputError:
        raise
    except (KeyError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: expected a proof of schema version {SCHEMA_VERSION}, found {shown(error)}"
        ) from None
    fold_radius = float(about.get("fold_radius", math.inf))
    return Proof(norm, about["network_sha256"], about["task_sha256"], radius, trees, fold_radius)


def _described(about: Any, most: int) -> tuple[Norm, float, int]:
    """Norm, radius and number of trees (at most ``most``), or a ValueError."""
    kinds: dict[str, tuple[type, ...]] = {"schema_version": (int,), "trees": (int,)}
    kinds |= dict.fromkeys(("kind", "norm", "network_sha256", "task_sha256"), (str,))
    kinds["radius"] = (float, int)
    if isinstance(about, dict) and "fold_radius" in about:
        kinds["fold_radius"] = (float, int)
    for name, kind in kinds.items():
        found = about.get(name) if isinstance(about, dict) else None
        if not isinstance(found, kind) or isinstance(found, bool):
            raise ValueError(f"{name} {shown(repr(found))}")
    if about["kind"] != "proof" or about["schema_version"] != SCHEMA_VERSION:
        raise ValueError("another kind or version")
    if about["norm"] not in NORMS:
        raise ValueError(f"norm {shown(repr(about['norm']))}")
    if not 0 <= about["trees"] <= most:
        raise ValueError(f"{shown(about['trees'])} trees")
    return parse_norm(about["norm"]), float(about["radius"]), about["trees"]


def _tensor_types(norm: Norm) -> dict[str, np.dtype[Any]]:
    """Names of a tree's tensors, with the types that they are stored in."""
    byte: np.dtype[Any] = np.dtype(np.uint8)
    types: dict[str, np.dtype[Any]] = {"splits": np.dtype(np.int32), "refined": byte, "kinds": byte}
    for name, kind in norm_search(norm).parts:
        types[name] = np.dtype(np.int32 if kind is np.int64 else kind)
        types[f"{name}.ends"] = np.dtype(np.int64)
    return types


class _Leaves(Collection[Leaf]):
    """Leaves that are cut out of the joined vectors one by one."""

    def __init__(self, kinds: NDArray[Any], parts: Sequence[tuple[NDArray[Any], IntArray]]) -> None:
        self._kinds, self._parts = kinds, parts

    def __len__(self) -> int:
        return int(self._kinds.size)

    def __contains__(self, leaf: object) -> bool:
        return any(each is leaf for each in self)

    def __iter__(self) -> Iterator[Leaf]:
        for i, kind in enumerate(self._kinds.tolist()):
            cuts = [slice(ends[i - 1] if i else 0, ends[i]) for _, ends in self._parts]
            parts = (joined[cut] for (joined, _), cut in zip(self._parts, cuts, strict=True))
            yield Leaf(kind, () if kind == EMPTY else tuple(parts))


def _tree(tensors: Mapping[str, NDArray[Any]], t: int, norm: Norm) -> TreeProof:
    """One tree; ValueError when its tensors do not fit together."""
    vectors = {}
    for name, stored in _tensor_types(norm).items():
        vector = tensors[f"tree.{t}.{name}"]
        if vector.ndim != 1 or vector.dtype != stored:
            raise ValueError(f"tree {t}: {name} of type {vector.dtype} and shape {vector.shape}")
        vectors[name] = vector
    splits, refined = (vectors[name].astype(np.int64) for name in ("splits", "refined"))
    kinds = vectors["kinds"]
    count = int(np.count_nonzero(splits == LEAF))
    if kinds.size != count or not np.isin(kinds, (EMPTY, BOUND, FARKAS)).all():
        raise ValueError(f"tree {t}: kinds of {count} leaves")
    parts = []
    for name, kind in norm_search(norm).parts:
        joined, ends = vectors[name].astype(kind, copy=False), vectors[f"{name}.ends"]
        last = ends[-1] if ends.size else 0
        rising = (ends >= 0).all() and (np.diff(ends) >= 0).all()
        if ends.size != count or not rising or last != joined.size:
            raise ValueError(f"tree {t}: ends of {name}")
        if not np.isfinite(joined).all():
            raise ValueError(f"tree {t}: {name} that is not finite")
        parts.append((joined, ends))
    return TreeProof(splits, refined, _Leaves(kinds, parts))
