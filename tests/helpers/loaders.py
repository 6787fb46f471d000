"""Loaders for the fuzzer: valid files of each kind, and independent readings of the same bytes.

Each check compares what a loader has read with what numpy, pillow, the json module or plain struct
find in the file.
"""

import functools
import gzip
import io
import json
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image
from safetensors import deserialize
from safetensors.numpy import load_file, save

from helpers.mutations import (
    change_gzip,
    change_idx,
    change_npy,
    change_png,
    change_safetensors,
    change_zip,
)
from reluopt.engines.branch_and_bound.leaf import BOUND, EMPTY, LEAF, Leaf
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.engines.branch_and_bound.proof import Proof, TreeProof
from reluopt.engines.branch_and_bound.proof_file import proof_bytes, read_proof
from reluopt.images.idx import FREE_BYTES, read_idx
from reluopt.images.image_files import load_image_file
from reluopt.networks.layers.base import Dense
from reluopt.networks.loading import load_network
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.networks.tensor_files import open_tensor_file
from reluopt.questions.problems import Norm

MEMORY_FLOOR = 6_000_000
"""Bytes that reading any file may take: a header's objects, a reader's buffers."""


@dataclass(frozen=True)
class Loader:
    """How one kind of file is read and mutated.

    Attributes:
        name: the file's name.
        seeds: valid files (or those of another format that people hand over).
        read: reads a path, or raises.
        check: compares what was read with what independent code finds in the bytes.
        changes: mutations of its own format.
        floor: memory that any file may take.
    """

    name: str
    seeds: list[bytes]
    read: object
    check: object
    changes: tuple = ()
    floor: int = MEMORY_FLOOR


def small_network():
    rng = np.random.default_rng(0)
    layers = (
        Dense(rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=4).astype(np.float32)),
        Dense(rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=3).astype(np.float32)),
    )
    return ReLUNetwork(layers, NetworkMetadata("small", (2, 3), ("a", "b", "c"), {"seed": 1}, 0.5))


def weight_seeds(folder):
    network = small_network()
    save_network(network, folder / "own")
    foreign = {}
    for i, layer in enumerate(network.layers):
        foreign[f"fc{i}.weight"] = layer.weight.astype(np.float16)
        foreign[f"fc{i}.bias"] = layer.bias.astype(np.float16)
    keras = {
        f"dense{f'_{i}' if i else ''}/{name}:0": np.ascontiguousarray(array.T)
        for i, layer in enumerate(network.layers)
        for name, array in (("kernel", layer.weight), ("bias", layer.bias))
    }
    return [
        (folder / "own").read_bytes(),
        save(foreign, {"activation": "relu", "format": "pt"}),
        save(keras),
    ]


def library_reading(data):
    """The tensors as the safetensors library finds them, in float64."""
    found = {}
    for name, entry in deserialize(data):
        numbers = bytes(entry["data"])
        if entry["dtype"] == "BF16":  # the upper halves of float32 numbers
            halves = (numbers[i : i + 2] for i in range(0, len(numbers), 2))
            numbers = b"".join(b"\0\0" + half for half in halves)
        size = {"F64": 8, "F32": 4, "F16": 2, "BF16": 4}[entry["dtype"]]
        array = np.frombuffer(numbers, f"<f{size}").reshape(entry["shape"])
        with np.errstate(invalid="ignore"):
            found[name] = array.astype(np.float64)
    return found


def check_network(network, data, path):
    """The numbers are those of the tensors, as the safetensors library reads them."""
    tensors = library_reading(data)
    found = [array for layer in network.layers for array in (layer.weight, layer.bias)]
    assert len(found) == len(tensors)
    for array in found:
        assert any(np.array_equal(array, t) or np.array_equal(array, t.T) for t in tensors.values())
    assert all(np.isfinite(array).all() for array in found)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    texts = header.get("__metadata__", {})
    if "reluopt" in texts:
        fields = json.loads(texts["reluopt"])
        assert fields["activation"].lower() == "relu"
        assert fields["architecture"]["sizes"] == list(network.sizes)
        assert network.metadata.name == fields.get("name", path.stem)
    elif len(network.layers) > 1:
        stated = "activation" in texts
        assert str(network.metadata.activation) == ("stated" if stated else "assumed")
    assert np.prod(network.input_shape) == network.input_size


def read_weights(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_network(path)


def check_tensors(tensors, data, path):
    """Arrays of a file of answers are those that the safetensors library reads."""
    wanted = library_reading(data)
    assert tensors.keys() == wanted.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, wanted[name])


def npy_seeds():
    arrays = [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.linspace(0, 1, 6).reshape(2, 3),
        np.asfortranarray(np.linspace(0, 1, 6, dtype=">f4").reshape(2, 3)),
        np.linspace(0, 1, 6, dtype=np.longdouble),
        np.array([[None] * 3] * 2),
    ]
    seeds = []
    for array in arrays:
        stream = io.BytesIO()
        np.save(stream, array)
        seeds.append(stream.getvalue())
    return seeds


def check_npy(image, data, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = np.load(path, allow_pickle=False)
    scale = 255.0 if array.dtype == np.uint8 else 1.0
    np.testing.assert_array_equal(image, array.astype(np.float64).reshape(2, 3) / scale)
    check_image(image)


def check_image(image):
    assert image.shape == (2, 3)
    assert image.dtype == np.float64
    assert image.min() >= 0.0
    assert image.max() <= 1.0


def png_seeds():
    grey = np.array([[0, 51, 255], [7, 8, 9]], np.uint8)
    pictures = [
        Image.fromarray(grey).convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    ]
    pictures.append(Image.fromarray(grey.astype(np.uint16) * 257))
    seeds = []
    for picture in pictures:
        stream = io.BytesIO()
        picture.save(stream, "png")
        seeds.append(stream.getvalue())
    return seeds


def header_of_png(data):
    """Bits of a channel and kind of colour, from the last header before the pixels."""
    place, found = 8, None
    while place + 8 <= len(data) and data[place + 4 : place + 8] != b"IDAT":
        if data[place + 4 : place + 8] == b"IHDR":
            found = data[place + 16], data[place + 17]
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return found


def check_png(image, data, path):
    """Grey, opaque, of the depth that the header states."""
    check_image(image)
    depth, colour = header_of_png(data)
    assert depth <= 8 or colour == 0
    levels = image * (2 ** (depth if colour == 0 else 8) - 1)
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as picture:
            white = {"I;16": 65535, "1": 255}.get(picture.mode, 255)
            plain = picture if picture.mode == "I;16" else picture.convert("L")
            np.testing.assert_allclose(image * white, np.asarray(plain), atol=0.51)


def idx_seeds():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    return [struct.pack(">BBBB3I", 0, 0, 8, 3, *images.shape) + images.tobytes()]


def check_idx(array, data, path):
    content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    shape = struct.unpack(">3I", content[4:16])
    assert content[:4] == b"\0\0\x08\x03"
    assert array.shape == shape
    assert array.tobytes() == content[16:]


def proof_seeds():
    rng = np.random.default_rng(0)
    seeds = []
    for norm in (Norm.L1, Norm.L2):
        parts = tuple(
            rng.integers(0, 5, size=3).astype(kind) for _, kind in norm_search(norm).parts
        )
        leaves = (Leaf(EMPTY), Leaf(BOUND, parts), Leaf(BOUND, parts))
        tree = TreeProof(np.array([0, LEAF, 2, LEAF, LEAF]), np.array([0, 1, 0, 0, 0]), leaves)
        seeds.append(proof_bytes(Proof(norm, "a" * 64, "b" * 64, 1.5, (tree, tree))))
    return seeds


def check_proof(proof, data, path):
    tensors = load_file(path)
    about = json.loads(dict(open_tensor_file(path).metadata)["reluopt"])
    assert about["kind"] == "proof"
    assert str(proof.norm) == about["norm"]
    assert proof.radius == about["radius"]
    assert len(proof.trees) == about["trees"]
    for t, tree in enumerate(proof.trees):
        np.testing.assert_array_equal(tree.splits, tensors[f"tree.{t}.splits"])
        assert len(tree.leaves) == np.count_nonzero(tree.splits == LEAF)
        for place, (name, _) in enumerate(norm_search(proof.norm).parts):
            ends = tensors[f"tree.{t}.{name}.ends"]
            for leaf, start, end in zip(tree.leaves, [0, *ends[:-1]], ends, strict=True):
                if leaf.parts:
                    wanted = tensors[f"tree.{t}.{name}"][start:end]
                    np.testing.assert_array_equal(leaf.parts[place], wanted)


def answer_seeds():
    return [save({"test:0": np.linspace(0, 1, 6).reshape(2, 3), "ä/b.png": np.zeros((2, 3))})]


def archive_seeds():
    stream = io.BytesIO()
    np.savez(stream, a=np.ones((2, 3)))
    return [stream.getvalue()]


def never(result, data, path):
    raise AssertionError("no such file can be read")


LOADERS = {
    "weights": lambda folder: Loader(
        "net.safetensors", weight_seeds(folder), read_weights, check_network, (change_safetensors,)
    ),
    "answers": lambda _: Loader(
        "part.safetensors",
        answer_seeds(),
        lambda path: open_tensor_file(path).read(),
        check_tensors,
        (change_safetensors,),
    ),
    "proofs": lambda _: Loader(
        "proof.safetensors", proof_seeds(), read_proof, check_proof, (change_safetensors,)
    ),
    "npy": lambda _: Loader(
        "x.npy",
        npy_seeds(),
        functools.partial(load_image_file, shape=(2, 3)),
        check_npy,
        (change_npy,),
    ),
    "png": lambda _: Loader(
        "x.png",
        png_seeds(),
        functools.partial(load_image_file, shape=(2, 3)),
        check_png,
        (change_png,),
    ),
    "idx": lambda _: Loader(
        "images", idx_seeds(), lambda path: read_idx(path, 3), check_idx, (change_idx,)
    ),
    "idx-gz": lambda _: Loader(
        "images.gz",
        [gzip.compress(seed) for seed in idx_seeds()],
        lambda path: read_idx(path, 3),
        check_idx,
        (change_gzip, change_gzip),
        floor=MEMORY_FLOOR + FREE_BYTES + FREE_BYTES // 8,  # a growing buffer has spare room
    ),
    "npz-as-weights": lambda _: Loader(
        "net.npz", archive_seeds(), read_weights, never, (change_zip,)
    ),
    "npz-as-image": lambda _: Loader(
        "x.npy",
        archive_seeds(),
        functools.partial(load_image_file, shape=(2, 3)),
        never,
        (change_zip,),
    ),
}
