"""Finding the dense layers in tensors that other tools have written.

The rules, in the order they are applied; whatever they leave open is refused, never guessed:

1. **Kind.** A name is cut into words and numbers (``net.2.bias`` -> net, 2, bias). Its last word
   among weight, weights, w, kernel, coef, coefs makes it the matrix of a layer; the last word among
   bias, biases, b, intercept, intercepts makes it the bias. The rest of the name is the layer.
   This covers PyTorch (``fc1.weight``), Flux (``layers.1.weight``), Keras and Flax
   (``dense_1/kernel:0``) and scikit-learn (``coefs_.0``, ``intercepts_.0``).
2. **Pairs.** Every layer has one matrix and one bias (store zeros for a layer without bias).
3. **Order.** Layers whose names differ in their numbers only are ordered by these numbers, 2 before
   10, and a missing number before all others (Keras: ``dense``, ``dense_1``). Between other names
   the sizes decide: each layer reads as many values as the one before it gives.
4. **Orientation.** All matrices of a file are either out x in (PyTorch, Flux) or in x out (Keras,
   scikit-learn, and Flux arrays dumped in Julia's column-major order); sizes of the biases and of
   the neighbours tell which. If both fit (all matrices square), the file is refused.

The order of the *pixels* cannot be seen in a file: a network trained in Julia on column-major
images must have the columns of its first matrix reordered before it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reluopt.errors import InputError

WEIGHT_WORDS = frozenset({"weight", "weights", "w", "kernel", "coef", "coefs"})
BIAS_WORDS = frozenset({"bias", "biases", "b", "intercept", "intercepts"})

#: Partial orders of the layers that are tried before giving up; named layers need one per layer.
MAX_SEARCH_STEPS = 10_000

#: Key of a layer: its words and numbers in order, such as ("net", 2).
LayerKey: TypeAlias = tuple[str | int, ...]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class DenseTensors:
    """Which tensors make one dense layer; ``transposed`` if the matrix is stored in x out."""

    weight: str
    bias: str
    transposed: bool


@dataclass(frozen=True)
class _Candidate:
    """A layer in one assumed orientation."""

    key: LayerKey
    tensors: DenseTensors
    inputs: int
    outputs: int


def infer_chain(shapes: Mapping[str, Shape]) -> tuple[DenseTensors, ...]:
    """Order and orient tensors so that they form one chain of dense layers.

    Args:
        shapes: shape of every tensor of a file, by name.

    Returns:
        The layers, input first.

    Raises:
        InputError: the tensors form no such chain, or more than one.
    """
    pairs = _pair(shapes)
    found: list[tuple[_Candidate, ...]] = []
    for transposed in (False, True):
        layers = _oriented(pairs, shapes, transposed)
        for chain in _chains(layers):
            found.append(chain)
            if len(found) > 1:
                raise InputError(_ambiguity(found[0], found[1]))
    if not found:
        listing = ", ".join(
            f"{weight} {shapes[weight]} + {bias} {shapes[bias]}" for weight, bias in pairs.values()
        )
        raise InputError(
            "expected tensors that form one chain of dense layers (in the order of the numbers in "
            f"their names, matrices out x in or in x out), found {listing}"
        )
    return tuple(layer.tensors for layer in found[0])


def _pair(shapes: Mapping[str, Shape]) -> dict[LayerKey, tuple[str, str]]:
    """Names of matrix and bias of every layer (rules 1 and 2)."""
    matrices: dict[LayerKey, str] = {}
    biases: dict[LayerKey, str] = {}
    for name, shape in shapes.items():
        key, is_weight = _split_name(name)
        dimensions = 2 if is_weight else 1
        if len(shape) != dimensions or 0 in shape:
            raise InputError(
                f"tensor '{name}': expected {'a matrix' if is_weight else 'a vector'} (only dense "
                f"layers can be read), found shape {shape}"
            )
        group = matrices if is_weight else biases
        if key in group:
            raise InputError(
                f"tensor '{name}': expected one {'matrix' if is_weight else 'bias'} for each "
                f"layer, found '{group[key]}' as well"
            )
        group[key] = name
    if not matrices:
        raise InputError("expected at least one dense layer, found no weight tensors")
    for group, other, missing in ((matrices, biases, "bias"), (biases, matrices, "weight matrix")):
        for key, name in group.items():
            if key not in other:
                raise InputError(
                    f"tensor '{name}': expected a {missing} of the same layer, found none"
                )
    return {key: (matrices[key], biases[key]) for key in matrices}


def _split_name(name: str) -> tuple[LayerKey, bool]:
    """Key of the layer that a tensor belongs to, and whether the tensor is its matrix."""
    words: list[str] = re.findall(r"[^\W\d_]+|[0-9]+", re.sub(r":[0-9]+$", "", name))
    for i in range(len(words) - 1, -1, -1):
        word = words[i].lower()
        if word in WEIGHT_WORDS or word in BIAS_WORDS:
            rest = words[:i] + words[i + 1 :]
            key = tuple(int(part) if part.isdecimal() else part for part in rest)
            return key, word in WEIGHT_WORDS
    raise InputError(
        f"tensor '{name}': expected a name with weight, kernel or bias in it, found none of them"
    )


def _oriented(
    pairs: Mapping[LayerKey, tuple[str, str]], shapes: Mapping[str, Shape], transposed: bool
) -> list[_Candidate]:
    """All layers read in one orientation, or none if a bias contradicts it (rule 4)."""
    layers = []
    for key, (weight, bias) in pairs.items():
        rows, columns = shapes[weight]
        outputs, inputs = (columns, rows) if transposed else (rows, columns)
        if shapes[bias] != (outputs,):
            return []
        layers.append(_Candidate(key, DenseTensors(weight, bias, transposed), inputs, outputs))
    return layers


def _chains(layers: Sequence[_Candidate]) -> Iterator[tuple[_Candidate, ...]]:
    """Every order of the layers that names and sizes allow (rule 3).

    Layers with the same words form queues sorted by number; a chain takes from their fronts.
    """
    queues: dict[tuple[str, ...], list[_Candidate]] = {}
    for layer in sorted(layers, key=lambda layer: _numbers(layer.key)):
        queue = queues.setdefault(_words(layer.key), [])
        if queue and _numbers(queue[-1].key) == _numbers(layer.key):
            raise InputError(
                f"tensor '{layer.tensors.weight}': expected a number that differs from that of "
                f"'{queue[-1].tensors.weight}', found the same"
            )
        queue.append(layer)
    fronts = list(queues.values())
    open_ends: list[tuple[tuple[_Candidate, ...], tuple[int, ...]]] = [((), (0,) * len(fronts))]
    for _ in range(MAX_SEARCH_STEPS):
        if not open_ends:
            return
        chain, taken = open_ends.pop()
        if chain and len(chain) == len(layers):
            yield chain
        for i, queue in enumerate(fronts):
            if taken[i] < len(queue) and (not chain or chain[-1].outputs == queue[taken[i]].inputs):
                counts = (*taken[:i], taken[i] + 1, *taken[i + 1 :])
                open_ends.append(((*chain, queue[taken[i]]), counts))
    raise InputError(
        f"expected an order of the {len(layers)} layers that their names tell, found too many "
        "possible ones; number the names in the order of the layers"
    )


def _words(key: LayerKey) -> tuple[str, ...]:
    return tuple(part for part in key if isinstance(part, str))


def _numbers(key: LayerKey) -> tuple[int, ...]:
    return tuple(part for part in key if isinstance(part, int))


def _ambiguity(first: Sequence[_Candidate], second: Sequence[_Candidate]) -> str:
    """Why two readings of the same tensors are possible, and what would settle it."""
    orders = [" -> ".join(layer.tensors.weight for layer in chain) for chain in (first, second)]
    if orders[0] != orders[1]:
        return (
            f"expected one possible order of the layers, found both {orders[0]} and {orders[1]}; "
            "number the names in the order of the layers"
        )
    return (
        f"tensor '{first[0].tensors.weight}': expected to tell out x in from in x out by the "
        "sizes, found square matrices only; write the file with reluopt's own metadata"
    )
