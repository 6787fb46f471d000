"""Random small networks: verdicts, worst cases, Linf distances and proofs against brute force."""

from collections import Counter

import numpy as np

from helpers.boxes import brute_linf, brute_slack, mutated_proof, random_ball, random_network
from helpers.regions import largest_value
from reluopt.answers.solution import Status
from reluopt.engines.branch_and_bound import forest
from reluopt.engines.branch_and_bound.dual import within_ball
from reluopt.engines.options import EngineOptions
from reluopt.engines.proving import proving_engine
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.pipeline import solve
from reluopt.questions.problems import (
    AnyTarget,
    FixedTarget,
    LinearForm,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    WorstCase,
)

VERDICTS, WORST, DISTANCES, MUTANTS, TAKEN_OVER = 20_000, 10_000, 20_000, 10_000, 4_000

SIZES = [(2, 3, 2), (2, 4, 3), (3, 3, 2, 2), (2, 2, 2, 2, 2), (3, 5, 3)]

CLOSE = 1e-7
"""Brute force keeps rows to 1e-7 itself."""

KEEPING = Method("bnb", options=EngineOptions(time_limit=20.0, extra={"proof": True}))


def drawn(seed):
    """A network of any scale, and a generator that goes on."""
    generator = np.random.default_rng(seed)
    sizes = SIZES[seed % len(SIZES)]
    return generator, random_network(generator, sizes, integers=seed % 4 == 0)


def test_verdicts_are_those_of_brute_force(fuzz_count):
    counts = Counter()
    count = fuzz_count(VERDICTS)
    for seed in range(count):
        generator, network = drawn(seed)
        norm = (Norm.LINF, Norm.L1)[seed // len(SIZES) % 2]
        question = random_ball(generator, network, norm)
        task = question.task(network)
        solution, exact = solve(network, question, Method("bnb")), brute_slack(network, task)
        counts[str(solution.status)] += 1
        if solution.status is Status.ROBUST:
            assert exact < CLOSE, seed
        elif solution.status is Status.NOT_ROBUST:
            assert exact > -CLOSE, seed
            assert solution.certified
        else:
            assert abs(exact) < CLOSE, seed
        assert solution.bound >= exact - CLOSE, seed
    print(dict(counts))
    assert counts["UNDECIDED"] <= 0.001 * count


def worst_case(seed):
    """A network and a worst case over a ball of it, of every kind that bnb takes."""
    generator, network = drawn(seed)
    norm = (Norm.L1, Norm.L2, Norm.L2, Norm.LINF)[seed // len(SIZES) % 4]
    ball = random_ball(generator, network, norm)
    other = (ball.label + 1) % network.output_size
    form = LinearForm(((other, 1.0), (ball.label, -0.5)))
    kinds = [{}, {"target": other}, {"objective": other}, {"objective": form}]
    if norm is not Norm.LINF:
        kinds.append({"objective": form, "fooled": float(generator.choice([0.7, 0.95, 1.2]))})
    settings = kinds[int(generator.integers(len(kinds)))]
    return network, WorstCase(ball.image, ball.label, ball.eps, norm, box=ball.box, **settings)


def test_worst_cases_are_those_of_brute_force(fuzz_count):
    counts = Counter()
    count = fuzz_count(WORST)
    for seed in range(count):
        network, question = worst_case(seed)
        exact = largest_value(network, question.task(network))
        solution = solve(network, question, Method("bnb"))
        counts[str(solution.status)] += 1
        if solution.status is Status.INFEASIBLE:
            assert exact == -np.inf, seed
            continue
        assert solution.certified, seed
        assert solution.bound >= exact - CLOSE, seed
        assert solution.objective <= exact + 1e-6, seed
        if solution.status is Status.OPTIMAL:
            assert abs(solution.objective - exact) <= 1e-6 + 2e-6 * abs(exact), seed
    print(dict(counts))
    assert counts["FEASIBLE"] <= max(1, 0.005 * count)


def test_linf_distances_are_those_of_brute_force(fuzz_count):
    counts = Counter()
    count = fuzz_count(DISTANCES)
    for seed in range(count):
        generator, network = drawn(seed)
        image = generator.random(network.input_size)
        label = int(network.predict(image))
        question = MinimalPerturbation(image, label, AnyTarget(), Norm.LINF, RelativeMargin(0.0))
        exact = brute_linf(network, question.task(network))
        solution = solve(network, question, Method("bnb"))
        counts[str(solution.status)] += 1
        if exact == np.inf:
            assert solution.status is not Status.OPTIMAL, seed
            continue
        assert solution.bound <= exact + CLOSE, seed
        if solution.status is Status.OPTIMAL:
            assert abs(solution.objective - exact) <= 1e-6, seed
    print(dict(counts))
    assert counts["OPTIMAL"] + counts["INFEASIBLE"] >= 0.999 * count


def test_l1_trees_that_are_taken_over_end_as_those_of_linear_programs(fuzz_count, monkeypatch):
    monkeypatch.setattr(within_ball, "PATIENCE", 0)
    monkeypatch.setattr(forest, "FEW_NODES", 500)
    takes, options = within_ball.takes, EngineOptions(time_limit=30.0)
    count, open_ = fuzz_count(TAKEN_OVER), 0
    for seed in range(count):
        generator = np.random.default_rng(seed)
        sizes = ((8, 30, 3), (6, 12, 9, 4), (10, 20, 20, 3), (5, 8, 8, 8, 3))[seed % 4]
        network = random_network(generator, sizes, integers=seed % 5 == 0)
        image = generator.random(sizes[0]) * (generator.random(sizes[0]) < 0.6)
        label = int(network.predict(image))
        target = AnyTarget() if seed % 3 else FixedTarget((label + 1) % sizes[-1])
        margin = RelativeMargin(float(generator.choice([0.0, 0.2])))
        question = MinimalPerturbation(image, label, target, Norm.L1, margin)
        answers = []
        for way in (takes, lambda frame: False):
            monkeypatch.setattr(within_ball, "takes", way)
            answers.append(solve(network, question, Method("bnb", options=options)))
        found, expected = answers
        open_ += found.status is not expected.status
        assert found.bound <= expected.objective * (1.0 + 4e-6) + CLOSE, seed
        assert expected.bound <= found.objective * (1.0 + 4e-6) + CLOSE, seed
    assert open_ <= 0.002 * count


def test_no_mutant_of_a_verdict_proves_too_much(fuzz_count):
    engine, generator = proving_engine(), np.random.default_rng(1)
    counts, seed = Counter(), 0
    while sum(counts.values()) < fuzz_count(MUTANTS):
        seed += 1
        own, network = drawn(seed)
        question = random_ball(own, network, Norm.LINF)
        solution = solve(network, question, KEEPING)
        if solution.proof is None:
            continue
        task = question.task(network)
        exact = brute_slack(network, task)
        for _ in range(20):
            try:
                shown = -engine.replay(mutated_proof(solution.proof, generator), network, task)
            except InputError:
                counts["refused"] += 1
                continue
            counts["weaker" if shown >= 0.0 else "as strong"] += 1
            assert shown >= exact - CLOSE, seed
    print(dict(counts))
