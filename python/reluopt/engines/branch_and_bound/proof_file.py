"""Proofs as safetensors files.

Tensors ``tree.{t}.splits``, ``.refined`` and ``.kinds`` describe the tree of alternative t (see
:class:`~.proof.TreeProof`); each part of the leaves' certificates is one long vector
``tree.{t}.{part}`` with ``tree.{t}.{part}.ends`` telling where each leaf's share ends. The metadata
key ``reluopt`` holds a JSON object with everything else.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from reluopt.engines.branch_and_bound.proof import (
    BOUND,
    EMPTY,
    FARKAS,
    LEAF,
    PARTS,
    Leaf,
    Proof,
    TreeProof,
)
from reluopt.errors import InputError
from reluopt.problems import Norm
from reluopt.tensor_files import open_tensor_file

SCHEMA_VERSION = 1
"""Version of the file's layout."""


def proof_bytes(proof: Proof) -> bytes:
    """The file that holds a proof."""
    tensors: dict[str, Any] = {}
    for t, tree in enumerate(proof.trees):
        tensors[f"tree.{t}.splits"] = tree.splits.astype(np.int32)
        tensors[f"tree.{t}.refined"] = tree.refined.astype(np.uint8)
        tensors[f"tree.{t}.kinds"] = np.array([leaf.kind for leaf in tree.leaves], dtype=np.uint8)
        for place, (name, kind) in enumerate(PARTS[proof.norm]):
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
    return save(tensors, {"reluopt": json.dumps(description)})


def read_proof(path: str | os.PathLike[str]) -> Proof:
    """Read a proof.

    Raises:
        InputError: the file is missing, damaged, or no proof.
    """
    file = open_tensor_file(path)
    try:
        tensors = load_file(file.path)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: expected a safetensors file, found: {error}") from None
    try:
        about = json.loads(file.metadata["reluopt"])
        if about["kind"] != "proof" or about["schema_version"] != SCHEMA_VERSION:
            raise ValueError("another kind or version")
        norm = Norm(about["norm"])
        return Proof(
            norm,
            str(about["network_sha256"]),
            str(about["task_sha256"]),
            float(about["radius"]),
            tuple(_tree(tensors, t, norm) for t in range(int(about["trees"]))),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected a proof of schema version {SCHEMA_VERSION}, found {error!r}"
        ) from None


def _tree(tensors: dict[str, Any], t: int, norm: Norm) -> TreeProof:
    """One tree; ValueError or KeyError when its tensors do not fit together."""
    splits, refined, kinds = (
        tensors[f"tree.{t}.{name}"].astype(np.int64).reshape(-1)
        for name in ("splits", "refined", "kinds")
    )
    count = int(np.count_nonzero(splits == LEAF))
    if kinds.size != count or not np.isin(kinds, (EMPTY, BOUND, FARKAS)).all():
        raise ValueError(f"tree {t}: kinds of {count} leaves")
    shares = []
    for name, kind in PARTS[norm]:
        joined = tensors[f"tree.{t}.{name}"].astype(kind).reshape(-1)
        ends = tensors[f"tree.{t}.{name}.ends"].astype(np.int64).reshape(-1)
        steps = np.diff(ends, prepend=0)
        if ends.size != count or (steps < 0).any() or steps.sum() != joined.size:
            raise ValueError(f"tree {t}: ends of {name}")
        if not np.isfinite(joined).all():
            raise ValueError(f"tree {t}: {name} that is not finite")
        shares.append(np.split(joined, ends[:-1]) if count else [])
    leaves = tuple(
        Leaf(int(kind), () if kind == EMPTY else tuple(share[i] for share in shares))
        for i, kind in enumerate(kinds)
    )
    return TreeProof(splits, refined, leaves)
