"""Published figures and tables again, from the rows and facts in ``figures/data``.

Nothing is solved: what a figure looks like may change long after its rows were computed, in hours.
A study draws what its published rows suffice for by :attr:`~.studies.base.Study.redraw`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from reluopt.bench.run import draw, draw_sizes
from reluopt.runs.row_table import read_rows
from reluopt.studies import STUDIES, load_study
from reluopt.studies.base import (
    Study,
    StudyContext,
    StudyFolder,
    facts_path,
    publish_file,
)
from speed import read_benchmark

BENCHMARKS = ("bench-l1", "bench-bounds")
"""Benchmarks that are published with a figure of their times."""

GROWTH = ("growth-l1", "growth-l2", "growth-linf")
"""Benchmarks of networks of rising sizes, published with their figure of time against size."""


def redraw_published(figures: Path) -> Iterator[Path]:
    """Draw again what is published in ``figures`` and ``figures/data``; yields files as they come.

    Args:
        figures: the folder of published figures, with ``data`` in it.
    """
    for name in STUDIES:
        yield from redraw_study(load_study(name), figures)
    data = figures / "data"
    for name in BENCHMARKS:
        if (data / f"{name}.csv").exists():
            yield from draw(read_benchmark(data, name).table, figures / f"{name}.png")
    for name in GROWTH:
        if (data / f"{name}.csv").exists():
            yield from draw_sizes(read_rows(data / f"{name}.csv").frame(), figures / f"{name}.png")


def redraw_study(study: Study, figures: Path) -> list[Path]:
    """Draw what follows from the published rows of one study.

    Returns:
        Its figures and tables in place; none where the study cannot, or was not published.
    """
    data = figures / "data"
    if study.redraw is None or not facts_path(data, study.name).exists():
        return []
    with tempfile.TemporaryDirectory() as scratch:
        folder = StudyFolder(StudyContext(Path(scratch)), study.name)
        study.redraw(folder, data)
        return [publish_file(path, figures) for path in folder.files]
