"""Decisions: unsat against samples of the box, counterexamples against formulas and file."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from reluopt.answers.solution import Status
from reluopt.deadline import Deadline
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.specifications.decide import Verdict, decide
from reluopt.specifications.vnnlib import read_specification
from reluopt.specifications.witness import Replay

DECLARED = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0", "Y_1", "Y_2"))


def box(place, low, high):
    return f"(>= X_{place} {low:.6f}) (<= X_{place} {high:.6f})"


def specified(folder, *asserted):
    path = folder / "spec.vnnlib"
    path.write_text(DECLARED + "".join(f"(assert {each})" for each in asserted))
    return read_specification(path)


def replay(network):
    return Replay(np.float32, network.forward)


def test_random_disjunctions_against_samples(tmp_path, make_network):
    """Two boxes, and an alternative of two conditions beside one of a constant."""
    seen = set()
    for seed in range(40):
        random = np.random.default_rng(seed)
        network = make_network((2, 6, 5, 3), seed)
        corners = random.uniform(-1, 1, (2, 2))
        ends = np.stack([corners, corners + random.uniform(0.05, 0.6, (2, 2))], axis=-1).round(6)
        boxes = [f"(and {box(0, *both[0])} {box(1, *both[1])})" for both in ends]
        level = float(random.normal(0, 8))
        asked = f"(or (and (<= Y_0 Y_1) (<= (+ Y_0 0.5) Y_2)) (>= Y_1 {level:.6f}))"
        specification = specified(tmp_path, f"(or {' '.join(boxes)})", asked)
        assert len(specification.regions) == 2
        decision = decide(specification, network, replay(network))
        seen.add(decision.verdict)
        if decision.verdict is Verdict.SAT:
            found = decision.witness
            assert found.exact
            assert specification.holds(found.inputs, found.outputs)
            assert found.outputs == pytest.approx(network.forward(found.inputs))
            continue
        assert decision.verdict is Verdict.UNSAT
        for both in ends:
            points = random.uniform(both[:, 0], both[:, 1], (4000, 2))
            y = network.forward(points)
            first = (y[:, 0] <= y[:, 1]) & (y[:, 0] + 0.5 <= y[:, 2])
            assert not (first | (y[:, 1] >= round(level, 6))).any()
    assert seen == {Verdict.SAT, Verdict.UNSAT}


@pytest.fixture
def identity():
    """Outputs x0, x1 and x0 + x1, for inputs >= 0."""
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    return ReLUNetwork((Dense(np.eye(2), np.zeros(2)), Dense(rows, np.zeros(3))))


def test_ties_count_as_written(tmp_path, identity):
    unit = f"(and {box(0, 0, 1)} {box(1, 0, 1)})"
    assert (
        decide(specified(tmp_path, unit, "(>= Y_2 2)"), identity, replay(identity)).verdict == "sat"
    )
    above = specified(tmp_path, unit, "(>= Y_2 2.0001)")
    assert decide(above, identity, replay(identity)).verdict == "unsat"
    strict = specified(tmp_path, unit, "(> Y_2 2)")
    assert decide(strict, identity, replay(identity)).verdict == "unknown"
    equal = specified(tmp_path, unit, "(== Y_2 0.3)", "(> Y_1 0.3)")
    assert decide(equal, identity, replay(identity)).verdict in ("unknown", "unsat")


def test_slack_is_sought_where_the_replay_misses(tmp_path, identity, monkeypatch):
    """Steps along one gradient mend one condition; asked for slack, the search meets all three."""
    unit = f"(and {box(0, 0, 1)} {box(1, 0, 1)})"
    asked = specified(tmp_path, unit, "(>= Y_0 0.3)", "(>= Y_1 0.3)", "(<= Y_2 0.6001)")
    shift = np.array([-1e-5, -1e-5, 1e-5])
    rough = Replay(np.float32, lambda inputs: identity.forward(inputs.astype(np.float64)) + shift)
    corner = SimpleNamespace(status=Status.NOT_ROBUST, image=np.array([0.3, 0.3]))

    def corner_first(network, question, method):
        tight = question.region is not asked.regions[0]
        return solve(network, question, method) if tight else corner

    monkeypatch.setattr("reluopt.specifications.decide.solve", corner_first)
    decision = decide(asked, identity, rough)
    assert decision.verdict is Verdict.SAT
    assert decision.witness.exact
    assert asked.holds(decision.witness.inputs, rough.outputs(decision.witness.inputs))
    monkeypatch.setattr("reluopt.specifications.decide.MARGINS", ())
    without = decide(asked, identity, rough)
    assert (without.verdict, without.witness, without.missed) == (Verdict.UNKNOWN, None, True)


def test_what_only_float64_satisfies_is_unknown(tmp_path, identity):
    unit = f"(and {box(0, 0, 1)} {box(1, 0, 1)})"
    asked = specified(tmp_path, unit, "(>= Y_2 2)")
    below = Replay(np.float32, lambda inputs: identity.forward(inputs) - 1e-9)
    decision = decide(asked, identity, below)
    assert (decision.verdict, decision.witness, decision.missed) == (Verdict.UNKNOWN, None, True)


def test_points_without_float32_numbers(tmp_path, identity):
    """0.1 is none of float32, and the counterexample says the float64 number nearest to it."""
    fixed = f"(and {box(0, 0.1, 0.1)} {box(1, 0, 1)})"
    decision = decide(specified(tmp_path, fixed, "(>= Y_1 0.5)"), identity, replay(identity))
    assert decision.verdict is Verdict.SAT
    assert decision.witness.exact
    assert decision.witness.inputs[0] == 0.1


def test_no_condition_on_outputs_asks_for_any_input(tmp_path, identity):
    unit = f"(and {box(0, 0, 1)} {box(1, 0, 1)})"
    decision = decide(specified(tmp_path, unit), identity, replay(identity))
    assert decision.verdict is Verdict.SAT
    empty = specified(tmp_path, unit, "(<= X_0 -1)")
    assert decide(empty, identity, replay(identity)).verdict is Verdict.UNSAT


def test_no_time_is_a_timeout(tmp_path, identity):
    unit = specified(tmp_path, f"(and {box(0, 0, 1)} {box(1, 0, 1)})", "(>= Y_2 3)")
    late = decide(unit, identity, replay(identity), deadline=Deadline.after(-1.0))
    assert late.verdict is Verdict.TIMEOUT


def test_networks_that_do_not_fit_are_refused(tmp_path, identity, make_network):
    unit = specified(tmp_path, f"(and {box(0, 0, 1)} {box(1, 0, 1)})", "(>= Y_2 3)")
    with pytest.raises(InputError, match="2 inputs and 3 outputs, found 3 and 2"):
        decide(unit, make_network((3, 4, 2), 0), replay(identity), Method())


def test_a_region_that_needs_more_time_comes_back(tmp_path, identity, monkeypatch):
    """An engine that gives up is unknown, one whose time is up is asked again, then a timeout."""
    first, second = (f"(and {box(0, low, low + 1)} {box(1, 0, 1)})" for low in (0, 2))
    asked = specified(tmp_path, f"(or {first} {second})", "(>= Y_2 9)")
    calls = []

    def late(*arguments):
        calls.append(arguments[1])
        time.sleep(arguments[-1].left)
        return None, len(calls) == 3

    monkeypatch.setattr("reluopt.specifications.decide._decided", late)
    assert (
        decide(asked, identity, replay(identity), deadline=Deadline.after(0.5)).verdict == "timeout"
    )
    assert len(calls) >= 3
    assert calls[0] is calls[2]
    monkeypatch.setattr("reluopt.specifications.decide._decided", lambda *_: (None, False))
    assert decide(asked, identity, replay(identity)).verdict == "unknown"


def test_without_a_limit_what_cannot_be_decided_is_given_up_once(tmp_path, make_network):
    """A single input that misses a strict condition on inputs alone: nothing to search again."""
    specification = specified(tmp_path, "(= X_0 0)", "(= X_1 0)", "(> X_0 0)")
    method = Method(options=EngineOptions(time_limit=float("inf")))
    found = decide(
        specification, make_network((2, 3, 3), 0), replay(make_network((2, 3, 3), 0)), method
    )
    assert found.verdict is Verdict.UNKNOWN
