"""Exact robust errors before and after fine-tuning, by where correction points come from.

A small bundled network is corrected at as many points around the same training images, found by
steps of PGD or exactly, and every verdict on test images that no way has seen is a proof. The rest
of the study ``finetuning`` is about a larger network, whose errors nobody can prove.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reluopt.answers.solution import Status
from reluopt.attacks.adversaries import Steps, leads_of, least_of_each
from reluopt.figures import correction_figure
from reluopt.images.mnist import load_images
from reluopt.networks.finetuning.correction import Examples, correct
from reluopt.networks.finetuning.parameters import weights_of
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.numerics.arrays import FloatArray
from reluopt.questions.problems import AnyTarget, Norm, RelativeMargin
from reluopt.questions.tasks import fitting_box
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.instances import Instance, load_instances
from reluopt.runs.job import Finished
from reluopt.runs.row import VerifyRow, known
from reluopt.runs.tables import DASH
from reluopt.runs.verification import SETTLED, VerifyJob, balls, robust_errors
from reluopt.runs.worst_case import WorstCaseJob, WorstCaseSettings
from reluopt.studies.base import StudyFolder
from reluopt.studies.words import interval, share_text

NETWORK = "thesis-96"

EPS = 0.03
"""Radius of the balls in which points are looked for: about the median distance to a misread
image. At the lecture's 0.1 no image is robust, before or after."""

RADII = (0.01, 0.02, 0.03, 0.05, 0.1)
"""Radii of the verdicts; the last one is the lecture's."""

MARGIN = 1.0
"""By how much labels shall lead at nearest images, in logits: these lie on the border, where a
tie asks for nothing."""

STEPS = 50
"""Steps of PGD, of a tenth of the radius."""

FIRST, WORST = "first", "worst"
"""Which images points are looked for around: the first of every label, or those of the worst
points among a pool."""

MISREAD = "misread"


@dataclass(frozen=True)
class ExactSize:
    """How much is done.

    Attributes:
        groups: which images, and how many points: a fine-tuning by each way.
        pool: recognised training images.
        training: training images whose loss may not rise.
        judged: those that tell the loss of candidates.
        iterations: quadratic programs.
        test: test images of the verdicts.
    """

    groups: tuple[tuple[str, int], ...]
    pool: int
    training: int
    judged: int
    iterations: int
    test: int


COMPLETE = ExactSize(
    ((FIRST, 10), (FIRST, 50), (FIRST, 100), (WORST, 50)), 500, 2000, 1000, 5, 1000
)
REDUCED = ExactSize(((FIRST, 10),), 100, 200, 100, 3, 20)

Images = Sequence[Instance]


def _by_pgd(folder: StudyFolder, network: ReLUNetwork, images: Images) -> FloatArray:
    """Steps away from the label, in ball and box."""
    box = fitting_box(network, None)
    steps = Steps(EPS, STEPS, EPS / 10.0, folder.context.seed, box)
    return steps(network, np.array([image.image for image in images]))


def _by_worst_case(folder: StudyFolder, network: ReLUNetwork, images: Images) -> FloatArray:
    """Where the label's lead is least in ball and box, exactly."""
    method = folder.context.method()
    job = WorstCaseJob(network, WorstCaseSettings(EPS, Norm.LINF), method)
    return _points(folder.run("exact-worst", job, images, method, folder.context.executor()))


def _by_nearest(folder: StudyFolder, network: ReLUNetwork, images: Images) -> FloatArray:
    """The nearest misread images, exactly."""
    method = folder.context.method()
    asked = AttackSettings(AnyTarget(), Norm.LINF, RelativeMargin(0.0), method)
    job = AttackJob(network, asked)
    return _points(folder.run("exact-nearest", job, images, method, folder.context.executor()))


def _points(finished: Sequence[Finished[Any]]) -> FloatArray:
    return np.array([np.ravel(known(each.image)) for each in finished], dtype=np.float64)


@dataclass(frozen=True)
class Way:
    """Where correction points come from.

    Attributes:
        title: what it is called.
        points: finds one for each image, shape ``(n, n_0)``.
        margin: by how much labels shall lead there.
    """

    title: str
    points: Callable[[StudyFolder, ReLUNetwork, Images], FloatArray]
    margin: float = 0.0

    def ranks(self, network: ReLUNetwork, examples: Examples, around: FloatArray) -> FloatArray:
        """The less, the worse: leads, or distances where all points lie on the border."""
        if self.margin > 0.0:
            return np.asarray(np.abs(examples.inputs - around).max(axis=1))
        return leads_of(network, examples.inputs, examples.labels)


WAYS = {
    "pgd": Way("PGD", _by_pgd),
    "worst-case": Way("exact worst case", _by_worst_case),
    "nearest": Way("exact nearest", _by_nearest, MARGIN),
}

BEFORE = "before"


def measure(folder: StudyFolder) -> tuple[dict[str, Any], pd.DataFrame]:
    """Fine-tune by every way and prove: facts, and a line for each test image."""
    context = folder.context
    size = COMPLETE if context.full else REDUCED
    network = load_bundled(NETWORK)
    tests = load_instances(network, [f"test:0-{context.count(size.test, size.test) - 1}"])
    pool = _pool(network, size.pool)
    rows, verdicts = [], {}
    told, verdicts[BEFORE] = _proven(folder, network, tests)
    rows.append({"way": BEFORE, "images": FIRST, "points": 0, "change": 0.0, **told})
    for images, count in size.groups:
        for name, way in WAYS.items():
            points = _chosen(folder, network, pool, images, count, way)
            made = _corrected(network, points, size)
            told, verdicts[f"{name}-{images}-{count}"] = _proven(folder, made, tests)
            length = np.linalg.norm(weights_of(made) - weights_of(network))
            change = float(length / np.linalg.norm(weights_of(network)))
            violation = {"before": points.violation(network), "after": points.violation(made)}
            asked = {"way": name, "images": images, "points": count, "change": round(change, 6)}
            lead = float(leads_of(network, points.inputs, points.labels).mean())
            rows.append({**asked, **told, "violation": violation, "lead": round(lead, 4)})
    facts = {"network": NETWORK, "tests": len(tests), "eps": EPS, "margin": MARGIN, "steps": STEPS}
    facts |= {"radii": list(RADII), "pool": size.pool, "training": size.training, "rows": rows}
    table = pd.DataFrame({name: _reaches(found) for name, found in verdicts.items()})
    table.insert(0, "image", [image.key for image in tests])
    facts["undecided"] = sum(
        row.status not in SETTLED for found in verdicts.values() for row in found
    )
    facts["left"] = min(row["errors"][f"{RADII[-1]:g}"][0] for row in rows[1:])
    return {**facts, "duels": _duels(table, size.groups)}, table


def _pool(network: ReLUNetwork, count: int) -> list[Instance]:
    """The first training images that the network recognises."""
    data = load_images("train")
    right = np.flatnonzero(network.predict(data.images) == data.labels)[:count]
    return load_instances(network, [f"train:{','.join(map(str, right))}"])


def _chosen(
    folder: StudyFolder, network: ReLUNetwork, pool: Images, images: str, count: int, way: Way
) -> Examples:
    """The points of one way, as many of every label."""
    classes = network.output_size
    labels = np.array([image.label for image in pool], dtype=np.intp)
    if images == FIRST:
        picked = least_of_each(np.arange(float(len(pool))), labels, count, classes)
        points = way.points(folder, network, [pool[k] for k in picked])
        return Examples(points, labels[picked], way.margin)
    around = np.array([image.image for image in pool])
    points = way.points(folder, network, pool)
    ranks = way.ranks(network, Examples(points, labels), around)
    picked = least_of_each(ranks, labels, count, classes)
    return Examples(points[picked], labels[picked], way.margin)


def _corrected(network: ReLUNetwork, points: Examples, size: ExactSize) -> ReLUNetwork:
    """The candidate that misses the points least."""
    data = load_images("train")
    training, judged = (
        Examples(data.images[:n].reshape(n, -1), data.labels[:n].astype(np.intp))
        for n in (size.training, size.judged)
    )
    made = correct(network, points, training, size.iterations, judged)
    return made.corrected(made.chosen(0.0))


def _proven(
    folder: StudyFolder, network: ReLUNetwork, tests: Images
) -> tuple[dict[str, Any], list[VerifyRow]]:
    """Accuracy and robust errors of a network, and its rows."""
    data, method = load_images("test"), folder.context.method()
    job, units = VerifyJob(network, method), balls(tests, RADII)
    stage = f"exact-{network.fingerprint[:8]}"
    finished = folder.run(stage, job, units, method, folder.context.executor())
    rows = [each.row for each in finished]
    pixels = data.images.reshape(len(data.images), -1)
    errors = {f"{each.eps:g}": [each.lower, each.upper] for each in robust_errors(rows)}
    accuracy = float((network.predict(pixels) == data.labels).mean())
    return {"accuracy": accuracy, "clean": robust_errors(rows)[0].clean, "errors": errors}, rows


def _reaches(rows: Sequence[VerifyRow]) -> list[str]:
    """The largest radius within which each image is proven robust, 0, or ``misread``.

    A radius without a verdict counts as none.
    """
    found: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.eps):
        right = row.original_predicted == row.label
        found.setdefault(row.image, "0" if right else MISREAD)
        if row.status == Status.ROBUST:
            found[row.image] = f"{row.eps:g}"
    return [found[image] for image in dict.fromkeys(row.image for row in rows)]


def _duels(table: pd.DataFrame, groups: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Exact points against PGD's: images that only one of the two makes robust, by radius.

    ``p`` is how likely numbers at least so different are, were both as good (sign test).
    """
    from scipy.stats import binomtest

    reach = table.replace(MISREAD, "-1").iloc[:, 1:].astype(float)
    told = []
    for images, count in groups:
        for way in list(WAYS)[1:]:
            ours, theirs = (reach[f"{name}-{images}-{count}"] for name in (way, "pgd"))
            for eps in RADII:
                pairs = ((ours, theirs), (theirs, ours))
                alone = [int(((one >= eps) & (other < eps)).sum()) for one, other in pairs]
                p = binomtest(alone[0], sum(alone)).pvalue if sum(alone) else 1.0
                asked = {"way": way, "images": images, "points": count, "eps": eps}
                told.append({**asked, "alone": alone, "p": round(float(p), 4)})
    return told


def tuning_table(facts: Mapping[str, Any]) -> pd.DataFrame:
    """A line for each fine-tuning."""
    lines = []
    for row in facts["rows"]:
        way = WAYS.get(row["way"])
        line = {
            "points": str(row["points"]),
            "images": row["images"] if way else DASH,
            "points from": way.title if way else DASH,
            "weights changed by": share_text(row["change"], 2),
            "accuracy": share_text(row["accuracy"], 2),
        }
        errors = {f"error at {eps} (%)": interval(ends) for eps, ends in row["errors"].items()}
        lines.append({**line, **errors})
    return pd.DataFrame(lines, dtype=object)


def tuning_figure(facts: Mapping[str, Any], radii: Sequence[float] = RADII[:3]) -> Figure:
    """Proven errors by the number of points, of the first images of every label."""
    before, *rows = [row for row in facts["rows"] if row["images"] == FIRST]
    panels = {
        eps: {
            way.title: [
                (row["points"], *row["errors"][f"{eps:g}"])
                for row in (before, *(each for each in rows if each["way"] == name))
            ]
            for name, way in WAYS.items()
        }
        for eps in radii
    }
    return correction_figure(panels)
