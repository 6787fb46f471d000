"""The answers of a run: images by key, up to 100 in a safetensors file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from safetensors.numpy import save

from reluopt.files import write_atomically
from reluopt.networks.tensor_files import open_tensor_file
from reluopt.numerics.arrays import FloatArray, frozen_array

IMAGES_PER_FILE = 100
"""Answers in one safetensors file: rewriting a file of 100 MNIST images takes about 1 ms."""


class Answers:
    """All stored answers of a folder.

    Args:
        folder: the run's folder; it need not hold any.

    Raises:
        InputError: a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: dict[int, dict[str, FloatArray]] = {}
        for path in sorted((folder / "images").glob("part-*.safetensors")):
            number = path.stem.removeprefix("part-")
            if number.isascii() and number.isdecimal() and path == part_path(folder, int(number)):
                loaded = open_tensor_file(path).read()
                part = {key: frozen_array(value) for key, value in loaded.items()}
                self._parts[int(number)] = part

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def keys(self) -> set[str]:
        """Keys of all answers."""
        return {key for part in self._parts.values() for key in part}

    def find(self, key: str) -> FloatArray | None:
        """The answer of an instance, or None."""
        return next((part[key] for part in self._parts.values() if key in part), None)

    def add(self, key: str, image: FloatArray, durable: bool) -> None:
        """Write the part that holds ``key`` (after a crash between image and row), or the last."""
        last = max(self._parts, default=0)
        number = next((n for n, part in self._parts.items() if key in part), last)
        part = self._parts.setdefault(number, {})
        if len(part) >= IMAGES_PER_FILE and key not in part:
            number += 1
            part = self._parts[number] = {}
        part[key] = frozen_array(image)
        self._write(number, durable or len(part) >= IMAGES_PER_FILE)

    def drop(self, keys: Collection[str]) -> None:
        """Remove the answers of these instances, where there are any."""
        for number, part in self._parts.items():
            stale = [key for key in part if key in keys]
            for key in stale:
                del part[key]
            if stale:
                self._write(number, durable=False)

    def _write(self, number: int, durable: bool) -> None:
        part = self._parts[number]
        data = save({name: part[name].copy() for name in sorted(part)})
        write_atomically(part_path(self._folder, number), data, durable=durable)


def part_path(folder: Path, number: int) -> Path:
    """Where a part of the answers lies."""
    return folder / "images" / f"part-{number:04d}.safetensors"
