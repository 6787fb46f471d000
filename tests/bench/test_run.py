"""The benchmark: statistics on tables made by hand, resumption, and a small real run.

No test asserts how long anything takes.
"""

import contextlib
import json
import math
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reluopt.bench import run as bench_module
from reluopt.bench.job import BenchJob, BenchSettings, BenchUnit, peak_memory, shuffled
from reluopt.bench.report import load_warning, markdown_summary
from reluopt.bench.run import BenchPlan, BenchResult, run_bench, usable_method
from reluopt.bench.session import read_table
from reluopt.bench.statistics import (
    AT_LEAST,
    AT_MOST,
    EXACT,
    UNCLEAR,
    Estimate,
    find_disagreements,
    in_processor_time,
    summarise_methods,
    summarise_ratios,
)
from reluopt.engines.options import EngineOptions
from reluopt.errors import EngineUnavailableError, InputError, UnsupportedProblemError
from reluopt.method import Method
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.questions.problems import AbsoluteMargin, Norm, ShiftTarget
from reluopt.runs import worker as worker_module
from reluopt.runs.instances import Instance
from reluopt.runs.row import BenchRow
from reluopt.runs.worker import WorkerProcess

LIMIT = 10.0


def rows(method: str, *times: float, network: str = "net", **columns: object) -> pd.DataFrame:
    """Runs of one method; a time of 10 or more was stopped by the limit."""
    frame = pd.DataFrame({"seconds": times})
    frame["network"], frame["method"] = network, method
    frame["image"] = [f"test:{k}" for k in range(len(times))]
    frame["proven"] = frame["seconds"] < LIMIT
    frame["status"] = np.where(frame["proven"], "OPTIMAL", "FEASIBLE")
    frame["time_limit"], frame["certified"], frame["message"] = LIMIT, True, ""
    frame["objective"] = frame["bound"] = np.arange(1.0, len(times) + 1)
    frame["cpu_seconds"] = 0.5 * frame["seconds"]
    frame["memory_before"], frame["memory_peak"], frame["load"] = 100.0, 120.0, 1.0
    return frame.assign(**columns)


def both(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


def test_summary_of_uncensored_times() -> None:
    (summary,) = summarise_methods(rows("a", 1.0, 2.0, 4.0))
    assert summary.median == Estimate(2.0)
    assert summary.mean == Estimate(pytest.approx(7 / 3))
    assert summary.geometric_mean == Estimate(pytest.approx(2.0))
    assert (summary.smallest, summary.largest) == (1.0, Estimate(4.0))
    assert (summary.images, summary.proven, summary.failed) == (3, 3, 0)
    assert (summary.memory_peak, summary.memory_added) == (120.0, 20.0)
    assert summary.parallelism == pytest.approx(0.5)


def test_censored_times_count_as_the_limit_and_bound_from_below() -> None:
    # The overshoot of a stopped run (10.7 s) is no measurement: it counts as 10 s.
    (summary,) = summarise_methods(rows("a", 1.0, 2.0, 10.7))
    assert summary.median == Estimate(2.0, EXACT)
    assert summary.mean == Estimate(pytest.approx(13 / 3), AT_LEAST)
    assert summary.geometric_mean == Estimate(pytest.approx(20 ** (1 / 3)), AT_LEAST)
    assert summary.largest == Estimate(10.0, AT_LEAST)
    assert summary.smallest == 1.0
    assert (summary.proven, summary.failed) == (2, 0)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((1.0, 2.0, 10.0, 10.0), Estimate(6.0, AT_LEAST)),
        ((1.0, 10.0, 10.0), Estimate(10.0, AT_LEAST)),
        ((1.0, 2.0, 3.0, 10.0), Estimate(2.5, EXACT)),
    ],
)
def test_a_median_is_exact_while_fewer_than_half_are_censored(times, expected) -> None:
    assert summarise_methods(rows("a", *times))[0].median == expected


def test_failures_are_counted_apart_and_censored() -> None:
    table = rows("a", 1.0, 0.2, 0.3, proven=[True, False, False])
    table["status"] = ["OPTIMAL", "CRASHED", "NUMERICAL"]
    (summary,) = summarise_methods(table)
    assert summary.failed == 2
    assert summary.mean == Estimate(pytest.approx(7.0), AT_LEAST)


def test_ratios_are_taken_image_by_image() -> None:
    table = both(rows("new", 1.0, 2.0, 1.0), rows("old", 2.0, 8.0, 8.0))
    (ratio,) = summarise_ratios(table, "old")
    assert (ratio.baseline, ratio.candidate, ratio.pairs) == ("old", "new", 3)
    assert ratio.geometric_mean == Estimate(pytest.approx(4.0))
    assert ratio.of_means == Estimate(pytest.approx(4.5))
    assert ratio.of_medians == Estimate(pytest.approx(8.0))
    assert 2.0 <= ratio.interval[0] <= 4.0 <= ratio.interval[1] <= 8.0
    # Rows are matched by image, whatever their order, and unmatched ones are left out.
    mixed = both(table[::-1], rows("old", 5.0).assign(image="test:77"))
    (again,) = summarise_ratios(mixed, "old")
    assert again.geometric_mean.value == pytest.approx(4.0)
    assert again.pairs == 3


def test_a_censored_baseline_makes_ratios_lower_bounds() -> None:
    table = both(rows("new", 1.0, 1.0), rows("old", 2.0, 10.0))
    (ratio,) = summarise_ratios(table, "old")
    assert ratio.geometric_mean == Estimate(pytest.approx(math.sqrt(20)), AT_LEAST)
    assert ratio.of_means == Estimate(pytest.approx(6.0), AT_LEAST)
    assert (ratio.lower_bounds, ratio.upper_bounds, ratio.unknown) == (1, 0, 0)


def test_a_censored_candidate_makes_ratios_upper_bounds() -> None:
    table = both(rows("new", 1.0, 10.0), rows("old", 2.0, 5.0))
    (ratio,) = summarise_ratios(table, "old")
    assert ratio.geometric_mean == Estimate(pytest.approx(1.0), AT_MOST)
    assert ratio.of_means == Estimate(pytest.approx(3.5 / 5.5), AT_MOST)


def test_bounds_of_both_kinds_say_so() -> None:
    table = both(rows("new", 1.0, 10.0), rows("old", 10.0, 5.0))
    (ratio,) = summarise_ratios(table, "old")
    assert ratio.geometric_mean.relation == UNCLEAR
    assert ratio.of_means.relation == UNCLEAR


def test_pairs_with_both_censored_are_left_out_and_counted() -> None:
    table = both(rows("new", 1.0, 10.0, 10.0), rows("old", 4.0, 10.0, 10.0))
    (ratio,) = summarise_ratios(table, "old")
    assert (ratio.pairs, ratio.unknown) == (3, 2)
    assert ratio.geometric_mean == Estimate(pytest.approx(4.0))
    assert math.isnan(ratio.interval[0])
    # The means hold the censored times of both: their ratio bounds nothing.
    assert ratio.of_means.relation == UNCLEAR
    (nothing,) = summarise_ratios(both(rows("new", 10.0), rows("old", 10.0)), "old")
    assert math.isnan(nothing.geometric_mean.value)
    assert str(nothing.geometric_mean) == "-"


def test_processor_time_keeps_what_a_stopped_run_had_used() -> None:
    table = in_processor_time(both(rows("new", 1.0, 2.0), rows("old", 4.0, 10.0)))
    (ratio,) = summarise_ratios(table, "old")
    assert ratio.geometric_mean == Estimate(pytest.approx(math.sqrt(4 * 5)), AT_LEAST)
    unknown = rows("old", 4.0, cpu_seconds=np.nan)
    assert in_processor_time(unknown).empty


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.01234), "0.0123"),
        (Estimate(1234.5, AT_LEAST), "≥ 1,234"),
        (Estimate(99.96, AT_MOST), "≤ 100.0"),
        (Estimate(2.0, UNCLEAR), "~ 2.00"),
        (Estimate(math.inf), "-"),
        (Estimate(0.0), "0"),
    ],
)
def test_estimates_in_words(estimate: Estimate, text: str) -> None:
    assert str(estimate) == text


def test_equal_claims_agree() -> None:
    table = both(rows("a", 1.0, 2.0), rows("b", 1.0, 10.0, objective=[1.0 + 9e-6, 2.5]))
    table.loc[3, "bound"] = 1.5
    assert find_disagreements(table) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": [1.0, 2.0 * (1 + 2e-5)]}, "optima"),
        ({"objective": [1.0, 2.5], "status": "FEASIBLE", "bound": [1.0, 2.1]}, "bound of 2.1"),
        ({"status": ["OPTIMAL", "INFEASIBLE"], "objective": [1.0, np.nan]}, "no answer"),
    ],
)
def test_contradictions_are_found_in_either_order(changes, words) -> None:
    first, second = rows("a", 1.0, 2.0), rows("b", 1.0, 2.0, **changes)
    for table in (both(first, second), both(second, first)):
        (found,) = find_disagreements(table)
        assert found.image == "test:1"
        assert words in found.what
        assert {found.first, found.second} == {"a", "b"}


def test_an_uncertified_objective_contradicts_nobody() -> None:
    wrong = rows("b", 1.0, objective=0.1, certified=False, status="NUMERICAL", bound=0.1)
    assert find_disagreements(both(rows("a", 1.0), wrong)) == []


def test_summary_says_what_a_reader_must_know() -> None:
    table = both(rows("new", 1.0, 2.0), rows("old", 10.0, 8.0))
    table.loc[2, ["status", "message"]] = ["CRASHED", "the process died, code -9"]
    text = markdown_summary(table, "old", "A title", {"machine": "one core", "noise": ""})
    assert text.startswith("# A title\n")
    assert "| net | old | 1/2 (1 failed) | ≥ 9.00 | ≥ 9.00 |" in text
    assert "| net | new | 2 | ≥ 6.32 |" in text
    assert "lower bound" in text
    assert "AGREE: 1 instances" in text
    assert "* 1 x net, old: CRASHED (the process died, code -9)" in text
    assert "* machine: one core" in text
    assert "noise" not in text


def test_summary_of_clean_runs_explains_no_censoring_and_shouts_disagreement() -> None:
    table = both(rows("new", 1.0), rows("old", 2.0, objective=3.0, bound=3.0))
    text = markdown_summary(table, "old", "T", {})
    assert "lower bound" not in text
    assert "DISAGREE: 1 contradictions" in text
    assert "net, test:0, new and old: optima" in text
    alone = markdown_summary(rows("only", 1.0), "only", "T", {})
    assert "AGREE" not in alone


def test_a_busy_machine_is_mentioned() -> None:
    assert load_warning(rows("a", 1.0, load=1.2), 2) == ""
    assert "load 5.0 on 2 cores" in load_warning(rows("a", 1.0, load=5.0), 2)


def test_method_specifications() -> None:
    options = EngineOptions(time_limit=3.0, threads=2)
    assert Method.parse("highs", options) == Method("highs", None, None, options=options)
    assert Method.parse("highs:thesis:thesis", options).bounds_name == "thesis"
    assert Method.parse("auto:bigm:ball", options).engine == "auto"
    for text, message in (
        ("nope", "expected engine auto"),
        ("highs:nope", "expected formulation bigm"),
        ("highs:bigm:nope", "expected bounds thesis"),
        ("highs:bigm:ball:more", r"expected engine\[:formulation"),
    ):
        with pytest.raises(InputError, match=message):
            Method.parse(text, options)


def test_an_unusable_engine_is_refused_at_once(monkeypatch) -> None:
    class Missing:
        def state(self):
            from reluopt.engines.base import EngineState

            return EngineState(False, "", "not installed: pip install it")

    monkeypatch.setattr(bench_module, "get_engine", lambda name: Missing())
    with pytest.raises(EngineUnavailableError, match="method 'highs': not installed"):
        usable_method("highs", EngineOptions())


def test_shuffling_gives_an_equal_task(make_network) -> None:
    network = make_network((9, 4, 3), 0)
    instance = Instance("x", np.linspace(0.0, 1.0, 9), 1)
    other, moved = shuffled(network, instance)
    assert not np.array_equal(moved.image, instance.image)
    assert other.fingerprint != network.fingerprint
    np.testing.assert_allclose(other.forward(moved.image), network.forward(instance.image))


NAMES = ("highs", "highs:bigm:interval")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, make_network) -> tuple[Path, list[str]]:
    """A small network in a file, and three images."""
    folder = tmp_path_factory.mktemp("inputs")
    network = make_network((6, 5, 4, 3), 3)
    named = ReLUNetwork(network.layers, NetworkMetadata(name="small", input_shape=(2, 3)))
    save_network(named, folder / "small.safetensors")
    images = []
    for number in range(3):
        path = folder / f"image-{number}.npy"
        np.save(path, np.random.default_rng(number).random((2, 3)))
        images.append(str(path))
    return folder / "small.safetensors", images


def measure(inputs: tuple[Path, list[str]], out: Path, **changes) -> BenchResult:
    """A bench of two methods with the settings of every test here."""
    network, images = inputs
    arguments = {"images": images, "methods": NAMES, "out": out, "target": "+1"}
    arguments |= {"margin": "+0.01", "time_limit": 30.0}
    arguments |= changes
    progress = arguments.pop("progress", lambda _: None)
    return run_bench(BenchPlan(networks=[str(network)], **arguments), progress)


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory) -> tuple[BenchResult, Path, list]:
    """One real run."""
    out = tmp_path_factory.mktemp("bench") / "run"
    steps: list = []
    figure = out.parent / "bench.png"
    result = measure(inputs, out, progress=steps.append, figure=figure, command=["reluopt", "x"])
    return result, out, steps


def test_a_real_run_is_proven_agrees_and_is_measured(finished, inputs) -> None:
    result, out, _ = finished
    table = result.table
    assert result.exit_code == 0
    assert tuple(table.columns) == BenchRow.columns()
    assert len(table) == 6
    assert table["proven"].all()
    assert set(table["status"]) <= {"OPTIMAL", "INFEASIBLE"}
    assert (table["memory_peak"] >= table["memory_before"]).all()
    assert (table["memory_before"] > 10.0).all()
    assert (table["cpu_seconds"] > 0.0).all()
    assert "AGREE: 3 instances" in result.summary
    # Both methods take part in each image, and take turns in going first.
    first = table[table["order"] == 0]["method"].tolist()
    assert first == [NAMES[0], NAMES[1], NAMES[0]]
    names = {"results.csv", "summary.md", "run.json", "sessions.jsonl", "bench.png", "bench.pdf"}
    assert {path.name for path in result.files} == names
    assert all(path.stat().st_size > 0 for path in result.files)
    assert (out / "summary.md").read_text() == result.summary
    record = json.loads((out / "run.json").read_text())
    assert record["command"] == ["reluopt", "x"]
    assert "highs" in record["versions"]
    assert record["settings"]["time_limit"] == 30.0


def test_progress_and_session_log(finished) -> None:
    _, out, steps = finished
    stages = [step.stage for step in steps]
    assert stages.count("warm-up") == 2
    assert stages.count("finished") == 6
    assert [step.done for step in steps if step.stage == "finished"] == [1, 2, 3, 4, 5, 6]
    assert all(step.total == 6 and step.resumed == 0 for step in steps)
    assert all((step.row is not None) == (step.stage == "finished") for step in steps)
    lines = [json.loads(line) for line in (out / "sessions.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "warm-up", "warm-up"]
    assert all(len(line["seconds"]) == 2 for line in lines[1:])


def test_finished_rows_are_not_repeated(finished, inputs) -> None:
    result, out, _ = finished
    before = (out / "results.csv").read_bytes()
    steps: list = []
    again = measure(inputs, out, progress=steps.append)
    assert steps == []
    assert (out / "results.csv").read_bytes() == before
    pd.testing.assert_frame_equal(again.table, result.table)


def test_rows_of_changed_code_are_pointed_out(finished, inputs, tmp_path, monkeypatch) -> None:
    _, out, _ = finished
    shutil.copytree(out, tmp_path / "run")
    monkeypatch.setattr("reluopt.bench.session.code_fingerprint", lambda: "changed")
    result = measure(inputs, tmp_path / "run", methods=[*NAMES, "highs:bigm:linear"])
    assert len(result.table) == 9
    assert "measured by 2 different states of reluopt's code" in result.summary
    assert "different states" not in finished[0].summary


class StopError(Exception):
    """Raised in the middle of a run, as Ctrl-C would be."""


def test_an_interrupted_run_continues(inputs, tmp_path) -> None:
    workers: set[int] = set()
    before = set(children())

    def stop(step) -> None:
        workers.update(set(children()) - before)
        if step.done == 2 and step.stage == "solve":
            raise StopError

    one = {"methods": NAMES[:1]}  # a process less in each session
    with pytest.raises(StopError):
        measure(inputs, tmp_path, progress=stop, **one)
    assert workers
    assert not workers & set(children())
    kept = read_table(tmp_path)
    assert len(kept) == 2
    # A line torn by a crash is run again.
    path = tmp_path / "results.csv"
    path.write_bytes(path.read_bytes()[:-20])
    result = measure(inputs, tmp_path, **one)
    assert len(result.table) == 3
    assert result.table["session"].tolist().count(1) == 1
    pd.testing.assert_series_equal(result.table.iloc[0], kept.iloc[0])
    assert "measured in 2 sessions" in result.summary


def children() -> list[int]:
    """Processes that this one started and that still run."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                pids.append(int(path.parent.name))
    return pids


def test_a_folder_of_other_settings_or_inputs_is_refused(finished, inputs, tmp_path) -> None:
    _, out, _ = finished
    before = (out / "results.csv").read_bytes()
    with pytest.raises(InputError, match=r"time_limit = 30\.0.*31\.0"):
        measure(inputs, out, time_limit=31.0)
    _, images = inputs
    kept = np.load(images[0])
    try:
        np.save(images[0], kept[::-1])
        with pytest.raises(InputError, match="another image called"):
            measure(inputs, out)
    finally:
        np.save(images[0], kept)
    assert (out / "results.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": []}, "at least one and each once"),
        ({"methods": ["highs", "highs"]}, "each once"),
        ({"baseline": "gurobi"}, "baseline: expected one of highs"),
        ({"figure": Path("a.jpeg")}, r"expected a name ending in \.png"),
        ({"norm": "l7"}, "norm: expected l1, l2, linf or blend:W with 0 < W < 1, found 'l7'"),
        ({"networks": []}, "network: expected at least one"),
        ({"networks": ["thesis", "thesis"]}, "each once"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(inputs, tmp_path, changes, message) -> None:
    networks = changes.pop("networks", [str(inputs[0])])
    arguments = {"images": inputs[1], "methods": NAMES, "out": tmp_path / "run"}
    with pytest.raises(InputError, match=message):
        run_bench(BenchPlan(networks=networks, **{**arguments, **changes}))
    assert not (tmp_path / "run").exists()


def test_a_method_that_cannot_solve_the_problem_ends_the_bench(inputs, tmp_path) -> None:
    with pytest.raises(UnsupportedProblemError, match=r"method 'highs': .*cannot solve"):
        measure(inputs, tmp_path, norm="l2", methods=NAMES[:1])


UNIT = BenchUnit("net", Instance("half", np.full(4, 0.5), 0), "highs", 0)


def small_job(make_network, **options) -> BenchJob:
    limits = EngineOptions(**options)
    settings = BenchSettings(ShiftTarget(1), Norm.L1, AbsoluteMargin(0.01), limits)
    networks = {"net": make_network((4, 3, 2), 1)}
    return BenchJob(networks, {"highs": Method("highs", options=limits)}, settings, 1, "code")


def test_a_job_that_fails_is_an_outcome(make_network, monkeypatch) -> None:
    job = small_job(make_network)
    good = job.run(UNIT).row
    assert good.objective is not None
    assert good.status == "OPTIMAL"
    assert good.proven

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("reluopt.bench.job.solve", broken)
    bad = job.run(UNIT).row
    assert (bad.status, bad.objective, bad.message) == ("ERROR", None, "ZeroDivisionError: by zero")
    assert bad.seconds >= 0.0


def bomb(unit):
    """What ends the process that receives it."""
    del unit
    return os._exit, (3,)


def test_a_worker_survives_death_and_overtime(make_network, monkeypatch) -> None:
    job = small_job(make_network)
    worker = WorkerProcess(job, attempts=1)
    monkeypatch.setattr(BenchUnit, "__reduce__", bomb, raising=False)
    try:
        crashed = worker.run(UNIT)[1].row
        assert (crashed.status, crashed.message) == ("CRASHED", "the process died, code 3")
        assert not worker.alive
        monkeypatch.undo()
        with monkeypatch.context() as patch:
            patch.setattr(BenchJob, "hard_limit", 0.0)
            killed = worker.run(UNIT)[1].row
        assert killed.status == "KILLED"
        assert "did not keep its time limit" in killed.message
        assert not worker.alive
        fine = worker.run(UNIT)[1].row
        assert fine.status in ("OPTIMAL", "INFEASIBLE")
        # Ctrl-C reaches the whole process group; only the parent decides what it means.
        os.kill(worker.pid, signal.SIGINT)
        assert worker.run(UNIT)[1].row.status == fine.status
    finally:
        worker.close()
    assert not worker.alive


def test_thread_limits_leave_the_environment_as_it_was(make_network, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(BenchJob, "hard_limit", 0.0)
    worker = WorkerProcess(small_job(make_network), attempts=1)
    worker.run(UNIT)
    worker.close()
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_peak_memory_falls_back_to_what_every_unix_knows(monkeypatch) -> None:
    monkeypatch.setattr("reluopt.bench.job._from_status", lambda field: math.nan)
    assert 10.0 < peak_memory() < 100_000.0


def test_kernels_are_compiled_before_any_process_starts(inputs, monkeypatch, tmp_path):
    """A process that compiled would be killed by its hard limit, and published as KILLED."""
    events = []
    spawn = worker_module._spawn

    def started(threads):
        events.append("process")
        return spawn(threads)

    def prepared(engine, *_):
        events.append(f"compile {engine.name}")

    monkeypatch.setattr(worker_module, "_spawn", started)
    monkeypatch.setattr("reluopt.bench.session.prepare_solve", prepared)
    common = {"images": inputs[1][:1], "methods": ["bnb", "highs"]}
    measure(inputs, tmp_path, **common)
    assert events == ["compile bnb", "compile highs", "process", "process"]
    events.clear()
    measure(inputs, tmp_path, **common)
    assert events == []  # nothing is left to run
