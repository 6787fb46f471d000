"""The experiments of the thesis, and beyond it: one file each, see :mod:`.base`.

Every study is a module with a :class:`~reluopt.studies.base.Study` called ``STUDY``.
They are loaded one by one, when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from reluopt.errors import InputError

if TYPE_CHECKING:
    from reluopt.studies.base import Study

STUDIES = {
    "digits": "one random digit of each class (Figure 1)",
    "optimal-inputs": "the input that maximises each logit, and how it is classified (Figure 2)",
    "adversarial": "the nearest images of another class, L1 and L2 (Figures 3 and 4)",
    "labels": "what the network answers before and after (Table 1)",
    "times": "sizes and times of forward pass, classification, L1 and L2 (Table 2)",
    "bounds": "tighter bounds and deeper networks",
    "targets": "which target is nearest, and what its images look like",
    "margins": "distance against the margin, 0 to 100 %",
    "smoothness": "distance when neighbouring pixels must change alike",
    "blend": "L1 against L2 against a blend of both",
    "bare": "how many optima of the bare condition x_t >= 1.2 x_j fool nobody",
    "robustness": "exact robustness of the whole test set, and what attacks overestimate",
    "robust-error": "the exact robust error, beside published intervals",
    "relaxation": "the two-node example of a lecture, and its relaxations drawn",
    "partition": "neurons' inputs in parts, against big-M and the hull, by four engines",
    "lippa": "linear regions: how many there are, and an attack that walks through them",
    "adm": "why a program of a convolutional network had no solution, and its nearest images",
    "assignment": "the exercises of an assignment, proven: deviation, confident attack, one noise",
    "shallow": "whether decision trees and random forests are as fragile as networks",
    "finetuning": "the smallest change of weights that corrects adversarial images, and its worth",
}
"""Names of the studies, in the order of the thesis, and what they are about."""


def load_study(name: str) -> Study:
    """The study called ``name``.

    Raises:
        InputError: there is none.
    """
    if name not in STUDIES:
        raise InputError(f"experiment: expected one of {', '.join(STUDIES)}, found {name!r}")
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    study: Study = module.STUDY
    return study
