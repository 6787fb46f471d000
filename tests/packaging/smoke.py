"""What a fresh installation must do; run by the interpreter that it is installed for."""

import importlib.metadata
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import reluopt as ro

SCRIPT = Path(sysconfig.get_path("scripts")) / "reluopt"


def run(*arguments: str) -> str:
    """The command's output."""
    done = subprocess.run([SCRIPT, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def main() -> None:
    """Help, three lines, an attack on a bundled network, licence and types."""
    assert "Provably smallest changes" in " ".join(run("--help").split())
    digit = ro.load_images("test").images[0]
    nearest = ro.nearest(ro.load_network("thesis"), digit, norm="l1", target="any")
    assert nearest.certified, nearest
    assert nearest.proven, nearest
    with tempfile.TemporaryDirectory() as folder:
        asked = ("--images", "test:0", "--norm", "l1", "--target", "any", "--margin", "x1")
        told = run("attack", "thesis", *asked, "--out", str(Path(folder) / "run"))
        assert f"{nearest.distance:.4g}" in told, told
        run("report", str(Path(folder) / "run"))
    place = Path(ro.__file__).parent
    assert (place / "py.typed").exists()
    assert (place / "julia_package" / "Project.toml").exists()
    meta = importlib.metadata.metadata("reluopt")
    assert meta["License-Expression"] == "MIT"
    assert any(
        str(file).endswith("licenses/LICENSE") for file in importlib.metadata.files("reluopt")
    )
    print(f"reluopt {ro.__version__} on Python {sys.version.split()[0]}: {nearest}")


if __name__ == "__main__":
    main()
