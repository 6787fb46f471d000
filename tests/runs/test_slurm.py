"""docs/cluster.md's SLURM program, by the real dask-jobqueue, against a stub of ``sbatch``.

The stub keeps each script that is submitted and runs it here, as a node of a cluster would.
"""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")

TEXT = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()

STUBS = {
    "sbatch": """
        cp "$1" "$JOBS/$$.sh"
        setsid bash "$JOBS/$$.sh" > "$JOBS/$$.log" 2>&1 &
        echo $! > "$JOBS/$$.pid"
        echo "Submitted batch job $$"
    """,
    "scancel": 'kill -TERM -- "-$(cat "$JOBS/$1.pid")"',
}


def _block(language, words):
    """The code block of the document that holds these words."""
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (found,) = [block for block in blocks if words in block]
    return found


@pytest.fixture
def cluster(tmp_path):
    """An environment whose PATH has the stubs, and the folder where jobs lie."""
    jobs, stubs = tmp_path / "jobs", tmp_path / "bin"
    jobs.mkdir()
    stubs.mkdir()
    for name, script in STUBS.items():
        (stubs / name).write_text(f"#!/bin/bash\n{textwrap.dedent(script)}")
        (stubs / name).chmod(0o755)
    places = [str(stubs), str(Path(sys.executable).parent), os.environ["PATH"]]
    yield {**os.environ, "PATH": os.pathsep.join(places), "JOBS": str(jobs)}, jobs
    for file in jobs.glob("*.pid"):  # what scancel did not end
        try:
            os.killpg(int(file.read_text()), signal.SIGKILL)
        except (ProcessLookupError, ValueError):
            continue


def _reluopt(env, folder, *arguments):
    command = [sys.executable, "-m", "reluopt", *arguments]
    done = subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_submits_workers_that_solve(cluster, tmp_path):
    env, jobs = cluster
    program = _block("python", "SLURMCluster")
    # One small job on this machine in place of ten on nodes with a fast network of their own.
    for old, new in {
        "cores=8": "cores=1", '"16GB"': '"2GB"', '"ib0"': '"lo"', "jobs=10": "jobs=1",
    }.items():  # fmt: skip
        assert old in program
        program = program.replace(old, new)
    (tmp_path / "cluster.py").write_text(program)
    running = subprocess.Popen(
        [sys.executable, "cluster.py"], env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        address = running.stdout.readline().strip()
        assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+", address)
        asked = ("--images", "test:0-2", "--norm", "l1", "--target", "any", "--out", "run")
        _reluopt(env, tmp_path, "attack", "thesis", *asked, "--scheduler", address)
        (script,) = jobs.glob("*.sh")
        for line in ("-p normal", "-A my-project", "--cpus-per-task=1", "-t 04:00:00"):
            assert f"#SBATCH {line}" in script.read_text()
        assert "3 of 3 rows verified" in _reluopt(env, tmp_path, "verify-result", "run")
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=60)


def test_the_array_job_is_shards_that_merge(cluster, tmp_path):
    env, _ = cluster
    script = _block("bash", "#SBATCH --array").replace("test:0-9999", "test:0-2")
    script = script.replace("--workers 8", "--workers 1").replace("/10", "/2")
    script = script.replace("reluopt attack", f"{sys.executable} -m reluopt attack")
    (tmp_path / "shards.sh").write_text(script)
    for task in ("1", "2"):
        job = {**env, "SLURM_ARRAY_TASK_ID": task}
        subprocess.run(["bash", "shards.sh"], env=job, cwd=tmp_path, check=True, timeout=280)
    _reluopt(env, tmp_path, "merge", "runs/l2-1", "runs/l2-2", "--out", "runs/l2")
    assert "3 of 3 rows verified" in _reluopt(env, tmp_path, "verify-result", "runs/l2")
