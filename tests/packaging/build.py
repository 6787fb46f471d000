"""Build wheel and sdist, check their metadata, and try both in clean environments.

``make package`` runs it. ``PYTHONS="python3.11 python3.13"`` names interpreters to try the wheel
with, by pip or (``INSTALLER=uv``) by uv; the sdist is tried with the first of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "tests" / "packaging" / "smoke.py"


def run(*command: str | os.PathLike[str], **options: str) -> None:
    """Run a command, telling it."""
    print("$", *command, flush=True)
    subprocess.run(command, check=True, **options)  # type: ignore[call-overload]


def build(dist: Path) -> tuple[Path, Path]:
    """Wheel and sdist, the wheel from the sdist, with metadata that a registry takes."""
    run(sys.executable, "-m", "build", "--outdir", dist, ROOT)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    return wheel, sdist


def try_out(package: Path, python: str, place: Path, installer: str) -> None:
    """Install a package for an interpreter and run what it must do, away from the sources."""
    interpreter = place / "bin" / "python"
    if installer == "uv":
        run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", python, place)
        run(sys.executable, "-m", "uv", "pip", "install", "-q", "--python", interpreter, package)
    else:
        run(python, "-m", "venv", place)
        run(interpreter, "-m", "pip", "install", "--quiet", package)
    run(interpreter, "-I", SMOKE, cwd=str(place))


def main() -> None:
    """Build, check, try."""
    pythons = os.environ.get("PYTHONS", sys.executable).split()
    installer = os.environ.get("INSTALLER", "pip")
    os.environ.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory(prefix="reluopt-package-") as folder:
        place = Path(folder)
        wheel, sdist = build(ROOT / "dist")
        for number, python in enumerate(pythons):
            try_out(wheel, python, place / f"wheel-{number}", installer)
        try_out(sdist, pythons[0], place / "sdist", installer)
    print(f"1 wheel and 1 sdist tried with {len(pythons)} interpreters")


if __name__ == "__main__":
    main()
