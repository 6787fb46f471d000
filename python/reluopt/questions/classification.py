"""Which logits does the mixed-integer program compute for an image?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box
from reluopt.questions.tasks import Task, fitting_box, flat_image


@dataclass(frozen=True, eq=False)
class Classification:
    """Compute the logits of one image by the program: the input is fixed, nothing is optimised."""

    image: ArrayLike

    def task(self, network: ReLUNetwork) -> Task:
        """Any logit over the image alone, or an InputError where it does not fit the network.

        Bounds hold over more: otherwise every neuron would be stable and the program would have
        nothing to decide.
        """
        image = flat_image(network, self.image)
        hull = Box(np.minimum(image, 0.0), np.maximum(image, 1.0))
        task = Task.largest_logit(0, Box(image, image))
        return replace(task, surroundings=fitting_box(network, hull))
