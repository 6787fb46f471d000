"""A user's script is typed by what an installation holds, not by this project's own settings."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reluopt

LINTED = Path(__file__).parents[2] / ".mypy_cache"
"""What `make lint` leaves."""

SCRIPT = """
import reluopt as ro
from reluopt.figures import anytime_figure, save_figure

network = ro.load_network("thesis")
digits = ro.load_images("test").images[:2]
found = ro.nearest(network, digits, norm="l1", target="any")
reveal_type(found)
reveal_type(ro.verify(network, digits[0], eps=0.1).to_frame())
reveal_type(anytime_figure({"a": digits[0]}, "distance"))
reveal_type(ro.solve)
ro.nearest(network, digits, norm=b"l1")
ro.neares(network, digits)
save_figure(found.plot(), 3)
"""


def test_strict_types_of_a_users_script(tmp_path):
    if shutil.which("mypy", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("mypy is not installed")
    place = tmp_path / "site"
    place.mkdir()
    # What an installation lays there: the package with its marker.
    (place / "reluopt").symlink_to(Path(reluopt.__file__).parent)
    assert (place / "reluopt" / "py.typed").exists()
    (tmp_path / "script.py").write_text(SCRIPT)
    cache = tmp_path / "cache"
    if LINTED.exists():  # half of the time is what others' packages say
        shutil.copytree(LINTED, cache)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "script.py"]
    told = subprocess.run(
        [*command, f"--cache-dir={cache}"],
        cwd=tmp_path,
        env={"MYPYPATH": "", "PATH": "", "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "NearestResult" in told
    assert "DataFrame" in told
    assert "Figure" in told
    assert "def (network:" in told
    errors = [line for line in told.splitlines() if ": error:" in line]
    assert [line.partition(":")[0] for line in errors] == ["script.py"] * 3, told
    codes = [line.rpartition("[")[2] for line in errors]
    assert codes == ["arg-type]", "attr-defined]", "arg-type]"], told
