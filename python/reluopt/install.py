"""How reluopt came here: its version, and how to install what it lacks."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

NAME = "reluopt"


def own_version() -> str:
    """The version of this package; ``unknown`` where it runs without having been installed.

    Example:
        >>> import reluopt as ro
        >>> ro.own_version() == ro.__version__
        True
    """
    installed = _distribution()
    return "unknown" if installed is None else installed.version


def install_command(extra: str) -> str:
    """The command that adds an extra, such as ``train``, to this very installation.

    A checkout, and a package that pip built from one, are named by their folder: ``reluopt`` alone
    would ask a package index, which may not have it.
    """
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return f"pip install -e '{_place(checkout)}[{extra}]'"
    source = _source()
    return f"pip install '{NAME if source is None else _place(source)}[{extra}]'"


def _place(folder: Path) -> str:
    """A folder as pip takes it: a point where the command is run, else the whole path."""
    return "." if folder == Path.cwd() else str(folder)


def _source() -> Path | None:
    """The folder that pip built the installed package from (PEP 610), if it is still there."""
    installed = _distribution()
    text = None if installed is None else installed.read_text("direct_url.json")
    if not text:
        return None
    url = urlparse(str(json.loads(text).get("url", "")))
    folder = Path(unquote(url.path))
    return folder if url.scheme == "file" and (folder / "pyproject.toml").is_file() else None


def _distribution() -> Distribution | None:
    """What the installed package tells of itself."""
    try:
        return distribution(NAME)
    except PackageNotFoundError:
        return None
