"""Result folders that were tampered with: refused, found out, or still true."""

import json
import math
import time
import traceback
from collections import Counter

import numpy as np
import pytest

from conftest import random_network
from helpers.result_folders import (
    Files,
    claim_more,
    make_folders,
    mutate,
    spoil_cell,
    spoil_image,
    spoil_lines,
    spoil_record,
)
from reluopt.answers.solution import Status
from reluopt.engines.options import EngineOptions
from reluopt.errors import ReluoptError
from reluopt.method import Method
from reluopt.networks.zoo import open_network
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    MinimalPerturbation,
    Norm,
    parse_margin,
    parse_norm,
    parse_target,
)
from reluopt.report import load_runs, render_report
from reluopt.runs.evidence import Evidence
from reluopt.runs.instances import load_instances
from reluopt.runs.row_table import read_rows
from reluopt.runs.store import read_store
from reluopt.runs.verify import verify_run

MUTANTS = 100_000

REPORTS = 10_000

TRUE_SHARE = 1e-4
"""Relative room around the optimum found anew: acceptance tolerances of the check, which let
optima lie below the exact one by up to 4.4e-5 where logits are tiny."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make_folders(tmp_path_factory.mktemp("rows"), random_network, open_network)


class Truth:
    """What is true of each instance, solved anew and remembered."""

    def __init__(self):
        self._known = {}

    def optimum(self, settings, key, label):
        """Objective of the optimum; infinite without any answer."""
        asked = (settings["network_path"], settings["target"], settings["norm"],
                 settings["margin"], settings.get("smoothness"), key, label)  # fmt: skip
        if asked not in self._known:
            network = open_network(settings["network_path"])
            (instance,) = load_instances(network, [key], label=label)
            problem = MinimalPerturbation(
                instance.image,
                instance.label,
                parse_target(settings["target"]),
                parse_norm(settings["norm"]),
                parse_margin(settings["margin"]),
                smoothness=settings.get("smoothness"),
            )
            engine = "highs" if parse_norm(settings["norm"]) == Norm.LINF else "bnb"
            found = solve(network, problem, Method(engine, options=EngineOptions(60.0, 1e-7)))
            settled = (Status.OPTIMAL, Status.INFEASIBLE, Status.NOT_ADVERSARIAL)
            assert found.status in settled, found
            self._known[asked] = found.objective
        return self._known[asked]


def _check_accepted(folder, rows, truth):
    """Every claim of rows that passed is true; bounds that nobody vouches for are counted."""
    record = json.loads((folder / "run.json").read_text())
    settings = record["settings"]
    network = open_network(settings["network_path"])
    stored = [(row, image) for row, image in read_store(folder)]
    keys = [row["image"] for row, _ in stored]
    assert len(set(keys)) == len(keys)
    assert set(record.get("instances") or []) <= set(keys)
    unvouched = 0
    for (row, image), verified in zip(stored, rows, strict=True):
        optimum = truth.optimum(settings, row["image"], row["label"])
        if row["certified"]:
            logits = network.forward(image.reshape(-1))
            assert int(np.argmax(logits)) == row["target"] == row["predicted"]
            assert row["objective"] >= optimum * (1.0 - TRUE_SHARE) - 1e-9
            assert math.isclose(
                parse_norm(settings["norm"]).objective(
                    image.reshape(-1) - np.load(row["image"]).reshape(-1)
                ),
                row["objective"], rel_tol=1e-8, abs_tol=1e-14,
            )  # fmt: skip
        if row["status"] not in (Status.OPTIMAL, Status.FEASIBLE, Status.INFEASIBLE,
                                 Status.TIME_LIMIT, Status.NOT_ADVERSARIAL):  # fmt: skip
            continue
        empty = math.inf if row["status"] == Status.INFEASIBLE else -math.inf
        bound = empty if row["bound"] is None else row["bound"]
        if bound <= optimum * (1.0 + TRUE_SHARE) + 1e-9:
            continue
        assert verified.evidence in (Evidence.STORED, Evidence.WORD), (row, optimum)
        print("\nfalse bound on somebody's word:", folder.name, row, optimum)
        unvouched += 1
    return unvouched


def _refused(error):
    """An error of ours is one line."""
    assert "\n" not in str(error), str(error)
    return "refused"


def _outcome(folder, truth):
    """What verification says of a folder, and how many false bounds nobody vouched for."""
    try:
        rows = list(verify_run(folder))
    except ReluoptError as error:
        return _refused(error), 0
    if any(row.failures for row in rows):
        return "found out", 0
    return "still true", _check_accepted(folder, rows, truth)


def _report(folders):
    """A report of the folders is made, or it is refused."""
    try:
        runs = load_runs(folders)
        for form in ("html", "md", "latex"):
            render_report(runs, form)
    except ReluoptError as error:
        return _refused(error)
    return "made"


def test_honest_folders_pass(folders):
    for folder in folders.values():
        rows = list(verify_run(folder))
        assert all(not row.failures for row in rows), rows
        assert len(rows) == len(read_rows(folder / "results.csv").rows)


def test_mutants_of_result_folders(folders, fuzz_seed, fuzz_count):
    count, started = fuzz_count(MUTANTS), time.perf_counter()
    honest = {name: Files.of(folder) for name, folder in folders.items()}
    held, truth = dict(honest), Truth()
    outcomes, false_words = Counter(), 0
    for number in range(count):
        name = sorted(folders)[number % len(folders)]
        rng = np.random.default_rng([fuzz_seed, number])
        mutant, done = mutate(rng, honest[name])
        mutant.write(folders[name], held[name])
        held[name] = mutant
        try:
            outcome, words = _outcome(folders[name], truth)
        except Exception:
            traceback.print_exc()
            pytest.fail(f"seed {fuzz_seed}, mutant {number} of {name}: {', '.join(done)}")
        outcomes[outcome] += 1
        false_words += words
    for name, files in honest.items():
        files.write(folders[name], held[name])
    told = ", ".join(f"{times} {outcome}" for outcome, times in sorted(outcomes.items()))
    print(
        f"\nrows: seed {fuzz_seed}, {count} mutants of {len(folders)} folders: {told}; "
        f"{false_words} false bounds that are told to be a word only; "
        f"{time.perf_counter() - started:.0f} s"
    )
    assert outcomes["still true"] < count


def test_reports_of_mutants(folders, fuzz_seed, fuzz_count):
    count, started = fuzz_count(REPORTS), time.perf_counter()
    honest = {name: Files.of(folder) for name, folder in folders.items()}
    changes = (spoil_cell, claim_more, spoil_lines, spoil_image, spoil_record)
    outcomes = Counter()
    names = sorted(folders)
    for number in range(count):
        name = names[number % len(names)]
        rng = np.random.default_rng([fuzz_seed, number, 1])
        mutant, done = mutate(rng, honest[name], changes)
        mutant.write(folders[name], honest[name])
        beside = [folders[names[(number + 1) % len(names)]]] if number % 3 == 0 else []
        try:
            outcomes[_report([folders[name], *beside])] += 1
        except Exception:
            traceback.print_exc()
            pytest.fail(f"seed {fuzz_seed}, mutant {number} of {name}: {', '.join(done)}")
        finally:
            honest[name].write(folders[name], mutant)
    told = ", ".join(f"{times} {outcome}" for outcome, times in sorted(outcomes.items()))
    print(
        f"\nreports: seed {fuzz_seed}, {count} mutants: {told}; "
        f"{time.perf_counter() - started:.0f} s"
    )
