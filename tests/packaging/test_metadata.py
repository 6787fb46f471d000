"""What an installation brings: extras that are named after it, and nothing twice."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LARGEST_EXTRA = 3
"""Requirements of an extra; more than that is more than its name says."""


def _name(requirement):
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower()


def test_extras_are_small_and_required_once():
    base = {_name(each) for each in PROJECT["dependencies"]}
    for extra, needed in PROJECT["optional-dependencies"].items():
        names = [_name(each) for each in needed]
        assert len(set(names)) == len(names), extra
        assert not base & set(names), extra
        if extra not in ("test", "docs", "peers"):
            assert len(names) <= LARGEST_EXTRA, extra


def test_the_container_starts_the_command():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert any(line.startswith("FROM python:3.") and "-slim" in line for line in lines)
    assert any(line == 'ENTRYPOINT ["reluopt"]' for line in lines)
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY")]
    copied = [name for names in copies if not names[0].startswith("--") for name in names]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name.removeprefix('./')}" in ignored, name
