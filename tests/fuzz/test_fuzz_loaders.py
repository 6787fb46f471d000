"""Mutants of every file that is read: an error of ours in one line, or a true reading of the file.

A mutant is a valid file with up to four changes: of bytes anywhere, of the lengths that its format
states, of its header's text, of names and numbers in it. Whatever comes out must be an
:class:`~reluopt.errors.InputError` of one printable line, or the object that independent code
(numpy, the json module, plain struct) reads from the same bytes. Time and memory of every mutant
are bounded.
"""

import base64
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers.loaders import LOADERS, never
from helpers.mutations import change_bytes, insert_hostile
from helpers.network_files import NETWORK_LOADERS
from reluopt.errors import InputError

ALL_LOADERS = {**LOADERS, **NETWORK_LOADERS}

COUNT = 100_000
"""Mutants of each loader."""

SECONDS = 2.0
"""Processor seconds that a mutant may take; valid files take about a thousandth of one."""

NATIVE_FLOOR = 100_000_000
"""Bytes by which the whole process may grow for any file."""

MEMORY_EVERY, MEMORY_SHARE = 50, 6
"""How often memory is traced (it takes time), and how many times its file reading may take
(float16 numbers grow fourfold in float64), beyond what any file may take."""


def resident(field):
    """Bytes of memory that this process holds (VmRSS), or has held since the last reset (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status[status.index(field) :].split()[1])


def mutant(loader, rng):
    data = loader.seeds[rng.integers(len(loader.seeds))]
    if rng.random() < 0.05:  # one file's beginning, another one's end
        other = loader.seeds[rng.integers(len(loader.seeds))]
        data = data[: rng.integers(len(data) + 1)] + other[rng.integers(len(other) + 1) :]
    changes = (change_bytes, insert_hostile, *loader.changes * 3)
    for _ in range(int(rng.integers(1, 5))):
        data = changes[rng.integers(len(changes))](data, rng)
    return data


def read(loader, path, data, traced=False):
    """Read a mutant, or be told why not; anything else is a failure.

    Returns:
        ``refused`` or ``read``, processor seconds, and the most memory if it is traced.
    """
    if traced:
        tracemalloc.start()
    Path("/proc/self/clear_refs").write_text("5")  # the largest size begins anew
    before, started = resident("VmRSS"), time.process_time()
    try:
        result = loader.read(path)
    except InputError as error:
        result, message = None, str(error)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]  # 0 if it is not traced
    tracemalloc.stop()
    native = resident("VmHWM") - before  # what libraries take, tracemalloc does not see
    assert seconds < SECONDS
    assert peak < loader.floor + MEMORY_SHARE * len(data)
    assert native < max(loader.floor, NATIVE_FLOOR) + MEMORY_SHARE * len(data)
    if result is not None:
        loader.check(result, data, path)
        return "read", seconds, max(peak, native)
    assert message.startswith(str(path)), message
    assert message.isprintable(), message
    assert len(message) < 1000, message
    return "refused", seconds, max(peak, native)


@pytest.mark.parametrize("name", ALL_LOADERS)
def test_every_mutant_is_refused_in_one_line_or_read_truly(tmp_path, fuzz_seed, fuzz_count, name):
    loader = ALL_LOADERS[name](tmp_path)
    path = Path(tmp_path) / loader.name
    plain = []
    for seed in loader.seeds:  # the files themselves, and imports that happen once
        path.write_bytes(seed)
        plain.append(read(loader, path, seed)[0])
    assert ("read" in plain) == (loader.check is not never)
    count, outcomes, slowest, most = fuzz_count(COUNT), Counter(), 0.0, 0.0
    for number in range(count):
        rng = np.random.default_rng([fuzz_seed, number])
        data = mutant(loader, rng)
        path.write_bytes(data)
        try:
            what, seconds, peak = read(loader, path, data, traced=number % MEMORY_EVERY == 0)
        except BaseException as error:
            shown = base64.b64encode(data[:3000]).decode()
            error.add_note(f"mutant {number} of seed {fuzz_seed}, loader {name}, base64: {shown}")
            raise
        outcomes[what] += 1
        slowest, most = max(slowest, seconds), max(most, peak)
    print(
        f"\n{name}: {count} mutants of seed {fuzz_seed}: {dict(outcomes)}, slowest "
        f"{slowest:.3f} s, most memory {most / 1e6:.2f} MB"
    )
