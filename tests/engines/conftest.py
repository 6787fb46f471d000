"""What tests of engines share."""

import pytest

from reluopt.engines.base import EngineState
from reluopt.engines.julia_setup import julia_state

ENABLE = (
    "no Julia with ReLUOpt: run `reluopt info`, or set PYTHON_JULIACALL_EXE and "
    "PYTHON_JULIACALL_PROJECT (see the Julia section of the README)"
)


@pytest.fixture(scope="module")
def usable() -> EngineState:
    """Skips a test where Julia cannot be used without a download."""
    state = julia_state()
    if not state.usable:
        pytest.skip(f"{ENABLE}; {state.detail}")
    return state
