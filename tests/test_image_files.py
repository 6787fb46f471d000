import numpy as np
import pytest
from PIL import Image

from reluopt.errors import InputError
from reluopt.image_files import load_image_file

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
