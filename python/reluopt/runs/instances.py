"""Which images a job runs on: ``split:ranges`` of MNIST, or PNG and NPY files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reluopt.errors import InputError
from reluopt.images.image_files import load_image_file
from reluopt.images.mnist import load_selection
from reluopt.networks.network import ReLUNetwork
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import check_label, flat_image
from reluopt.runs.column import text_of

_SELECTION = re.compile(r"^(train|test):")
_KEY = re.compile(r"(train|test):(0|[1-9][0-9]*)")


@dataclass(frozen=True, eq=False)
class Instance:
    """One image with a name of its own.

    Attributes:
        key: ``test:17`` or the file's path.
        image: shape ``(n_0,)``, in [0, 1].
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
        selections: texts such as ``test:0-9,17``, or paths that end in .png or .npy.
        data_dir: folder of idx files that takes the place of the bundled MNIST.
        label: true label of image files; images of a split bring their own.

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
    instances = [each for text in selections for each in _load(network, text, data_dir, label)]
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
    network: ReLUNetwork, text: str, data_dir: Path | None, label: int | None
) -> Iterator[Instance]:
    """The images of one selection, or the image of a file."""
    if _SELECTION.match(text):
        dataset, indices = load_selection(text, data_dir)
        split = text.partition(":")[0]
        for place, index in enumerate(indices):
            image = flat_image(network, dataset.image(place))
            yield Instance(f"{split}:{index}", image, dataset.label(place))
    elif text.lower().endswith((".png", ".npy")):
        image = flat_image(network, load_image_file(text, network.input_shape))
        yield Instance(text, image, int(network.predict(image)) if label is None else label)
    else:
        raise InputError(
            f"images: expected train: or test: and indices, or a .png or .npy file, found '{text}'"
        )


def load_by_key(
    network: ReLUNetwork, labels: Mapping[str, int], data_dir: Path | None = None
) -> dict[str, Instance]:
    """Load the images of a finished run by their keys; those of one split are read in one go.

    Args:
        network: gives the input shape.
        labels: keys of instances, with the label of each that is an image file.
        data_dir: folder of idx files that takes the place of the bundled MNIST.

    Raises:
        InputError: see :func:`load_instances`.
    """
    splits: dict[str, list[str]] = {}
    loaded: dict[str, Instance] = {}
    for key, label in labels.items():
        match = _KEY.fullmatch(key)
        if match:
            splits.setdefault(match[1], []).append(match[2])
        else:
            loaded[key] = load_instances(network, [key], data_dir, label)[0]
    selections = [f"{split}:{','.join(indices)}" for split, indices in splits.items()]
    return loaded | {each.key: each for each in load_instances(network, selections, data_dir)}
