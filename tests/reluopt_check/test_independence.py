"""What makes the checker worth running: it is short, and shares nothing with what it checks."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import reluopt_check

MOST_LINES = 500
"""Of code: a reader shall be able to read all of it."""

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


def _code_lines(text):
    """Lines with code on them: no blank ones, comments or docstrings."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string.strip() and token.type != tokenize.COMMENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def test_it_stays_short():
    assert sum(_code_lines(path.read_text()) for path in SOURCES) <= MOST_LINES
