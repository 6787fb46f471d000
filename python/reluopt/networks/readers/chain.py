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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reluopt.errors import InputError, shown
from reluopt.networks.readers.stored import StoredLayer

WEIGHT_WORDS = frozenset({"weight", "weights", "w", "kernel", "coef", "coefs"})
BIAS_WORDS = frozenset({"bias", "biases", "b", "intercept", "intercepts"})

#: Steps of the search for an order before it gives up; one layer takes one step where names and
#: sizes leave no choice.
MAX_SEARCH_STEPS = 10_000

#: More dense layers than this are no network that can be answered for.
MAX_LAYERS = 1_000

#: Tensors that a message lists.
MAX_LISTED = 5

#: Digits of a number in a name; Python reads no more than 4,300.
MAX_DIGITS = 18

#: Key of a layer: its words and numbers in order, such as ("net", 2).
LayerKey: TypeAlias = tuple[str | int, ...]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class _Candidate:
    """A layer in one assumed orientation."""

    key: LayerKey
    layer: StoredLayer
    inputs: int
    outputs: int

    @property
    def weight(self) -> str:
        """Name of its matrix."""
        return self.layer.tensors["weight"]


def infer_chain(shapes: Mapping[str, Shape]) -> tuple[StoredLayer, ...]:
    """Order and orient tensors so that they form one chain of dense layers.

    Args:
        shapes: shape of every tensor of a file, by name.

    Returns:
        The layers, input first.

    Raises:
        InputError: the tensors form no such chain, or more than one.
    """
    pairs = pair_tensors(shapes)
    found: list[tuple[_Candidate, ...]] = []
    for transposed in (False, True):
        layers = _oriented(pairs, shapes, transposed)
        for chain in _chains(layers):
            found.append(chain)
            if len(found) > 1:
                raise InputError(_ambiguity(found[0], found[1]))
    if not found:
        listing = _listed(
            [
                f"{shown(weight)} {shapes[weight]} + {shown(bias)} {shapes[bias]}"
                for weight, bias in pairs.values()
            ]
        )
        raise InputError(
            "expected tensors that form one chain of dense layers (in the order of the numbers in "
            f"their names, matrices out x in or in x out), found {listing}"
        )
    return tuple(each.layer for each in found[0])


def pair_tensors(
    shapes: Mapping[str, Shape], *, convolutions: bool = False
) -> dict[LayerKey, tuple[str, str]]:
    """Names of weight and bias of every layer (rules 1 and 2).

    Args:
        shapes: shape of every tensor, by name.
        convolutions: whether weights may have four axes, too.

    Raises:
        InputError: a tensor is neither, or a layer lacks one or has two.
    """
    matrices: dict[LayerKey, str] = {}
    biases: dict[LayerKey, str] = {}
    for name, shape in shapes.items():
        key, is_weight = _split_name(name)
        axes = ((2, 4) if convolutions else (2,)) if is_weight else (1,)
        if len(shape) not in axes or 0 in shape:
            wanted = "a matrix" if is_weight else "a vector"
            raise InputError(
                f"tensor '{shown(name)}': expected {wanted}, found shape {shape} (files of other "
                "than dense layers need their --architecture)"
            )
        group = matrices if is_weight else biases
        if key in group:
            raise InputError(
                f"tensor '{shown(name)}': expected one {'matrix' if is_weight else 'bias'} for "
                f"each layer, found '{shown(group[key])}' as well"
            )
        group[key] = name
    if not matrices:
        raise InputError("expected at least one dense layer, found no weight tensors")
    if len(matrices) > MAX_LAYERS:
        raise InputError(f"expected at most {MAX_LAYERS} dense layers, found {len(matrices)}")
    for group, other, missing in ((matrices, biases, "bias"), (biases, matrices, "weight matrix")):
        for key, name in group.items():
            if key not in other:
                raise InputError(
                    f"tensor '{shown(name)}': expected a {missing} of the same layer, found none"
                )
    return {key: (matrices[key], biases[key]) for key in matrices}


def _split_name(name: str) -> tuple[LayerKey, bool]:
    """Key of the layer that a tensor belongs to, and whether the tensor is its matrix."""
    words: list[str] = re.findall(r"[^\W\d_]+|[0-9]+", re.sub(r":[0-9]+$", "", name))
    for i in range(len(words) - 1, -1, -1):
        word = words[i].lower()
        if word in WEIGHT_WORDS or word in BIAS_WORDS:
            rest = words[:i] + words[i + 1 :]
            if max(map(len, filter(str.isdecimal, rest)), default=0) > MAX_DIGITS:
                raise InputError(
                    f"tensor '{shown(name)}': expected numbers of at most {MAX_DIGITS} digits in "
                    "its name, found a longer one"
                )
            key = tuple(int(part) if part.isdecimal() else part for part in rest)
            return key, word in WEIGHT_WORDS
    raise InputError(
        f"tensor '{shown(name)}': expected a name with weight, kernel or bias in it, found none of "
        "them"
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
        names = {"weight": weight, "bias": bias}
        layer = StoredLayer("dense", names, transposed=transposed)
        layers.append(_Candidate(key, layer, inputs, outputs))
    return layers


def _chains(layers: Sequence[_Candidate]) -> Iterator[tuple[_Candidate, ...]]:
    """Every order of the layers that names and sizes allow (rule 3), by search in depth.

    A chain takes from the fronts of the queues. It is one walk through all layers from size to
    size, so the sizes tell where it begins, or that there is none; what is left to choose are
    layers that read the same number of values. Memory is that of one chain and its choices.
    """
    queues = _queues(layers)
    begins = _first_sizes(layers)
    taken = [0] * len(queues)
    fronts: dict[int, set[int]] = {}
    for i, queue in enumerate(queues):
        fronts.setdefault(queue[0].inputs, set()).add(i)
    chain: list[tuple[int, _Candidate]] = []
    choices = [[i for size in begins for i in sorted(fronts.get(size, ()))]]
    for _ in range(MAX_SEARCH_STEPS + len(layers)):
        while choices and not choices[-1]:
            choices.pop()
            if chain:
                i, _ = chain.pop()
                _move_front(fronts, queues[i], i, taken[i], taken[i] - 1)
                taken[i] -= 1
        if not choices:
            return
        i = choices[-1].pop()
        chain.append((i, queues[i][taken[i]]))
        _move_front(fronts, queues[i], i, taken[i], taken[i] + 1)
        taken[i] += 1
        if len(chain) == len(layers):
            yield tuple(layer for _, layer in chain)
        choices.append(sorted(fronts.get(chain[-1][1].outputs, ())))
    raise InputError(
        f"expected an order of the {len(layers)} layers that their names tell, found too many "
        "possible ones; number the names in the order of the layers"
    )


def _queues(layers: Sequence[_Candidate]) -> list[list[_Candidate]]:
    """Layers with the same words, sorted by number."""
    queues: dict[tuple[str, ...], list[_Candidate]] = {}
    for layer in sorted(layers, key=lambda layer: numbers_of(layer.key)):
        queue = queues.setdefault(words_of(layer.key), [])
        if queue and numbers_of(queue[-1].key) == numbers_of(layer.key):
            raise InputError(
                f"tensor '{shown(layer.weight)}': expected a number that differs from that "
                f"of '{shown(queue[-1].weight)}', found the same"
            )
        queue.append(layer)
    return list(queues.values())


def _move_front(
    fronts: dict[int, set[int]], queue: Sequence[_Candidate], i: int, old: int, new: int
) -> None:
    """Note which size queue ``i`` offers when its front moves from layer ``old`` to ``new``."""
    if old < len(queue):
        fronts[queue[old].inputs].discard(i)
    if new < len(queue):
        fronts.setdefault(queue[new].inputs, set()).add(i)


def _first_sizes(layers: Sequence[_Candidate]) -> list[int]:
    """Numbers of inputs that a chain of all layers can begin with (Euler's condition).

    In a walk that takes every layer once, each size is entered as often as it is left, but for the
    first (left once more) and the last. If all are balanced, the walk may begin anywhere.
    """
    surplus: Counter[int] = Counter()
    for layer in layers:
        surplus[layer.inputs] += 1
        surplus[layer.outputs] -= 1
    first = [size for size, count in surplus.items() if count > 0]
    if sum(abs(count) for count in surplus.values()) > 2:
        return []
    return first or list(surplus)


def words_of(key: LayerKey) -> tuple[str, ...]:
    """The words of a layer's name."""
    return tuple(part for part in key if isinstance(part, str))


def numbers_of(key: LayerKey) -> tuple[int, ...]:
    """The numbers of a layer's name, by which layers of the same words are ordered."""
    return tuple(part for part in key if isinstance(part, int))


def _ambiguity(first: Sequence[_Candidate], second: Sequence[_Candidate]) -> str:
    """Why two readings of the same tensors are possible, and what would settle it."""
    orders = sorted([layer.weight for layer in chain] for chain in (first, second))
    if orders[0] != orders[1]:
        same = next(i for i, pair in enumerate(zip(*orders, strict=True)) if pair[0] != pair[1])
        start = max(0, same - 1) if len(first) > MAX_LISTED else 0
        one, other = (
            "... -> " * (start > 0) + _listed([shown(name) for name in order[start:]], " -> ")
            for order in orders
        )
        return (
            f"expected one possible order of the layers, found both {one} and {other}; "
            "number the names in the order of the layers"
        )
    return (
        f"tensor '{shown(first[0].weight)}': expected to tell out x in from in x out by "
        "the sizes, found square matrices only; write the file with reluopt's own metadata"
    )


def _listed(texts: Sequence[str], separator: str = ", ") -> str:
    """The first few of them, and how many more there are."""
    more = len(texts) - MAX_LISTED
    ending = f"{separator}... ({more} more)" if more > 0 else ""
    return separator.join(texts[:MAX_LISTED]) + ending
