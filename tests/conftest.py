"""Networks and images that many tests share."""

import itertools
import os
import signal
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from reluopt.cli import main
from reluopt.images.mnist import Dataset, load_images
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.numerics.prepare import prepare
from reluopt.numerics.sets import SETS

os.environ.setdefault("KERAS_BACKEND", "torch")  # the one that the extra `test` installs

# A busy machine is no failure: no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def random_network(sizes: tuple[int, ...], seed: int) -> ReLUNetwork:
    """A dense network with normal weights; the same seed gives the same network."""
    generator = np.random.default_rng(seed)
    return ReLUNetwork(
        tuple(
            Dense(generator.normal(size=(out, inp)), generator.normal(size=out))
            for inp, out in itertools.pairwise(sizes)
        )
    )


# Started in the background of a shell, Python inherits an ignored SIGINT, and so would the
# processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _kernels():
    """Engines that tests call without the pipeline must not compile while their clocks run."""
    prepare(tuple(SETS))


@pytest.fixture(scope="session")
def make_network() -> Callable[[tuple[int, ...], int], ReLUNetwork]:
    return random_network


@pytest.fixture
def run(capfd):
    """Run a command inside of this process; returns its exit code, stdout and stderr."""

    def execute(*arguments):
        with pytest.raises(SystemExit) as info:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return info.value.code, captured.out, captured.err

    return execute


@pytest.fixture(scope="session")
def thesis() -> ReLUNetwork:
    return load_bundled("thesis")


@pytest.fixture(scope="session")
def test_images() -> Dataset:
    return load_images("test")


@pytest.fixture(scope="session")
def lecture() -> ReLUNetwork:
    """y = max(5 x1 - 4 x2 + 3, 0), z = max(-2 y + 50, 0), as in the lecture literature."""
    return ReLUNetwork(
        (
            Dense(np.array([[5.0, -4.0]]), np.array([3.0])),
            Dense(np.array([[-2.0]]), np.array([50.0])),
            Dense(np.array([[1.0]]), np.array([0.0])),
        )
    )
