"""Which logits does the mixed-integer program compute for an image?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reluopt.networks.network import ReLUNetwork
from reluopt.questions.input_sets import Box, InputSet
from reluopt.questions.tasks import Logits, Task, fitting_box, flat_image


@dataclass(frozen=True, eq=False)
class Classification:
    """Compute the logits of one image by the program: the input is fixed, nothing is optimised.

    Example:
        >>> import reluopt as ro
        >>> seven = ro.load_images("test").image(0)
        >>> found = ro.solve(ro.load_network("thesis"), ro.Classification(seven))
        >>> found.certified, found.certificate.predicted
        (True, 7)
    """

    image: ArrayLike

    def task(self, network: ReLUNetwork) -> Task:
        """The logits of the image alone, or an InputError where it does not fit the network.

        Bounds hold over more: otherwise every neuron would be stable and the program would have
        nothing to decide.
        """
        image = flat_image(network, self.image)
        lower, upper = network.metadata.input_ends()
        hull = Box(np.minimum(image, lower), np.maximum(image, upper))
        inputs = InputSet(Box(image, image))
        return Task(Logits(), inputs, surroundings=fitting_box(network, hull))
