import pytest

from reluopt.errors import InputError
from reluopt.images.mnist import load_images
from reluopt.networks.evaluation import evaluate
from reluopt.networks.saving import save_network
from reluopt.networks.zoo import bundled_names, bundled_path, load_bundled, open_network

# Shape, recipe and least test accuracy promised for each bundled network.
PROMISED = {
    "thesis": ((784, 32, 16, 10), "thesis", 0.93),
    "thesis-96": ((784, 32, 16, 10), "mini-batch", 0.96),
    "dnn2": ((784, 32, 24, 16, 10), "thesis", 0.92),
    "dnn3": ((784, 40, 30, 20, 10, 10), "thesis", 0.92),
    "ctu": ((784, 48, 27, 10), "mini-batch", 0.96),
    "mlp-100": ((784, 100, 100, 10), "mini-batch", 0.97),
}


def test_names():
    assert bundled_names() == tuple(sorted(PROMISED))


@pytest.mark.parametrize("name", PROMISED)
def test_bundled_networks_keep_their_promise(name):
    sizes, recipe, accuracy = PROMISED[name]
    network = load_bundled(name)
    data = load_images("test")
    assert network.sizes == sizes
    assert network.input_shape == (28, 28)
    assert network.metadata.name == name
    assert network.metadata.recipe["name"] == recipe
    assert network.metadata.recipe["training_images"] == 60_000
    measured = evaluate(network, data.images, data.labels).accuracy
    assert measured == network.metadata.test_accuracy >= accuracy


def test_thesis_network_is_as_accurate_as_reported():
    """Linkola (2023) reports 93.31 %."""
    assert abs(load_bundled("thesis").metadata.test_accuracy - 0.9331) < 0.0005


def test_bundled_files_are_small():
    assert sum(bundled_path(name).stat().st_size for name in bundled_names()) < 2_000_000


def test_networks_open_by_name_and_by_path(tmp_path, monkeypatch):
    thesis, other = load_bundled("thesis"), load_bundled("dnn2")
    assert open_network("thesis").fingerprint == thesis.fingerprint
    assert open_network(bundled_path("dnn2")).fingerprint == other.fingerprint
    monkeypatch.chdir(tmp_path)
    save_network(other, "thesis")
    assert open_network("thesis").fingerprint == thesis.fingerprint
    assert open_network("./thesis").fingerprint == other.fingerprint


@pytest.mark.parametrize("name", ["nope", "nope.safetensors", "", "x" * 5000, "a\0b"])
def test_what_is_neither_name_nor_file_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        open_network(name)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_answered_with_the_known_ones():
    for function in (load_bundled, open_network):
        with pytest.raises(InputError, match=r"ctu, dnn2, dnn3.*found 'dnn4'"):
            function("dnn4")
