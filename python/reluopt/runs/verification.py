"""Verdicts over balls for many images and radii, and the robust error that they add up to.

The robust error of a set within eps is the share of images that are not proven robust. Images with
a checked input that is answered otherwise bound it from below, images that are not proven robust
from above; both bounds hold at every moment of a run.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reluopt.answers.solution import Solution, Status
from reluopt.method import Method
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import Norm, Verification
from reluopt.runs.instances import Instance, data_fingerprint
from reluopt.runs.row import VerifyRow
from reluopt.runs.solving import SolverJob, toy_network


@dataclass(frozen=True, eq=False)
class Ball:
    """An image and a radius.

    Attributes:
        instance: the image.
        eps: the radius.
    """

    instance: Instance
    eps: float

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.instance.key} within {self.eps!r}"


def balls(instances: Sequence[Instance], radii: Sequence[float]) -> list[Ball]:
    """Every image with every radius, the images in turn."""
    return [Ball(instance, eps) for instance in instances for eps in radii]


@dataclass(frozen=True, eq=False)
class VerifyJob(SolverJob[Ball, VerifyRow]):
    """Decide balls.

    Attributes:
        network: the network.
        method: how each is decided.
        norm: of the balls.
        network_path: bundled name or file of the network.
    """

    network: ReLUNetwork
    method: Method
    norm: Norm = Norm.LINF
    network_path: str = ""

    row_class = VerifyRow

    def describe(self) -> dict[str, Any]:
        """Everything that determines the results but the radii, JSON-serialisable."""
        return {
            "experiment": "verify",
            **self.asked(),
            "network_path": self.network_path or self.network.metadata.name,
            "norm": str(self.norm),
            "extra": dict(self.options.extra),
        }

    def identify(self, unit: Ball) -> dict[str, Any]:
        """A row stands for the image with these pixels and this true label only."""
        return {"image_sha256": unit.instance.fingerprint, "label": unit.instance.label}

    def session(self, units: Sequence[Ball]) -> dict[str, Any]:
        """The fingerprint of all images, and the radii."""
        radii = sorted({unit.eps for unit in units})
        return {"data_sha256": data_fingerprint([unit.instance for unit in units]), "eps": radii}

    def warm_up(self) -> None:
        """Compile and load what verdicts call."""
        solve(toy_network(), Verification([0.5, 0.4], 0, 0.1, self.norm), self.method)

    def check_balls(self, units: Sequence[Ball]) -> None:
        """Refuse what cannot work before anything is compiled or solved.

        Raises:
            InputError: see :meth:`~reluopt.questions.verification.Verification.task`, or the engine
                cannot do what the method asks.
            UnsupportedProblemError: the engine cannot solve such problems, or keeps no proofs.
            EngineUnavailableError: the engine is not usable on this machine.
        """
        for unit in {(u.instance.label, u.eps): u for u in units}.values():
            self.refuse_engine(self.problem(unit).task(self.network))

    def problem(self, unit: Ball) -> Verification:
        """What is asked of one ball."""
        return Verification(unit.instance.image, unit.instance.label, unit.eps, self.norm)

    def row(self, unit: Ball, solution: Solution, seconds: float) -> VerifyRow:
        """The row of a verdict."""
        certificate = solution.certificate
        witness: dict[str, Any] = {}
        if solution.status is Status.NOT_ROBUST and certificate is not None:
            witness = {"predicted": certificate.predicted, "lead": certificate.objective}
            witness |= {"distance": certificate.distance}
        return replace(
            self.blank(unit, str(solution.status)),
            engine=solution.engine,
            formulation=solution.formulation,
            bounds=solution.bounds,
            bound=solution.bound,
            nodes=solution.nodes,
            seconds=seconds,
            certified=solution.status in SETTLED,
            message=solution.message,
            **witness,
        )

    def blank(self, unit: Ball, status: str) -> VerifyRow:
        """All that is known without a verdict."""
        return VerifyRow(
            run=unit.key,
            image=unit.instance.key,
            label=unit.instance.label,
            norm=str(self.norm),
            eps=unit.eps,
            engine=self.method.engine,
            formulation=self.method.formulation_name,
            status=status,
            original_predicted=int(self.network.predict(unit.instance.image)),
            certified=False,
            image_sha256=unit.instance.fingerprint,
            **self.limits(),
        )


SETTLED = (Status.ROBUST, Status.NOT_ROBUST)
"""Verdicts: proven, or shown by an input that the network was run on."""


@dataclass(frozen=True)
class RobustError:
    """What rows of one radius say of the robust error; shares in [0, 1].

    Attributes:
        eps: the radius.
        images: how many rows there are.
        clean: share of images that are answered wrongly as they are.
        lower: share with a checked input of the ball that is answered otherwise.
        upper: share that is not proven robust.
        undecided: share without a verdict, the difference of the two.
        median_seconds, mean_seconds, most_seconds: of an image.
    """

    eps: float
    images: int
    clean: float
    lower: float
    upper: float
    undecided: float
    median_seconds: float
    mean_seconds: float
    most_seconds: float


def robust_errors(rows: Iterable[VerifyRow]) -> list[RobustError]:
    """One entry for each radius, the smallest first."""
    by_radius: dict[float, list[VerifyRow]] = {}
    for row in rows:
        by_radius.setdefault(row.eps, []).append(row)
    return [_robust_error(eps, each) for eps, each in sorted(by_radius.items())]


def _robust_error(eps: float, rows: Sequence[VerifyRow]) -> RobustError:
    count = len(rows)
    seconds = [row.seconds for row in rows if row.seconds is not None] or [0.0]
    statuses = [row.status for row in rows]
    robust, fooled = statuses.count(Status.ROBUST), statuses.count(Status.NOT_ROBUST)
    return RobustError(
        eps,
        count,
        sum(row.original_predicted != row.label for row in rows) / count,
        fooled / count,
        (count - robust) / count,
        (count - robust - fooled) / count,
        statistics.median(seconds),
        statistics.fmean(seconds),
        max(seconds),
    )
