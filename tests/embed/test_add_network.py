"""A network in somebody's model is the network: in all packages and formulations."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reluopt as ro
from helpers.models import MODELS
from reluopt.bounds.interval import Interval
from reluopt.embed import PACKAGES
from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.forms.partition import Partition
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU
from reluopt.networks.layers.pooling import MaxPool2d
from reluopt.networks.layers.windows import Windows


@pytest.fixture(params=PACKAGES.names)
def world(request):
    return MODELS[request.param]()


def small(sizes, seed):
    """A network with a neuron that is always at zero, and a point of [-1, 1]."""
    generator = np.random.default_rng(seed)
    layers = [
        [generator.normal(size=(out, inp)), generator.normal(size=out)]
        for inp, out in itertools.pairwise(sizes)
    ]
    layers[0][0][0], layers[0][1][0] = 0.0, 0.0
    network = ro.ReLUNetwork(tuple(ro.Dense(*layer) for layer in layers))
    return network, generator.uniform(-1.0, 1.0, sizes[0])


def pooled():
    """A convolution, a max-pool, a leaky ReLU; the pool's window may hold zeros alone."""
    generator = np.random.default_rng(5)
    conv = Conv2d(generator.normal(size=(2, 1, 2, 2)), np.zeros(2), Windows((1, 4, 4), (2, 2)))
    pool = MaxPool2d(Windows((2, 3, 3), (2, 2), padding=(0, 1, 0, 0)))
    dense = ro.Dense(generator.normal(size=(3, 12)), generator.normal(size=3))
    last = ro.Dense(generator.normal(size=(2, 3)), np.zeros(2))
    layers = conv, Chain((pool, dense, LeakyReLU(3, 0.1), last))
    metadata = ro.NetworkMetadata(input_shape=(4, 4))
    return ro.ReLUNetwork(layers, metadata), generator.uniform(-1.0, 1.0, 16)


CASES = {
    "affine": small((4, 2), 0),
    "narrow": small((1, 1, 1, 1), 1),
    "one": small((2, 3, 1), 2),
    "deep": small((3, 5, 4, 2), 3),
    "pooled": pooled(),
}


def free(world, network, low=-1.0, up=1.0):
    return [world.variable(low, up, f"in{i}") for i in range(network.input_size)]


def values(world, variables):
    return np.array([world.value(each) for each in variables])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("formulation", FORMULATIONS.names)
def test_fixed_inputs_give_the_forward_pass(world, formulation, case):
    network, point = CASES[case]
    inputs = free(world, network)
    if FORMULATIONS.get(formulation).indicators and not world.indicators:
        with pytest.raises(InputError, match=r"formulation indicator: .* gurobipy or pyscipopt"):
            ro.add_network(world.model, network, inputs, formulation=formulation)
        return
    added = ro.add_network(world.model, network, inputs, formulation=formulation)
    for variable, number in zip(inputs, point, strict=True):
        world.add(variable == float(number))
    world.maximise(1.0 * added.output[0])
    np.testing.assert_allclose(values(world, added.output), network.forward(point), atol=1e-5)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(["bigm", "partition-2", "hull", "thesis"]),
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_any_network_in_any_box_is_the_network(name, formulation, sizes, seed):
    """Some weights are zero or whole, some inputs fixed; the maximum is the network's."""
    generator = np.random.default_rng(seed)
    network, _ = small(sizes, seed)
    layers = [
        ro.Dense(
            np.round(2.0 * each.weight) if generator.random() < 0.3 else each.weight, each.bias
        )
        for each in network.layers
    ]
    network, world = ro.ReLUNetwork(tuple(layers)), MODELS[name]()
    low = generator.uniform(-1.0, 1.0, sizes[0])
    high = low + generator.uniform(0.0, 1.0, sizes[0]) * (generator.random(sizes[0]) < 0.8)
    inputs = [world.variable(*ends, f"in{i}") for i, ends in enumerate(zip(low, high, strict=True))]
    added = ro.add_network(world.model, network, inputs, formulation=formulation)
    best = world.maximise(1.0 * added.output[0])
    logits = network.forward(values(world, inputs))
    np.testing.assert_allclose(values(world, added.output), logits, atol=1e-4)
    drawn = network.forward(generator.uniform(low, high, (500, sizes[0])))
    assert drawn[:, 0].max() <= best + 1e-4


@pytest.mark.parametrize("formulation", [None, "partition-2", "hull", "indicator"])
def test_neurons_are_the_networks_own(world, formulation):
    if formulation == "indicator" and not world.indicators:
        formulation = None
    network, point = CASES["deep"]
    inputs = free(world, network)
    added = ro.add_network(world.model, network, inputs, formulation=formulation or "bigm")
    for variable, number in zip(inputs, point, strict=True):
        world.add(variable == float(number))
    world.maximise(1.0 * added.output[1])
    hidden = network.pre_activations(point)[:-1]
    for before, *layer in zip(hidden, added.x, added.s, added.z, strict=True):
        for a, x, s, z in zip(before, *layer, strict=True):
            assert x is not None or a <= 1e-9
            assert (z is None) == (s is None)
            phase = z if abs(a) > 1e-9 else None  # either phase will do at zero
            for part, expected in ((x, max(a, 0.0)), (s, max(-a, 0.0)), (phase, float(a > 0.0))):
                if part is not None:
                    assert world.value(part) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("bounds", ["interval", "linear", "lp", Interval()])
def test_the_worst_case_is_that_of_the_engine(world, bounds):
    network, point = CASES["deep"]
    label = int(network.predict(point))
    worst = ro.worst_case(network, point, 0.3, box=(-1.0, 1.0))
    assert worst.proven
    inputs = [
        world.variable(max(-1.0, float(x) - 0.3), min(1.0, float(x) + 0.3), f"in{i}")
        for i, x in enumerate(point)
    ]
    added = ro.add_network(world.model, network, inputs, bounds=bounds)
    found = world.maximise(added.output[1 - label] - added.output[label])
    assert found == pytest.approx(worst.lead, abs=1e-5)
    logits = network.forward(values(world, inputs))
    assert logits[1 - label] - logits[label] == pytest.approx(found, abs=1e-5)


def test_given_bounds_and_formulations_are_taken(world):
    network, _ = CASES["deep"]
    box = ro.Box(np.full(3, -1.0), np.ones(3))
    best = ro.solve(network, ro.OptimalInput(0, box=box)).objective
    bounds = ro.compute_bounds("interval", network, ro.InputSet(box))
    added = ro.add_network(
        world.model, network, free(world, network), bounds=bounds, formulation=Partition(None)
    )
    assert added.bounds is bounds
    assert world.maximise(1.0 * added.output[0]) == pytest.approx(best, abs=1e-5)


def test_rows_of_ones_own_are_kept(world):
    """The largest output where the inputs sum to one, on a grid and in the model."""
    network, _ = CASES["one"]
    inputs = free(world, network, 0.0)
    added = ro.add_network(world.model, network, inputs)
    world.add(inputs[0] + inputs[1] == 1.0)
    best = world.maximise(1.0 * added.output[0])
    first = np.linspace(0.0, 1.0, 2001)
    grid = network.forward(np.stack([first, 1.0 - first], axis=1)).max()
    assert sum(values(world, inputs)) == pytest.approx(1.0, abs=1e-6)
    assert grid - 1e-6 <= best <= grid + 1e-2
    assert best == pytest.approx(network.forward(values(world, inputs))[0], abs=1e-5)


def test_inputs_may_be_expressions_and_numbers(world):
    network, _ = CASES["deep"]
    first, second = (world.variable(-0.5, 0.5, name) for name in ("a", "b"))
    given = [first + 0.5 * second - 0.25, 0.125, second]
    added = ro.add_network(world.model, network, given)
    world.add(first == 0.25)
    world.add(second == -0.5)
    world.maximise(1.0 * added.output[0])
    expected = network.forward([-0.25, 0.125, -0.5])
    np.testing.assert_allclose(values(world, added.output), expected, atol=1e-5)
    assert added.box[0] == pytest.approx([-1.0, 0.125, -0.5], abs=1e-9)
    assert added.box[1] == pytest.approx([0.5, 0.125, 0.5], abs=1e-9)


def test_two_networks_follow_each_other(world):
    """The second one reads the outputs of the first; names of the two differ."""
    first, point = CASES["deep"]
    second = CASES["one"][0]
    inputs = free(world, first)
    one = ro.add_network(world.model, first, inputs)
    two = ro.add_network(world.model, second, one.output)
    three = ro.add_network(world.model, second, one.output, prefix="mine_")
    assert [each.prefix for each in (one, two, three)] == ["relu_", "relu2_", "mine_"]
    with pytest.raises(InputError, match=r"prefix: .*'mine_'"):
        ro.add_network(world.model, second, inputs[:2], prefix="mine_")
    for variable, number in zip(inputs, point, strict=True):
        world.add(variable == float(number))
    world.maximise(two.output[0] + three.output[0])
    expected = second.forward(first.forward(point))
    for added in (two, three):
        np.testing.assert_allclose(values(world, added.output), expected, atol=1e-5)


@pytest.mark.parametrize("formulation", ["bigm", "indicator"])
def test_removal_leaves_the_model_as_it_was(world, formulation):
    if formulation == "indicator" and not world.indicators:
        formulation = "partition-2"
    network, _ = CASES["deep"]
    inputs = free(world, network)
    world.add(inputs[0] + inputs[1] <= 0.5)
    before = world.sizes()
    added = ro.add_network(world.model, network, inputs, formulation=formulation)
    assert repr(len(added.variables)) in repr(added)
    world.maximise(inputs[0] + inputs[1] + 0.0 * added.output[0])
    assert world.sizes() > before
    added.remove()
    assert world.sizes() == before
    assert "removed" in repr(added)
    assert world.maximise(inputs[0] + inputs[1]) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(InputError, match="removed before"):
        added.remove()
    again = MODELS[world.name]()  # a model that was never solved takes it again
    ro.add_network(again.model, network, free(again, network)).remove()


def test_what_means_nothing_is_refused(world):
    network, _ = CASES["deep"]
    inputs = free(world, network)
    endless = world.variable(0.0, float("inf"), "price")
    other = MODELS[world.name]().variable(0.0, 1.0, "elsewhere")
    before = world.sizes()

    def refused(message, given=inputs, model=world.model, network=network, **options):
        with pytest.raises(InputError, match=message) as caught:
            ro.add_network(model, network, given, **options)
        assert "\n" not in str(caught.value)

    refused(r"inputs: expected finite bounds.*\[0, inf\] of variable price", [*inputs[:2], endless])
    refused(r"inputs: expected shape \(3,\) \(3 entries\), found \(2,\)", inputs[:2])
    refused(r"inputs: entry 2: expected a variable.*found 'in2'", [*inputs[:2], "in2"])
    refused("inputs: entry 2: .*found nan", [*inputs[:2], float("nan")])
    refused("inputs: entry 2: .*found dict", [*inputs[:2], {}])
    refused("prefix: expected a word", prefix="_")
    refused("prefix: expected a word", prefix="my net")
    refused("inputs: entry 2: expected variables of this model", [*inputs[:2], other])
    refused("inputs: expected rows of one length", [inputs, inputs[:2]])
    refused("formulation: expected .*bigm.*'big'", formulation="big")
    refused("bounds: expected .*linear.*'tight'", bounds="tight")
    refused("formulation: expected .*bigm.* or Formulation, found None", formulation=None)
    refused("bounds: expected one of .* or BoundingMethod, found 3", bounds=3)
    wrong = ro.PreActivationBounds((np.zeros(2),), (np.ones(2),), "mine")
    refused(r"bounds: expected layers of \(5, 4, 2\) neurons, found \(2,\)", bounds=wrong)
    crossed = tuple(np.ones(size) for size in (5, 4, 2))
    nowhere = ro.PreActivationBounds(crossed, tuple(-each for each in crossed), "mine")
    refused("bounds: expected lower <= upper", bounds=nowhere)
    endless = tuple(np.full(size, np.inf) for size in (5, 4, 2))
    without = ro.PreActivationBounds(tuple(-each for each in endless), endless, "mine")
    refused("bounds: expected finite ones of hidden layer 0", bounds=without)
    refused("network: expected a ReLUNetwork.*found int", network=3)
    assert world.sizes() == before  # nothing half written


def test_variables_without_a_name_are_told_by_their_column():
    import highspy

    model = highspy.Highs()
    model.silent()
    variables = model.addVariables(3)
    with pytest.raises(InputError, match=r"finite bounds.*\[0, inf\] of variable column 0"):
        ro.add_network(model, CASES["deep"][0], variables)


@pytest.mark.parametrize("model", [None, object(), "model", CASES["deep"][0]])
def test_other_models_are_named(model):
    expected = "model: expected one of gurobipy, highspy, pyscipopt, pyomo, found .*"
    with pytest.raises(InputError, match=expected + type(model).__name__):
        ro.add_network(model, CASES["deep"][0], [])


def test_indicators_are_for_models_of_ones_own():
    network, _ = CASES["deep"]
    box = ro.Box(np.zeros(3), np.ones(3))
    bounds = ro.compute_bounds("linear", network, ro.InputSet(box))
    with pytest.raises(UnsupportedProblemError, match="engine julia"):
        ro.encode(network, ro.OptimalInput(0, box=box).task(network), bounds, "indicator")


def test_models_of_frameworks_are_taken(world):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.ReLU(), torch.nn.Flatten())
    module.append(torch.nn.Linear(18, 2))
    module.double()
    pixels = np.random.default_rng(2).uniform(size=(4, 4))
    inputs = [[world.variable(0.0, 1.0, f"p{i}{j}") for j in range(4)] for i in range(4)]
    added = ro.add_network(world.model, module, inputs)
    for variable, number in zip(added.inputs, pixels.ravel(), strict=True):
        world.add(variable == float(number))
    world.maximise(1.0 * added.output[0])
    expected = module(torch.from_numpy(pixels[None, None]))[0].detach().numpy()
    np.testing.assert_allclose(values(world, added.output), expected, atol=1e-5)


def test_bundled_networks_are_taken_by_name(world):
    image = ro.load_images("test").image(0).ravel()
    inputs = [
        world.variable(max(0.0, x - 0.01), min(1.0, x + 0.01), f"p{i}") for i, x in enumerate(image)
    ]
    added = ro.add_network(world.model, "thesis", inputs)
    assert len(added.output) == 10
    assert len(added.x[0]) == 32
    assert added.binaries == sum(each is not None for layer in added.z for each in layer)
