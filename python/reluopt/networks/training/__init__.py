"""Training networks: one recipe for each line of :data:`RECIPES`.

``reluopt train --recipe NAME``, and :func:`reluopt.train`, run a recipe on images in [0, 1]. All
minimise the logit cross-entropy by Adam, without regularisation or early stopping, in float32.
Weights start Glorot-uniform and biases at zero, as Flux does. Without regularisation the gradient
of a pixel that is black in every training image is exactly zero, so its weights keep their initial
values; this is why smallest changes in the L1 norm like such pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reluopt.registry import Registry

if TYPE_CHECKING:
    from reluopt.networks.training.recipe import Recipe

RECIPES: Registry[Recipe] = Registry(
    "recipe",
    **{
        "thesis": "networks.training.scikit:THESIS",
        "mini-batch": "networks.training.scikit:MINI_BATCH",
        "torch": "networks.training.torch_recipe:TORCH",
        "pgd": "networks.training.adversarial:PGD",
    },
)
"""Recipes (:meth:`~reluopt.registry.Registry.load`) by the names that the command line uses."""
