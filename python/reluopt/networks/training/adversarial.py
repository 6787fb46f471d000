"""Adversarial training by projected gradient descent (Madry et al. 2018), with PyTorch.

A network sees, in place of each image, one that it is likelier to misread: some steps of ascent of
its loss, by the sign of the gradient, within eps of the image in the Linf norm and within [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluopt.errors import InputError
from reluopt.networks.evaluation import evaluate
from reluopt.networks.training.plan import Parameters, Plan
from reluopt.networks.training.torch_recipe import (
    Model,
    Tensor,
    TorchRecipe,
    model_of,
    one_thread,
)

#: Steps of the attack by which a trained network is measured, and images in one batch of it.
TEST_STEPS = 100
TEST_BATCH = 1_000


@dataclass(frozen=True)
class AdversarialRecipe(TorchRecipe):
    """Training on adversarial images.

    Attributes:
        eps: largest change of a pixel, in (0, 1].
        pgd_steps: steps of ascent.
        pgd_step_size: of each; 2.5 eps / pgd_steps if it is not given.
        random_start: whether ascent starts anywhere within eps of the image, or at the image.

    Raises:
        InputError: a number is out of its range.

    Example:
        >>> import reluopt as ro
        >>> ro.AdversarialRecipe("short", 1, 50, 0.01, eps=0.1, pgd_steps=7).pgd_steps
        7
    """

    eps: float = 0.1
    pgd_steps: int = 10
    pgd_step_size: float | None = None
    random_start: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        size_fits = self.pgd_step_size is None or 0.0 < self.pgd_step_size <= 1.0
        if not (0.0 < self.eps <= 1.0 and self.pgd_steps >= 1 and size_fits):
            raise InputError(
                "recipe: expected eps in (0, 1], positive steps of PGD, and their size in (0, 1], "
                f"found {self.eps}, {self.pgd_steps} and {self.pgd_step_size}"
            )

    @property
    def step_size(self) -> float:
        """The change of a pixel in each step."""
        return 2.5 * self.eps / self.pgd_steps if self.pgd_step_size is None else self.pgd_step_size

    def seen(self, model: Model, images: Tensor, labels: Tensor, generator: Any) -> Tensor:
        """Images within eps of those of a batch which the network is likelier to misread."""
        import torch

        low, high = (images - self.eps).clamp(min=0.0), (images + self.eps).clamp(max=1.0)
        found = images
        if self.random_start:
            noise = 2.0 * torch.rand(images.shape, generator=generator) - 1.0
            found = (images + self.eps * noise).clamp(low, high)
        for _ in range(self.pgd_steps):
            found = found.detach().requires_grad_()
            loss = torch.nn.functional.cross_entropy(model(found), labels, reduction="sum")
            (slope,) = torch.autograd.grad(loss, found)
            found = (found + self.step_size * slope.sign()).clamp(low, high)
        return found.detach()

    def measured(
        self,
        plan: Plan,
        parameters: Sequence[Parameters],
        inputs: NDArray[np.float32],
        targets: NDArray[np.int64],
        seed: int,
    ) -> dict[str, Any]:
        """Share of the images that stay correct under a longer ascent."""
        import torch

        attack = replace(self, pgd_steps=TEST_STEPS, pgd_step_size=None)
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            leaves = [torch.from_numpy(array) for pair in parameters for array in pair]
            model = model_of(plan, leaves)
            images: Tensor = torch.from_numpy(inputs)
            labels: Tensor = torch.from_numpy(targets)
            batches = zip(images.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True)
            found = [attack.seen(model, *batch, generator).numpy() for batch in batches]
        result = evaluate(plan.network(parameters), np.concatenate(found), targets)
        settings = {name: attack.described()[name] for name in _SETTINGS}
        return {"pgd_test": {"accuracy": result.accuracy, **settings}}

    def described(self) -> dict[str, Any]:
        """The settings, and the size of a step."""
        return {**super().described(), "pgd_step_size": self.step_size}


_SETTINGS = ("eps", "pgd_steps", "pgd_step_size", "random_start")

PGD = AdversarialRecipe("pgd", epochs=20, batch_size=128, learning_rate=0.001)
