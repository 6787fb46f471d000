"""What makes the checker worth running: it is short, and shares nothing with what it checks."""

import ast
import subprocess
import sys
from pathlib import Path

import reluopt_check

SOURCES = sorted(Path(reluopt_check.__file__).parent.glob("*.py"))


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module or ""


def test_it_imports_the_standard_library_alone():
    names = {name.split(".")[0] for path in SOURCES for name in _imported(path)}
    assert names - {"reluopt_check", "__future__"} <= sys.stdlib_module_names


def test_it_runs_where_nothing_is_installed():
    root = str(SOURCES[0].parent.parent)
    code = f"import sys; sys.path[:0] = [{root!r}]; import reluopt_check.__main__ as m; "
    code += "print(sorted({n.split('.')[0] for n in sys.modules} & {'numpy', 'numba', 'reluopt'}))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
