"""Finished runs as something to read: one web page, or tables for a text.

:func:`write_report` turns the folders that ``--out`` wrote into a self-contained HTML page (no
network needed), Markdown, or LaTeX.
"""

from reluopt.report.page import MAX_IMAGES, MAX_ROWS
from reluopt.report.runs import Run, load_runs
from reluopt.report.writing import FORMATS, render_report, write_report

__all__ = [
    "FORMATS",
    "MAX_IMAGES",
    "MAX_ROWS",
    "Run",
    "load_runs",
    "render_report",
    "write_report",
]
