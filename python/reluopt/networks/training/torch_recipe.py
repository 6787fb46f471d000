"""Recipes of PyTorch (the extra ``torch``), for every architecture there is a text for.

The learning rate falls to zero along half a cosine (Loshchilov & Hutter 2017, without restarts).
All runs on one thread of the CPU, so that the same arguments give the same network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reluopt.networks.readers.architecture import Step, relu_follows
from reluopt.networks.training.plan import Parameters, Plan
from reluopt.networks.training.recipe import Recipe

Tensor: TypeAlias = Any
"""A torch.Tensor; torch takes its time to load."""

Model: TypeAlias = Callable[[Tensor], Tensor]
"""Logits (batch, classes) of inputs (batch, n_0)."""


@dataclass(frozen=True)
class TorchRecipe(Recipe):
    """Training by PyTorch.

    Example:
        >>> import reluopt as ro
        >>> digits = ro.load_images("train").subset(range(200))
        >>> recipe = ro.TorchRecipe("short", epochs=1, batch_size=50, learning_rate=0.01)
        >>> ro.train(digits.images, digits.labels, "fc784-8 / fc8-10", recipe).sizes
        (784, 8, 10)
    """

    package: ClassVar[str] = "torch"
    module: ClassVar[str] = "torch"
    extra: ClassVar[str] = "torch"

    def fit(
        self,
        plan: Plan,
        inputs: NDArray[np.float32],
        targets: NDArray[np.int64],
        parameters: Sequence[Parameters],
        seed: int,
    ) -> list[Parameters]:
        """Train from given parameters."""
        import torch

        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            images, labels = torch.from_numpy(inputs), torch.from_numpy(targets)
            leaves = [
                torch.tensor(array, requires_grad=True) for pair in parameters for array in pair
            ]
            model = model_of(plan, leaves)
            size = min(self.batch_size or len(inputs), len(inputs))
            optimizer = torch.optim.Adam(leaves, lr=self.learning_rate)
            steps = self.epochs * -(-len(inputs) // size)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            for _ in range(self.epochs):
                order: Tensor = torch.randperm(len(inputs), generator=generator)
                for rows in order.split(size):
                    seen = self.seen(model, images[rows], labels[rows], generator)
                    loss: Tensor = torch.nn.functional.cross_entropy(model(seen), labels[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
        arrays = [leaf.detach().numpy() for leaf in leaves]
        if not all(np.isfinite(array).all() for array in arrays):
            raise self.diverged("NaN or infinite weights")
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def seen(self, model: Model, images: Tensor, labels: Tensor, generator: Any) -> Tensor:
        """What the network sees of a batch: the images themselves."""
        del model, labels, generator
        return images

    def described(self) -> dict[str, Any]:
        """The settings, and how the learning rate falls."""
        return {**super().described(), "learning_rate_schedule": "cosine to 0"}


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: sums in another order would round differently from run to run."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def model_of(plan: Plan, leaves: Sequence[Tensor]) -> Model:
    """The network of a plan with weights and biases, in turn, as PyTorch computes it."""
    relus = relu_follows(plan.steps)

    def model(values: Tensor) -> Tensor:
        left = iter(leaves)
        values = values.reshape(-1, *plan.input_shape)
        for step, relu in zip(plan.steps, relus, strict=True):
            values = _OPERATIONS[step.kind](step, values, left)
            values = values.relu() if relu else values
        return values

    return model


def _padding(step: Step) -> int:
    """A number, as every plan has it."""
    return step.padding or 0


def _conv(step: Step, values: Tensor, left: Iterator[Tensor]) -> Tensor:
    from torch.nn.functional import conv2d

    return conv2d(values, next(left), next(left), step.stride or 1, _padding(step))


def _dense(_: Step, values: Tensor, left: Iterator[Tensor]) -> Tensor:
    from torch.nn.functional import linear

    return linear(values.flatten(1), next(left), next(left))


def _max_pool(step: Step, values: Tensor, _: Iterator[Tensor]) -> Tensor:
    from torch.nn.functional import max_pool2d

    return max_pool2d(values, step.sizes[0], step.stride or None, _padding(step))


def _average_pool(step: Step, values: Tensor, _: Iterator[Tensor]) -> Tensor:
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(
        values, step.sizes[0], step.stride or None, _padding(step), count_include_pad=False
    )


def _leaky(step: Step, values: Tensor, _: Iterator[Tensor]) -> Tensor:
    from torch.nn.functional import leaky_relu

    return leaky_relu(values, step.slope)


_OPERATIONS: Mapping[str, Callable[[Step, Tensor, Iterator[Tensor]], Tensor]] = {
    "conv": _conv,
    "fc": _dense,
    "maxpool": _max_pool,
    "avgpool": _average_pool,
    "leaky": _leaky,
}
"""By the kinds of steps."""

TORCH = TorchRecipe("torch", epochs=20, batch_size=128, learning_rate=0.001)
