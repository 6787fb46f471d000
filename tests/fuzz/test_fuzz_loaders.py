"""Mutants of every file that is read: an error of ours in one line, or a true reading of the file.

A mutant is a valid file with up to four changes: of bytes anywhere, of the lengths that its format
states, of its header's text, of names and numbers in it. Whatever comes out must be an
:class:`~reluopt.errors.InputError` of one printable line, or the object that independent code
(numpy, the json module, plain struct) reads from the same bytes. Time and memory of every mutant
are bounded.
"""

import base64
import functools
import gzip
import io
import json
import struct
import time
import tracemalloc
import warnings
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save

from reluopt.engines.branch_and_bound.proof import BOUND, EMPTY, LEAF, PARTS, Leaf, Proof, TreeProof
from reluopt.engines.branch_and_bound.proof_file import proof_bytes, read_proof
from reluopt.errors import InputError
from reluopt.idx import FREE_BYTES, read_idx
from reluopt.image_files import load_image_file
from reluopt.network import Dense, NetworkMetadata, ReLUNetwork
from reluopt.problems import Norm
from reluopt.tensor_files import open_tensor_file
from reluopt.weights import load_network, save_network

COUNT = 100_000
"""Mutants of each loader."""

SECONDS = 2.0
"""Processor seconds that a mutant may take; valid files take about a thousandth of one."""

MEMORY_EVERY, MEMORY_FLOOR, MEMORY_SHARE = 50, 6_000_000, 6
"""How often memory is traced (it takes time), and how much reading may take: a header's objects and
a reader's buffers, and a few times the file (float16 numbers grow fourfold in float64)."""

HOSTILE = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"\xff\xff\xff\x7f",
    (2**63 - 1).to_bytes(8, "little"),
    b"NaN",
    b"Infinity",
    b"-1",
    b"1e400",
    b"9" * 400,
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"null",
    b"true",
    b'"\\ud800"',
    b"\\u202e",
    b"\n\x1b[2J",
    b"x" * 10_000,
    b"__class__",
    b"O",
    b"(" * 200,
]


# ---- mutations -----------------------------------------------------------------------------------


def change_bytes(data, rng):
    """Flip, overwrite, insert, delete, repeat or cut bytes anywhere."""
    result = bytearray(data)
    place = int(rng.integers(len(result) + 1))
    length = int(min(rng.geometric(0.2), 64))
    match rng.integers(6):
        case 0 if result:
            place = min(place, len(result) - 1)
            result[place] ^= 1 << int(rng.integers(8))
        case 1:
            result[place : place + length] = rng.bytes(length)
        case 2:
            result[place:place] = rng.bytes(length)
        case 3:
            del result[place : place + length]
        case 4:
            result[place:place] = result[place : place + length] * int(rng.integers(1, 20))
        case _:
            del result[place:]
    return bytes(result)


def insert_hostile(data, rng):
    """Put something that breaks parsers anywhere, most often near the beginning."""
    place = int(rng.integers(min(len(data), 600) + 1))
    width = int(rng.integers(9))
    return data[:place] + HOSTILE[rng.integers(len(HOSTILE))] + data[place + width :]


def change_text(text, rng):
    """Replace a word, a number or a sign of a text (JSON, a header) by another one or by junk."""
    words = split_words(text)
    places = [i for i, word in enumerate(words) if word.strip()]
    if not places:
        return text
    place = places[rng.integers(len(places))]
    match rng.integers(4):
        case 0:
            words[place] = words[places[rng.integers(len(places))]]
        case 1:
            words[place] = HOSTILE[rng.integers(len(HOSTILE))]
        case 2 if words[place].isdigit():
            jumps = [-1, 0, 1, 2, 2**31, 2**32, 2**47, 2**48, 2**63, 2**64, 10**30]
            number = int(words[place][:300]) + int(rng.integers(-2, 3))
            words[place] = str(jumps[rng.integers(len(jumps))] or number).encode()
        case _:
            words[place] = words[place] * int(rng.integers(0, 4))
    return b"".join(words)


def split_words(text):
    """Runs of letters, runs of digits, and single signs."""
    words, kind = [], None
    for byte in text:
        character = bytes((byte,))
        now = 1 if character.isdigit() else 2 if character.isalpha() else 0
        if now and now == kind:
            words[-1] += character
        else:
            words.append(character)
        kind = now
    return words


def change_safetensors(data, rng):
    """Change the header's text, or what it says, and state its length truly (or nearly so)."""
    length = int.from_bytes(data[:8], "little")
    header, numbers = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.5:
        header = change_text(header, rng)
    else:
        try:
            fields = json.loads(header)
            change_fields(fields, rng)
            header = json.dumps(fields).encode()
        except (ValueError, RecursionError, TypeError, AttributeError):
            header = change_text(header, rng)
    stated = len(header) + int(rng.integers(-2, 3)) * int(rng.random() < 0.1)
    return max(stated, 0).to_bytes(8, "little") + header + numbers


VALUES = [
    None,
    True,
    -1,
    0,
    1,
    2,
    3,
    2**31,
    2**63,
    10**400,
    0.5,
    1e308,
    float("nan"),
    "",
    "x",
    [],
    {},
]
VALUES += [
    "relu",
    "tanh",
    "F16",
    "F32",
    "I64",
    "BF16",
    "BOOL",
    "l1",
    "l2",
    "linf",
    "proof",
    "\ud800",
]
VALUES += [[0], [0, 0], [1, 2, 3], [2**48, 0], ["a"], {"a": 1}, "x" * 5000, "\n\x1b[2J\u202e"]


def change_fields(fields, rng):
    """Change a value, rename, add or drop a name somewhere in nested JSON."""
    while True:
        names = list(fields) if isinstance(fields, dict) else list(range(len(fields)))
        if not names:
            return
        name = names[rng.integers(len(names))]
        below = fields[name]
        if isinstance(below, str) and below.startswith("{") and rng.random() < 0.8:
            inner = json.loads(below)  # JSON in a text of the metadata
            change_fields(inner, rng)
            fields[name] = json.dumps(inner)
            return
        if not isinstance(below, dict | list) or not below or rng.random() < 0.2:
            break
        fields = below
    value = VALUES[rng.integers(len(VALUES))]
    match rng.integers(4):
        case 0 if isinstance(fields, dict):
            fields[str(value)] = fields.pop(name)
        case 1:
            del fields[name]
        case 2 if isinstance(fields, dict):
            fields[f"{name}{rng.integers(20)}"] = below
        case _:
            fields[name] = value


def change_npy(data, rng):
    """Change the text of the header and state its length truly."""
    length = int.from_bytes(data[8:10], "little")
    header, numbers = data[10 : 10 + length], data[10 + length :]
    header = change_text(header, rng)[:65535]
    return data[:8] + len(header).to_bytes(2, "little") + header + numbers


def change_png(data, rng):
    """Change, drop, repeat or add a chunk, with a true checksum."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return change_bytes(data, rng)
    i = int(rng.integers(len(chunks)))
    name, body = chunks[i]
    match rng.integers(6):
        case 0:
            chunks[i] = (name, change_bytes(body, rng))
        case 1:
            chunks[i] = (name, insert_hostile(body, rng))
        case 2:
            del chunks[i]
        case 3:
            chunks.insert(i, chunks[rng.integers(len(chunks))])
        case 4:
            more = [b"tRNS", b"gAMA", b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"acTL", b"fcTL"]
            more += [b"fdAT", b"PLTE", b"pHYs", b"cHRM", b"sRGB", b"IEND", b"\xff\xff\xff\xff"]
            content = [rng.bytes(int(rng.integers(40))), b"x\0\0" + zlib.compress(bytes(10**6))]
            chunks.insert(i, (more[rng.integers(len(more))], content[rng.integers(2)]))
        case _:
            try:
                unpacked = zlib.decompress(body)
                chunks[i] = (name, zlib.compress(change_bytes(unpacked, rng)))
            except zlib.error:
                chunks[i] = (name, body[::-1])
    return data[:8] + b"".join(
        len(body).to_bytes(4, "big") + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def change_idx(data, rng):
    """Change one of the lengths, the type or the number of axes."""
    place = int(rng.integers(2, 17))
    return (
        data[:place] + bytes((int(rng.choice([0, 1, 2, 3, 8, 28, 127, 255])),)) + data[place + 1 :]
    )


def change_gzip(data, rng):
    """Change what is zipped, or how: several members, other levels, a bomb at the end."""
    try:
        content = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return change_bytes(data, rng)
    match rng.integers(4):
        case 0:
            cut = int(rng.integers(len(content) + 1))
            return gzip.compress(content[:cut]) + gzip.compress(content[cut:])
        case 1:
            return gzip.compress(content + bytes(2_000_000))
        case _:
            return gzip.compress(change_idx(change_bytes(content, rng), rng), 1)


def change_zip(data, rng):
    """Change a member of an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # a mutant is no valid archive
        return change_bytes(data, rng)
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in members.items():
            archive.writestr(name + "x" * int(rng.integers(2)), change_bytes(content, rng))
    return stream.getvalue()


# ---- loaders -------------------------------------------------------------------------------------


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


def check_network(network, data, path):
    """The numbers are those of the tensors, as the safetensors library reads them."""
    tensors = {name: array.astype(np.float64) for name, array in load_file(path).items()}
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
    wanted = load_file(path)
    assert tensors.keys() == wanted.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, wanted[name].astype(np.float64))


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
        parts = tuple(rng.integers(0, 5, size=3).astype(kind) for _, kind in PARTS[norm])
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
        for place, (name, _) in enumerate(PARTS[proof.norm]):
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


# ---- the test ------------------------------------------------------------------------------------


def mutant(loader, rng):
    data = loader.seeds[rng.integers(len(loader.seeds))]
    changes = (change_bytes, insert_hostile, *loader.changes * 3)
    for _ in range(int(rng.integers(1, 5))):
        data = changes[rng.integers(len(changes))](data, rng)
    return data


def read(loader, path, data, traced=False):
    """Read a mutant, or be told why not; anything else is a failure.

    Returns:
        ``refused`` or ``read``, processor seconds, and the most memory if it is traced.
    """
    if traced:
        tracemalloc.start()
    started = time.process_time()
    try:
        result = loader.read(path)
    except InputError as error:
        result, message = None, str(error)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]  # 0 if it is not traced
    tracemalloc.stop()
    assert seconds < SECONDS
    assert peak < loader.floor + MEMORY_SHARE * len(data)
    if result is not None:
        loader.check(result, data, path)
        return "read", seconds, peak
    assert message.startswith(str(path)), message
    assert message.isprintable(), message
    assert len(message) < 1000, message
    return "refused", seconds, peak


@pytest.mark.parametrize("name", LOADERS)
def test_every_mutant_is_refused_in_one_line_or_read_truly(tmp_path, fuzz_seed, fuzz_count, name):
    loader = LOADERS[name](tmp_path)
    path = Path(tmp_path) / loader.name
    for seed in loader.seeds:  # the files themselves, and imports that happen once
        path.write_bytes(seed)
        read(loader, path, seed)
    count, outcomes, slowest, most = fuzz_count(COUNT), Counter(), 0.0, 0.0
    for number in range(count):
        rng = np.random.default_rng([fuzz_seed, number])
        data = mutant(loader, rng)
        path.write_bytes(data)
        try:
            what, seconds, peak = read(loader, path, data, traced=number % MEMORY_EVERY == 0)
        except BaseException as error:
            shown = base64.b64encode(data[:3000]).decode()
            error.add_note(f"mutant {number} of seed {fuzz_seed}, loader {name}, base64: {shown}")
            raise
        outcomes[what] += 1
        slowest, most = max(slowest, seconds), max(most, peak)
    print(
        f"\n{name}: {count} mutants of seed {fuzz_seed}: {dict(outcomes)}, slowest "
        f"{slowest:.3f} s, most memory {most / 1e6:.2f} MB"
    )
