"""Figures for papers: matplotlib only, result tables in, ``Figure`` objects out.

Nothing here solves, reads files or knows where numbers came from. :func:`save_figure` writes what
the other functions return. Names stand in ``__init__.pyi``: matplotlib is loaded when the first is
used.
"""

from __future__ import annotations

from reluopt.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(__name__)
