"""Engines whose bounds can be verified later: what they keep, and how it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from reluopt.answers.solution import Incumbent, Solution
from reluopt.engines import get_engine
from reluopt.engines.base import Engine
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Task


@dataclass(frozen=True, eq=False)
class Claim:
    """What a proof is kept for.

    Attributes:
        network: about which network.
        task: what was asked.
        bound: on the objective of a distance; infinite where there is said to be no answer.
        answer: an input that passed the check, if there is one.
        name: what the input is called, for people.
    """

    network: ReLUNetwork
    task: Task
    bound: float
    answer: Incumbent | None
    name: str = ""

    @classmethod
    def of(cls, network: ReLUNetwork, task: Task, solution: Solution, name: str = "") -> Claim:
        """What a solution of a task claims."""
        targets = [each.target for each in task.alternatives]
        answer = None
        if solution.certified and solution.image is not None and solution.target in targets:
            place = targets.index(solution.target)
            answer = Incumbent(solution.image, solution.objective, place)
        return cls(network, task, solution.bound, answer, name)


@runtime_checkable
class ProvingEngine(Engine, Protocol):
    """An engine that keeps proofs when ``extra["proof"]`` asks for them."""

    def keeps_proofs(self, task: Task) -> bool:
        """Whether it keeps proofs of this kind of task."""
        ...

    def proof_bytes(self, proof: Any, claim: Claim | None = None) -> bytes:
        """The file that holds the proof of an answer, and the claim for independent checkers."""
        ...

    def read_proof(self, path: Path) -> Any:
        """Read such a file.

        Raises:
            InputError: it is missing, damaged, or no proof.
        """
        ...

    def replay(self, proof: Any, network: ReLUNetwork, task: Task) -> float:
        """A lower bound on the objective that holds whatever the numbers in the proof are.

        Infinite when the proof shows that no input meets the task.

        Raises:
            InputError: the proof is about another network or task, or malformed.
        """
        ...

    def root_bound(
        self, network: ReLUNetwork, task: Task, incumbent: Incumbent | None, gap: float
    ) -> float:
        """Proven bound without a search, for tasks of which it keeps proofs.

        Args:
            network: the network.
            task: what is asked.
            incumbent: a point that meets the task, if one is known.
            gap: relative gap that a search would have.
        """
        ...


def proving_engine(name: str = "bnb") -> ProvingEngine:
    """The engine of this name.

    Raises:
        InputError: there is none, or it keeps no proofs.
    """
    engine = get_engine(name)
    assert isinstance(engine, ProvingEngine)
    return engine
