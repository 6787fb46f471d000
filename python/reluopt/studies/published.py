"""Numbers that others printed, with their sources. Nothing in this file was computed here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedTime:
    """A row of Table 2 of Linkola (2023).

    That is: *Reformulating deep neural networks as mathematical programming problems*, bachelor's
    thesis, Aalto University.

    Attributes:
        average, fastest, slowest: seconds over 100 training images.
        variables: of the program, for the 784-32-16-10 network; None: there is no program.
        constraints: as the thesis counts them, which is the number of weights, and with the change
            two for each pixel and ten conditions more.
    """

    average: float
    fastest: float
    slowest: float
    variables: int | None = None
    constraints: int | None = None


FORWARD, CLASSIFICATION, L1, L2 = "forward", "classification", "l1", "l2"

TABLE_2 = {
    FORWARD: PublishedTime(6.5e-5, 3.1e-5, 33.1e-5),
    CLASSIFICATION: PublishedTime(4.70e-3, 4.20e-3, 6.70e-3, 958, 25_760),
    L1: PublishedTime(6.31, 0.32, 43.12, 1742, 27_338),
    L2: PublishedTime(107.12, 8.13, 784.62, 1742, 27_338),
}
"""Table 2 of Linkola (2023), by problem."""

TABLE_2_SETTING = "an Apple M2 with Gurobi 10 and its default number of threads"
"""On what the seconds of :data:`TABLE_2` were measured."""


@dataclass(frozen=True)
class PublishedTightening:
    """Average seconds of Linkola and colleagues for 10 smallest L1 changes.

    They were published with ML_as_MO (later gamma-opt/Gogeta.jl), and measured on the authors'
    machine with Gurobi and its default number of threads.

    Attributes:
        name: the authors' name of the network.
        sizes: nodes of each layer.
        initial: average with bounds of -1000 and 1000 everywhere.
        optimal: average with the *optimal* bounds, the minimum and the maximum of every neuron by
            a mixed-integer program each.
        computing: seconds to compute the optimal bounds, once for the network and not in
            ``optimal`` (one model, neuron after neuron).
    """

    name: str
    sizes: tuple[int, ...]
    initial: float
    optimal: float
    computing: float


TIGHTENING = {
    "thesis": PublishedTightening("DNN1", (784, 32, 16, 10), 9.56, 2.64, 28.0),
    "dnn2": PublishedTightening("DNN2", (784, 32, 24, 16, 10), 57.87, 29.09, 232.0),
    "dnn3": PublishedTightening("DNN4", (784, 40, 30, 20, 10, 10), 2927.0, 240.0, 3814.0),
}
"""By the bundled network of the same shape (its weights are others)."""


@dataclass(frozen=True)
class PublishedProgram:
    """A log of Davoli (2022): the program of a convolutional network with its input fixed.

    Attributes:
        rows, columns, nonzeros, binaries: as Gurobi 9.5.0 prints them; maxima and indicators are
            general constraints of their own and no rows.
        objectives: of the first test images; None where no solution was found.
        bound: the last dual bound where none was found.
        seconds: for each of them on 8 threads, or the time after which it was stopped.
    """

    rows: int
    columns: int
    nonzeros: int
    binaries: int
    objectives: tuple[float, ...] | None
    seconds: tuple[float, ...]
    bound: float | None = None


ADM = {
    "without": PublishedProgram(
        14_624, 44_448, 692_800, 14_624, (5358.307685860, 7027.779367632), (3.40, 2.78)
    ),
    "nonnegative": PublishedProgram(14_634, 44_458, 698_570, 14_624, None, (15_400.0,), 5513.97571),
    "relu": PublishedProgram(14_634, 44_478, 698_580, 14_634, (5406.753180,), (1.30,)),
}
"""Logs of D. Davoli, *MILP-Adversarial-Instances* (2022), by variant."""

ADM_LOGITS = (
    *(-7.602362, 3.4242158, 6.452733, 9.197155, -7.5689564),
    *(-7.9306006, -22.784739, 25.037983, -3.7300112, 4.3334093),
)
"""Logits of the first test image in these logs."""

ROBUST_ERRORS = {
    ("nor-mlp-b", 0.02): (0.1016, 0.1348),
    ("nor-mlp-b", 0.03): (0.2043, 0.4867),
    ("nor-mlp-b", 0.05): (0.5337, 0.9404),
    ("adv-mlp-b-0.05", 0.05): (0.0611, 0.1138),
    ("adv-mlp-b-0.1", 0.1): (0.1625, 0.3437),
    ("lpd-mlp-b-0.1", 0.1): (0.1445, 0.1445),
    ("lpd-mlp-b-0.2", 0.2): (0.3633, 0.3633),
}
"""Bounds of Linf robust errors by network and radius, shares of all MNIST test images.

Of Salman, Yang, Zhang, Hsieh, Zhang, *A convex relaxation barrier to tight robustness verification
of neural networks*, NeurIPS 2019: mixed-integer programs with a limit of an hour an image, in
experiments that took more than 22 CPU-years in all. The networks (784-100-100-10) are those of the
authors' robust-verify-benchmark: trained as usual (``nor``), or for the radius in their name on
adversarial images (``adv``) or by the dual of the linear program (``lpd``).
"""

ROBUST_ERROR_IMAGES = 10_000
"""Images of :data:`ROBUST_ERRORS`."""


@dataclass(frozen=True)
class PublishedSize:
    """A program as Gurobi 9.0 prints it; maxima and absolute values are general constraints."""

    rows: int
    columns: int
    nonzeros: int
    general: int


@dataclass(frozen=True)
class PublishedAssignment:
    """*Adversarial DNN and ILP* (2022), an assignment of Combinatorial Optimization, CTU Prague.

    About a network 784-48-27-10 of its own and test image 12, a nine; on 12 threads.

    Attributes:
        accuracy, loss: of the network on the test images.
        training: loss and accuracy in each of five epochs.
        probability: of the nine by the network; ``clipped`` by its outputs cut off at 0.
        outputs: of the program for the image, cut off at 0.
        inference, deviation, confident: sizes of the three programs.
        distance: of the nearest image found in L1, with the ``bound`` after ``seconds`` and
            ``nodes``; the network took it for ``answer`` with ``answer_probability``.
        logit: the largest logit of 7 within L1 6, proven in ``logit_seconds`` and ``logit_nodes``;
            ``logit_probability`` of a seven.
    """

    accuracy: float = 0.9698
    loss: float = 0.1082
    training: tuple[tuple[float, float], ...] = (
        *((0.3253, 0.9070), (0.1527, 0.9554), (0.1142, 0.9660)),
        *((0.0938, 0.9717), (0.0775, 0.9756)),
    )
    probability: float = 0.999849796295166
    clipped: float = 0.99966353
    outputs: tuple[float, ...] = (0, 0, 0, 0, 0.1955, 0, 0, 0.7091, 0, 10.3238)
    inference: PublishedSize = PublishedSize(1653, 2522, 41_635, 85)
    deviation: PublishedSize = PublishedSize(3222, 4091, 45_557, 86)
    confident: PublishedSize = PublishedSize(3223, 4091, 46_341, 86)
    distance: float = 4.285427339997
    bound: float = 0.0
    seconds: float = 60.0
    nodes: int = 68_451
    answer: int = 4
    answer_probability: float = 0.5555132
    logit: float = 8.929051751660
    logit_seconds: float = 24.0
    logit_nodes: int = 5245
    logit_probability: float = 0.9950284


ASSIGNMENT = PublishedAssignment()


@dataclass(frozen=True)
class PublishedCorrection:
    """A row of Table 1 of Kronqvist (2024), a network that was fine-tuned.

    Attributes:
        loss: as printed, of the training images presumably.
        accuracy, fgsm, pgd: shares of the test images that are answered right, as they are and
            after attacks of radius 0.1 that aim away from the network's answer and may leave
            [0, 1].
    """

    loss: float
    accuracy: float
    fgsm: float
    pgd: float


CORRECTIONS = {
    (0, None): PublishedCorrection(0.0197, 0.9855, 0.1567, 0.0402),
    (10, None): PublishedCorrection(0.0273, 0.9839, 0.5948, 0.4314),
    (10, 0.0): PublishedCorrection(0.0354, 0.9819, 0.5949, 0.4376),
    (10, 0.2): PublishedCorrection(0.0269, 0.9846, 0.6154, 0.4573),
    (10, 0.4): PublishedCorrection(0.0269, 0.9846, 0.6154, 0.4587),
    (50, None): PublishedCorrection(0.0305, 0.9830, 0.7212, 0.6296),
    (50, 0.0): PublishedCorrection(0.0310, 0.9844, 0.7379, 0.6433),
    (50, 0.2): PublishedCorrection(0.0290, 0.9846, 0.7477, 0.6594),
    (50, 0.4): PublishedCorrection(0.0262, 0.9852, 0.7124, 0.5770),
}
"""Table 1 of J. Kronqvist, *Building upon MIP and classical optimization techniques to learn robust
deep neural networks*, CO@Work 2024: by adversarial images and the weight omega (None where none is
printed), of a network with two convolutions of stride 2 and 162,710 weights."""
TWO_NODES = {"first": (-67.0, 73.0), "second": (-96.0, 50.0)}
"""The two-node example of J. Kronqvist's lecture at CO@Work 2024, *Building upon MIP and classical
optimization techniques to learn robust deep neural networks*: bounds of both pre-activations."""

PARTITIONS = {
    5.0: {"bigm": (100, 57.6), "partition-2": (100, 42.7), "partition-4": (100, 83.9)},
    10.0: {"bigm": (97, 431.8), "partition-2": (98, 270.4), "partition-4": (98, 398.4)},
}
"""Optimal adversaries of Tsay, Kronqvist, Thebelt and Misener, *Partition-based formulations for
mixed-integer optimization of trained ReLU neural networks*, NeurIPS 2021, Table 2, network 2x50: by
radius and formulation, solved of 100 within an hour, and the average seconds over what all three
solved. Noted from the paper earlier, and not compared with it again."""

PARTITION_TARGETS = tuple(
    map(
        int,
        "18816636258179426396348614372094831593555578775761"
        "12327380649261652363370488850838337262949912805824",
    )
)
"""The label that shall lead for each of the first 100 test images, in the instances that the same
authors published (cog-imperial/PartitionedFormulations_NN)."""

LIPPA_REGIONS = {
    "nor-mlp-b": (24.54, 541.0),
    "adv-mlp-b-0.05": (14.89, 198.0),
    "adv-mlp-b-0.1": (7.94, 49.0),
    "lpd-mlp-b-0.1": (4.32, 14.0),
}
"""Table 1 of Seck, Loosli and Canu, *Linear Program Powered Attack* (IJCNN 2021): mean unstable
neurons and linear regions found by sampling (6,144 samples) in the Linf ball of 0.05 around the
first 100 test images, by network as in :data:`ROBUST_ERRORS`."""


@dataclass(frozen=True)
class PublishedAttack:
    """A line of Table 2 of the same paper, in per cent.

    Attributes:
        clean: test error.
        lower, upper: bounds of others on the robust error, of all test images.
        lippa: robust error by LiPPA, of the first 1000.
    """

    clean: float
    lower: float
    lippa: float
    upper: float


LIPPA_ERRORS = {
    ("nor-mlp-b", 0.05): PublishedAttack(2.05, 53.37, 63.30, 94.04),
    ("adv-mlp-b-0.1", 0.1): PublishedAttack(3.33, 16.25, 20.40, 34.3),
    ("lpd-mlp-b-0.2", 0.2): PublishedAttack(15.72, 36.33, 38.3, 36.33),
}
"""By network and radius, those of its networks whose weights are published."""

LIPPA_SECONDS = {
    "nor-mlp-b": (15.90, 0.42),
    "adv-mlp-b-0.1": (16.52, 0.25),
    "lpd-mlp-b-0.2": (16.24, 0.25),
}
"""Table 3: mean seconds of failed and successful searches. Its third line of these says NOR-MLP-B a
second time, and is taken to be about LPD-MLP-B, which has no line otherwise."""
