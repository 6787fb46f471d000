"""PyTorch modules: what is read is what PyTorch computes, and what cannot be read is named."""

import copy
import warnings

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.readers.torch_module import from_torch

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def trained(module):
    """Batch statistics other than those of a new module."""
    for part in module.modules():
        if hasattr(part, "running_mean"):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module


def agrees(module, shape, scale=3.0, **options):
    """The network is what the module gives in eval mode."""
    network = from_torch(module, shape, **options)
    inputs = scale * torch.randn(20, *shape, dtype=next(module.parameters()).dtype)
    twin = copy.deepcopy(module).eval()
    with torch.no_grad():
        expected = twin(inputs).double().numpy()
    found = network.forward(inputs.double().numpy().reshape(20, -1))
    np.testing.assert_allclose(found, expected.reshape(20, -1), rtol=1e-4, atol=1e-4)
    lowered = network.pre_activations(inputs.double().numpy().reshape(20, -1))[-1]
    np.testing.assert_allclose(lowered, found, rtol=1e-9, atol=1e-9)
    return network


def test_a_sequential_of_every_module():
    module = trained(
        nn.Sequential(
            nn.ZeroPad2d((1, 0, 2, 1)),
            nn.Conv2d(2, 4, 3, stride=(2, 1), padding=(1, 0), groups=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout2d(),
            nn.Conv2d(4, 3, (2, 4), padding="same", dilation=2, bias=False),
            nn.LeakyReLU(0.2),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            nn.AvgPool2d(2, 1, 1),
            nn.AvgPool2d(2, 1, 1, count_include_pad=False),
            nn.Identity(),
            nn.Flatten(),
            nn.Linear(108, 12),
            nn.BatchNorm1d(12),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (3, 2, 2)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(3, 5),
        )
    )
    network = agrees(module, (2, 8, 7))
    assert network.input_shape == (2, 8, 7)
    assert network.metadata.name == "Sequential"
    assert "torch" in network.metadata.recipe["imported"]["agreement"]


class Functions(nn.Module):
    """Everything by functions and methods, normalised by buffers."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.first, self.last = nn.Linear(16, 6), nn.Linear(6, 3)
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1))
        self.deviation = torch.tensor([0.5, 0.6, 0.7])
        self.calls = []

    def forward(self, x, scale=2.0):
        x = (x - self.mean) / self.deviation[None, :, None, None]
        self.calls.append(x)
        x = 1.0 - x * scale
        x -= 0.5
        x = functional.relu(self.norm(self.conv(x)))
        x = functional.max_pool2d(x, 2, stride=2)
        x = functional.dropout(x, 0.5, self.training)
        x = functional.avg_pool2d(x, kernel_size=(1, 2), stride=1)
        x = functional.pad(x, (1, 0))
        x = x.view(x.size(0), -1)
        x = x.reshape(x.shape[0], 4, 2, -1).permute(0, 2, 1, 3)
        x = torch.flatten(x, 1).contiguous()
        x = self.first(x).relu_()
        x = functional.leaky_relu(x + 0.1, 0.3)
        x = torch.relu(-x).neg()
        return functional.linear(torch.mul(x, 3.0), self.last.weight, self.last.bias).sub(1)


def test_a_forward_of_functions_is_followed():
    agrees(trained(Functions()), (3, 6, 6))


def test_the_module_is_left_as_it_was():
    module = trained(Functions()).train()
    module.norm.eval()
    before = copy.deepcopy(module.state_dict())
    from_torch(module, (3, 6, 6))
    assert module.calls == []
    assert module.training
    assert not module.norm.training
    assert before.keys() == module.state_dict().keys()
    for name, values in module.state_dict().items():
        assert torch.equal(values, before[name])
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("end", [nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)])
def test_a_softmax_at_the_end_is_left_out_and_said(end):
    body = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    network = from_torch(nn.Sequential(*body, end), (5,))
    assert network.fingerprint == from_torch(body, (5,)).fingerprint
    (note,) = network.metadata.recipe["imported"]["notes"]
    assert "softmax at the end is left out" in note
    assert from_torch(body, (5,)).metadata.recipe["imported"]["notes"] == []


def test_float64_is_read_exactly_and_flat_pictures_are_seen_as_such():
    module = nn.Sequential(nn.Linear(784, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    network = agrees(module, (784,), name="mine")
    np.testing.assert_array_equal(network.layers[0].weight, module[0].weight.detach().numpy())
    assert (network.metadata.name, network.input_shape) == ("mine", (28, 28))


class Branches(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.a, self.b, self._forward = nn.Linear(4, 4), nn.Linear(4, 4), forward

    def forward(self, x):
        return self._forward(self, x)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: m.a(x) + x, r"node 'add' \(add\): expected a chain.*branch"),
        (lambda m, x: m.a(x) + m.b(x), "expected a chain"),
        (lambda m, x: torch.sigmoid(m.a(x)), r"node 'sigmoid' \(sigmoid\): expected one of Linear"),
        (lambda m, x: m.a(x) if x.sum() > 0 else x, "forward that can be traced"),
        (lambda m, x: functional.dropout(m.a(x)), r"node 'dropout'.*training: expected False"),
        (lambda m, x: m.b(m.a(x).softmax(1)), "nothing behind the softmax"),
        (lambda m, x: functional.softmax(m.a(x), dim=0), "dim: expected 1, the classes, found 0"),
        (lambda m, x: m.a(x).view(-1), "keeps the batch axis"),
        (lambda m, x: m.a(x.view(-1, 2, 2)), "flatten them first"),
        (lambda m, x: (m.a(x), x), "output: expected the end of the chain"),
        (lambda m, x: 1.0 / m.a(x), "division by a constant other than zero"),
        (lambda m, x: m.a(x).half(), r"node 'half' \(half\): expected one of"),
        (lambda m, x: functional.leaky_relu(m.a(x), 1.5), "slope: expected 0 to 1"),
        (lambda m, x: torch.add(m.a(x), 1.0, alpha=2), "plain arithmetic"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(forward, message):
    with pytest.raises(InputError, match=message) as caught:
        from_torch(Branches(forward), (4,))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(4, 2)).half(), (4,), r"expected float32 or float64.*float16"),
        (nn.Sequential(nn.LazyLinear(2)), (4,), r"LazyLinear\): expected one of"),
        (nn.Sequential(nn.Linear(4, 2)), (5,), "matrix with 5 columns"),
        (nn.Sequential(nn.Linear(4, 2)), "4", "input_shape: expected lengths"),
        (nn.Sequential(nn.Linear(4, 2)), (0,), "input_shape: expected lengths"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding_mode="reflect", padding=1)), (1, 4, 4), "zeros"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), (4,), "keeps none"),
        (nn.Sequential(nn.AvgPool2d(2, ceil_mode=True)), (1, 5, 5), "ceil_mode"),
        (nn.Sequential(nn.LSTM(4, 2)), (4,), r"\(LSTM\): expected one of"),
        ("net.pt", (4,), "expected a torch.nn.Module, found str"),
    ],
)
def test_modules_that_cannot_be_read_are_refused(module, shape, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match=message) as caught:
            from_torch(module, shape)
    assert "\n" not in str(caught.value)


class Sly(nn.Module):
    """Traced as one thing, run as another."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 2)

    def forward(self, x):
        return self.a(x) if isinstance(x, torch.Tensor) else self.a(x) * 1.001


def test_outputs_that_differ_are_an_error():
    with pytest.raises(
        InputError, match="expected the outputs of the PyTorch module, found a larg"
    ):
        from_torch(Sly(), (3,))


def test_numbers_that_are_none_are_an_error():
    module = nn.Sequential(nn.Linear(3, 2))
    nn.init.constant_(module[0].weight, float("nan"))
    with pytest.raises(InputError, match="expected finite numbers"):
        from_torch(module, (3,))
