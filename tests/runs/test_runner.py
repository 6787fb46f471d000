"""The runner: whatever is killed, every task ends as exactly one row, and the table is the same."""

import contextlib
import gc
import importlib.util
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reluopt.engines.options import EngineOptions
from reluopt.errors import EngineUnavailableError, InputError, ReluoptError
from reluopt.install import install_command
from reluopt.method import Method
from reluopt.questions.problems import AbsoluteMargin, Norm, ShiftTarget
from reluopt.runs import dask_executor
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.executors import LocalExecutor, SerialExecutor, choose_executor
from reluopt.runs.instances import Instance, data_fingerprint
from reluopt.runs.lock import LOCK_NAME
from reluopt.runs.row import AttackRow
from reluopt.runs.runner import Shard, parse_shard, run_job, select
from reluopt.runs.store import ResultStore

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="distributed is not installed"
)

TOY = '''
import os, signal, time
from dataclasses import dataclass
import numpy as np
from reluopt.errors import InputError
from reluopt.runs.job import Finished, Job
from reluopt.runs.row import Row

@dataclass(frozen=True, kw_only=True)
class ToyRow(Row):
    key: str
    status: str
    value: int | None = None
    seconds: float | None = None
    message: str = ""

@dataclass(frozen=True)
class Toy(Job):
    """Square a number, or misbehave; every start is noted in a file."""
    log: str
    hard_limit: float = 60.0
    threads: int = 1
    row_class = ToyRow

    def describe(self):
        return {"toy": 1}

    def identify(self, task):
        return {"value": task.number ** 2} if task.number >= 0 else {}

    def note(self, text):
        with open(self.log, "a") as stream:
            stream.write(text + "\\n")

    def run(self, task, progress=None):
        self.note(f"{task.key} {os.getpid()}")
        if task.what == "raise":
            raise ValueError("no\\nsuch luck")
        if task.what == "refuse":
            raise InputError("not for any task")
        if task.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.what == "print":
            os.write(1, b"noise of a solver")
        time.sleep(60.0 if task.what == "hang" else task.seconds)
        row = ToyRow(key=task.key, status="OPTIMAL", value=task.number ** 2, seconds=0.5)
        return Finished(row, np.full((2, 2), float(task.number)))

    def blank(self, task, status):
        return ToyRow(key=task.key, status=status)

@dataclass(frozen=True)
class ToyTask:
    key: str
    number: int
    what: str = ""
    seconds: float = 0.0
'''

SCRIPT = """
import sys
from pathlib import Path
from toy_experiment import Toy, ToyTask
from reluopt.runs.executors import LocalExecutor
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore
folder, log, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
toy = Toy(log)
tasks = [ToyTask(f"t{n}", n, seconds=0.1) for n in range(16)]
store = ResultStore(folder, toy.row_class, {"toy": 1}, {})
run_job(toy, tasks, store, LocalExecutor(workers) if workers else None)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The module of the toy experiment, which worker processes can import as well."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "toy_experiment.py").write_text(TOY)
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("toy_experiment", None)
    import toy_experiment

    yield toy_experiment
    sys.modules.pop("toy_experiment", None)


def _tasks(toy, count, **options):
    return [toy.ToyTask(f"t{number}", number, **options) for number in range(count)]


def _store(folder, toy):
    return ResultStore(folder, toy.Toy.row_class, {"toy": 1}, {})


def _table(folder):
    return pd.read_csv(folder / "results.csv").sort_values("key").reset_index(drop=True)


def _expected(tmp_path, toy, count):
    """The table of an undisturbed serial run."""
    experiment = toy.Toy(str(tmp_path / "reference.log"))
    store = _store(tmp_path / "reference", toy)
    run_job(experiment, _tasks(toy, count), store)
    return _table(tmp_path / "reference")


def _starts(log):
    """How often each task was started, and the processes that did."""
    lines = [line.split() for line in Path(log).read_text().splitlines()]
    return Counter(key for key, _ in lines), [int(pid) for _, pid in lines]


def _wait(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def _gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            return False
        return True
    return state == "Z"


@pytest.mark.parametrize("workers", [None, 2])
def test_every_task_ends_as_one_row(tmp_path, toy, workers):
    experiment = toy.Toy(str(tmp_path / "log"))
    tasks = _tasks(toy, 5)
    tasks[1] = toy.ToyTask("t1", -1, "raise")
    tasks[3] = toy.ToyTask("t3", 3, "print")
    seen, snapshots = [], []
    finished = run_job(
        experiment,
        tasks,
        _store(tmp_path / "run", toy),
        choose_executor(workers, None),
        on_finished=lambda result: seen.append(result.row["key"]),
        on_progress=snapshots.append,
    )
    assert [result.row["key"] for result in finished] == [task.key for task in tasks]
    assert sorted(seen) == [task.key for task in tasks]
    assert finished[1].row["status"] == "ERROR"
    assert finished[1].row["message"] == "ValueError: no such luck"
    assert [result.row.get("value") for result in finished] == [0, None, 4, 9, 16]
    np.testing.assert_array_equal(finished[2].image, np.full((2, 2), 2.0))
    assert [now.done for now in snapshots] == [1, 2, 3, 4, 5]
    last = snapshots[-1]
    assert last.counts == {"OPTIMAL": 4, "ERROR": 1}
    assert (last.median_seconds, last.remaining, last.resumed) == (0.5, 0.0, 0)
    assert all(now.remaining > 0 for now in snapshots[:-1])
    _, pids = _starts(tmp_path / "log")
    assert (os.getpid() in pids) == (workers is None)
    (session,) = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]
    assert (session["tasks"], session["pending"]) == (5, 5)


def test_finished_rows_are_neither_lost_nor_repeated(tmp_path, toy):
    experiment = toy.Toy(str(tmp_path / "log"))
    tasks = _tasks(toy, 6)
    run_job(experiment, tasks[::2], _store(tmp_path / "run", toy))
    resumed = []
    finished = run_job(
        experiment,
        tasks,
        _store(tmp_path / "run", toy),
        on_progress=lambda now: resumed.append((now.done, now.resumed)),
    )
    assert [result.resumed for result in finished] == [True, False] * 3
    assert set(_starts(tmp_path / "log")[0].values()) == {1}
    assert resumed[-1] == (6, 3)
    np.testing.assert_array_equal(finished[4].image, np.full((2, 2), 4.0))
    stranger = toy.ToyTask("t2", 7)
    with pytest.raises(InputError, match="value of t2 to be 49, found 4"):
        run_job(experiment, [stranger], _store(tmp_path / "run", toy))


@pytest.mark.parametrize("workers", [None, 1])
def test_an_error_of_every_task_ends_the_run(tmp_path, toy, workers):
    tasks = [toy.ToyTask("t0", 0), toy.ToyTask("t1", 1, "refuse"), toy.ToyTask("t2", 2)]
    store = _store(tmp_path / "run", toy)
    with pytest.raises(InputError, match="not for any task"):
        run_job(toy.Toy(str(tmp_path / "log")), tasks, store, choose_executor(workers, None))
    assert set(store.done) == {"t0"}


def test_a_task_that_kills_or_hangs_is_a_row_with_its_error(tmp_path, toy):
    experiment = toy.Toy(str(tmp_path / "log"), hard_limit=0.5)
    tasks = [toy.ToyTask("dies", -1, "die"), toy.ToyTask("hangs", -1, "hang"), *_tasks(toy, 3)]
    finished = run_job(experiment, tasks, executor=LocalExecutor(2))
    rows = {result.row["key"]: result.row for result in finished}
    assert rows["dies"]["status"] == "CRASHED"
    assert "3 worker processes died of it (exit codes -9, -9, -9)" in rows["dies"]["message"]
    assert rows["hangs"]["status"] == "KILLED"
    assert [rows[f"t{n}"]["value"] for n in range(3)] == [0, 1, 4]
    starts, pids = _starts(tmp_path / "log")
    assert starts["dies"] == 3
    assert starts["hangs"] == 1
    assert all(_gone(pid) for pid in pids)


def test_processes_do_one_work_after_another_and_end_with_their_executor(tmp_path, toy):
    """Those that were busy when a run ended do not, nor do others with other threads."""
    executor = LocalExecutor(1)
    used = []
    for number, threads in enumerate((1, 1, 2, 1)):
        log = str(tmp_path / f"log{number}")
        finished = run_job(toy.Toy(log, threads=threads), _tasks(toy, 3), executor=executor)
        assert [result.row["value"] for result in finished] == [0, 1, 4]
        used.append(set(_starts(Path(log))[1]))
    assert used[0] == used[1] == used[3] != used[2]
    tasks = [toy.ToyTask("t0", 0, "refuse"), toy.ToyTask("hangs", -1, "hang")]
    with pytest.raises(InputError, match="not for any task"):
        run_job(toy.Toy(str(tmp_path / "log")), tasks, executor=executor)
    run_job(toy.Toy(str(tmp_path / "log")), _tasks(toy, 1), executor=executor)
    pids = set(_starts(tmp_path / "log")[1]).union(*used)
    del executor
    gc.collect()  # what was raised holds it, too
    assert all(_gone(pid) for pid in pids)


def test_workers_have_one_thread(monkeypatch):
    from reluopt.runs.worker import _COMMAND, THREAD_VARIABLES, _spawn

    monkeypatch.setattr("reluopt.runs.worker._COMMAND", "import os; print(dict(os.environ))")
    process = _spawn(1)
    environment = process.communicate(timeout=30)[0].decode()
    assert all(f"'{name}': '1'" in environment for name in THREAD_VARIABLES)
    assert _COMMAND.startswith("from reluopt")


def test_a_worker_that_cannot_start_is_an_error(monkeypatch, tmp_path, toy):
    monkeypatch.setattr("reluopt.runs.worker._COMMAND", "raise SystemExit(3)")
    with pytest.raises(ReluoptError, match=r"3 ended before they were ready \(exit codes 3, 3, 3"):
        run_job(toy.Toy(str(tmp_path / "log")), _tasks(toy, 1), executor=LocalExecutor(1))


def test_kill_9_of_a_worker_changes_nothing(tmp_path, toy):
    log = tmp_path / "log"
    experiment = toy.Toy(str(log))
    killed = []

    def kill_one(_):
        if not killed:
            _, pids = _starts(log)
            killed.append(pids[-1])
            os.kill(pids[-1], signal.SIGKILL)

    run_job(
        experiment,
        _tasks(toy, 8, seconds=0.1),
        _store(tmp_path / "run", toy),
        LocalExecutor(2),
        on_finished=kill_one,
    )
    pd.testing.assert_frame_equal(_table(tmp_path / "run"), _expected(tmp_path, toy, 8))
    assert len(set(_starts(log)[1])) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_kill_9_of_the_run_and_resume(tmp_path, toy, workers):
    folder, log = tmp_path / "run", tmp_path / "log"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    command = [sys.executable, str(script), str(folder), str(log), str(workers)]
    process = subprocess.Popen(command, env=environment)
    table = folder / "results.csv"
    _wait(lambda: table.exists() and table.read_bytes().count(b"\n") >= 4)
    # While it runs nobody else gets in, and the message says who is there.
    with pytest.raises(InputError, match=f"no other run writes to, found process {process.pid} on"):
        _store(folder, toy)
    process.kill()
    process.wait()
    before = table.read_bytes()
    _wait(lambda: all(_gone(pid) for pid in _starts(log)[1]))
    assert (folder / LOCK_NAME).exists()
    finished = {line.split(",")[0] for line in before.decode().splitlines()[1:]}
    once = _starts(log)[0]
    experiment = toy.Toy(str(log))
    run_job(experiment, _tasks(toy, 16), _store(folder, toy))
    after = table.read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    pd.testing.assert_frame_equal(_table(folder), _expected(tmp_path, toy, 16))
    twice = _starts(log)[0]
    assert all(twice[key] == once[key] for key in finished)
    assert not (folder / LOCK_NAME).exists()
    images = _store(folder, toy)
    assert all(images.image(f"t{n}")[0, 0] == n for n in range(16))


def test_the_lock_of_a_dead_process_gives_way(tmp_path, toy, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = os.uname().nodename
    (folder / LOCK_NAME).write_text(json.dumps({"pid": dead.pid, "host": host, "since": "x"}))
    first = _store(folder, toy)
    assert json.loads((folder / LOCK_NAME).read_text())["pid"] == os.getpid()
    again = _store(folder, toy)  # the same process may open it twice
    del first
    assert (folder / LOCK_NAME).exists()
    del again
    assert not (folder / LOCK_NAME).exists()

    def unknown(*_):
        raise OSError("no locks on this file system")

    monkeypatch.setattr("fcntl.flock", unknown)
    (folder / LOCK_NAME).write_text(json.dumps({"pid": dead.pid, "host": host, "since": "x"}))
    _store(folder, toy)
    for holder in ({"pid": dead.pid, "host": "elsewhere"}, {"pid": os.getppid(), "host": host}):
        (folder / LOCK_NAME).write_text(json.dumps(holder))
        with pytest.raises(InputError, match="expected a folder that no other run writes to"):
            _store(folder, toy)


def test_shards_and_limit():
    tasks = list(range(23))
    for count in (1, 2, 5, 23):
        parts = [select(tasks, None, Shard(index, count)) for index in range(1, count + 1)]
        assert sorted(itertools.chain(*parts)) == tasks
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    limited = [select(tasks, 7, parse_shard(f"{index}/2")) for index in (1, 2)]
    assert sorted(itertools.chain(*limited)) == list(range(7))
    assert select(tasks, 100) == tasks
    for text in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(InputError, match="expected i/n"):
            parse_shard(text)
    with pytest.raises(InputError, match="--limit"):
        select(tasks, 0)
    with pytest.raises(InputError, match="at least as many tasks as shards"):
        select(tasks, 2, Shard(3, 3))


def test_executors_are_chosen_by_option():
    assert isinstance(choose_executor(None, None), SerialExecutor)
    assert choose_executor(3, None).describe() == "3 local processes"
    with pytest.raises(InputError, match="at least 1"):
        choose_executor(0, None)
    with pytest.raises(InputError, match="found both"):
        choose_executor(1, "tcp://x:1")


def test_data_fingerprints_tell_pixels_and_labels():
    first = Instance("a", np.array([0.0, 1.0]), 1)
    second = Instance("b", np.array([0.5, 1.0]), 0)
    whole = data_fingerprint([first, second])
    assert whole == data_fingerprint([second, first])
    changed = (Instance("b", np.array([0.5, 0.9]), 0), Instance("b", np.array([0.5, 1.0]), 1))
    assert all(data_fingerprint([first, other]) != whole for other in changed)


@pytest.fixture
def small(make_network):
    """A small real experiment: network, instances, settings."""
    network = make_network((6, 5, 4, 3), 6)
    images = np.random.default_rng(0).random((4, 6))
    instances = [
        Instance(f"i{n}", image, int(network.predict(image))) for n, image in enumerate(images)
    ]
    method = Method("highs", options=EngineOptions(30.0))
    return network, instances, AttackSettings(ShiftTarget(1), Norm.L1, AbsoluteMargin(0.01), method)


def test_real_attacks_are_the_same_in_worker_processes(small, tmp_path):
    network, instances, settings = small
    store = ResultStore(tmp_path, AttackRow, settings.describe(network), {})
    serial = run_job(AttackJob(network, settings), instances)
    local = run_job(AttackJob(network, settings), instances, store, LocalExecutor(2))
    assert [r.row["image"] for r in local] == [i.key for i in instances]
    assert "OPTIMAL" in {r.row["status"] for r in local}
    for one, other in zip(serial, local, strict=True):
        same = [name for name in AttackRow.columns() if not name.endswith("seconds")]
        assert {n: one.row.get(n) for n in same} == {n: other.row.get(n) for n in same}
        assert (one.image is None) == (other.image is None)
        if one.image is not None:
            np.testing.assert_array_equal(one.image, other.image)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"]["network_sha256"] == network.fingerprint
    assert record["sessions"][0]["data_sha256"] == data_fingerprint(instances)


def test_an_attack_that_crashes_is_a_row_of_the_same_columns(small):
    network, instances, settings = small
    experiment = AttackJob(network, settings)
    row = experiment.failed(instances[0], "CRASHED", "it died").row
    assert isinstance(row, AttackRow)
    assert (row["status"], row["certified"], row["message"]) == ("CRASHED", False, "it died")
    assert math.isclose(experiment.hard_limit, 1.5 * 30.0 + 60.0)


@needs_dask
def test_kill_9_of_a_dask_worker_changes_nothing(tmp_path, toy):
    from distributed import LocalCluster

    log = tmp_path / "log"
    killed = []
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        victims = [worker.pid for worker in cluster.workers.values()]

        def kill_one(_):
            if len(_starts(log)[1]) >= 4 and not killed:
                killed.append(victims[0])
                os.kill(victims[0], signal.SIGKILL)

        finished = run_job(
            toy.Toy(str(log)),
            _tasks(toy, 16, seconds=0.1),
            _store(tmp_path / "run", toy),
            choose_executor(None, cluster.scheduler_address),
            on_finished=kill_one,
        )
    assert killed
    assert len(finished) == 16
    pd.testing.assert_frame_equal(_table(tmp_path / "run"), _expected(tmp_path, toy, 16))
    _wait(lambda: all(_gone(pid) for pid in _starts(log)[1]))


@needs_dask
def test_dask_runs_end_with_an_error_of_every_task_and_rows_for_others(tmp_path, toy):
    from distributed import LocalCluster

    tasks = [toy.ToyTask("dies", -1, "die"), toy.ToyTask("t2", 2), toy.ToyTask("t3", 3, "refuse")]
    experiment = toy.Toy(str(tmp_path / "log"))
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        executor = choose_executor(None, cluster.scheduler_address)
        finished = run_job(experiment, tasks[:2], executor=executor)
        assert [result.row["status"] for result in finished] == ["CRASHED", "OPTIMAL"]
        with pytest.raises(InputError, match="not for any task"):
            run_job(experiment, tasks[2:], executor=executor)
        assert threading.active_count() < 100


@needs_dask
def test_a_missing_scheduler_is_one_line(monkeypatch, tmp_path, toy):
    monkeypatch.setattr(dask_executor, "CONNECT_SECONDS", 0.3)
    executor = choose_executor(None, "tcp://127.0.0.1:9")
    with pytest.raises(InputError, match=r"expected a Dask scheduler at tcp://127\.0\.0\.1:9"):
        run_job(toy.Toy(str(tmp_path / "log")), _tasks(toy, 1), executor=executor)
    with pytest.raises(InputError, match="--scheduler: expected HOST:PORT, found 'nowhere'"):
        run_job(
            toy.Toy(str(tmp_path / "log")),
            _tasks(toy, 1),
            executor=choose_executor(None, "nowhere"),
        )


def test_missing_dask_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EngineUnavailableError, match=re.escape(install_command("dask"))):
        choose_executor(None, "tcp://127.0.0.1:9")
