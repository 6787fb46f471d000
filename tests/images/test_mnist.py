import functools
import gzip
import hashlib
import http.server
import shutil
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluopt.errors import InputError
from reluopt.images import mnist
from reluopt.images.mnist import load_images, load_selection, parse_selection

BUNDLED = Path(mnist.__file__).parents[1] / "data" / "mnist"

# SHA-256 of the unzipped test files as LeCun et al. published them.
TEST_SHA256 = {
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def write_folder(folder, split="train", count=3, size=5, separator="-", zipped=False):
    """A folder of idx files with images of one grey value each: 0, 10, 20, ..."""
    pixels = np.repeat(np.arange(count, dtype=np.uint8) * 10, size * size)
    files = {
        f"{split}-images{separator}idx3-ubyte": struct.pack(">4I", 0x803, count, size, size)
        + pixels.tobytes(),
        f"{split}-labels{separator}idx1-ubyte": struct.pack(">2I", 0x801, count)
        + bytes(range(count)),
    }
    for name, content in files.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder of its own."""
    monkeypatch.setenv("RELUOPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A local mirror that offers the bundled training files, and counts what is asked of it."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name in mnist.TRAINING_SHA256:
        shutil.copy(BUNDLED / name, folder)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            asked.append((self.path, int(code)))

        def log_message(self, format, *args):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    hashes = {
        name: hashlib.sha256(gzip.decompress((BUNDLED / name).read_bytes())).hexdigest()
        for name in mnist.TRAINING_SHA256
    }
    monkeypatch.setattr(mnist, "TRAINING_SHA256", hashes)
    monkeypatch.setattr(mnist, "MIRRORS", (base + "nowhere/", base))
    yield folder, asked
    server.shutdown()
    server.server_close()


# ---- bundled data --------------------------------------------------------------------------------


def test_bundled_test_images_are_the_published_ones():
    for name, digest in TEST_SHA256.items():
        content = gzip.decompress((BUNDLED / name).read_bytes())
        assert hashlib.sha256(content).hexdigest() == digest


def test_bundled_splits():
    test, train = load_images("test"), load_images("train")
    assert test.pixels.shape == train.pixels.shape == (10_000, 28, 28)
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # Published counts of the digits among the 10,000 test images.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(test.labels).tolist() == counts


def test_bundled_files_name_their_authors():
    text = (BUNDLED / "ATTRIBUTION.txt").read_text()
    for part in ("LeCun", "Cortes", "Burges", "Attribution-ShareAlike 3.0"):
        assert part in text


def test_zipped_files_do_not_depend_on_time_or_name():
    for path in BUNDLED.glob("*.gz"):
        header = path.read_bytes()[:10]
        assert header[3] == 0  # no flags: no name
        assert header[4:8] == bytes(4)  # no time


def test_pixels_are_fractions_in_row_major_order():
    data = load_images("test")
    image = data.image(0)
    assert image.dtype == np.float64
    assert (image.min(), image.max()) == (0.0, data.pixels[0].max() / 255)
    assert image[7, 6] == data.pixels[0, 7, 6] / 255 == image.ravel()[28 * 7 + 6] > 0.3
    np.testing.assert_array_equal(data.subset([0, 3]).images[1], data.image(3))
    assert data.label(1) == 2


# ---- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("prefix", ["train", "t10k", "test"])
def test_folders_of_idx_files_under_their_customary_names(tmp_path, prefix, separator, zipped):
    write_folder(tmp_path, prefix, separator=separator, zipped=zipped)
    split = "train" if prefix == "train" else "test"
    data = load_images(split, tmp_path)
    assert len(data) == 3
    assert data.labels.tolist() == [0, 1, 2]
    assert data.image(2)[4, 4] == 20 / 255
    assert str(tmp_path) in data.source


def test_missing_folders_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none: expected a file train-images.*no such folder"):
        load_images("train", tmp_path / "none")
    write_folder(tmp_path)
    with pytest.raises(InputError, match=r"expected a file t10k-images-idx3-ubyte.*none of"):
        load_images("test", tmp_path)


def test_images_and_labels_must_match(tmp_path):
    write_folder(tmp_path, count=3)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(struct.pack(">2I", 0x801, 2) + bytes(2))
    with pytest.raises(InputError, match=r"train-labels.*expected 3 labels.*found 2"):
        load_images("train", tmp_path)


def test_empty_and_truncated_files_are_refused(tmp_path):
    write_folder(tmp_path, count=0)
    with pytest.raises(InputError, match=r"expected images, found shape \(0, 5, 5\)"):
        load_images("train", tmp_path)
    write_folder(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: expected 75 .* found 65"):
        load_images("train", tmp_path)


def test_unknown_split_is_refused():
    with pytest.raises(InputError, match="expected split train or test, found 'dev'"):
        load_images("dev")


# ---- selections ----------------------------------------------------------------------------------


@given(
    split=st.sampled_from(["train", "test"]),
    ranges=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), min_size=1, max_size=5),
)
def test_selections_name_each_index_of_their_ranges(split, ranges):
    expected, texts = [], []
    for i, (start, length) in enumerate(ranges):
        first = 100 * i + start
        expected += range(first, first + length + 1)
        texts.append(f"{first}-{first + length}" if length else str(first))
    assert parse_selection(f"{split}:{','.join(texts)}") == (split, tuple(expected))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "such as test:0-99,105"),
        ("test", "such as test:0-99,105"),
        ("dev:1", "such as test:0-99,105"),
        ("test:", "found '' in 'test:'"),
        ("test:1,,2", "found ''"),
        ("test:-1", "found '-1'"),
        ("test:1-2-3", "found '1-2-3'"),
        ("test:1.5", "found '1.5'"),
        ("test:\u00b2", "expected an index"),
        ("test:5-3", "expected a rising range, found '5-3'"),
        ("test:0-9,4", "expected each image once, found 4 twice"),
        ("test:0-999999999", "at most 1000000 images"),
        ("test:9999999999", "expected an index"),
    ],
)
def test_other_selections_are_refused(text, part):
    with pytest.raises(InputError, match="images: expected") as caught:
        parse_selection(text)
    assert part in str(caught.value)


def test_selected_images_come_with_their_indices():
    data, indices = load_selection("test:2,0-1")
    assert indices == (2, 0, 1)
    assert data.labels.tolist() == [1, 7, 2]


@pytest.mark.parametrize("count", [0, -4])
def test_negative_indices_are_refused(count):
    with pytest.raises(InputError, match="expected an index from 0"):
        load_images("test").image(count - 1)
    with pytest.raises(InputError, match="expected indices from 0 on"):
        load_images("test").subset([3, count - 1])


def test_an_index_outside_the_split_says_how_many_there_are(cache, tmp_path):
    with pytest.raises(InputError, match=r"0 to 9999 in test .*10000 images.*found 10000$"):
        load_selection("test:0,10000")
    with pytest.raises(InputError, match=r"0 to 9999 in train.*found 10000; .*--data-dir"):
        load_selection("train:10000")
    with pytest.raises(InputError, match=r"found 60000$"):
        load_selection("train:60000")
    with pytest.raises(InputError, match=r"0 to 2 in train \(idx files"):
        load_selection("train:3", write_folder(tmp_path))
    with pytest.raises(InputError, match="expected indices from 0 on"):
        load_images("test").subset([])


# ---- the full training set -----------------------------------------------------------------------


def test_download_tries_the_mirrors_and_keeps_the_files(cache, mirror):
    _, asked = mirror
    assert mnist.download_training_set() == cache
    assert [code for _, code in asked] == [404, 200, 404, 200]
    assert sorted(path.name for path in cache.iterdir()) == sorted(mnist.TRAINING_SHA256)
    mnist.download_training_set()
    assert len(asked) == 4


def test_cached_full_set_is_used_when_the_bundled_part_is_too_small(cache):
    cache.mkdir(parents=True)
    write_folder(cache, count=10, zipped=True)
    for kind, magic, tail in (("images-idx3", 0x803, (1, 1)), ("labels-idx1", 0x801, ())):
        header = struct.pack(f">{2 + len(tail)}I", magic, 10_001, *tail)
        path = cache / f"train-{kind}-ubyte.gz"
        path.write_bytes(gzip.compress(header + bytes(10_000) + b"\x07"))
    assert load_images("train").source == "bundled part of MNIST"
    data, indices = load_selection("train:10000")
    assert (data.source, indices, data.label(0)) == ("full MNIST", (10_000,), 7)


def test_download_on_demand(cache, mirror):
    _, asked = mirror
    with pytest.raises(InputError, match="0 to 9999 in train"):
        load_images("train", count=60_000)
    assert asked == []
    # The mirror of this test offers the bundled part only, so that the count is still too small.
    with pytest.raises(InputError, match=r"0 to 9999 in train.*full MNIST"):
        load_images("train", count=60_000, download=True)
    assert len(asked) == 4


@pytest.mark.parametrize(
    "content",
    [b"<html>sorry</html>", gzip.compress(b"other"), b"\x1f\x8b\x08"],
    ids=["page", "other", "truncated"],
)
def test_wrong_contents_are_refused_and_removed(cache, mirror, content):
    folder, _ = mirror
    name = "train-images-idx3-ubyte.gz"
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: expected contents with SHA-256") as caught:
        mnist.download_training_set()
    assert "404" in str(caught.value)
    assert "SHA-256 of the unzipped file is" in str(caught.value)
    assert list(cache.glob("train-*")) == []


def test_without_a_network_the_error_names_the_mirrors(cache, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    with pytest.raises(InputError, match=r"train-images.*found http://127.0.0.1:9/") as caught:
        mnist.download_training_set()
    assert "\n" not in str(caught.value)
