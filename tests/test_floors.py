"""A module imports only from floors below its own, and no two modules import each other."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import reluopt

PACKAGE = Path(reluopt.__file__).parent

FLOORS = (
    ("errors", "deadline", "install", "lazy", "registry"),
    ("files", "file_formats"),
    ("numerics",),
    ("images",),
    ("networks",),
    ("questions",),
    ("answers",),
    ("bounds",),
    ("bridges",),
    ("attacks",),
    ("formulation",),
    ("engines",),
    ("versions", "method", "preparation", "pipeline"),
    ("specifications", "forests"),
    ("figures",),
    ("runs",),
    ("bench",),
    ("studies",),
    ("report",),
    ("asking",),
    ("embed",),
    ("cli",),
)
"""Lowest first; each entry names modules and packages of :mod:`reluopt`."""


def _modules():
    """Every module of the package: dotted name without ``reluopt.``, and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in ("", "__main__"):
            yield name, path


MODULES = dict(_modules())


def _imports(path):
    """Modules of this package that a file imports anywhere, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reluopt":
            base = node.module.removeprefix("reluopt").lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                yield inner if inner in MODULES else base
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("reluopt.")
                for alias in node.names
                if alias.name.startswith("reluopt.")
            )


GRAPH = {name: {found for found in _imports(path) if found} for name, path in MODULES.items()}


def _floor(name):
    top = name.split(".")[0]
    return next(level for level, names in enumerate(FLOORS) if top in names)


def test_every_module_has_a_floor():
    homeless = {name.split(".")[0] for name in MODULES} - {n for names in FLOORS for n in names}
    assert not homeless


@pytest.mark.parametrize("name", GRAPH)
def test_nothing_is_imported_from_a_floor_above(name):
    above = {found for found in GRAPH[name] if _floor(found) > _floor(name)}
    assert not above


def test_no_two_modules_import_each_other():
    """``graphlib`` raises CycleError, which names the modules of a circle."""
    order = list(TopologicalSorter(GRAPH).static_order())
    assert len(order) >= len(GRAPH)


def test_imports_are_found():
    """A check of the check: what an import in a function, a module and a package look like."""
    assert "networks.network" in GRAPH["pipeline"]
    assert "numerics.jit" in GRAPH["numerics.passes"]
