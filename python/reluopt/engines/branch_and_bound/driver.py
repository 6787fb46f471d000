"""The engine: tasks it takes, searches it starts, proofs it keeps and checks."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reluopt.answers.answer import EngineAnswer
from reluopt.answers.solution import Incumbent, Status, relative_gap
from reluopt.deadline import Deadline
from reluopt.engines.base import Engine, EngineRequest, EngineState
from reluopt.engines.branch_and_bound import NORMS, largest, within
from reluopt.engines.branch_and_bound.blend import lifted_frame, lifted_request, lowered_answer
from reluopt.engines.branch_and_bound.claim import claimed
from reluopt.engines.branch_and_bound.dual import engine, linf, maximum
from reluopt.engines.branch_and_bound.dual.proof import BoxProof
from reluopt.engines.branch_and_bound.dual.proof import replay as replay_box
from reluopt.engines.branch_and_bound.dual.proof_file import NO_PARTS
from reluopt.engines.branch_and_bound.dual.proof_file import proof_bytes as box_proof_bytes
from reluopt.engines.branch_and_bound.forest import Forest
from reluopt.engines.branch_and_bound.frame import Frame, make_frame
from reluopt.engines.branch_and_bound.growth import Balls, grown
from reluopt.engines.branch_and_bound.norm_search import norm_search
from reluopt.engines.branch_and_bound.proof import replay
from reluopt.engines.branch_and_bound.proof_file import proof_bytes, read_proof
from reluopt.engines.branch_and_bound.proof_search import prove, root_bound
from reluopt.engines.branch_and_bound.search import GAP_SHARE, Search
from reluopt.engines.branch_and_bound.threads import limited_threads
from reluopt.engines.proving import Claim
from reluopt.errors import UnsupportedProblemError
from reluopt.networks.network import ReLUNetwork
from reluopt.questions.problems import Blend, Norm, Task

ROUNDING = 1.0 + 1e-6
"""Slack of the test whether the gap has been reached: the cutoff is computed by a subtraction."""

OTHERS = (engine, maximum, linf, within, largest)
"""Tasks with ways of their own: verdicts and worst cases on boxes, Linf distances, and verdicts and
worst cases in L1 and L2."""

_version = cache(version)  # reads files, and auto asks for every image


class BranchAndBoundEngine(Engine):
    """Exact engine for distances, blends and verdicts: see the modules of this package."""

    name = "bnb"
    self_contained = True

    def kernels(self, task: Task) -> tuple[str, ...]:
        """Those of the norm's relaxation; blends are L2 problems here, large L1 trees dual ones."""
        if within.takes(task):
            return _of_norm(str(task.inputs.norm))
        if largest.takes(task):
            return (*_of_norm(str(task.inputs.norm)), "bounds", "regions")
        if any(kind.takes(task) for kind in OTHERS):
            return ("box", "bounds", "attacks")
        return _of_norm(task.norm.name if task.norm.name in NORMS else "l2")

    def state(self) -> EngineState:
        """Always usable."""
        detail = f"own branch and bound, compiled by numba {_version('numba')}; all but logits"
        return EngineState(True, _version("reluopt"), detail)

    def supports(self, task: Task) -> bool:
        """Distances in all norms and blends without limits, verdicts, worst cases over balls."""
        if any(kind.takes(task) for kind in OTHERS):
            return True
        if not task.minimises_distance or task.limits is not None:
            return False
        return isinstance(task.norm, Blend) or task.norm.name in NORMS

    def solve(self, request: EngineRequest) -> EngineAnswer:
        """Solve the task; see :class:`reluopt.engines.base.Engine`.

        Raises:
            UnsupportedProblemError: not a perturbation task, or a norm without relaxation.
        """
        task = request.task
        if not self.supports(task):
            raise UnsupportedProblemError(
                "bnb: expected a distance without limits on the change, a verdict or a worst case "
                "over a ball, found another"
            )
        multiply = "l2" in self.kernels(task)
        with limited_threads(request.options.threads, multiply=multiply):
            return self._solved(request, time.perf_counter())

    def _solved(self, request: EngineRequest, started: float) -> EngineAnswer:
        """The answer to what is supported."""
        task = request.task
        for kind in OTHERS:
            if kind.takes(task):
                found: EngineAnswer = kind.solve(request, started)
                return found
        if isinstance(task.norm, Blend):
            frame, raised = lifted_frame(request.network, task)
            answer = self._search(frame, lifted_request(request, raised), raised.task, started)
            return lowered_answer(answer, raised)
        return self._search(make_frame(request.network, task), request, task, started)

    def _search(
        self, frame: Frame, request: EngineRequest, asked: Task, started: float
    ) -> EngineAnswer:
        """Search an L1 or L2 task, and make a proof of it if asked."""
        search = Search(
            frame,
            request.options.gap * GAP_SHARE,
            Deadline(started + request.options.time_limit),
            request.progress,
            request.incumbent,
        )
        proof = bool(request.options.extra.get("proof"))
        forest = grown(search, request.options.seed, proof)
        if not proof:
            return _answer(search, forest, request, started, forest.bound)
        limit = request.options.time_limit
        made, proven = prove(search, request.network, asked, forest.plans, limit)
        answer = _answer(search, forest, request, started, proven)
        return replace(answer, proof=made)

    def keeps_proofs(self, task: Task) -> bool:
        """Of tasks that are searched as they are: not of blends."""
        if not self.supports(task):
            return False
        return task.decides or (task.minimises_distance and task.norm in tuple(Norm))

    def proof_bytes(self, proof: Any, claim: Claim | None = None) -> bytes:
        """See :class:`~reluopt.engines.proving.ProvingEngine`."""
        parts = NO_PARTS if claim is None else claimed(proof, claim)
        write = box_proof_bytes if isinstance(proof, BoxProof) else proof_bytes
        return write(proof, parts)

    def read_proof(self, path: Path) -> Any:
        """See :class:`~reluopt.engines.proving.ProvingEngine`."""
        return read_proof(path)

    def replay(self, proof: Any, network: ReLUNetwork, task: Task) -> float:
        """See :class:`~reluopt.engines.proving.ProvingEngine`, and :func:`.proof.replay`.

        Of a slack, a lower bound on its negative.
        """
        if isinstance(proof, BoxProof):
            slack = replay_box(proof, network, task)
            if not task.minimises_distance:
                return -slack
            return proof.radius if slack < 0.0 else 0.0
        if within.takes(task):
            return -within.slack_shown(replay(proof, network, within.nearest(task)), task)
        return replay(proof, network, task)

    def root_bound(
        self, network: ReLUNetwork, task: Task, incumbent: Incumbent | None, gap: float
    ) -> float:
        """See :class:`~reluopt.engines.proving.ProvingEngine`."""
        if linf.takes(task):
            return linf.root_bound(network, task, incumbent, gap * GAP_SHARE)
        return root_bound(network, task, incumbent, gap * GAP_SHARE)


def _of_norm(norm: str) -> tuple[str, ...]:
    """Kernels of searches in a norm."""
    return (norm,) if norm_search(norm).finisher is None else (norm, "simplex")


def _answer(
    search: Search, forest: Forest | Balls, request: EngineRequest, started: float, proven: float
) -> EngineAnswer:
    """What the search claims."""
    best = search.best
    found = best is not None and best is not request.incumbent
    objective = search.objective
    bound = min(proven, objective)
    closed = proven == math.inf or relative_gap(objective, bound) <= search.gap * ROUNDING
    unsettled = not closed and not search.out_of_time
    if best is None and not closed:
        status = Status.NUMERICAL if unsettled else Status.TIME_LIMIT
    elif best is None:
        status = Status.INFEASIBLE
    else:
        status = Status.OPTIMAL if closed else Status.FEASIBLE
    return EngineAnswer(
        status=status,
        image=best.image if best is not None and found else None,
        alternative=best.alternative if best is not None else 0,
        objective=objective,
        bound=bound,
        nodes=search.nodes,
        search_seconds=time.perf_counter() - started,
        size=forest.size,
        message=forest.message if unsettled else "",
        steps=search.steps,
    )
