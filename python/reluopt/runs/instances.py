"""Which inputs a job runs on: ``split:ranges`` of MNIST, or PNG, NPY and CSV files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError, shown
from reluopt.images.input_files import READERS, Inputs, load_inputs
from reluopt.images.mnist import load_selection, parse_indices
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import check_label, flat_image
from reluopt.runs.column import text_of

_SELECTION = re.compile(r"^(train|test):")
_FILE = rf".+(?:{'|'.join(map(re.escape, READERS))})"
_ROWS = re.compile(rf"({_FILE})(?::([0-9, -]+))?", re.IGNORECASE | re.DOTALL)
_KEY = re.compile(rf"(train|test|{_FILE}):(0|[1-9][0-9]*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, eq=False)
class Instance:
    """One image with a name of its own.

    Attributes:
        key: ``test:17``, the file's path, or ``rows.csv:17``.
        image: shape ``(n_0,)``, pixels in [0, 1] or in units of the network's box.
        label: the true label; for a file without one, the network's own answer.
    """

    key: str
    image: FloatArray
    label: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the pixels."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()


def data_fingerprint(instances: Iterable[Instance]) -> str:
    """SHA-256 (hex) of keys, labels and pixels, whatever their order."""
    lines = sorted(f"{i.key} {i.label} {i.fingerprint}" for i in instances)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def load_instances(
    network: ReLUNetwork,
    selections: Iterable[str],
    data_dir: Path | None = None,
    label: int | None = None,
) -> list[Instance]:
    """Load images by ``split:ranges`` or by file.

    Args:
        network: gives the input shape, and the label of files when ``label`` is None.
        selections: texts such as ``test:0-9,17``, or paths of files
            (:mod:`~reluopt.images.input_files`), a table's perhaps with rows: ``rows.csv:0-9``.
        data_dir: folder of idx files that takes the place of the bundled MNIST.
        label: true label of what files hold; images of a split bring their own.

    Raises:
        InputError: a selection, file, shape or label does not fit, an image is named twice, or a
            label is given for images that bring their own.
    """
    selections = list(selections)
    known_labels = next((text for text in selections if _SELECTION.match(text)), None)
    if label is not None and known_labels is not None:
        raise InputError(
            f"label: expected for image files only, found {label} for {known_labels}, whose labels "
            "are known"
        )
    instances = [each for text in selections for each in _load(network, text, data_dir, label, {})]
    return _checked(network, instances)


def load_labelled(
    network: ReLUNetwork, text: str, data_dir: Path | None = None
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Inputs and labels of ``split:ranges``, or of a table that tells labels.

    Returns:
        Inputs, a batch that fits the network, and one label for each.

    Raises:
        InputError: as :func:`load_instances`, or a file tells no labels.
    """
    match = None if _SELECTION.match(text) else _ROWS.fullmatch(text)
    if match is None:
        dataset, _ = load_selection(text, data_dir)
        return dataset.images, dataset.labels
    found = _inputs(network, match)
    if found.labels is None:
        raise InputError(f"images: expected a table with a column 'label', found none in '{text}'")
    rows = list(_rows(text, match, found))
    return found.values[rows], found.labels[rows]


def _inputs(network: ReLUNetwork, match: re.Match[str]) -> Inputs:
    """What the file of a text holds."""
    return load_inputs(Path(match[1]), network.input_shape, network.metadata.input_box is None)


def _checked(network: ReLUNetwork, instances: list[Instance]) -> list[Instance]:
    """Instances whose labels and keys are what they should be, each once."""
    for instance in instances:
        check_label(network, instance.label)
        if text_of(instance.key) != instance.key:
            raise InputError(
                f"images: expected a path of Unicode without line breaks, found {instance.key!a}"
            )
    counts = Counter(instance.key for instance in instances)
    twice = next((key for key, count in counts.items() if count > 1), None)
    if twice is not None:
        raise InputError(f"images: expected each image once, found {twice} twice")
    return instances


def _load(
    network: ReLUNetwork,
    text: str,
    data_dir: Path | None,
    label: int | None,
    recorded: Mapping[str, int],
) -> Iterator[Instance]:
    """The images of one selection, or the inputs of a file."""
    if _SELECTION.match(text):
        dataset, indices = load_selection(text, data_dir)
        split = text.partition(":")[0]
        for place, index in enumerate(indices):
            key = f"{split}:{index}"
            yield Instance(key, _fitting(network, key, dataset.image(place)), dataset.label(place))
        return
    match = _ROWS.fullmatch(text)
    if match is None:
        raise InputError(
            f"images: expected train: or test: and indices, or a {', '.join(READERS)} file, found "
            f"'{text}'"
        )
    found = _inputs(network, match)
    if label is not None and found.labels is not None:
        raise InputError(f"label: expected for files without labels only, found {label} for {text}")
    for row in _rows(text, match, found):
        key = f"{match[1]}:{row}" if found.table else text
        image = _fitting(network, key, found.values[row])
        known = label if found.labels is None else int(found.labels[row])
        if known is None:
            known = recorded.get(key)
        yield Instance(key, image, int(network.predict(image)) if known is None else known)


def _fitting(network: ReLUNetwork, key: str, image: FloatArray) -> FloatArray:
    """An image as the network reads it."""
    try:
        return flat_image(network, image)
    except InputError as error:
        raise InputError(f"images: {key} does not fit the network: {error}") from None


def _rows(text: str, match: re.Match[str], found: Inputs) -> Sequence[int]:
    """The rows of a table that a text asks for: all of them, unless it tells some."""
    count = len(found.values)
    if match[2] is None:
        return range(count)
    rows = parse_indices(match[2], text)
    if not found.table or max(rows) >= count:
        held = f"a table with rows 0 to {count - 1}" if found.table else "a single input"
        raise InputError(f"images: expected rows that are there, found {held} in '{text}'")
    return rows


def load_by_key(
    network: ReLUNetwork, labels: Mapping[str, int], data_dir: Path | None = None
) -> dict[str, Instance]:
    """Load the images of a finished run by their keys; those of one split or file in one go.

    Args:
        network: gives the input shape.
        labels: keys of instances, with the label of each that no split or file tells.
        data_dir: folder of idx files that takes the place of the bundled MNIST.

    Raises:
        InputError: see :func:`load_instances`.
    """
    rows: dict[str, list[str]] = {}
    texts = []
    for key in labels:
        match = _KEY.fullmatch(key)
        if match:
            rows.setdefault(match[1], []).append(match[2])
        else:
            texts.append(key)
    texts += [f"{source}:{','.join(indices)}" for source, indices in rows.items()]
    loaded = [each for text in texts for each in _load(network, text, data_dir, None, labels)]
    found = {each.key: each for each in _checked(network, loaded)}
    if strange := labels.keys() - found.keys():
        raise InputError(f"images: expected images that are there, found {shown(min(strange))}")
    return found
