"""Figure 1 of Linkola (2023): one random digit of each class, which its other figures change."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reluopt.errors import InputError
from reluopt.figures import digit_figure
from reluopt.images.mnist import load_images
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.numerics.arrays import FloatArray
from reluopt.runs.instances import Instance, load_instances
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.solved import printed

NAME = "digits"

NETWORK = "thesis"
"""The bundled network that the thesis' figures and tables are about."""


def digits_of_each_class(network: ReLUNetwork, seed: int) -> list[str]:
    """One random bundled training image of each class, as ``train:INDEX``.

    Only images that the network classifies correctly are drawn: changing an answer that is wrong
    already would show nothing.

    Raises:
        InputError: a class has no such image.
    """
    data = load_images("train")
    right = network.predict(data.images) == data.labels
    generator = np.random.default_rng(seed)
    chosen = []
    for label in range(network.output_size):
        candidates = np.flatnonzero(right & (data.labels == label))
        if candidates.size == 0:
            raise InputError(
                f"network {network.metadata.name}: expected it to classify some bundled training "
                f"image of class {label} correctly, found none"
            )
        chosen.append(f"train:{int(generator.choice(candidates))}")
    return chosen


def thesis_digits(context: StudyContext) -> tuple[ReLUNetwork, list[Instance]]:
    """The network and its digits: one of each class, unless the context limits them."""
    network = load_bundled(NETWORK)
    chosen = digits_of_each_class(network, context.seed)
    return network, load_instances(network, chosen[: context.limit])


def answer_and_lead(network: ReLUNetwork, image: FloatArray) -> tuple[int, float]:
    """What the network answers, and by how much that logit leads all others."""
    logits = network.forward(image)
    answer = int(network.predict(image))
    return answer, float(logits[answer] - np.delete(logits, answer).max())


def run(context: StudyContext) -> StudyResult:
    """Draw the digits and tell which they are."""
    folder = StudyFolder(context, NAME)
    network, instances = thesis_digits(context)
    lines = [(i.label, i.key, *answer_and_lead(network, i.image)) for i in instances]
    table = pd.DataFrame(lines, columns=["label", "image", "answer", "lead"])
    keys = table["image"].to_list()
    images = np.reshape([instance.image for instance in instances], (-1, *network.input_shape))
    facts = {
        "network": NETWORK,
        "seed": context.seed,
        "images": len(keys),
        "chosen": keys,
        "correct": int((table["answer"] == table["label"]).sum()),
    }
    folder.figure(NAME, digit_figure(images, table["label"].to_list(), keys))
    folder.table(NAME, printed(table, {"lead": 4}), facts)
    return folder.finish(facts, complete=context.limit is None)


STUDY = Study(NAME, run)
