"""Fuzzers: long tests that `make fuzz` runs, with counts and seeds that they print.

``RELUOPT_FUZZ_SHARE`` scales every count (0.01 for a quick look), ``RELUOPT_FUZZ_SEED`` changes
the seed. A failure prints the seed of the mutant or instance, so that it can be run alone.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    """Every test of this folder is a fuzzer, and runs only where fuzzers are asked for."""
    asked = "fuzz" in (config.option.markexpr or "")
    reason = pytest.mark.skip(reason="fuzzers take long: `make fuzz` runs them")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.fuzz)
            if not asked:
                item.add_marker(reason)


@pytest.fixture
def fuzz_seed() -> int:
    """Seed that all cases of this run are derived from."""
    return int(os.environ.get("RELUOPT_FUZZ_SEED", "0"))


@pytest.fixture
def fuzz_count() -> Callable[[int], int]:
    """How many cases to run in place of a full count."""
    share = float(os.environ.get("RELUOPT_FUZZ_SHARE", "1"))
    return lambda full: max(1, round(full * share))
