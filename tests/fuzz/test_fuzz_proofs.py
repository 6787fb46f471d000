"""Kept proofs, mutated: none proves more than the exact optimum, whatever stands in the file.

A mutant is accepted with a bound that is true or refused with one of our errors, within seconds and
in little memory.
"""

import json
import math
import resource
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from helpers.exact import exact_objective, exact_optimum
from helpers.instances import random_network, random_problem
from reluopt.engines.base import EngineRequest
from reluopt.engines.branch_and_bound.driver import BranchAndBoundEngine
from reluopt.engines.branch_and_bound.proof import replay
from reluopt.engines.branch_and_bound.proof_file import proof_bytes, read_proof
from reluopt.engines.options import EngineOptions
from reluopt.errors import ReluoptError
from reluopt.questions.problems import MinimalPerturbation, Norm, ShiftTarget

MUTANTS = 20_000

MUTANTS_OF_DIGITS = 5_000

MUTANTS_OF_ONE = 200
"""Mutants made of one proof."""

LONGEST_SECONDS = 5.0
"""A proof of this size is read and replayed in milliseconds; the machine may be busy."""

MOST_MEMORY = 300_000
"""Kilobytes that the process may grow by while it reads mutants of a few kilobytes."""

ENGINE = BranchAndBoundEngine()
KEEP = EngineOptions(time_limit=20.0, extra={"proof": True})

NUMBERS = (0, -1, 1, 1.5, 1e-300, 1e308, math.nan, math.inf, -math.inf, 2**63, 10**400)
TEXTS = ("", "l1", "l2", "linf", "proof", "many", "0" * 64, "\x00", "é" * 40)
DTYPES = (np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8, np.uint64, np.bool_)


def proven(generator):
    """A small task with a kept proof and its exact optimum."""
    while True:
        network = random_network(generator)
        task = random_problem(generator, network, (Norm.L1, Norm.L2)).task(network)
        options = KEEP if generator.random() < 0.9 else replace(KEEP, time_limit=1e-6)
        answer = ENGINE.solve(EngineRequest(network, task, None, options=options))
        if answer.objective > 0.0 and answer.proof is not None:
            return network, task, answer, exact_optimum(network, task, answer.image)


def changed_bytes(generator, data):
    """A few bytes overwritten, inserted, removed, or the end cut off."""
    data = bytearray(data)
    for _ in range(int(generator.integers(1, 4))):
        at, kind = int(generator.integers(len(data))), generator.integers(5)
        if kind == 0:
            data[at] = generator.integers(256)
        elif kind == 1:
            data[at] ^= 1 << generator.integers(8)
        elif kind == 2:
            data[at:at] = generator.bytes(int(generator.integers(1, 9)))
        elif kind == 3:
            del data[at : at + int(generator.integers(1, 9))]
        elif generator.random() < 0.5:
            types = (b'"F64"', b'"F32"', b'"I64"', b'"I32"', b'"U64"', b'"BF16"', b'"U8"', b'"F16"')
            old, new = generator.choice(len(types), size=2)
            data = data.replace(types[old], types[new], int(generator.integers(1, 5)))
        elif len(data) > 1 and generator.random() < 0.2:
            del data[at:]
        data = data or bytearray(b"\x00")
    return bytes(data)


@np.errstate(all="ignore")
def changed_values(generator, array):
    """Another array: values, order, type or shape."""
    kind = generator.integers(9)
    flat = array.reshape(-1).copy()
    if kind == 0 and flat.size:
        flat[generator.integers(flat.size)] = generator.choice([0, 1, 2, 3, 100])
    elif kind == 1 and array.dtype.kind == "f":
        flat *= generator.choice([-1.0, 0.0, 0.5, 1.0 + 1e-9, 2.0, 1e8, 1e300])
    elif kind == 2 and flat.size and array.dtype.kind == "f":
        flat[generator.integers(flat.size)] = generator.choice([np.nan, np.inf, -np.inf, 1e308])
    elif kind == 3:
        generator.shuffle(flat)
    elif kind == 4:
        flat = flat.astype(DTYPES[generator.integers(len(DTYPES))])
    elif kind == 5:
        flat = np.resize(flat, int(generator.integers(0, 2 * flat.size + 2)))
    elif kind == 6 and array.dtype.kind == "f":
        flat *= generator.normal(1.0, 10.0 ** -generator.integers(0, 9), size=flat.size)
    elif kind == 7 and array.dtype.kind != "f" and flat.size:
        flat = generator.integers(0, flat.max() + 2, size=flat.size).astype(flat.dtype)
    else:
        flat = flat.reshape(1, -1)
    return flat


def changed_tensors(generator, tensors):
    """Tensors changed, dropped, renamed, or with the contents of another."""
    names = list(tensors)
    for _ in range(int(generator.integers(1, 4))):
        name, kind = names[generator.integers(len(names))], generator.random()
        if name not in tensors:
            continue
        if kind < 0.8:
            tensors[name] = changed_values(generator, tensors[name])
        elif kind < 0.9:
            other = names[generator.integers(len(names))]
            tensors[name] = tensors.get(other, tensors[name])
        elif kind < 0.95:
            tensors[f"{name}.more"] = tensors[name]
        else:
            del tensors[name]
    return tensors


def changed_metadata(generator, about, radius):
    """What a proof says about itself, in part another thing."""
    key = list(about)[generator.integers(len(about))] if generator.random() < 0.5 else "radius"
    kind = generator.random()
    if key == "radius" and kind < 0.7:
        about[key] = radius * generator.choice([0.0, 0.5, 0.999, 1.0 + 1e-9, 2.0, 100.0])
    elif kind < 0.8:
        about[key] = NUMBERS[generator.integers(len(NUMBERS))]
    elif kind < 0.9:
        about[key] = TEXTS[generator.integers(len(TEXTS))]
    elif kind < 0.95:
        about[key] = [[], {}, [about[key]], None, True][generator.integers(5)]
    else:
        del about[key]
    return about


def mutant(generator, data):
    """Another file, and what was changed."""
    kind = ("bytes", "tensors", "metadata", "both")[generator.choice(4, p=(0.25, 0.4, 0.2, 0.15))]
    if kind == "bytes":
        return kind, changed_bytes(generator, data)
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length])["__metadata__"]["reluopt"]
    about, tensors = json.loads(text), load(data)
    if kind != "metadata":
        tensors = changed_tensors(generator, tensors)
    if kind != "tensors":
        text = json.dumps(changed_metadata(generator, about, about["radius"]))
        if generator.random() < 0.05:
            text = generator.choice(["[" * 50_000, "[]", "null", text[:-5], "3"])
    try:
        return kind, save(tensors, {"reluopt": str(text)})
    except (SafetensorError, KeyError, ValueError):
        return kind, data


def memory():
    """The largest size that this process has had, in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def attempt(path, network, task, most):
    """What comes of reading and replaying a file, and what is wrong with that."""
    try:
        bound = replay(read_proof(path), network, task)
    except ReluoptError as error:
        return "refused", ["lines in an error"] if "\n" in str(error) else []
    except Exception as error:  # the point of this test: no other error may leave
        return "crashed", [repr(error)[:200]]
    true = most == math.inf if bound == math.inf else Fraction(bound) <= most
    return "accepted", [] if true else [f"{bound!r} > {float(most)!r}"]


def check_mutants(source, count, seed, path):
    """Make ``count`` mutants of proofs from ``source`` and try them all."""
    print(f"\nproofs: {count} mutants, seed {seed}")
    outcomes, failures, grown = Counter(), [], 0
    for number in range(count):
        generator = np.random.default_rng((seed, number))
        if number % MUTANTS_OF_ONE == 0:
            network, task, answer, most = source(generator)
            data = proof_bytes(answer.proof)
            path.write_bytes(data)
            assert attempt(path, network, task, most) == ("accepted", [])
        kind, changed = mutant(generator, data)
        path.write_bytes(changed)
        before, started = memory(), time.process_time()
        outcome, wrong = attempt(path, network, task, most)
        grown += memory() - before
        if time.process_time() - started > LONGEST_SECONDS:
            wrong.append("takes too long")
        outcomes[f"{kind} {outcome}"] += 1
        failures += [f"seed ({seed}, {number}): {kind}: {each}" for each in wrong]
    print(", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())))
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures[:20])
    assert grown < MOST_MEMORY


def test_mutated_proofs_prove_nothing_false(fuzz_seed, fuzz_count, tmp_path):
    check_mutants(proven, fuzz_count(MUTANTS), fuzz_seed, tmp_path / "proof.safetensors")


def test_mutated_proofs_of_digits_prove_no_more_than_an_image_allows(
    fuzz_seed, fuzz_count, tmp_path, thesis, test_images
):
    """Larger trees; no exact optimum is known, but the answer is an upper bound."""

    def digit(generator):
        image = test_images.images[generator.integers(100, 400)].reshape(-1)
        label = int(thesis.predict(image))
        norm = (Norm.L1, Norm.L2)[generator.integers(2)]
        task = MinimalPerturbation(image, label, ShiftTarget(5), norm).task(thesis)
        answer = ENGINE.solve(EngineRequest(thesis, task, None, options=KEEP))
        return thesis, task, answer, exact_objective(task, answer.image)

    path = tmp_path / "proof.safetensors"
    check_mutants(digit, fuzz_count(MUTANTS_OF_DIGITS), fuzz_seed, path)
