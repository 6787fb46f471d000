"""The engines, one file each; :func:`get_engine` finds one by name.

Engines are imported on first use, so that none costs start-up time and none has to be installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reluopt.errors import EngineUnavailableError, UnsupportedProblemError
from reluopt.registry import Registry

if TYPE_CHECKING:  # a help text asks for the names only
    from reluopt.engines.base import Engine
    from reluopt.networks.network import ReLUNetwork
    from reluopt.questions.tasks import Task

ENGINES: Registry[Engine] = Registry(
    "engine",
    bnb="engines.branch_and_bound.driver:BranchAndBoundEngine",
    highs="engines.highs:HighsEngine",
    gurobi="engines.gurobi:GurobiEngine",
    scip="engines.scip:ScipEngine",
    julia="engines.julia:JuliaEngine",
)

_PREFERENCE = ("bnb", "gurobi", "scip", "highs")
"""Order in which ``auto`` tries engines for perturbations: our own, which is the fastest wherever
it fits, then by what they proved. Linf, test:100-102, any and +5, 20 s of wall-clock time on a busy
machine (1 to 5 s of CPU): ``thesis`` Gurobi 6 of 6 in 1.1 s of CPU on average, SCIP 2, HiGHS 1;
``thesis-96`` 2, 0 and 0 of 6; ``dnn2`` 2, 0 and 0 of 5. With limits on neighbouring changes (smooth
0.1, ``thesis``, +5): L1 test:101 and 102 SCIP in 3.2 and 7.1 s of CPU, HiGHS in 3.0 s and not
within 7.2 s (gap 45 %); Linf test:101 SCIP in 3.7 s, HiGHS not within 7.1 s (gap 28 %). Gurobi is
passed over where its free licence does not take the program: L2, limits, ``mlp-100`` in Linf."""

_LOGIT_PREFERENCE = ("bnb", "gurobi", "highs", "scip")
"""The same for logits: our own takes verdicts and worst cases over balls (L1 2 about test:100-109,
CPU seconds an image of ``thesis``: 0.10, Gurobi 0.23, HiGHS 0.70); of the others Gurobi is ten
times the fastest."""


def engine_names() -> tuple[str, ...]:
    """Names of all engines, usable here or not.

    Example:
        >>> import reluopt as ro
        >>> ro.engine_names()
        ('bnb', 'highs', 'gurobi', 'scip', 'julia')
    """
    return ENGINES.names


def get_engine(name: str) -> Engine:
    """The engine called ``name``.

    Raises:
        InputError: there is no engine of this name.
    """
    ENGINES.refuse_unknown(name, "auto")
    return ENGINES.get(name)


def engines_for(task: Task, network: ReLUNetwork, *, program: bool = False) -> tuple[str, ...]:
    """Names of the usable engines that can solve ``task``, best first.

    Args:
        task: what to solve.
        network: on which network.
        program: only engines that write the (x, s, z) program, with its formulation and bounds.
    """
    return tuple(engine.name for engine in _able(task, network, program))


def _able(task: Task, network: ReLUNetwork, program: bool) -> Iterator[Engine]:
    """The engines of :func:`engines_for`; each loads its solver only when it is asked for."""
    for name in _PREFERENCE if task.minimises_distance else _LOGIT_PREFERENCE:
        engine = get_engine(name)
        if program and engine.self_contained:
            continue
        if engine.supports(task) and engine.admits(task, network) and engine.state().usable:
            yield engine


def choose_engine(name: str, task: Task, network: ReLUNetwork, *, program: bool = False) -> Engine:
    """The engine called ``name``, or for ``auto`` the best usable one.

    Raises:
        InputError: there is no engine of this name.
        UnsupportedProblemError: it cannot solve ``task``; the message names engines that can.
        EngineUnavailableError: it is not installed; the message tells how to get it.

    Example:
        >>> import reluopt as ro
        >>> network, seven = ro.load_network("thesis"), ro.load_images("test").image(0)
        >>> task = ro.MinimalPerturbation(seven, 7, ro.FixedTarget(2), ro.Norm.L1).task(network)
        >>> ro.choose_engine("auto", task, network).name
        'bnb'
    """
    if name == "auto":
        best = next(_able(task, network, program), None)
        if best is None:
            raise UnsupportedProblemError("engine auto: no usable engine can solve this problem")
        return best
    engine = get_engine(name)
    if not engine.supports(task):
        able = engines_for(task, network)
        kind = _kind(task)
        raise UnsupportedProblemError(
            f"engine {name}: cannot solve {kind}; engines that can: "
            f"{', '.join(able) or 'none is usable here'}"
        )
    state = engine.state()
    if not state.usable:
        raise EngineUnavailableError(f"engine {name}: {state.detail}")
    return engine


def _kind(task: Task) -> str:
    """What is asked, in words."""
    if not task.minimises_distance:
        norm = task.inputs.ball_norm
        return "logit problems" if norm is None else f"questions over {norm.label} balls"
    limits = "" if task.limits is None else " with limits on neighbouring changes"
    return f"{task.norm.label} problems{limits}"
