"""Finding a Julia and telling its state: without one, and without any download."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from reluopt.engines import julia_setup
from reluopt.engines.base import EngineState
from reluopt.engines.julia_setup import (
    EXE_VARIABLE,
    PROJECT_VARIABLE,
    JuliaSession,
    julia_package,
    julia_state,
    on_julia_start,
)
from reluopt.errors import EngineUnavailableError, InputError, UnsupportedProblemError
from reluopt.install import install_command


@pytest.fixture
def no_cache():
    """Fresh answers of the probe, before and after."""
    julia_setup._probed.cache_clear()
    yield
    julia_setup._probed.cache_clear()


def fake_julia(folder: Path, text: str) -> Path:
    """An executable that answers the probe with ``text``."""
    path = folder / "julia"
    path.write_text(f"#!/bin/sh\nprintf '%s' '{text}'\n")
    path.chmod(0o755)
    return path


def give(monkeypatch: pytest.MonkeyPatch, exe: object, project: object) -> None:
    for name, value in ((EXE_VARIABLE, exe), (PROJECT_VARIABLE, project)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(value))


def test_sources_are_found():
    assert (julia_package() / "src" / "ReLUOpt.jl").is_file()


def test_state_without_juliacall(monkeypatch):
    monkeypatch.setattr(julia_setup, "find_spec", lambda name: None)
    state = julia_state()
    assert not state.usable
    assert install_command("julia") in state.detail
    julia_setup.julia_session.cache_clear()
    with pytest.raises(EngineUnavailableError, match="juliacall is missing"):
        julia_setup.julia_session()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("answer", "usable", "said"),
    [
        ("1.11.2", True, "JuMP through juliacall"),
        ("1.9.4", False, "Julia >= 1.10 is needed, found 1.9.4"),
        ("1.10.2 ReLUOpt", False, "lacks ReLUOpt"),
        ("1.10.2 ReLUOpt PythonCall", False, "lacks ReLUOpt and PythonCall"),
    ],
)
def test_state_of_a_given_julia(monkeypatch, tmp_path, no_cache, answer, usable, said):
    monkeypatch.setattr(julia_setup, "find_spec", lambda name: object())
    give(monkeypatch, fake_julia(tmp_path, answer), tmp_path)
    state = julia_state()
    assert state.usable is usable
    assert said in state.detail
    assert "\n" not in state.detail
    assert state.version == answer.split()[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_broken_julia_is_one_line(monkeypatch, tmp_path, no_cache):
    monkeypatch.setattr(julia_setup, "find_spec", lambda name: object())
    exe = tmp_path / "julia"
    exe.write_text("#!/bin/sh\necho no >&2\nexit 3\n")
    exe.chmod(0o755)
    give(monkeypatch, exe, tmp_path)
    state = julia_state()
    assert not state.usable
    assert "does not run" in state.detail
    julia_setup.julia_session.cache_clear()
    with pytest.raises(EngineUnavailableError, match="does not run"):
        julia_setup.julia_session()


@pytest.mark.parametrize(
    ("exe", "project", "said"),
    [
        (sys.executable, None, f"{EXE_VARIABLE} is set but {PROJECT_VARIABLE} is not"),
        (None, "here", f"{PROJECT_VARIABLE} is set but {EXE_VARIABLE} is not"),
        ("/nowhere/julia", ".", "expected a Julia executable"),
        (sys.executable, "/nowhere/project", "expected a Julia project"),
    ],
)
def test_wrong_variables(monkeypatch, exe, project, said):
    monkeypatch.setattr(julia_setup, "find_spec", lambda name: object())
    give(monkeypatch, exe, project)
    state = julia_state()
    assert not state.usable
    assert said in state.detail


def fake_juliapkg(monkeypatch: pytest.MonkeyPatch, resolved: bool, packages: dict) -> list:
    """A juliapkg that notes what is asked of it and never downloads."""
    calls: list[tuple] = []

    def resolve(dry_run: bool = False) -> bool:
        assert dry_run, "only asking is free of downloads"
        return resolved

    modules = {
        "juliapkg": SimpleNamespace(
            resolve=resolve,
            add=lambda *args, **options: calls.append(("add", args, options)),
            require_julia=lambda compat: calls.append(("julia", compat)),
        ),
        "juliapkg.state": SimpleNamespace(STATE={"executable": "julia", "project": "p"}),
        "juliapkg.deps": SimpleNamespace(load_cur_deps=lambda: {"packages": packages}),
    }
    monkeypatch.setattr(julia_setup, "import_module", modules.__getitem__)
    monkeypatch.setattr(julia_setup, "find_spec", lambda name: object())
    give(monkeypatch, None, None)
    return calls


def test_state_before_the_first_download(monkeypatch):
    calls = fake_juliapkg(monkeypatch, resolved=False, packages={})
    state = julia_state()
    assert not state.usable
    assert "first solve" in state.detail
    assert calls == []


def test_state_after_it(monkeypatch):
    here = {"ReLUOpt": {"path": str(julia_package())}}
    fake_juliapkg(monkeypatch, resolved=True, packages=here)
    asked = []
    monkeypatch.setattr(
        julia_setup, "_probed", lambda *place: asked.append(place) or EngineState(True, "1", "")
    )
    assert julia_state().usable
    assert asked[0][:2] == ("julia", "p")


def test_registering_names_the_sources_once(monkeypatch):
    calls = fake_juliapkg(monkeypatch, resolved=False, packages={})
    said: list[str] = []
    with on_julia_start(said.append):
        julia_setup._register()
    kinds = [call[0] for call in calls]
    assert kinds == ["julia", "add"]
    assert calls[1][2] == {"dev": True, "path": str(julia_package())}
    assert any("downloading" in line for line in said)
    here = {"ReLUOpt": {"path": str(julia_package())}}
    calls = fake_juliapkg(monkeypatch, resolved=True, packages=here)
    julia_setup._register()
    assert calls == []


def test_juliapkg_failure_is_one_line(monkeypatch):
    fake_juliapkg(monkeypatch, resolved=True, packages={"ReLUOpt": {"path": str(julia_package())}})

    def fail(**options):
        raise Exception("no network\nand more")

    monkeypatch.setattr(
        julia_setup,
        "import_module",
        lambda name: SimpleNamespace(
            resolve=fail,
            load_cur_deps=lambda: {"packages": {"ReLUOpt": {"path": str(julia_package())}}},
        ),
    )
    state = julia_state()
    assert not state.usable
    assert state.detail == "juliapkg: no network"
    with pytest.raises(EngineUnavailableError, match="no network"):
        julia_setup._register()


def failing_session(error: Exception) -> JuliaSession:
    def raise_it(*arguments):
        raise error

    julia = SimpleNamespace(reluopt_load=lambda path: path, reluopt_solve=raise_it)
    return JuliaSession(julia, "1.10", 0.0)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("InputError: optimizer: expected highs\nStacktrace", InputError, "^optimizer: expected"),
        ("ArgumentError: gap: expected\nStacktrace", InputError, "^gap: expected"),
        ("DimensionMismatch: image: expected 4", InputError, "^image: expected 4"),
        ("UnsupportedProblemError: optimizer X\n", UnsupportedProblemError, "^optimizer X"),
        ("MethodError: no method\nStacktrace", EngineUnavailableError, "julia: MethodError"),
    ],
)
def test_julia_errors_become_ours(lecture, tmp_path, text, kind, said):
    session = failing_session(RuntimeError(text))
    with pytest.raises(kind, match=said) as caught:
        session.solve(lecture, tmp_path / "a", tmp_path / "b", lambda *now: None)
    assert "\n" not in str(caught.value)


def test_errors_of_the_callback_come_through(lecture, tmp_path):
    def solve_now(network, request, answer, stop):
        assert stop(1.0, 0.0, 3) is True

    julia = SimpleNamespace(reluopt_load=lambda path: path, reluopt_solve=solve_now)

    def interrupt(*now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        JuliaSession(julia, "1.10", 0.0).solve(lecture, tmp_path / "a", tmp_path / "b", interrupt)
