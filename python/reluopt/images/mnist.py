"""Images and labels of MNIST, and of anything else in the same files.

Pixels are stored as unsigned bytes and handed out as ``float64`` in [0, 1] (``byte / 255``), in
row-major order: pixel ``(row, column)`` is entry ``28 * row + column`` of a flattened image.

The package bundles all 10,000 test images and the first 10,000 training images of MNIST (LeCun,
Cortes & Burges). The full training set of 60,000 comes from a public mirror on request, and any
folder of idx files (Fashion-MNIST, say) can take its place.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.images.idx import read_idx
from reluopt.numerics.arrays import FloatArray, frozen_array

#: File name prefixes of each split; ``t10k`` is MNIST's own name for its test images.
SPLITS = {"train": ("train",), "test": ("t10k", "test")}

#: Images in the full published splits.
FULL_COUNT = {"train": 60_000, "test": 10_000}

#: Where the original gzip files are mirrored; tried in this order.
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)

#: SHA-256 of the *unzipped* files of the full training set. Mirrors may zip them as they like.
TRAINING_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
}

#: More images than this in one selection is a typing error, not a wish.
MAX_SELECTED = 1_000_000

_BUNDLED = Path(__file__).parent.parent / "data" / "mnist"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels.

    Attributes:
        pixels: shape ``(n, height, width)``, unsigned bytes, 0 black to 255 white.
        labels: shape ``(n,)``, the class of each image.
        split: ``train`` or ``test``.
        source: where they come from, in words.

    Example:
        >>> import reluopt as ro
        >>> digits = ro.load_images("test").subset([0, 1, 2])
        >>> digits.images.shape, digits.labels.tolist()
        ((3, 28, 28), [7, 2, 1])
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    split: str
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> FloatArray:
        """All images as ``float64`` in [0, 1], shape ``(n, height, width)``; converted anew."""
        return self.pixels.astype(np.float64) / 255.0

    def image(self, index: int) -> FloatArray:
        """One image as ``float64`` in [0, 1], shape ``(height, width)``."""
        self.require(index + 1)
        return frozen_array(self.pixels[index] / 255.0)

    def label(self, index: int) -> int:
        """Class of one image."""
        self.require(index + 1)
        return int(self.labels[index])

    def subset(self, indices: Sequence[int]) -> Dataset:
        """The images with these indices, in this order.

        Raises:
            InputError: an index is negative or not below the number of images.
        """
        if len(indices) == 0 or min(indices) < 0:
            raise InputError(f"images: expected indices from 0 on, found {list(indices)[:5]}")
        self.require(max(indices) + 1)
        rows = np.asarray(indices, dtype=np.intp)
        return Dataset(self.pixels[rows], self.labels[rows], self.split, self.source)

    def require(self, count: int) -> None:
        """Raise an :class:`~reluopt.errors.InputError` unless there are ``count`` images."""
        if 1 <= count <= len(self):
            return
        hint = ""
        if count > len(self) and self.split == "train" and count <= FULL_COUNT["train"]:
            hint = (
                "; for all 60000 name a folder of idx files (--data-dir) or call "
                "reluopt.images.mnist.download_training_set()"
            )
        raise InputError(
            f"images: expected an index from 0 to {len(self) - 1} in {self.split} "
            f"({self.source}: {len(self)} images), found {count - 1}{hint}"
        )


def load_images(
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    count: int = 1,
    download: bool = False,
) -> Dataset:
    """Load one split.

    Args:
        split: ``train`` or ``test``.
        data_dir: a folder of idx files (``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``
            and so on, plain or with ``.gz``); bundled MNIST if not given.
        count: how many images are needed. When MNIST's bundled part is smaller, the full training
            set is taken from the cache of :func:`download_training_set`.
        download: whether the full training set may be downloaded if it is not in the cache.

    Returns:
        All images of the source, at least ``count``.

    Raises:
        InputError: unknown split, a file is missing, truncated, corrupt or does not match the
            other one, there are too few images, or the download failed.

    Example:
        >>> import reluopt as ro
        >>> test = ro.load_images("test")
        >>> len(test), test.image(0).shape, test.label(0)
        (10000, (28, 28), 7)
    """
    if split not in SPLITS:
        raise InputError(f"images: expected split {' or '.join(SPLITS)}, found '{split}'")
    if data_dir is not None:
        dataset = _load_folder(Path(data_dir), split, f"idx files in {Path(data_dir)}")
    elif split == "test":
        dataset = _load_folder(_BUNDLED, split, "bundled MNIST")
    else:
        dataset = _load_training(count, download)
    dataset.require(count)
    return dataset


def load_selection(
    text: str, data_dir: str | os.PathLike[str] | None = None
) -> tuple[Dataset, tuple[int, ...]]:
    """Load the images that a text such as ``test:0-99,105`` names.

    Returns:
        These images only, and the index of each in its split.

    Raises:
        InputError: see :func:`parse_selection` and :func:`load_images`.
    """
    split, indices = parse_selection(text)
    dataset = load_images(split, data_dir, count=max(indices) + 1)
    return dataset.subset(indices), indices


def parse_selection(text: str) -> tuple[str, tuple[int, ...]]:
    """Read an image selection ``split:ranges``, such as ``test:0-99,105``.

    Returns:
        The split, and the indices in the order given; ranges include both ends.

    Raises:
        InputError: the text is no such selection, or names an image twice.
    """
    split, colon, ranges = text.partition(":")
    if split not in SPLITS or not colon:
        raise InputError(
            f"images: expected train: or test: and indices, such as test:0-99,105, found '{text}'"
        )
    return split, parse_indices(ranges, text)


def parse_indices(ranges: str, text: str) -> tuple[int, ...]:
    """Read ``0-99,105``, part of ``text``; ranges include both ends.

    Raises:
        InputError: it is no such list, or names an index twice.
    """
    indices: list[int] = []
    for part in ranges.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?", part)
        if match is None:
            raise InputError(
                f"images: expected an index or a range such as 0-99, found '{part}' in '{text}'"
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise InputError(f"images: expected a rising range, found '{part}' in '{text}'")
        if len(indices) + last - first >= MAX_SELECTED:
            raise InputError(
                f"images: expected at most {MAX_SELECTED} images, found more in '{text}'"
            )
        indices.extend(range(first, last + 1))
    counts = Counter(indices)
    if len(counts) != len(indices):
        twice = counts.most_common(1)[0][0]
        raise InputError(f"images: expected each image once, found {twice} twice in '{text}'")
    return tuple(indices)


def cache_folder() -> Path:
    """Where the full training set is kept; the variable ``RELUOPT_CACHE`` names another place."""
    import pooch

    return Path(os.environ.get("RELUOPT_CACHE") or pooch.os_cache("reluopt")) / "mnist"


def download_training_set(folder: str | os.PathLike[str] | None = None) -> Path:
    """Fetch the full MNIST training set of 60,000 images (10 MB), unless it is there already.

    Args:
        folder: where to keep it; :func:`cache_folder` if not given.

    Returns:
        The folder, which then holds both idx files.

    Raises:
        InputError: no mirror gave files with the known contents.
    """
    place = cache_folder() if folder is None else Path(folder)
    for name, digest in TRAINING_SHA256.items():
        _fetch(place, name, digest)
    return place


def _fetch(folder: Path, name: str, digest: str) -> None:
    """Get one file from the first mirror that gives the right contents."""
    import pooch

    failures = []
    path = folder / name
    if path.exists() and _content_sha256(path) != digest:
        path.unlink()  # torn by an earlier download; pooch would hand it out again
    for mirror in MIRRORS:
        try:
            pooch.retrieve(mirror + name, known_hash=None, fname=name, path=folder)
            found = _content_sha256(path)
        except (OSError, ValueError) as error:
            failures.append(f"{mirror}: {str(error).splitlines()[0][:120]}")
            continue
        if found == digest:
            return
        path.unlink()
        failures.append(f"{mirror}: SHA-256 of the unzipped file is {found}")
    raise InputError(
        f"{name}: expected contents with SHA-256 {digest} from a mirror of MNIST, found "
        + "; ".join(failures)
    )


def _content_sha256(path: Path) -> str:
    """SHA-256 of what a gzip file holds, or the reason why it holds nothing."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"unknown ({error})"
    return digest.hexdigest()


def _load_training(count: int, download: bool) -> Dataset:
    """MNIST's training images: the bundled part if it suffices, else the full set if there."""
    bundled = _load_folder(_BUNDLED, "train", "bundled part of MNIST")
    if not len(bundled) < count <= FULL_COUNT["train"]:
        return bundled
    folder = cache_folder()
    if download:
        download_training_set(folder)
    elif not all((folder / name).is_file() for name in TRAINING_SHA256):
        return bundled
    return _load_folder(folder, "train", "full MNIST")


def _load_folder(folder: Path, split: str, source: str) -> Dataset:
    """Images and labels of one split from a folder of idx files."""
    image_file = _find_file(folder, split, "images", 3)
    label_file = _find_file(folder, split, "labels", 1)
    pixels, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if pixels.size == 0:
        raise InputError(f"{image_file}: expected images, found shape {pixels.shape}")
    if len(pixels) != len(labels):
        raise InputError(
            f"{label_file}: expected {len(pixels)} labels, one for each image of "
            f"{image_file.name}, found {len(labels)}"
        )
    return Dataset(pixels, labels.astype(np.int64), split, source)


def _find_file(folder: Path, split: str, kind: str, axes: int) -> Path:
    """The file of one kind in a folder, under any of its customary names."""
    names = [
        f"{prefix}-{kind}{separator}idx{axes}-ubyte{ending}"
        for prefix in SPLITS[split]
        for separator in "-."
        for ending in ("", ".gz")
    ]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    what = "none of the kind" if folder.is_dir() else "no such folder"
    raise InputError(f"{folder}: expected a file {names[0]} or {names[1]}, found {what}")
