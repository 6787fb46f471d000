"""A search by LiPPA, and the plane of the input space that it is drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure

from reluopt.attacks.methods.lippa import CLIMB, IMAGE, PROGRAM, Lippa
from reluopt.figures import search_figure
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.runs.instances import Instance

Path = Sequence[tuple[str, FloatArray]]
"""Points of a search, and what found each of them."""

GRID = 201
"""Points of the picture's side; borders between them are drawn where values cross 0."""

MOST_REGIONS = 8
"""Linear regions of a search that is drawn: what is longer cannot be told apart."""

WORDS = {IMAGE: "image", PROGRAM: "linear program", CLIMB: "gradient steps"}


def longest_search(
    network: ReLUNetwork, units: Iterable[Instance], eps: float
) -> tuple[Instance, Path] | None:
    """The search of most points, three at least, that begins right and ends misread."""
    best: tuple[Instance, Path] | None = None
    for unit in units:
        path = Lippa(regions=MOST_REGIONS).path(network, unit.image, unit.label, eps)
        right = int(network.predict(path[0][1])) == unit.label
        misread = int(network.predict(path[-1][1])) != unit.label
        longer = len(path) > (2 if best is None else len(best[1]))
        if right and misread and longer:
            best = unit, path
    return best


def plane_figure(network: ReLUNetwork, path: Path, label: int, eps: float) -> Figure:
    """A search in the plane through its start, its end, and the point farthest from their line.

    Args:
        network: the network.
        path: at least three points that do not lie on one line.
        label: the true label.
        eps: radius of the Linf ball.
    """
    points = np.array([point for _, point in path])
    changes = points - points[0]
    first = changes[-1] / np.linalg.norm(changes[-1])
    rest = changes - np.outer(changes @ first, first)
    second = rest[np.argmax(np.linalg.norm(rest, axis=1))]
    second = second / np.linalg.norm(second)
    flat = np.column_stack([changes @ first, changes @ second])
    low, high = flat.min(axis=0), flat.max(axis=0)
    room = 0.25 * (high - low).max()
    across, up = (np.linspace(low[k] - room, high[k] + room, GRID) for k in range(2))
    neurons, leads, excess = [], [], []
    for height in up:  # one row at a time: the whole grid would take hundreds of megabytes
        row = points[0] + np.outer(across, first) + height * second
        *hidden, logits = network.pre_activations(row)
        neurons.append(np.hstack(hidden).T)
        leads.append(logits[:, label] - np.delete(logits, label, axis=1).max(axis=1))
        excess.append(np.abs(row - points[0]).max(axis=1) - eps)
    ends = (across[0], across[-1], up[0], up[-1])
    kinds = [WORDS[kind] for kind, _ in path]
    return search_figure(np.stack(neurons, axis=1), leads, excess, ends, flat, kinds)
