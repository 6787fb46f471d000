"""Perceptrons of scikit-learn: answers are those of predict, inputs those of the pipeline."""

import pickle
import warnings

import numpy as np
import pytest

from reluopt.errors import InputError
from reluopt.networks.loading import load_network
from reluopt.networks.readers.sklearn_model import from_sklearn

pytest.importorskip("sklearn")
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler


def data(classes, seed=0):
    random = np.random.default_rng(seed)
    inputs = random.normal(10.0, [[1.0, 100.0, 0.1, 5.0]], size=(200, 4))
    scores = (inputs - 10.0) / [[1.0, 100.0, 0.1, 5.0]]
    return inputs, np.argmax(scores[:, :classes], axis=1)


def fitted(estimator, inputs, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(inputs, labels)


def perceptron(kind=MLPClassifier, **options):
    return kind(hidden_layer_sizes=(7, 5), max_iter=20, random_state=0, **options)


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("scalers", [(), (StandardScaler,), (MinMaxScaler, StandardScaler)])
def test_a_classifier_answers_as_predict(classes, activation, scalers):
    inputs, labels = data(classes)
    if not scalers:
        inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    names = np.array(["cat", "dog", "eel", "fox"])
    steps = [scaler() for scaler in scalers]
    estimator = fitted(
        make_pipeline(*steps, perceptron(activation=activation)), inputs, names[labels]
    )
    network = from_sklearn(estimator)
    assert network.class_names == tuple(names[:classes])
    answers = np.array(network.class_names)[network.predict(inputs)]
    np.testing.assert_array_equal(answers, estimator.predict(inputs))
    logits = network.forward(inputs)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = exponents / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, estimator.predict_proba(inputs), atol=1e-9)
    (note,) = network.metadata.recipe["imported"]["notes"]
    assert ("two logits (0, z)" in note) == (classes == 2)
    if classes == 2:
        assert not logits[:, 0].any()


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(
    "scaler", [None, StandardScaler(with_mean=False), StandardScaler(with_std=False)]
)
def test_a_regressor_gives_its_numbers(outputs, scaler):
    inputs, _ = data(2)
    inputs = inputs / [[1.0, 100.0, 0.1, 5.0]] - 1.0
    targets = inputs @ np.random.default_rng(1).normal(size=(4, outputs))
    estimator = perceptron(MLPRegressor)
    estimator = estimator if scaler is None else make_pipeline(scaler, estimator)
    estimator = fitted(estimator, inputs, targets if outputs > 1 else targets[:, 0])
    network = from_sklearn(estimator, (2, 2), name="mine")
    expected = estimator.predict(inputs).reshape(-1, outputs)
    np.testing.assert_allclose(network.forward(inputs), expected, rtol=1e-9, atol=1e-9)
    assert network.class_names == tuple(f"output {i}" for i in range(outputs))
    assert (network.input_shape, network.metadata.name) == ((2, 2), "mine")


def test_estimators_that_cannot_be_read_are_refused():
    inputs, labels = data(3)
    several = np.eye(3, dtype=int)[labels]
    several[0] = 1  # all classes at once
    cases = [
        (fitted(LogisticRegression(), inputs, labels), "expected an MLPClassifier or MLPRegressor"),
        (perceptron(), "expected a fitted estimator"),
        (make_pipeline(StandardScaler(), perceptron()), "step StandardScaler: expected a fitted"),
        (fitted(perceptron(activation="tanh"), inputs, labels), "activation: expected relu"),
        (fitted(perceptron(), inputs, several), "logistic of 3 outputs"),
        (make_pipeline(fitted(MinMaxScaler(clip=True), inputs, None), perceptron()), "clip"),
        ("net.pkl", "found str"),
        (make_pipeline("passthrough"), "found NoneType"),
    ]
    for estimator, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            from_sklearn(estimator)
        assert "\n" not in str(caught.value)


class Mine(MLPClassifier):
    """May compute anything."""


def test_subclasses_are_not_taken_for_what_they_come_from():
    with pytest.raises(InputError, match="found Mine"):
        from_sklearn(fitted(Mine((3,), max_iter=3), *data(3)))


@pytest.mark.parametrize("name", ["net.pkl", "net.joblib"])
def test_pickles_are_refused_with_why_and_what_to_do(tmp_path, name):
    joblib = pytest.importorskip("joblib")
    path = tmp_path / name
    estimator = fitted(perceptron(), *data(3))
    if name.endswith("pkl"):
        path.write_bytes(pickle.dumps(estimator))
    else:
        joblib.dump(estimator, path, compress=3)
    with pytest.raises(InputError, match=r"runs code.*from_sklearn.*save_network") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
