"""Files of networks of other tools for the fuzzer: small valid ones, and changes that know them."""

import functools
import gzip
import io
import json
import warnings
import zipfile
import zlib

import numpy as np
from scipy.io import savemat

from helpers.loaders import Loader
from helpers.mutations import (
    change_bytes,
    change_fields,
    change_gzip,
    change_safetensors,
    change_text,
    insert_hostile,
)
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU, Permute, Scale
from reluopt.networks.layers.pooling import AveragePool2d, MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.loading import load_network
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.networks.writers.onnx import encode

FLOOR = 400_000_000
"""Bytes that reading any file may take: what it claims is bounded by numbers of values, windows and
scales, which are held several times while they are made."""

ARCHITECTURE = "conv(3, 2, 2, 2) psame / maxpool2 / flatten-hwc / fc12-4 / fc4-3"

INTEGERS = [0, 1, 2, 3, 127, 255, 2**15, 2**16, 2**20, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
INTEGERS += [2**40, 2**48, 2**62, 2**63 - 1, 2**64 - 1]


def image_network():
    """Every kind of layer on images of 2 x 4 x 4."""
    rng = np.random.default_rng(0)

    def single(*shape):
        return rng.normal(size=shape).astype(np.float32)

    conv = Conv2d(single(3, 1, 2, 2)[[0, 1]], single(2), Windows((2, 4, 4), (2, 2)), 2)
    chain = (Scale(single(32), single(32)), conv)
    pools = (
        MaxPool2d(Windows((2, 3, 3), (2, 2), padding=(1, 0, 0, 1))),
        LeakyReLU(18, 0.25),
        AveragePool2d(Windows((2, 3, 3), (2, 2))),
        Permute.of_axes((2, 2, 2), (1, 2, 0)),
        Dense(single(4, 8), single(4)),
    )
    layers = (Chain(chain), Chain(pools), Dense(single(3, 4), single(3)))
    return ReLUNetwork(layers, NetworkMetadata("image", (2, 4, 4)))


def dense_network():
    rng = np.random.default_rng(1)
    sizes = ((5, 6), (3, 5))
    arrays = [(rng.normal(size=s).astype(np.float32), rng.normal(size=s[0])) for s in sizes]
    return ReLUNetwork(tuple(Dense(w, b.astype(np.float32)) for w, b in arrays))


def state_dict():
    """Tensors of :data:`ARCHITECTURE`."""
    rng = np.random.default_rng(2)
    shapes = {"0": (3, 2, 2, 2), "3": (4, 12), "5": (3, 4)}
    found = {f"{name}.weight": rng.normal(size=shape) for name, shape in shapes.items()}
    found |= {f"{name}.bias": rng.normal(size=shape[0]) for name, shape in shapes.items()}
    return {name: array.astype(np.float32) for name, array in found.items()}


def torch_seeds(folder):
    import torch

    torch.manual_seed(0)
    whole = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    states = [
        {name: torch.from_numpy(array) for name, array in state_dict().items()},
        whole.state_dict(),
        {"epoch": 1, "state_dict": whole.half().state_dict()},
        whole,
    ]
    seeds = []
    for state in states:
        stream = io.BytesIO()
        torch.save(state, stream)
        seeds.append(stream.getvalue())
    return seeds


def keras_seeds(folder):
    from reluopt.networks.readers.keras_model import load_keras

    keras = load_keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = [
        *(layers.Input((4, 4, 2)), layers.Rescaling(2.0), layers.Normalization()),
        *(layers.Conv2D(3, 2, padding="same", activation="relu"), layers.BatchNormalization()),
        *(layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5)),
        *(layers.Dense(4, activation="leaky_relu"), layers.Dense(3, activation="softmax")),
    ]
    given = layers.Input((4,))
    models = [
        keras.Sequential(image),
        keras.Model(given, layers.Dense(2)(layers.ReLU()(layers.Dense(3)(given)))),
    ]
    seeds = []
    for model in models:
        model.save(folder / "seed.keras")
        seeds.append((folder / "seed.keras").read_bytes())
    return seeds


def matlab_seeds(folder):
    names = {"0": "conv1", "3": "fc1", "5": "logits"}
    arrays = {}
    for name, array in state_dict().items():
        layer, kind = name.split(".")
        turned = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        arrays[f"{names[layer]}/{kind}"] = turned
    dense = {name: array for name, array in arrays.items() if not name.startswith("conv")}
    seeds = []
    for variables, packed in ((arrays, False), (arrays, True), (dense, False)):
        stream = io.BytesIO()
        savemat(stream, variables, do_compression=packed)
        seeds.append(stream.getvalue())
    return seeds


def safetensors_seeds(folder):
    from safetensors.numpy import save

    save_network(image_network(), folder / "own")
    texts = {"architecture": ARCHITECTURE, "activation": "relu", "input": "4x4"}
    return [(folder / "own").read_bytes(), save(state_dict(), texts)]


def quietly(path, **options):
    """Read a network of any format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_network(path, **options)


def by_text(path):
    """With the architecture where the file has tensors of four axes, else without."""
    data = path.read_bytes()
    packed = data.startswith(b"MATLAB") and b"fc1" not in data
    told = b"3.weight" in data or b"conv1" in data or packed
    options = {"architecture": ARCHITECTURE, "input_shape": (2, 4, 4)} if told else {}
    return quietly(path, **options)


def finite(network, data, path):
    """It answers; if its source can be run, the answers were compared when it was read."""
    inputs = np.random.default_rng(3).random((4, network.input_size))
    with np.errstate(all="ignore"):
        outputs = network.forward(inputs)
    assert outputs.shape == (4, network.output_size)
    assert np.prod(network.input_shape) == network.input_size
    compared = network.metadata.recipe.get("imported", {}).get("agreement", "nothing")
    assert compared.startswith("nothing") or np.isfinite(outputs).all()
    for layer in network.layers:
        assert all(np.isfinite(array).all() for array in layer.tensors().values())


def change_integers(data, rng):
    """Claims of sizes, lengths and offsets that are no true ones."""
    result = bytearray(data)
    width = (1, 2, 4, 8)[rng.integers(4)]
    place = int(rng.integers(max(len(data) - width, 1)))
    place -= place % (1, width)[rng.integers(2)]
    number = INTEGERS[rng.integers(len(INTEGERS))] % 2 ** (8 * width)
    result[place : place + width] = number.to_bytes(
        width, "big" if rng.random() < 0.1 else "little"
    )
    return bytes(result)


def change_member(data, rng, inner):
    """Change one member of an archive, and store it with a true checksum."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
    except Exception:  # a mutant is no valid archive
        return change_bytes(data, rng)
    if not members:
        return data
    stream, chosen = io.BytesIO(), int(rng.integers(len(members)))
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.02 else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")
        for i, (info, content) in enumerate(members):
            changed = inner(info.filename, content, rng) if i == chosen else content
            if i == chosen and rng.random() < 0.02:
                continue
            archive.writestr(info.filename, changed)
    return stream.getvalue()


def torch_member(name, content, rng):
    """Numbers, names and opcodes of a pickle, or bytes of a record."""
    if not name.endswith("data.pkl"):
        return (change_bytes, change_integers)[rng.integers(2)](content, rng)
    change = (change_bytes, change_integers, insert_hostile, change_text)[rng.integers(4)]
    return change(content, rng)


def keras_member(name, content, rng):
    """The configuration as JSON, or the HDF5 file."""
    if not name.endswith(".json"):
        return (change_bytes, change_integers, change_integers)[rng.integers(3)](content, rng)
    if rng.random() < 0.3:
        return change_text(content, rng)
    try:
        fields = json.loads(content)
        change_fields(fields, rng)
        return json.dumps(fields).encode()
    except (ValueError, RecursionError, TypeError, AttributeError):
        return change_text(content, rng)


def change_onnx(data, rng):
    """Change, drop, repeat or move a field somewhere in the messages of a model."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception:
        return change_bytes(data, rng)
    message = model
    for _ in range(int(rng.integers(1, 7))):
        below = [
            item
            for field, value in message.ListFields()
            if field.type == field.TYPE_MESSAGE
            for item in (value if field.is_repeated else [value])
        ]
        if not below:
            break
        message = below[rng.integers(len(below))]
    change_message(message, rng)
    try:
        return model.SerializeToString()
    except Exception:
        return data


def change_message(message, rng):
    """Another value of one field."""
    fields = list(message.DESCRIPTOR.fields)
    present = [field for field, _ in message.ListFields()]
    field = (present or fields)[rng.integers(len(present or fields))]
    value = getattr(message, field.name)
    try:
        if field.is_repeated and len(value):
            place = int(rng.integers(len(value)))
            kind = rng.integers(4)
            if kind == 0:
                del value[place]
            elif kind == 1:
                value.append(value[place])
            elif field.type != field.TYPE_MESSAGE:
                value[place] = other_value(value[place], rng)
        elif field.type == field.TYPE_MESSAGE or rng.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, other_value(value, rng))
    except (TypeError, ValueError, AttributeError):
        return


def other_value(value, rng):
    """Another number, text or run of bytes."""
    if isinstance(value, int):
        jumps = [0, 1, 2, 3, -1, -2, value + 1, value - 1, 1000, 2**20, 2**31 - 1, 2**40, 2**62]
        return jumps[rng.integers(len(jumps))]
    if isinstance(value, float):
        return [0.0, -1.0, 1e30, float("nan"), float("inf"), value * 2][rng.integers(6)]
    if isinstance(value, bytes):
        return change_bytes(value, rng)
    names = [
        "Relu",
        "Conv",
        "MatMul",
        "Softmax",
        "Gather",
        "Transpose",
        "Constant",
        "x",
        "",
        "input",
    ]
    return names[rng.integers(len(names))]


def change_packed(data, rng):
    """What a gzip file holds, or how it is packed."""
    if rng.random() < 0.3:
        return change_gzip(data, rng)
    try:
        content = gzip.decompress(data)
    except Exception:
        return change_bytes(data, rng)
    return gzip.compress(change_onnx(content, rng), 1)


def onnx_seeds(_):
    return [encode(image_network()), encode(dense_network())]


def change_packed_mat(data, rng):
    """Change what a packed variable holds, and pack it again with a true length."""
    place, parts, chosen = 128, [], int(rng.integers(6))
    while place + 8 <= len(data):
        kind, size = (int.from_bytes(data[at : at + 4], "little") for at in (place, place + 4))
        content = data[place + 8 : place + 8 + size]
        if kind == 15 and len(parts) == chosen:
            try:
                inner = zlib.decompress(content)
            except zlib.error:
                return change_bytes(data, rng)
            content = zlib.compress(change_integers(change_bytes(inner, rng), rng))
            content = content if rng.random() < 0.98 else zlib.compress(inner + bytes(10**6))
        length = len(content) if kind == 15 else size
        parts.append(data[place : place + 4] + length.to_bytes(4, "little") + content)
        place += 8 + size
    return data[:128] + b"".join(parts)


def _member(inner):
    return functools.partial(change_member, inner=inner)


NETWORK_LOADERS = {
    "layers": lambda folder: Loader(
        "net.safetensors", safetensors_seeds(folder), quietly, finite, (change_safetensors,), FLOOR
    ),
    "onnx": lambda folder: Loader(
        "net.onnx", onnx_seeds(folder), quietly, finite,
        (change_onnx, change_onnx, change_integers), FLOOR,
    ),
    "onnx-gz": lambda folder: Loader(
        "net.onnx.gz", [gzip.compress(seed) for seed in onnx_seeds(folder)], quietly, finite,
        (change_packed,), FLOOR,
    ),
    "torch": lambda folder: Loader(
        "net.pt", torch_seeds(folder), by_text, finite, (_member(torch_member), change_integers),
        FLOOR,
    ),
    "keras": lambda folder: Loader(
        "net.keras", keras_seeds(folder), quietly, finite, (_member(keras_member),), FLOOR,
    ),
    "matlab": lambda folder: Loader(
        "net.mat", matlab_seeds(folder), by_text, finite,
        (change_integers, change_packed_mat), FLOOR,
    ),
}  # fmt: skip
