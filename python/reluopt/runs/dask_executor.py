"""Units on a Dask cluster, which may lose and gain workers while a run goes on.

On every Dask worker the units are done in processes of :mod:`reluopt.runs.worker`, one for each
of its threads: a solver that crashes or hangs is noticed and replaced there, and the Dask worker
lives on. A Dask worker that dies takes its running units with it; the scheduler gives them to the
others. A unit that has brought down several Dask workers becomes a row with its error.

On a SLURM cluster, start the workers through dask-jobqueue and give ``--scheduler`` the address::

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=8, processes=1, memory="16GB", walltime="04:00:00")
    cluster.scale(jobs=10)
    print(cluster.scheduler_address)

(or ``dask scheduler`` and ``dask worker ADDRESS --nthreads 8`` by hand). reluopt must be installed
where the workers run, in the same version. Each thread of a Dask worker does one unit at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from reluopt.errors import EngineUnavailableError, InputError, ReluoptError
from reluopt.install import install_command
from reluopt.runs.job import CRASHED, Outcome, Procedure, ResultT, UnitT
from reluopt.runs.worker import WorkerPool

AHEAD = 1000
"""Units that the scheduler knows of at a time: enough to show an adaptive cluster that it should
grow, and few enough not to weigh on the scheduler's memory."""

_WITH_PORT = re.compile(r":\d+/?$|://")
"""What an address ends with, unless its protocol says how to read it."""

CONNECT_SECONDS = 20.0
"""How long to wait for a scheduler to answer; those on a cluster's login node may be slow."""


def _distributed() -> Any:
    """The module of that name."""
    try:
        return importlib.import_module("distributed")
    except ImportError:
        raise EngineUnavailableError(
            f"--scheduler: expected Dask, found it not installed: {install_command('dask')}"
        ) from None


class DaskExecutor:
    """Units on an existing Dask cluster.

    Args:
        address: the scheduler's, such as ``tcp://10.0.0.1:8786``.

    Raises:
        EngineUnavailableError: ``distributed`` is not installed.
    """

    def __init__(self, address: str) -> None:
        _distributed()
        self._address = address

    def outcomes(
        self, work: Procedure[UnitT, ResultT], units: Sequence[UnitT]
    ) -> Iterator[Outcome[ResultT]]:
        """Outcomes as units finish on the cluster."""
        packed = pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL)
        run = uuid.uuid4().hex
        client = self._connect()
        try:
            # A task that the others depend on, not scattered data: when the worker that holds it
            # dies, the scheduler knows how to make it again.
            shared = client.submit(_Packed, packed, run, key=f"reluopt-work-{run}")
            yield from _collect(client, shared, work, units)
        finally:
            with contextlib.suppress(Exception):
                client.run(_close_pool, run, on_error="ignore")
            with contextlib.suppress(Exception):
                client.close(timeout=5)

    def describe(self) -> str:
        """One line for the record."""
        return f"Dask at {self._address}"

    def _connect(self) -> Any:
        if not _WITH_PORT.search(self._address):  # its client leaves a traceback behind
            raise InputError(f"--scheduler: expected HOST:PORT, found {self._address!r}")
        try:
            return _distributed().Client(
                self._address, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"--scheduler: expected a Dask scheduler at {self._address}, found none "
                f"({str(error).splitlines()[0]})"
            ) from None


class _Packed:
    """A procedure on its way: the receiver unpacks it in a process of its own."""

    def __init__(self, data: bytes, run: str) -> None:
        self.data = data
        self.run = run


def _collect(
    client: Any, shared: Any, work: Procedure[UnitT, ResultT], units: Sequence[UnitT]
) -> Iterator[Outcome[ResultT]]:
    """Submit all units, :data:`AHEAD` at a time, and yield what becomes of them."""
    waiting = iter(units)
    asked: dict[Any, UnitT] = {}
    running = _distributed().as_completed(loop=client.loop)

    def submit() -> None:
        unit = next(waiting, None)
        if unit is not None:
            future = client.submit(_run, shared, unit, pure=False)
            asked[future] = unit
            running.add(future)

    for _ in range(AHEAD):
        submit()
    # ``as_completed`` would stop when it is empty for a moment, hence the count.
    for _ in units:
        future = next(running)
        outcome = _outcome(future, work, asked.pop(future))
        yield outcome
        submit()


def _outcome(future: Any, work: Procedure[UnitT, ResultT], unit: UnitT) -> Outcome[ResultT]:
    """What a finished future holds."""
    try:
        outcome: Outcome[ResultT] = future.result()
    except _distributed().KilledWorker as error:
        message = " ".join(str(error).split())
        return unit.key, work.failed(unit, CRASHED, message)
    except ReluoptError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise ReluoptError(f"Dask: expected {unit.key} to run, found {message}") from error
    return outcome


_POOLS: dict[str, WorkerPool[Any, Any]] = {}
_POOLS_GUARD = threading.Lock()
"""In a Dask worker: the processes of each run."""


def _run(packed: _Packed, unit: Any) -> Outcome[Any]:
    """In a Dask worker: do a unit."""
    with _POOLS_GUARD:
        pool = _POOLS.get(packed.run)
        if pool is None:
            pool = _POOLS[packed.run] = WorkerPool(pickle.loads(packed.data))
    return pool.run(unit)


def _close_pool(run: str) -> None:
    """In a Dask worker: end the processes of a run."""
    with _POOLS_GUARD:
        pool = _POOLS.pop(run, None)
    if pool is not None:
        pool.close()
