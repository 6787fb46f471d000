"""PyTorch files: state dicts are read, and nothing else is, whatever a file claims."""

import io
import pickle
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from reluopt.errors import AssumptionWarning, InputError
from reluopt.networks.loading import load_network
from reluopt.networks.metadata import ActivationSource

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def dense():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def saved(path, found, **options):
    torch.save(found, path, **options)
    return path


def outputs(module, inputs):
    with torch.no_grad():
        return module(torch.from_numpy(inputs).float()).double().numpy()


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: {"epoch": 3, "model_state_dict": d}])
def test_a_state_dict_of_dense_layers(tmp_path, wrap):
    module = dense()
    path = saved(tmp_path / "net.pt", wrap(module.state_dict()))
    with pytest.warns(AssumptionWarning):
        network = load_network(path)
    inputs = np.random.default_rng(0).normal(size=(9, 6))
    np.testing.assert_allclose(network.forward(inputs), outputs(module, inputs), atol=1e-5)
    assert network.metadata.activation is ActivationSource.ASSUMED
    assert "PyTorch's functions" in network.metadata.recipe["imported"]["from"]


def test_an_architecture_puts_convolutions_together(tmp_path):
    module = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2, 1, 1), nn.Conv2d(4, 3, 2)),
        *(nn.LeakyReLU(0.1), nn.AvgPool2d(2, padding=1), nn.Flatten(), nn.Linear(27, 7)),
        *(nn.ReLU(), nn.Linear(7, 4)),
    )
    text = "conv(4, 2, 3, 3) s2 p1 / maxpool2 s1 p1 / conv(3, 4, 2, 2) / leaky0.1"
    text += " / avgpool2 p1 / fc27-7 / fc7-4"
    module[5].count_include_pad = False
    path = saved(tmp_path / "net.pth", module.double().state_dict())
    network = load_network(path, (2, 8, 8), architecture=text)
    inputs = np.random.default_rng(0).normal(size=(9, 2, 8, 8))
    expected = outputs(module.float(), inputs)
    np.testing.assert_allclose(network.forward(inputs), expected, atol=1e-5)
    assert network.metadata.activation is ActivationSource.STATED


def test_images_flattened_with_channels_last(tmp_path):
    module = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    text = "conv(3, 1, 2, 2) / flatten-hwc / fc12-2"
    network = load_network(saved(tmp_path / "n.pt", module.state_dict()), (3, 3), architecture=text)
    inputs = np.random.default_rng(0).normal(size=(9, 3, 3))
    images = torch.from_numpy(inputs).float()[:, None]
    with torch.no_grad():
        expected = module[3](module[:2](images).permute(0, 2, 3, 1).flatten(1)).numpy()
    np.testing.assert_allclose(network.forward(inputs), expected, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pool", ["maxpool3", "avgpool3"])
def test_same_padding_agrees_with_functions_of_pytorch(tmp_path, stride, pool):
    """The reader compares: two ways to the same padding."""
    size = 2 * -(-9 // stride) * -(-8 // stride)
    module = nn.Sequential(nn.Conv2d(1, 2, (3, 2)), nn.ReLU(), nn.Linear(size, 3))
    text = f"conv(2, 1, 3, 2) psame / {pool} s{stride} psame / fc{size}-3"
    path = saved(tmp_path / "net.pt", module.state_dict())
    network = load_network(path, (9, 8), architecture=text)
    assert "64 random inputs" in network.metadata.recipe["imported"]["agreement"]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_kinds_of_numbers_are_read_exactly(tmp_path, kind):
    state = {name: values.to(kind) for name, values in dense().state_dict().items()}
    network = load_network(saved(tmp_path / "n.pt", state), activation="relu")
    np.testing.assert_array_equal(network.layers[0].weight, state["0.weight"].double().numpy())


def test_matrices_stored_in_by_out_and_parts_of_a_storage(tmp_path):
    numbers = torch.randn(6 * 5 + 5 + 5 * 3 + 3)
    parts = numbers.split([30, 5, 15, 3])
    shapes = ((6, 5), (5,), (5, 3), (3,))
    names = ("fc0.kernel", "fc0.bias", "fc1.kernel", "fc1.bias")
    state = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
    network = load_network(saved(tmp_path / "n.pt", state), activation="relu")
    np.testing.assert_array_equal(network.layers[0].weight.T, state["fc0.kernel"].double().numpy())


def repacked(path, change, method=zipfile.ZIP_STORED):
    """The same records, some of them changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))
    return path


def long_claim(name, content):
    """Storages that claim 25 numbers more than the file has (pickled as BININT1)."""
    return content.replace(b"K\x1e", b"K\x37") if name.endswith("data.pkl") else content


def as_big(name, content):
    return b"big" if name.endswith("byteorder") else content


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: saved(p, dense()), "expected a state dict.*from_torch takes the module itself"),
        (lambda p: saved(p, [1, 2]), "expected a state dict of tensors by name, found list"),
        (lambda p: saved(p, {"a": {}, "b": 1}), "found dict with 0 of them"),
        (lambda p: saved(p, {"x.weight": torch.ones(2, 3).int()}), "float64.*found torch.int32"),
        (lambda p: saved(p, {"x.weight": torch.ones(3, 2).T}), "plain tensor"),
        (lambda p: saved(p, {"x.weight": torch.ones(1).expand(10**6, 10**6)}), "plain tensor"),
        (lambda p: saved(p, {"x.weight": torch.ones(3, 2).to_sparse()}), "cannot be read|plain"),
        (lambda p: saved(p, {"x.weight": torch.empty(3, device="meta")}), "it has no numbers"),
        (
            lambda p: repacked(saved(p, dense().state_dict()), lambda n, c: c, 8),
            "without packed members",
        ),
        (lambda p: repacked(saved(p, dense().state_dict()), long_claim), "bytes in the file"),
        (lambda p: repacked(saved(p, dense().state_dict()), as_big), "little-endian"),
        (lambda p: torch.jit.script(dense()).save(p) or p, "without packed members"),
    ],
)
def test_what_is_no_plain_state_dict_is_refused(tmp_path, make, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = make(tmp_path / "net.pt")
        with pytest.raises(InputError, match=message) as caught:
            load_network(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_tensors_that_share_numbers_over_and_over_are_refused(tmp_path):
    numbers = torch.ones(1000)
    state = {f"{i}.bias": numbers[:900].view(900) for i in range(100)}
    with pytest.raises(InputError, match="share no numbers"):
        load_network(saved(tmp_path / "net.pt", state))


class Touch:
    """A pickle that does something when it is loaded."""

    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


def test_no_code_of_a_file_runs(tmp_path):
    path = saved(tmp_path / "net.pt", OrderedDict(a=torch.ones(2)))
    evil = pickle.dumps(Touch())
    repacked(path, lambda name, content: evil if name.endswith("data.pkl") else content)
    with pytest.raises(InputError, match="expected a state dict"):
        load_network(path)


def test_pickles_without_a_zip_are_refused_with_what_to_do(tmp_path):
    path = saved(tmp_path / "old.pt", dense().state_dict(), _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="Python pickle"):
        load_network(path)


def test_a_file_that_is_cut_is_refused(tmp_path):
    stream = io.BytesIO()
    torch.save(dense().state_dict(), stream)
    path = tmp_path / "net.pt"
    path.write_bytes(stream.getvalue()[:-200])
    with pytest.raises(InputError, match="found a damaged one"):
        load_network(path)
