import contextlib
import io
import os
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from reluopt.errors import InputError
from reluopt.images.image_files import load_image_file

BYTES = np.arange(28 * 28, dtype=np.int64).reshape(28, 28) % 256


def save_png(path, array, mode=None):
    Image.fromarray(array).convert(mode).save(path) if mode else Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_png_files_of_any_mode(tmp_path, mode):
    path = save_png(tmp_path / "x.png", BYTES.astype(np.uint8), mode)
    image = load_image_file(path)
    assert image.dtype == np.float64
    np.testing.assert_array_equal(image, BYTES / 255)


def test_png_files_of_one_and_of_sixteen_bits(tmp_path):
    path = save_png(tmp_path / "x.png", BYTES >= 128)
    np.testing.assert_array_equal(load_image_file(path), BYTES >= 128)
    path = save_png(tmp_path / "y.PNG", (BYTES * 257).astype(np.uint16))
    np.testing.assert_allclose(load_image_file(path), BYTES / 255, rtol=1e-15)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_npy_files(tmp_path, dtype, flat):
    values = BYTES.astype(dtype) if dtype == np.uint8 else (BYTES / 255).astype(dtype)
    np.save(tmp_path / "x.npy", values.ravel() if flat else values)
    image = load_image_file(tmp_path / "x.npy")
    assert image.shape == (28, 28)
    np.testing.assert_allclose(image, BYTES / 255, rtol=1e-7)


def test_npy_files_of_another_input_shape(tmp_path):
    np.save(tmp_path / "x.npy", np.array([0.0, 0.5, 1.0]))
    assert load_image_file(tmp_path / "x.npy", (3,)).tolist() == [0.0, 0.5, 1.0]


def test_colours_come_channel_by_channel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    path = save_png(tmp_path / "x.png", pixels)
    image = load_image_file(path, (3, 4, 5))
    np.testing.assert_array_equal(image, np.moveaxis(pixels, -1, 0) / 255)
    refused(path, "found (4, 5)", shape=(3, 5, 4))
    grey = save_png(tmp_path / "y.png", BYTES.astype(np.uint8))
    for channel in load_image_file(grey, (3, 28, 28)):
        np.testing.assert_array_equal(channel, BYTES / 255)
    assert load_image_file(grey, (1, 28, 28)).shape == (1, 28, 28)
    refused(grey, "shape (2, 28, 28)", shape=(2, 28, 28))


def test_the_image_cannot_be_changed(tmp_path):
    image = load_image_file(save_png(tmp_path / "x.png", BYTES.astype(np.uint8)))
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 1.0


def refused(path, part, **options):
    with pytest.raises(InputError, match="expected") as caught:
        load_image_file(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert part in message
    assert "\n" not in message


def test_png_files_that_do_not_fit_are_refused(tmp_path):
    grey = BYTES.astype(np.uint8)
    path = tmp_path / "x.png"
    refused(save_png(path, grey[:, :20]), "shape (28, 28), found (28, 20)")
    refused(save_png(path, grey), "shape (784,), found (28, 28)", shape=(784,))
    colour = np.stack([grey, grey, 255 - grey], axis=-1)
    refused(save_png(path, colour), "found colours")
    alpha = np.stack([grey, grey, grey, np.full_like(grey, 254)], axis=-1)
    refused(save_png(path, alpha), "found transparent pixels")
    save_png(path, np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:300])
    refused(path, "readable image")
    path.write_bytes(b"GIF89a")
    refused(path, "expected a PNG image")
    refused(tmp_path / "none.png", "no such file")
    refused(tmp_path / "none.jpg", ".png or .npy")
    (tmp_path / "folder.png").mkdir()
    refused(tmp_path / "folder.png", "readable image")


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.zeros((2, 28, 28)), "found (2, 28, 28)"),
        (np.zeros((28, 28), dtype=np.int32), "found int32"),
        (np.full((28, 28), 2.0), "[0, 1], found 2.0 to 2.0"),
        (np.full((28, 28), -1e-9), "[0, 1]"),
        (np.full((28, 28), np.nan), "[0, 1], found nan"),
        (np.full((28, 28), None), "readable image"),
        (np.full((28, 28), np.longdouble("1e4000")), "[0, 1], found inf"),
    ],
)
def test_npy_files_that_do_not_fit_are_refused(tmp_path, array, part):
    path = tmp_path / "x.npy"
    np.save(path, array)
    refused(path, part)


def test_broken_npy_files_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    for content in (b"", b"not numpy", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        refused(path, "readable image")


# ---- bits and transparency -----------------------------------------------------------------------


def png(depth, colour, samples, *chunks):
    """A PNG file from rows of bytes, with chunks (name, data) before the pixels."""
    rows = b"".join(b"\x00" + bytes(row) for row in samples)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    width = 8 * len(samples[0]) // (depth * channels)
    header = struct.pack(">IIBBBBB", width, len(samples), depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def save_bytes(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_reach_from_black_to_white(tmp_path, depth):
    pixels = [k % 2**depth for k in range(8 // depth)]
    packed = int("".join(f"{pixel:0{depth}b}" for pixel in pixels), 2)
    path = save_bytes(tmp_path / "x.png", png(depth, 0, [[packed]]))
    wanted = [np.array(pixels) / (2**depth - 1)]
    np.testing.assert_allclose(load_image_file(path, (1, len(pixels))), wanted, rtol=1e-15)


def test_all_sixteen_bits_count(tmp_path):
    path = save_bytes(tmp_path / "x.png", png(16, 0, [[0x12, 0x34, 0x12, 0x35]]))
    np.testing.assert_allclose(
        load_image_file(path, (1, 2)), [[0x1234 / 65535, 0x1235 / 65535]], rtol=1e-15
    )


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_sixteen_bits_that_would_be_cut_to_eight_are_refused(tmp_path, colour):
    channels = {2: 3, 4: 2, 6: 4}[colour]
    pixel = [0x12, 0x34] * (channels - (colour > 2)) + [0xFF, 0xFF] * (colour > 2)
    path = save_bytes(tmp_path / "x.png", png(16, colour, [pixel]))
    refused(path, "16 bits in a grey PNG", shape=(1, 1))


@pytest.mark.parametrize(
    ("depth", "colour", "samples", "transparent"),
    [
        (8, 0, [7, 8], struct.pack(">H", 7)),
        (16, 0, [0, 7, 0, 8], struct.pack(">H", 7)),
        (2, 0, [0b01100000], struct.pack(">H", 1)),
        (8, 2, [7, 7, 7, 8, 8, 8], struct.pack(">HHH", 7, 7, 7)),
    ],
)
def test_a_transparent_colour_is_refused(tmp_path, depth, colour, samples, transparent):
    width = 2 if depth > 2 else 4
    path = save_bytes(tmp_path / "x.png", png(depth, colour, [samples], (b"tRNS", transparent)))
    refused(path, "found a transparent colour", shape=(1, width))


def test_a_palette_may_be_opaque_but_not_transparent(tmp_path):
    palette = (b"PLTE", bytes([0, 0, 0, 51, 51, 51, 255, 255, 255]))
    opaque = png(8, 3, [[0, 1, 2]], palette, (b"tRNS", b"\xff\xff"))
    path = save_bytes(tmp_path / "x.png", opaque)
    np.testing.assert_allclose(load_image_file(path, (1, 3)), [[0.0, 0.2, 1.0]])
    save_bytes(path, png(8, 3, [[0, 1, 2]], palette, (b"tRNS", b"\xff\x80")))
    refused(path, "transparent pixels", shape=(1, 3))


def test_a_header_that_comes_late_or_twice_does_not_hide_bits(tmp_path):
    plain, deep = png(8, 0, [[1, 2]]), png(16, 4, [[0, 1, 255, 255, 0, 2, 255, 255]])
    late = deep[:8] + plain[33:] + deep[8:]
    refused(save_bytes(tmp_path / "x.png", late), "header does not come first", shape=(1, 2))
    twice = plain[:33] + deep[8:]
    refused(save_bytes(tmp_path / "x.png", twice), "16 bits in a grey PNG", shape=(1, 2))


# ---- hostile files -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.png", "x.npy"])
def test_a_named_pipe_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused(tmp_path / name, "a named pipe")


def test_files_far_larger_than_their_pixels_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    with path.open("wb") as stream:
        stream.truncate(10**12)  # sparse: it takes no room
    refused(path, "of at most")


def test_a_decompression_bomb_is_not_unpacked(tmp_path):
    content = png(8, 0, [bytes(28)] * 28, (b"iCCP", b"x\0\0" + zlib.compress(bytes(200_000_000))))
    path = save_bytes(tmp_path / "x.png", content)
    tracemalloc.start()
    started = time.process_time()
    with contextlib.suppress(InputError):
        load_image_file(path)
    assert time.process_time() - started < 5.0
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    huge = png(8, 0, [bytes(28)])[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1)
    refused(save_bytes(path, huge + png(8, 0, [bytes(28)])[24:]), "expected")


def npy_bytes(header):
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (28, 28)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10**9,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999, 28)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True, -28)}",
        "{'descr': '<f8', 'fortran_order': 3, 'shape': (28, 28)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (28, 28)}",
        "{'descr': ('<f8', (28, 28)), 'fortran_order': False, 'shape': (28, 28)}",
        "{'descr': [('\\ud800', '<f8')], 'fortran_order': False, 'shape': (28, 28)}",
        "{'descr': [], 'fortran_order': False, 'shape': (28, 28)}",
        "{'descr': {}, 'fortran_order': False, 'shape': (28, 28)}",
        "{'descr': '<V99999999999', 'fortran_order': False, 'shape': (28, 28)}",
        "{" * 5000,
        "(" * 9000 + ")" * 900,
        "-" * 9000 + "1",
        "{1: 2, 'a': 3}",
        "[].__class__",
        "\0",
    ],
    ids=range(17),
)
def test_npy_headers_that_lie_are_refused(tmp_path, header):
    refused(save_bytes(tmp_path / "x.npy", npy_bytes(header) + bytes(80)), "found")


def test_numpy_archives_and_pickles_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    with io.BytesIO() as stream:
        np.savez(stream, a=np.zeros((28, 28)))
        path.write_bytes(stream.getvalue())
    refused(path, "found: a numpy archive (.npz)")
    path.write_bytes(b"\x80\x04cos\nsystem\n.")
    refused(path, "found: a Python pickle")


def test_npy_files_in_column_order_and_foreign_byte_order(tmp_path):
    values = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3) / 6)
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_allclose(load_image_file(tmp_path / "x.npy", (2, 3)), values)
