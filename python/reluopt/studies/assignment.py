"""*Adversarial DNN and ILP* (CTU Prague, 2022): its exercises and *more ideas*, proven.

An assignment about a small network and test image 12, a nine. Its solver stopped at the nearest
image without any bound. The network there is another one of the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.bounds.constant import Constant
from reluopt.errors import InputError
from reluopt.figures import digit_figure, perturbation_figure, relu_figure
from reluopt.images.mnist import Dataset, load_images
from reluopt.networks.evaluation import evaluate
from reluopt.networks.finetuning.parameters import mean_loss
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import open_network
from reluopt.numerics.arrays import BoolArray, FloatArray
from reluopt.numerics.softmax import softmax
from reluopt.questions.problems import AnyTarget, FixedTarget, Norm, parse_margin, parse_norm
from reluopt.questions.tasks import fitting_box
from reluopt.runs.activations import InferenceJob, InferenceUnit, with_relu
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.drawing import change_figure, ideal_figure
from reluopt.runs.ideal import IdealJob, LabelUnit
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.job import Finished
from reluopt.runs.row import AttackRow, IdealRow, InferenceRow, UniversalRow, WorstCaseRow, known
from reluopt.runs.universal import ImageSet, UniversalJob
from reluopt.runs.worst_case import WorstCaseJob, WorstCaseSettings
from reluopt.studies.assignment_tables import comparison, conventions, noises, sizes
from reluopt.studies.base import Study, StudyContext, StudyFolder, StudyResult
from reluopt.studies.published import ASSIGNMENT
from reluopt.studies.solved import SAME, change_of, image_index, is_proven, row_table

NAME = "assignment"
NETWORK = "ctu"

IMAGE, LABEL, SHARE = 12, 9, 0.95
"""The test image, its label, and what share of the largest logit is left to the label's."""

SURE, BUDGET = 7, 6.0
"""The label whose logit the confident attack maximises, and how long its change may be in L1."""

IDEAL, SHARED_TARGET = 8, 4
"""The label whose ideal is asked for, and the label of one noise for several nines."""

MARGIN = parse_margin(f"x{round(1.0 / SHARE, 12)}:{LABEL}")
"""``x_9 <= 0.95 max_k x_k``, answered otherwise."""

SMOOTH, FEW_SMOOTH = (0.1, 0.05), (0.1,)
"""Limits on neighbouring changes."""

NINES, FEW_NINES, DRAWN = tuple(range(2, 11)), (2, 3), 9
"""For how many nines at once one noise is looked for, and how many fit into a row with it."""

LIMIT, FEW_LIMIT = 60.0, 5.0
"""Seconds for each problem; the first is the assignment's own."""

SHUFFLES = 5
"""Noises with shuffled pixels, beside each noise on other images."""

PROGRAMS = {"big-M of 1000": "thesis", "bounds over the ball": "bigm"}
"""How HiGHS is asked for the nearest image: bounds of 1000, and ours."""


@dataclass(frozen=True)
class Convention:
    """What the assignment leaves open, and its program does.

    Attributes:
        open_box: whether a pixel x may rise to x + 1, as no upper bound stands in its program.
        clipped: whether the outputs are cut off at 0, as all layers there.
    """

    open_box: bool
    clipped: bool

    def network(self, network: ReLUNetwork, image: FloatArray) -> ReLUNetwork:
        """The network under this convention, for one image."""
        layers = with_relu(network.layers) if self.clipped else network.layers
        metadata = network.metadata
        if self.open_box:
            box = (tuple(np.zeros(image.size)), tuple(image + 1.0))
            metadata = replace(metadata, input_box=box)
        return ReLUNetwork(layers, metadata)


CONVENTIONS = {
    "unit-logits": Convention(open_box=False, clipped=False),
    "unit-clipped": Convention(open_box=False, clipped=True),
    "open-logits": Convention(open_box=True, clipped=False),
    "open-clipped": Convention(open_box=True, clipped=True),
}
"""Ours first; the assignment's last."""


@dataclass
class Answers:
    """All that was solved.

    Attributes:
        fixed: programs with the image as their input.
        nearest, surest: by convention.
        programs: the nearest image by a general solver, by :data:`PROGRAMS`.
        hidden: nearest images by what makes their changes less visible.
        ideal: the ideal input.
        shared: sets of nines with their noise.
    """

    fixed: list[Finished[InferenceRow]] = field(default_factory=list)
    nearest: dict[str, Finished[AttackRow]] = field(default_factory=dict)
    surest: dict[str, Finished[WorstCaseRow]] = field(default_factory=dict)
    programs: dict[str, Finished[AttackRow]] = field(default_factory=dict)
    hidden: dict[str, Finished[AttackRow]] = field(default_factory=dict)
    ideal: Finished[IdealRow] | None = None
    shared: list[tuple[UniversalJob, Finished[UniversalRow]]] = field(default_factory=list)

    def solved(self) -> dict[str, Finished[Any]]:
        """All but the programs with fixed input, by what was asked."""
        named: dict[str, Finished[Any]] = {
            **{f"nearest {name}": each for name, each in self.nearest.items()},
            **{f"nearest, HiGHS {name}": each for name, each in self.programs.items()},
            **{f"surest {name}": each for name, each in self.surest.items()},
            **{f"nearest, {name}": each for name, each in self.hidden.items()},
            **{f"{len(job.images.instances)} nines": each for job, each in self.shared},
        }
        return named if self.ideal is None else {**named, f"ideal {IDEAL}": self.ideal}


def run(context: StudyContext) -> StudyResult:
    """Solve everything in the assignment's order, then try the noises on other images."""
    folder = StudyFolder(context, NAME)
    network = open_network(NETWORK if context.network is None else context.network)
    nines = _nines(network)
    exceeding = Constant().exceeding(network, fitting_box(network, None))
    if exceeding:
        raise InputError(f"--network: {exceeding}")
    answers = _solve(folder, network, nines)
    tried = _tried(network, nines[0], answers, context.seed)
    facts = {**_facts(context, network, nines, answers), "noises": tried}
    folder.figure(f"{NAME}-digits", _digits(network))
    folder.figure(f"{NAME}-relu", relu_figure(-10.0, 10.0))
    folder.figure(NAME, _pictures(network, nines[0], answers))
    drawn = [each for each in answers.shared if len(each[0].images.instances) <= DRAWN]
    folder.figure(f"{NAME}-noise", change_figure(*drawn[-1]))
    folder.figure(f"{NAME}-ideal", ideal_figure(network, [known(answers.ideal)]))
    folder.table(NAME, comparison(facts), facts)
    folder.table(f"{NAME}-sizes", sizes(facts), facts)
    folder.table(f"{NAME}-conventions", conventions(facts), facts)
    folder.table(f"{NAME}-noises", noises(facts), facts)
    rows = [row_table([each], question=name) for name, each in answers.solved().items()]
    folder.table(f"{NAME}-rows", pd.concat(rows, ignore_index=True))
    complete = context.full and context.limit is None and context.time_limit is None
    return folder.finish(facts, complete=complete)


def _nines(network: ReLUNetwork) -> list[Instance]:
    """The image, then the first other nines of the test images that the network recognises.

    Raises:
        InputError: the network misreads the image.
    """
    data = load_images("test")
    found = np.flatnonzero((data.labels == LABEL) & (network.predict(data.images) == LABEL))
    if IMAGE not in found:
        raise InputError(
            f"network {network.metadata.name}: expected one that reads test:{IMAGE} as {LABEL}, "
            f"found {int(network.predict(data.image(IMAGE)))}"
        )
    order = [IMAGE, *(int(index) for index in found if index != IMAGE)][: max(NINES)]
    return load_instances(network, [f"test:{index}" for index in order])


def _solve(folder: StudyFolder, network: ReLUNetwork, nines: Sequence[Instance]) -> Answers:
    """All programs and problems of the assignment."""
    context, image = folder.context, nines[0]
    limit = LIMIT if context.full else FEW_LIMIT
    method, found = context.method(limit), Answers()
    suffix = f"{method.options.time_limit:g}s"

    def attack(stage: str, norm: Norm, given: ReLUNetwork, **how: Any) -> Finished[AttackRow]:
        smoothness = how.pop("smoothness", None)
        chosen = context.method(limit, **how)
        settings = AttackSettings(AnyTarget(), norm, MARGIN, chosen, smoothness=smoothness)
        return folder.run(f"{stage}-{suffix}", AttackJob(given, settings), [image], chosen)[0]

    programs = context.method(limit, engine="highs", formulation="thesis")
    fixed = [InferenceUnit(image, "plain", end, "highs", "constant") for end in ("relu", "free")]
    found.fixed = folder.run(
        f"fixed-{suffix}", InferenceJob(network, programs.options), fixed, programs
    )
    for name, convention in CONVENTIONS.items():
        given = convention.network(network, image.image)
        found.nearest[name] = attack(f"nearest-{name}", Norm.L1, given)
        asked = WorstCaseSettings(BUDGET, Norm.L1, SURE, SHARE)
        job = WorstCaseJob(given, asked, method)
        found.surest[name] = folder.run(f"surest-{name}-{suffix}", job, [image], method)[0]
    for name, form in PROGRAMS.items():
        how = {"engine": "highs", "formulation": form}
        found.programs[name] = attack(f"nearest-highs-{form}", Norm.L1, network, **how)
    found.hidden["L2"] = attack("nearest-l2", Norm.L2, network)
    found.hidden["Linf"] = attack("nearest-linf", Norm.LINF, network)
    for smoothness in SMOOTH if context.full else FEW_SMOOTH:
        found.hidden[f"s = {smoothness:g}"] = attack(
            f"nearest-smooth-{smoothness:g}", Norm.L1, network, smoothness=smoothness
        )
    label = [LabelUnit(IDEAL)]
    found.ideal = folder.run(f"ideal-{suffix}", IdealJob(network, method), label, method)[0]
    for count in [n for n in NINES if n <= context.count(max(FEW_NINES), max(NINES))]:
        settings = AttackSettings(
            FixedTarget(SHARED_TARGET), Norm.L1, MARGIN, method, network.metadata.name
        )
        shared = UniversalJob(network, settings, ImageSet(tuple(nines[:count])))
        results = folder.run(f"nines-{count}-{suffix}", shared, [shared.images], method)
        found.shared.append((shared, results[0]))
    return found


def _tried(
    network: ReLUNetwork, image: Instance, answers: Answers, seed: int
) -> list[dict[str, Any]]:
    """What each noise does to recognised test images that it was not made for."""
    data = load_images("test")
    pixels = data.images.reshape(len(data.images), -1)
    recognised = network.predict(pixels) == data.labels
    generator = np.random.default_rng(seed)
    told = []

    def tell(name: str, change: FloatArray | None, own: Sequence[Instance], row: Any) -> None:
        if change is None:
            return
        others = recognised.copy()
        others[[image_index(each) for each in own]] = False
        shuffled = [generator.permutation(change) for _ in range(SHUFFLES)]
        masks = {
            "nines": others & (data.labels == LABEL),
            "others": others & (data.labels != LABEL),
        }
        found: dict[str, Any] = {"name": name, "length": float(np.abs(change).sum())}
        found |= {"proven": row.status == "OPTIMAL", "bound": row.bound, "images": len(own)}
        for kind, mask in masks.items():
            found[kind] = _fooled(network, pixels[mask], data.labels[mask], change)
            shares = [_fooled(network, pixels[mask], data.labels[mask], each) for each in shuffled]
            found[f"{kind}_shuffled"] = float(np.mean(shares))
        told.append(found)

    for name, finished in (("nearest", answers.nearest), ("surest", answers.surest)):
        result = finished["unit-logits"]
        tell(name, change_of(image, result), [image], result.row)
    for job, shared in answers.shared:
        change = None if shared.image is None else np.ravel(shared.image)
        tell(f"{len(job.images.instances)} nines", change, job.images.instances, shared.row)
    return told


def _fooled(network: ReLUNetwork, pixels: FloatArray, labels: Any, change: FloatArray) -> float:
    """The share of images that a change, cut off at black and white, makes the network misread."""
    answers = network.predict(np.clip(pixels + change, 0.0, 1.0))
    wrong: BoolArray = answers != labels
    return float(wrong.mean())


def _facts(
    context: StudyContext, network: ReLUNetwork, nines: Sequence[Instance], answers: Answers
) -> dict[str, Any]:
    """What is told, but for the noises."""
    image = nines[0]
    logits = network.forward(image.image)
    clipped = np.maximum(logits, 0.0)
    data, seen = load_images("test"), load_images("train")
    counts = [len(job.images.instances) for job, _ in answers.shared]
    return {
        "network": network.metadata.name,
        "given": context.network is not None,
        "images": max(counts),
        "limit": answers.nearest["unit-logits"].row.time_limit,
        "margin": str(MARGIN),
        "budget": BUDGET,
        "accuracy": round(evaluate(network, data.images, data.labels).accuracy, 4),
        "loss": round(_loss(network, data), 4),
        "seen": len(seen.images),
        "seen_accuracy": round(evaluate(network, seen.images, seen.labels).accuracy, 4),
        "seen_loss": round(_loss(network, seen), 4),
        "logits": [round(float(x), 4) for x in logits],
        "probability": float(softmax(logits)[LABEL]),
        "clipped": float(softmax(clipped)[LABEL]),
        "fixed": {
            unit.row.run.split()[2]: {
                **{name: unit.row[name] for name in ("constraints", "variables", "binaries")},
                **{name: unit.row[name] for name in ("nonzeros", "status", "difference")},
            }
            for unit in answers.fixed
        },
        "solved": {
            name: _told(network, image, each)
            for name, each in answers.solved().items()
            if not name.endswith("nines")
        },
        "ideal": _row_facts(known(answers.ideal).row),
        "same": _same(answers),
        "drawn": max(n for n in NINES if n <= min(DRAWN, max(counts))),
        "shuffles": SHUFFLES,
        "printed": asdict(ASSIGNMENT),
        "unproven": sum(not is_proven(each) for each in answers.solved().values()),
        "problems": len(answers.solved()),
    }


def _row_facts(row: Any) -> dict[str, Any]:
    """A row in short."""
    names = ("engine", "status", "predicted", "nodes", "constraints", "variables", "binaries")
    told = {name: row.get(name) for name in names}
    value, bound = row.get("objective"), row.get("bound")
    if isinstance(row, AttackRow):
        value = row.distance
        bound = None if bound is None else parse_norm(row.norm).distance_of(max(bound, 0.0))
    return {**told, "value": value, "bound": bound, "seconds": round(row.seconds or 0.0, 2)}


def _told(network: ReLUNetwork, image: Instance, result: Finished[Any]) -> dict[str, Any]:
    """A row in short, how sure the network is of its answer, and what the change looks like."""
    told = _row_facts(result.row)
    change = change_of(image, result)
    if change is not None and not isinstance(result.row, IdealRow):
        answer = known(result.row.predicted)
        told["probability"] = float(softmax(network.forward(image.image + change))[answer])
        told |= {"l1": float(np.abs(change).sum()), "largest": float(np.abs(change).max())}
        told |= {"changed": int((np.abs(change) > 1e-6).sum())}
    return told


def _loss(network: ReLUNetwork, data: Dataset) -> float:
    """Mean cross-entropy."""
    pixels = data.images.reshape(len(data.images), -1)
    return mean_loss(network, pixels, data.labels.astype(np.intp))


def _digits(network: ReLUNetwork) -> Figure:
    """Six training digits, and four of the test with what the network answers."""
    first, second = load_images("train"), load_images("test")
    answers = network.predict(second.images[:4])
    captions = [f"train:{k}" for k in range(6)] + [f"read as {answer}" for answer in answers]
    labels = [*first.labels[:6], *second.labels[:4]]
    return digit_figure(
        np.concatenate([first.images[:6], second.images[:4]]), [int(x) for x in labels], captions
    )


_WORDS = {"L2": "nearest in $L_2$", "Linf": r"nearest in $L_\infty$"}


def _pictures(network: ReLUNetwork, image: Instance, answers: Answers) -> Figure | None:
    """The image changed in every way that was asked for."""
    asked: Mapping[str, Finished[Any]] = {
        "nearest in $L_1$": answers.nearest["unit-logits"],
        f"surest {SURE}": answers.surest["unit-logits"],
        **{_WORDS.get(name, f"nearest, {name}"): each for name, each in answers.hidden.items()},
    }
    shown = {name: each for name, each in asked.items() if change_of(image, each) is not None}
    if not shown:
        return None
    return perturbation_figure(
        [image.image] * len(shown),
        [each.image for each in shown.values()],
        labels=[LABEL] * len(shown),
        predicted_original=[LABEL] * len(shown),
        predicted_changed=[known(each.row.predicted) for each in shown.values()],
        distances=[float(np.abs(known(change_of(image, each))).sum()) for each in shown.values()],
        norm=str(Norm.L1),
        proven=[name if is_proven(each) else f"{name} *" for name, each in shown.items()],
    )


def _same(answers: Answers) -> bool:
    """Whether all conventions have the same optima."""
    for group in (answers.nearest, answers.surest):
        found: Mapping[str, Finished[Any]] = group
        values = [float(known(each.row.objective)) for each in found.values()]
        if max(values) - min(values) > SAME * abs(values[0]):
            return False
    return True


STUDY = Study(NAME, run, any_network=True, minutes=10)
