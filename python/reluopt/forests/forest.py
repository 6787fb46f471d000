"""Trees and forests as arrays: what they answer, and which boxes their leaves are.

scikit-learn turns inputs into float32 and goes left where ``x[feature] <= threshold``, a float64;
a forest answers the class with the largest mean share over its trees.
Source: https://scikit-learn.org/stable/modules/tree.html and its ``tree_`` structure.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import EngineUnavailableError, InputError
from reluopt.install import install_command
from reluopt.numerics.arrays import FloatArray

AGREEMENT, PROBES = 1e-9, 200
"""Largest difference of shares from scikit-learn's, and on how many random inputs they are
compared."""


@dataclass(frozen=True)
class Values:
    """Which values an input may take: any float32 in [0, 1], or multiples of 1/levels.

    Attributes:
        levels: 255 for what a picture of 8 bits can hold; None for float32.
    """

    levels: int | None = None

    def above(self, thresholds: FloatArray) -> FloatArray:
        """The smallest value above each threshold; infinity where there is none."""
        if self.levels is None:
            near = thresholds.astype(np.float32)
            after = np.nextafter(near, np.float32(np.inf))
            return np.where(near > thresholds, near, after).astype(np.float64)
        grid = np.append(self._grid(), np.inf)
        return grid[np.searchsorted(grid, thresholds, side="right")]

    def below(self, values: FloatArray) -> FloatArray:
        """The largest value below each of some values; minus infinity where there is none."""
        if self.levels is None:
            near = np.asarray(values, dtype=np.float32)
            return np.nextafter(near, np.float32(-np.inf)).astype(np.float64)
        grid = np.append(-np.inf, self._grid())
        return grid[np.searchsorted(grid, values, side="left") - 1]

    def holds(self, inputs: FloatArray) -> bool:
        """Whether all inputs may take the values that they have, in float32."""
        return self.levels is None or bool(np.isin(inputs, self._grid()).all())

    def _grid(self) -> FloatArray:
        levels = np.arange(int(self.levels or 0) + 1) / (self.levels or 1)
        return levels.astype(np.float32).astype(np.float64)

    def __str__(self) -> str:
        return "float32" if self.levels is None else f"{self.levels} levels"


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves of one tree as boxes: ``low <= x[feature] < high`` for each pair of the two.

    Attributes:
        shares: of each class in each leaf, shape ``(leaves, classes)``.
        leaf, feature: of each condition, shape ``(conditions,)``.
        low, high: its ends, minus infinity and infinity where there is none.
        last: the largest value below ``high``.
    """

    shares: FloatArray
    leaf: NDArray[np.intp]
    feature: NDArray[np.intp]
    low: FloatArray
    high: FloatArray
    last: FloatArray

    def only(self, keep: NDArray[np.bool_]) -> Leaves:
        """Some of them, with their conditions."""
        held, place = keep[self.leaf], np.cumsum(keep) - 1
        conditions = (self.feature[held], self.low[held], self.high[held], self.last[held])
        return Leaves(self.shares[keep], place[self.leaf[held]], *conditions)


@dataclass(frozen=True, eq=False)
class Forest:
    """One or more trees, fitted by scikit-learn.

    Attributes:
        name: what it is called.
        model: the fitted estimator, which answers.
        inputs, classes: numbers of them.
    """

    name: str
    model: Any
    inputs: int
    classes: int

    @classmethod
    def of(cls, model: Any, name: str = "") -> Forest:
        """The forest of a fitted ``DecisionTreeClassifier`` or ``RandomForestClassifier``.

        Its arrays were run beside the estimator on random inputs in [0, 1].

        Raises:
            InputError: another estimator, one that is not fitted, classes that are not
                ``0..classes - 1``, or shares that differ.
            EngineUnavailableError: scikit-learn is not installed.
        """
        tree_class, forest_class = sklearn_classes()
        if not isinstance(model, (tree_class, forest_class)) or not hasattr(model, "classes_"):
            raise InputError(
                "forest: expected a fitted DecisionTreeClassifier or RandomForestClassifier, found "
                f"{type(model).__name__}"
            )
        classes = int(np.size(model.classes_))
        if model.n_outputs_ != 1 or list(model.classes_) != list(range(classes)):
            raise InputError(
                f"forest: expected the classes 0 to {classes - 1}, found {model.classes_}"
            )
        made = cls(name or type(model).__name__, model, int(model.n_features_in_), classes)
        probes = np.random.default_rng(0).random((PROBES, made.inputs)).astype(np.float32)
        worst = float(np.abs(made.shares(probes) - model.predict_proba(probes)).max())
        if not worst <= AGREEMENT:
            raise InputError(f"forest: expected the shares of its source, found {worst:.3g} off")
        return made

    @property
    def trees(self) -> list[Any]:
        """The structures of its trees, as scikit-learn keeps them."""
        return [each.tree_ for each in getattr(self.model, "estimators_", [self.model])]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all trees."""
        digest = hashlib.sha256()
        for tree in self.trees:
            for name in ("feature", "threshold", "children_left", "children_right", "value"):
                digest.update(np.ascontiguousarray(getattr(tree, name)).tobytes())
        return digest.hexdigest()

    def predict(self, inputs: FloatArray) -> NDArray[np.int64]:
        """What scikit-learn answers for a batch, shape ``(n, inputs)``."""
        return np.asarray(self.model.predict(np.asarray(inputs, dtype=np.float32)), dtype=np.int64)

    def shares(self, inputs: NDArray[np.float32]) -> FloatArray:
        """Mean shares of the classes, shape ``(n, classes)``, by the leaves' boxes alone."""
        total = np.zeros((len(inputs), self.classes))
        values = inputs.astype(np.float64)
        for leaves in leaves_of(self, Values()):
            inside = np.ones((len(inputs), len(leaves.shares)), dtype=np.bool_)
            own = values[:, leaves.feature]
            met = (own >= leaves.low) & (own < leaves.high)
            np.logical_and.at(inside.T, leaves.leaf, met.T)
            total += inside @ leaves.shares
        return total / len(self.trees)


@lru_cache(maxsize=8)
def leaves_of(forest: Forest, values: Values) -> tuple[Leaves, ...]:
    """The leaves of every tree, with ends among ``values``; empty ones are left out."""
    return tuple(_leaves(tree, values) for tree in forest.trees)


def sklearn_classes() -> tuple[Any, Any]:
    """The classes of trees and of forests.

    Raises:
        EngineUnavailableError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.tree import DecisionTreeClassifier
    except ImportError as error:
        raise EngineUnavailableError(
            f"forests need scikit-learn, found it not installed: {install_command('train')}"
        ) from error
    return DecisionTreeClassifier, RandomForestClassifier


def _leaves(tree: Any, values: Values) -> Leaves:
    """Walk a tree; ``above`` is the least value that goes right."""
    above = values.above(np.asarray(tree.threshold, dtype=np.float64))
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    shares: list[FloatArray] = []
    conditions: list[tuple[int, int, float, float]] = []
    waiting: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
    while waiting:
        node, box = waiting.pop()
        if left[node] == right[node]:
            counts = np.asarray(tree.value[node, 0], dtype=np.float64)
            ends = ((name, *end) for name, end in box.items())
            conditions += [(len(shares), *each) for each in ends]
            shares.append(counts / counts.sum())
            continue
        name, cut = int(feature[node]), float(above[node])
        low, high = box.get(name, (-math.inf, math.inf))
        if low < cut:
            waiting.append((int(left[node]), {**box, name: (low, min(high, cut))}))
        if cut < high:
            waiting.append((int(right[node]), {**box, name: (max(low, cut), high)}))
    columns = list(zip(*conditions, strict=True)) or [(), (), (), ()]
    leaf, names = (np.array(each, dtype=np.intp) for each in columns[:2])
    lows, highs = (np.array(each, dtype=np.float64) for each in columns[2:])
    return Leaves(np.array(shares), leaf, names, lows, highs, values.below(highs))
