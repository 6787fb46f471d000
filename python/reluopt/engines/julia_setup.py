"""Finding, setting up and starting the Julia that the engine ``julia`` runs on.

Two ways lead to a Julia:

* ``PYTHON_JULIACALL_EXE`` and ``PYTHON_JULIACALL_PROJECT`` (both), with ``JULIA_LOAD_PATH`` as
  Julia reads it, name one that is used as it is: nothing is resolved or installed. It must have
  PythonCall, ReLUOpt and what they need.
* Otherwise juliapkg finds or installs Julia and resolves the packages in an environment of its own
  on the first solve, which needs a network once. The sources of ``ReLUOpt`` lie next to this
  package, in a checkout and in an installed wheel alike.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reluopt.engines.base import EngineState
from reluopt.errors import EngineUnavailableError, InputError, UnsupportedProblemError
from reluopt.install import install_command
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network

PACKAGE = "ReLUOpt"
PACKAGE_UUID = "c5220b4f-1fd3-4cc8-bf12-d22bab9e540b"
MINIMUM_JULIA = (1, 10)
JULIA_COMPAT = "^1.10"

EXE_VARIABLE = "PYTHON_JULIACALL_EXE"
PROJECT_VARIABLE = "PYTHON_JULIACALL_PROJECT"

PROBE_SECONDS = 30.0
"""How long Julia may take to tell its version and packages (usually below a second)."""

_PROBE = (
    "print(VERSION); for name in ARGS; Base.find_package(name) === nothing && print(' ', name); end"
)

_announcers: list[Callable[[str], None]] = []

ProgressReport = Callable[[float, float, int], None]


@contextmanager
def on_julia_start(announce: Callable[[str], None]) -> Iterator[None]:
    """Call ``announce`` with a line in words whenever Julia is set up or started meanwhile.

    Starting takes seconds, and the very first time, with downloads and compilation, minutes;
    people should know why they wait.
    """
    _announcers.append(announce)
    try:
        yield
    finally:
        _announcers.remove(announce)


def _announce(text: str) -> None:
    for announce in _announcers:
        announce(text)


def julia_package() -> Path:
    """Folder of the Julia package: in the wheel beside this package, in a checkout at its root.

    Raises:
        EngineUnavailableError: it is in neither place.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "julia_package", here.parents[3] / "julia"):
        if (folder / "Project.toml").is_file():
            return folder
    raise EngineUnavailableError(
        "engine julia: the sources of the Julia package are missing: reinstall reluopt"
    )


def julia_state() -> EngineState:
    """Whether the engine could start now, without any download; starts no session."""
    if find_spec("juliacall") is None:
        return EngineState(False, "", f"juliacall is missing: {install_command('julia')}")
    try:
        given = _given_julia()
        if given is not None:
            return _probed(*given, os.environ.get("JULIA_LOAD_PATH", ""))
        resolved = _resolved_julia()
        if resolved is not None:
            return _probed(*resolved, os.environ.get("JULIA_LOAD_PATH", ""))
    except EngineUnavailableError as error:
        return EngineState(False, "", str(error).removeprefix("engine julia: "))
    detail = (
        "Julia is not set up yet: the first solve with --engine julia downloads Julia 1.10 or "
        f"later, JuMP and HiGHS; or set {EXE_VARIABLE} and {PROJECT_VARIABLE}"
    )
    return EngineState(False, "", detail)


def _given_julia() -> tuple[str, str] | None:
    """Executable and project from the environment, or None when it names none."""
    exe, project = os.environ.get(EXE_VARIABLE), os.environ.get(PROJECT_VARIABLE)
    if exe is None and project is None:
        return None
    if exe is None or project is None:
        present, absent = (
            (EXE_VARIABLE, PROJECT_VARIABLE)
            if project is None
            else (PROJECT_VARIABLE, EXE_VARIABLE)
        )
        raise EngineUnavailableError(
            f"engine julia: {present} is set but {absent} is not: set both, or neither"
        )
    found = shutil.which(exe)
    if found is None:
        raise EngineUnavailableError(
            f"engine julia: {EXE_VARIABLE}: expected a Julia executable, found {exe!r}"
        )
    if not Path(project).exists():
        raise EngineUnavailableError(
            f"engine julia: {PROJECT_VARIABLE}: expected a Julia project, found {project!r}"
        )
    return found, project


def _resolved_julia() -> tuple[str, str] | None:
    """What juliapkg has resolved before, with our package in it, or None."""
    juliapkg = import_module("juliapkg")
    try:
        if not _is_registered() or not juliapkg.resolve(dry_run=True):
            return None
        state = import_module("juliapkg.state").STATE
        return str(state["executable"]), str(state["project"])
    except Exception as error:  # juliapkg raises plain Exceptions
        raise EngineUnavailableError(f"engine julia: juliapkg: {_first_line(error)}") from error


def _is_registered() -> bool:
    """Whether juliapkg knows our package at the place where it lies now."""
    entry = import_module("juliapkg.deps").load_cur_deps().get("packages", {}).get(PACKAGE, {})
    return bool(entry.get("path") == str(julia_package()))


@cache
def _probed(exe: str, project: str, load_path: str) -> EngineState:
    """Version and packages of a Julia; ``load_path`` only tells cached answers apart."""
    del load_path
    command = [exe, f"--project={project}", "--startup-file=no", "-O0", "-e", _PROBE]
    try:
        run = subprocess.run(
            [*command, PACKAGE, "PythonCall"],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return EngineState(False, "", f"{exe} does not run: {_first_line(error)}")
    version, *missing = run.stdout.split()
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_JULIA:
        return EngineState(False, version, f"Julia >= 1.10 is needed, found {version} at {exe}")
    if missing:
        return EngineState(
            False,
            version,
            f"Julia {version} at {exe} lacks {' and '.join(missing)}: add them to {project} "
            f"({PACKAGE} with Pkg.develop(path={str(julia_package())!r}))",
        )
    return EngineState(True, version, f"JuMP through juliacall; Julia at {exe}")


def _first_line(error: BaseException) -> str:
    """The first line that says something, at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


@dataclass
class JuliaSession:
    """The running Julia with ``ReLUOpt`` loaded; there is one in a Python process.

    Attributes:
        julia: juliacall's module object, in which the glue lives.
        version: version of Julia.
        start_seconds: how long it took to start.
    """

    julia: Any
    version: str
    start_seconds: float
    _networks: dict[str, Any] = field(default_factory=dict)

    def provide(self, optimizer: str) -> None:
        """Load the package of an optimizer, so that requests may name it.

        Raises:
            InputError: this Julia lacks it.
            EngineUnavailableError: it does not load, or has no licence.
        """
        try:
            self.julia.reluopt_provide(optimizer)
        except Exception as error:
            raise _translated(error) from error

    def solve(
        self, network: ReLUNetwork, request: Path, answer: Path, report: ProgressReport
    ) -> None:
        """Solve a request file into an answer file.

        ``report`` is called with incumbent, bound and nodes now and then. Python's signal handlers
        run in that moment, so that Ctrl-C ends the search.

        Raises:
            InputError: Julia found something wrong with the request.
            UnsupportedProblemError: the optimizer cannot solve this kind of problem.
            EngineUnavailableError: anything else went wrong in Julia.
        """
        raised: list[BaseException] = []

        def stop(objective: float, bound: float, nodes: int) -> bool:
            try:
                report(objective, bound, nodes)
            except BaseException as error:  # crosses Julia and the solver as a flag
                raised.append(error)
            return bool(raised)

        try:
            loaded = self._loaded(network)
            self.julia.reluopt_solve(loaded, str(request), str(answer), stop)
        except Exception as error:
            if raised:
                raise raised[0] from None
            raise _translated(error) from error
        if raised:
            raise raised[0]

    def _loaded(self, network: ReLUNetwork) -> Any:
        """The network in Julia, carried over once."""
        key = network.fingerprint
        if key not in self._networks:
            with tempfile.TemporaryDirectory(prefix="reluopt-") as folder:
                path = Path(folder, "network.safetensors")
                save_network(network, path)
                self._networks[key] = self.julia.reluopt_load(str(path))
        return self._networks[key]


_KINDS: dict[str, type[InputError | UnsupportedProblemError]] = {
    "UnsupportedProblemError: ": UnsupportedProblemError,
    "InputError: ": InputError,
    "ArgumentError: ": InputError,
    "DimensionMismatch: ": InputError,
}
"""What Julia calls the errors that tell what is wrong with a request."""


def _translated(error: Exception) -> Exception:
    """A Julia error as one of ours, with its first line."""
    text = _first_line(error)
    for prefix, kind in _KINDS.items():
        if prefix in text:
            return kind(text.split(prefix, 1)[1])
    return EngineUnavailableError(f"engine julia: {text}")


_GLUE = """
import ReLUOpt
import PythonCall

reluopt_load(path) = ReLUOpt.load_network(String(path))

const OPTIMIZERS = Dict{String,Any}("highs" => ReLUOpt.HiGHS.Optimizer)

# A package is imported by name here, where names come from; ReLUOpt takes optimizers.
function reluopt_provide(name)
    haskey(OPTIMIZERS, name) && return nothing
    package = Dict("gurobi" => :Gurobi, "scip" => :SCIP)[name]
    if Base.find_package(string(package)) === nothing
        throw(
            ReLUOpt.InputError(
                "optimizer: expected package $package in this Julia environment " *
                "(import Pkg; Pkg.add(\\"$package\\")), found none",
            ),
        )
    end
    Core.eval(@__MODULE__, :(import $package))
    # One Gurobi environment for all models: each new one takes another licence token.
    maker = package === :Gurobi ?
        :(let environment = Gurobi.Env(); () -> Gurobi.Optimizer(environment) end) :
        :($package.Optimizer)
    OPTIMIZERS[name] = Core.eval(@__MODULE__, maker)
    return nothing
end

function reluopt_solve(network, request, answer, stop)
    # An error in Python must not unwind through the solver.
    function callback(objective, bound, nodes)
        try
            return PythonCall.pyconvert(Bool, stop(objective, bound, nodes))
        catch
            return true
        end
    end
    # Solvers print their logs and licence notes to stdout, which belongs to results.
    redirect_stdout(stderr) do
        try
            ReLUOpt.solve_request(
                network,
                String(request),
                String(answer);
                optimizers = OPTIMIZERS,
                callback,
            )
        finally
            Libc.flush_cstdio()
        end
    end
    return nothing
end
"""


@cache
def julia_session() -> JuliaSession:
    """The session; started, and if need be set up, on the first call.

    Raises:
        EngineUnavailableError: juliacall, Julia or a package is missing or broken.
    """
    if find_spec("juliacall") is None:
        raise EngineUnavailableError(
            f"engine julia: juliacall is missing: {install_command('julia')}"
        )
    given = _given_julia()
    if given is not None:
        state = _probed(*given, os.environ.get("JULIA_LOAD_PATH", ""))
        if not state.usable:
            raise EngineUnavailableError(f"engine julia: {state.detail}")
    else:
        _register()
    _announce("starting Julia (once per session, up to a minute) ...")
    clock = time.perf_counter()
    try:
        # juliapkg prints what it does to stdout, which belongs to results.
        with redirect_stdout(sys.stderr):
            import juliacall

        julia = juliacall.newmodule("ReluoptBridge")
        julia.seval("begin\n" + _GLUE + "\nend")
        version = str(julia.seval("string(VERSION)"))
    except Exception as error:  # juliacall and juliapkg raise plain Exceptions
        raise EngineUnavailableError(
            f"engine julia: Julia did not start: {_first_line(error)}"
        ) from error
    seconds = time.perf_counter() - clock
    _announce(f"Julia {version} started in {seconds:.1f} s")
    return JuliaSession(julia, version, seconds)


def _register() -> None:
    """Tell juliapkg about our package; resolving happens when juliacall starts."""
    juliapkg = import_module("juliapkg")
    try:
        if not _is_registered():
            juliapkg.require_julia(JULIA_COMPAT)
            juliapkg.add(PACKAGE, PACKAGE_UUID, dev=True, path=str(julia_package()))
        if not juliapkg.resolve(dry_run=True):
            _announce("setting up Julia: downloading it and its packages (once, minutes) ...")
    except EngineUnavailableError:
        raise
    except Exception as error:  # juliapkg raises plain Exceptions
        raise EngineUnavailableError(f"engine julia: juliapkg: {_first_line(error)}") from error
