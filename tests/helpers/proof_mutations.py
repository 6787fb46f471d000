"""Seeded mutations of kept proofs: what somebody might claim too much by, and what files suffer."""

import math

import numpy as np

from helpers.kept_proofs import Kept

NUMBERS = (0, -1, 1, 1.5, 1e-300, 1e308, math.nan, math.inf, -math.inf, 2**63, 10**400, True, None)
"""Of fields, all of a kind that JSON's readers accept."""


def _one(generator, names):
    names = sorted(names)
    return names[generator.integers(len(names))]


def _numbers(kept, prefix=""):
    """Names of tensors with numbers in them."""
    return [n for n, a in kept.tensors.items() if a.size and n.startswith(prefix)]


def raised_bound(kept, generator):
    """More is claimed, by an ulp or by much; for once, less."""
    claim, factor = (
        kept.fields["claim"],
        generator.choice([0.5, 1 + 1e-15, 1 + 1e-9, 1.001, 2, 100]),
    )
    bound = claim["bound"]
    claim["bound"] = None if bound is None or generator.random() < 0.1 else bound * factor
    if generator.random() < 0.2:
        claim["bound"] = float(np.nextafter(bound or 0.0, math.inf))


def dropped_leaf(kept, generator):
    """Nodes removed, doubled or added."""
    name = _one(generator, [n for n in kept.tensors if n.endswith("splits")])
    splits, at = kept.tensors[name], int(generator.integers(kept.tensors[name].size))
    changes = (
        lambda: np.delete(splits, at),
        lambda: np.insert(splits, at, splits[at]),
        lambda: np.append(splits, -1),
        lambda: splits[:at],
        lambda: np.where(np.arange(splits.size) == at, -1, splits),
    )
    kept.tensors[name] = changes[generator.integers(5)]().astype(splits.dtype)


def pruned_tree(kept, generator):
    """A whole subtree becomes one of its leaves, consistently."""
    tree = f"tree.{generator.integers(kept.fields['claim']['alternatives'])}"
    splits = kept.tensors[f"{tree}.splits"]
    inner = np.flatnonzero(splits >= 0)
    if not inner.size:
        return
    start = end = int(generator.choice(inner))
    missing = 1
    while missing:
        missing += 1 if splits[end] >= 0 else -1
        end += 1
    first = int(np.count_nonzero(splits[:start] == -1))
    gone = np.arange(first + 1, first + int(np.count_nonzero(splits[start:end] == -1)))
    kept.tensors[f"{tree}.splits"] = np.concatenate(
        [splits[:start], np.array([-1], dtype=splits.dtype), splits[end:]]
    )
    if f"{tree}.refined" not in kept.tensors:
        stated = f"{tree.replace('tree', 'claim')}.mixture"
        parts = ("cuts", "multipliers", "shares", "mixture")
        for name in (stated, *(f"{tree}.{part}" for part in parts)):
            kept.tensors[name] = np.delete(kept.tensors[name], gone, axis=0)
        return
    nodes, names = (f"claim.{tree.split('.')[1]}.{part}" for part in ("nodes", "marked"))
    marked = kept.tensors[names].astype(np.int64)
    left = (marked <= start) | (marked >= end)
    kept.tensors[nodes] = kept.tensors[nodes][left]
    kept.tensors[names] = (marked - (marked >= end) * (end - start - 1))[left]
    marks = np.delete(kept.tensors[f"{tree}.refined"], np.arange(start + 1, end))
    kept.tensors[f"{tree}.refined"] = marks
    kept.tensors[f"{tree}.kinds"] = np.delete(kept.tensors[f"{tree}.kinds"], gone)
    begins = (f"{tree}.", f"{tree.replace('tree', 'claim')}.")
    for name in [n for n in kept.tensors if n.startswith(begins) and n.endswith(".ends")]:
        ends, part = kept.tensors[name], name.removesuffix(".ends")
        sizes = np.diff(ends, prepend=0)
        keep = np.repeat(~np.isin(np.arange(sizes.size), gone), sizes)
        kept.tensors[part] = kept.tensors[part][keep]
        kept.tensors[name] = np.cumsum(np.delete(sizes, gone))


def changed_multipliers(kept, generator):
    """Noise, scales, signs, extremes, and parts of one leaf at another."""
    task = ("image", "lower", "upper", "incumbent", "matrix", "rhs", "bounds", "nodes")
    names = [n for n in _numbers(kept) if not n.endswith(task)]
    name = _one(generator, names or _numbers(kept))
    array = kept.tensors[name].copy()
    if array.dtype.kind != "f":
        array[...] = generator.permutation(array.reshape(-1)).reshape(array.shape)
    elif generator.random() < 0.5:
        array = array * generator.choice([-1, 0, 0.5, 2, 1e8, 1e-200, 1e30])
    else:
        noise = generator.normal(size=array.shape) * 10.0 ** generator.integers(-9, 3)
        array = array + noise * max(1.0, float(np.abs(array).max()))
    kept.tensors[name] = array.astype(kept.tensors[name].dtype)


def moved_bounds(kept, generator):
    """Regions of nodes, chains and balls made smaller, larger, or shifted."""
    names = [n for n in _numbers(kept, "claim.") if n.endswith(("bounds", "nodes"))]
    if not names:
        return
    name = _one(generator, names)
    array = kept.tensors[name].astype(float)
    at = tuple(int(generator.integers(n)) for n in array.shape)
    kind = generator.integers(4)
    if kind == 0:
        array = array * generator.choice([0.0, 0.5, 1 - 1e-12, 2.0, -1.0])
    elif kind == 1:
        array[at] = generator.choice([0.0, -1e-9, 1e-9, 1.0, -1.0, 1e308])
    elif kind == 2:
        array = array[:, ::-1]
    else:
        array[at] += generator.normal() * 10.0 ** generator.integers(-12, 2)
    kept.tensors[name] = array


def flipped_phase(kept, generator):
    """Splits name other neurons, or children change places."""
    name = _one(generator, [n for n in kept.tensors if n.endswith("splits")])
    splits = kept.tensors[name].copy()
    inner = np.flatnonzero(splits >= 0)
    if inner.size:
        splits[generator.choice(inner)] = generator.integers(0, 6)
    for part in [n for n in kept.tensors if n.startswith(name.removesuffix("splits"))]:
        if part.endswith(("multipliers", "mixture")):
            kept.tensors[part] = kept.tensors[part][::-1]
    kept.tensors[name] = splits


def changed_network(kept, generator):
    """A weight or bias of the network; the fingerprint follows."""
    name = _one(generator, kept.weights)
    array = kept.weights[name].astype(float)
    at = tuple(int(generator.integers(n)) for n in array.shape)
    array[at] += generator.normal() * 10.0 ** generator.integers(-9, 2)
    kept.weights[name] = array
    if generator.random() < 0.9:
        kept.renamed()


def changed_task(kept, generator):
    """Image, box, conditions or answer."""
    names = ["image", "lower", "upper", "incumbent", "0.matrix", "0.rhs"]
    name = _one(generator, {f"claim.{n}" for n in names} & kept.tensors.keys())
    array = kept.tensors[name].astype(float)
    at = tuple(int(generator.integers(n)) for n in array.shape)
    array[at] += generator.normal() * 10.0 ** generator.integers(-12, 1)
    kept.tensors[name] = array


def changed_question(kept, generator):
    """Norm, question, radius, number of alternatives, incumbent."""
    claim, kind = kept.fields["claim"], generator.integers(7)
    if kind == 0:
        claim["norm"] = generator.choice(["l1", "l2", "linf"])
    elif kind == 1:
        claim["question"] = generator.choice(["distance", "verdict"])
    elif kind == 2 and kept.fields["radius"] is not None:
        kept.fields["radius"] *= generator.choice([0.5, 1 - 1e-12, 1 + 1e-12, 2.0, 100.0])
    elif kind == 3:
        claim["alternatives"] = int(generator.integers(0, 4))
    elif kind == 4:
        claim["incumbent"] = int(generator.integers(-1, 3))
    elif kind == 5:
        claim["stages"] = generator.integers(-1, 3, len(claim["stages"])).tolist()
    else:
        kept.fields["radius"] = None


def swapped_trees(kept, generator):
    """What one alternative has, another gets."""
    count = kept.fields["claim"]["alternatives"]
    one, other = generator.integers(count, size=2)
    prefix = ("tree.", "claim.")[generator.integers(2)]
    for name in [n for n in kept.tensors if n.startswith(f"{prefix}{one}.")]:
        twin = name.replace(f"{prefix}{one}.", f"{prefix}{other}.")
        kept.tensors[name], kept.tensors[twin] = (
            kept.tensors.get(twin, kept.tensors[name]),
            kept.tensors[name],
        )


def damaged_fields(kept, generator):
    """Fields of other values and kinds, or none."""
    place = kept.fields if generator.random() < 0.5 else kept.fields["claim"]
    key = _one(generator, place)
    if generator.random() < 0.2:
        del place[key]
    else:
        place[key] = [*NUMBERS, "", "é" * 99, [], {}, [[0, 0, 0]]][generator.integers(18)]


def damaged_tensors(kept, generator):
    """Other types and shapes, infinities, or none."""
    name = _one(generator, kept.tensors)
    array, kind = kept.tensors[name], generator.integers(5)
    if kind == 0:
        del kept.tensors[name]
    elif kind == 1:
        kept.tensors[name] = array.reshape(-1)[: generator.integers(array.size + 1)]
    elif kind == 2:
        with np.errstate(all="ignore"):
            kept.tensors[name] = array.astype(
                [np.float64, np.int64, np.int8][generator.integers(3)]
            )
    elif kind == 3 and array.size and array.dtype.kind == "f":
        kept.tensors[name] = array.copy()
        kept.tensors[name].flat[0] = generator.choice([math.nan, math.inf, -math.inf])
    else:
        kept.tensors[name] = np.zeros((3, 0, 7))


MUTATIONS = (
    raised_bound,
    dropped_leaf,
    pruned_tree,
    changed_multipliers,
    moved_bounds,
    flipped_phase,
    changed_network,
    changed_task,
    changed_question,
    swapped_trees,
    damaged_fields,
    damaged_tensors,
)


def mutated(kept: Kept, generator) -> tuple[str, Kept]:
    """One to three mutations of a proof, and their names."""
    found, names = kept.copied(), []
    for _ in range(int(generator.choice([1, 1, 1, 2, 3]))):
        change = MUTATIONS[generator.integers(len(MUTATIONS))]
        try:
            change(found, generator)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError):
            continue  # an earlier one has left nothing to change
        names.append(change.__name__)
    return " ".join(names), found
