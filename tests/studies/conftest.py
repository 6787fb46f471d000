"""Running a study on few images, and reading what it tells of itself."""

from dataclasses import replace

import pytest

from reluopt.studies import load_study
from reluopt.studies.base import StudyContext, publish


@pytest.fixture
def few(tmp_path):
    """A function that runs a study on the first ``limit`` images."""

    def run(name, limit, runs="runs", **options):
        return load_study(name).run(StudyContext(tmp_path / runs, limit=limit, **options))

    return run


@pytest.fixture
def told(tmp_path):
    """A function that gives what a README would say about a result, as if it were complete."""

    def read(result):
        figures = tmp_path / "figures"
        publish(replace(result, complete=True), figures)
        return load_study(result.name).readme(figures / "data")

    return read


def contents(result):
    """The bytes of every file of a result, by name."""
    return {path.name: path.read_bytes() for path in result.files}


@pytest.fixture
def files():
    """A function that reads every file of a result."""
    return contents
