"""Keras models: what is read is what Keras computes, with images in the order of the pixels."""

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.readers.keras_model import from_keras, load_keras

pytest.importorskip("torch")
pytest.importorskip("keras")
keras = load_keras()
layers = keras.layers


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def trained(model):
    """Statistics and biases other than those of a new model."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        values = random.normal(size=weight.shape)
        if "variance" in weight.path:
            values = np.abs(values) + 0.5
        if weight.dtype == "float32":
            weight.assign(values)
    return model


def agrees(model, shape, **options):
    """The network gives on channels x rows x columns what the model gives on its own order."""
    network = from_keras(model, **options)
    inputs = np.random.default_rng(1).normal(size=(20, *shape)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(inputs, training=False)).reshape(20, -1)
    ours = inputs.transpose(0, 3, 1, 2) if len(shape) == 3 else inputs
    ours = ours.reshape(20, -1).astype(np.float64)
    found = network.forward(ours)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * scale)
    lowered = network.pre_activations(ours)[-1]
    np.testing.assert_allclose(lowered, found, rtol=1e-9, atol=1e-9 * scale)
    return network


def test_a_sequential_of_every_layer():
    model = trained(
        keras.Sequential(
            [
                layers.Input((9, 8, 2)),
                layers.Rescaling(2.0, offset=-0.5),
                layers.Normalization(mean=[0.1, 0.2], variance=[0.5, 2.0]),
                layers.Conv2D(4, (3, 2), strides=2, padding="same", groups=2, activation="relu"),
                layers.BatchNormalization(),
                layers.Conv2D(3, 2, dilation_rate=2, padding="same", use_bias=False),
                layers.LeakyReLU(negative_slope=0.3),
                layers.ZeroPadding2D(((1, 0), (0, 2))),
                layers.MaxPooling2D((2, 3), strides=1, padding="same"),
                layers.ReLU(),
                layers.SpatialDropout2D(0.2),
                layers.AveragePooling2D(2, padding="valid"),
                layers.Activation("leaky_relu"),
                layers.Reshape((-1, 1, 3)),
                layers.Conv2D(2, 1, padding="valid", activation="linear"),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(12, activation="relu"),
                layers.BatchNormalization(scale=False, center=False),
                layers.Reshape((2, 2, 3)),
                layers.GlobalAveragePooling2D(),
                layers.ReLU(negative_slope=0.1),
                layers.Dense(4),
            ]
        )
    )
    network = agrees(model, (9, 8, 2))
    assert network.input_shape == (2, 9, 8)
    assert "keras" in network.metadata.recipe["imported"]["agreement"]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [5, 6, 7])
def test_padding_and_colours_of_every_size(stride, side):
    kernel, even = (3, 2), 3 if stride == 1 else 1
    model = trained(
        keras.Sequential(
            [
                layers.Input((side, side + 1, 3)),
                layers.Conv2D(2, kernel, strides=stride, padding="same"),
                layers.MaxPooling2D(kernel, strides=stride, padding="same"),
                layers.AveragePooling2D(even, strides=1, padding="same"),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
    )
    agrees(model, (side, side + 1, 3))


def test_outputs_that_are_images_have_the_order_of_keras():
    model = trained(keras.Sequential([layers.Input((5, 6, 2)), layers.Conv2D(3, 2)]))
    agrees(model, (5, 6, 2))


def test_a_functional_chain_with_a_model_inside():
    inner = keras.Sequential([layers.Input((5,)), layers.Dense(6, activation="relu")], name="in")
    given = layers.Input((4,))
    values = layers.Dense(5, activation="leaky_relu")(given)
    model = trained(keras.Model(given, layers.Dense(3)(layers.ReLU()(inner(values)))))
    network = agrees(model, (4,), name="mine")
    assert network.metadata.name == "mine"


def test_pixels_of_one_channel_keep_their_order():
    model = trained(keras.Sequential([layers.Input((8, 9)), layers.Flatten(), layers.Dense(3)]))
    assert agrees(model, (8, 9)).input_shape == (8, 9)
    model = trained(
        keras.Sequential([layers.Input((784,)), layers.Reshape((28, 28, 1)), layers.Conv2D(2, 5),
                          layers.Flatten(), layers.Dense(3)])
    )  # fmt: skip
    network = agrees(model, (784,))
    assert network.input_shape == (28, 28)
    assert [layer.kind for layer in network.layers] == ["chain"]
    assert [part.kind for part in network.layers[0].parts] == ["conv2d", "permute", "dense"]


@pytest.mark.parametrize("end", [{"activation": "softmax"}, None])
def test_a_softmax_at_the_end_is_left_out_and_said(end):
    last = [layers.Dense(3, **end)] if end else [layers.Dense(3), layers.Softmax()]
    model = trained(keras.Sequential([layers.Input((4,)), layers.Dense(5, "relu"), *last]))
    network = from_keras(model)
    inputs = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(inputs))
    logits = network.forward(inputs.astype(float))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = exponents / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    (note,) = network.metadata.recipe["imported"]["notes"]
    assert "softmax at the end is left out" in note


def test_open_sides_are_asked_for():
    model = trained(
        keras.Sequential([layers.Input((None, None, 2)), layers.Conv2D(3, 2),
                          layers.GlobalAveragePooling2D()])
    )  # fmt: skip
    with pytest.raises(InputError, match="input_shape: expected the sides"):
        from_keras(model)
    assert agrees(model, (5, 6, 2), input_shape=(5, 6, 2)).input_shape == (2, 5, 6)


def test_what_is_seen_can_be_told():
    model = trained(keras.Sequential([layers.Input((12,)), layers.Dense(3)]))
    assert from_keras(model, (3, 4)).input_shape == (3, 4)


class Mine(layers.Dense):
    def call(self, values):
        return 2.0 * super().call(values)


def branched():
    given = layers.Input((4,))
    one = layers.Dense(4, name="one")(given)
    return keras.Model(given, layers.Add(name="sum")([one, given]))


def early():
    given = layers.Input((4,))
    one = layers.Dense(4, name="one")(given)
    layers.Dense(3)(one)
    return keras.Model(given, [one, layers.Dense(3)(one)])


def shared():
    given, twice = layers.Input((4,)), layers.Dense(4, name="twice")
    return keras.Model(given, twice(twice(given)))


def sequential(*parts, shape=(4,)):
    return keras.Sequential([layers.Input(shape), *parts])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (branched, "layer 'sum': expected a chain"),
        (early, "output_layers: expected one"),
        (shared, "expected a chain"),
        (lambda: sequential(Mine(3, name="mine")), r"layer 'mine' \(Mine\): expected one of"),
        (lambda: sequential(layers.Dense(3, "sigmoid", name="d")), "layer 'd'.*found sigmoid"),
        (lambda: sequential(layers.Softmax(), layers.Dense(3)), "nothing behind the softmax"),
        (lambda: sequential(layers.Dense(3), shape=(4, 4)), "put a Flatten before it"),
        (lambda: sequential(layers.ReLU(max_value=6)), "max_value: expected None"),
        (lambda: sequential(layers.LSTM(3), shape=(4, 4)), r"\(LSTM\): expected one of"),
        (lambda: sequential(layers.BatchNormalization(axis=1), shape=(2, 3, 4)), "axis: expected"),
        (lambda: sequential(layers.MaxPooling2D(2, data_format="channels_first"), shape=(2, 4, 4)),
         "data_format: expected channels_last"),
        (lambda: sequential(layers.AveragePooling2D(2, 1, padding="same"), shape=(4, 4, 1)),
         "backends make different means"),
        (lambda: keras.Sequential([layers.Dense(3)]), "build the model first"),
        (lambda: "model.keras", "expected a keras Sequential or functional model, found str"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_read_are_refused(make, message):
    with pytest.raises(InputError, match=message) as caught:
        from_keras(make())
    assert "\n" not in str(caught.value)
