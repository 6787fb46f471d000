"""Peers: what they say is checked, what they lack is a row, and nothing ends a benchmark."""

import math
from dataclasses import replace

import numpy as np
import pytest

from reluopt.bench.peers import PEERS
from reluopt.bench.peers.base import Conditions, Found, Peer, aim
from reluopt.bench.peers.run import contradictions, peers_table, run_peer, write_peers
from reluopt.cli import main
from reluopt.errors import EngineUnavailableError, UnsupportedProblemError
from reluopt.method import Method
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.pipeline import solve
from reluopt.questions.problems import AnyTarget, MinimalPerturbation, Norm, RelativeMargin
from reluopt.runs.row import PeerRow
from reluopt.runs.row_table import read_rows


@pytest.fixture(scope="module")
def asked(make_network):
    """A small network, an instance, its task in L1 and the proven minimum."""
    network = make_network((6, 5, 4, 3), 6)
    image = np.random.default_rng(1).random(6)
    label = int(network.predict(image))
    problem = MinimalPerturbation(image, label, AnyTarget(), Norm.L1, RelativeMargin(0.0))
    found = solve(network, problem, Method("bnb"))
    return network, label, problem.task(network), found


class _Made(Peer):
    """A peer that says what it is told to say."""

    def __init__(self, found, exact=False):
        self.found, self.exact = found, exact

    def nearest(self, network, task, seconds):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def _row(asked, found, exact=False):
    network, label, task, solution = asked
    PEERS.add("made", lambda: _Made(found, exact))
    try:
        return run_peer("made", network, "x", label, task, 5.0, solution.objective)
    finally:
        del PEERS._makers["made"]
        PEERS._made.pop("made", None)


@pytest.mark.parametrize("norm", [Norm.L1, Norm.LINF])
def test_conditions_hold_of_what_was_asked_alone(asked, norm):
    network, label, task, _ = asked
    problem = MinimalPerturbation(task.image, label, AnyTarget(), norm, RelativeMargin(0.0))
    task, met = problem.task(network), []
    for image in np.random.default_rng(2).uniform(-3.0, 3.0, (200, 6)):
        change, logits = abs(image - task.image), network.forward(image)
        change = change if norm is Norm.L1 else change.max(keepdims=True)
        for alternative in task.alternatives:
            given = Conditions.of(task, alternative)
            assert given.changes == change.size
            rows = given.matrix @ np.concatenate([image, logits, change]) >= given.least - 1e-12
            conditions = alternative.conditions
            met.append(bool(np.all(conditions.matrix @ logits >= conditions.rhs)))
            assert rows.all() == met[-1]
            less = given.matrix @ np.concatenate([image, logits, 0.9 * change]) >= given.least
            assert not less.all()
    assert 0 < sum(met) < len(met)


def test_attacks_aim_at_one_target_or_away_from_the_label(asked):
    network, label, task, _ = asked
    assert aim(network, task) == (label, False)
    one = task.alternatives[0]
    assert aim(network, replace(task, alternatives=(one,))) == (one.target, True)
    with pytest.raises(UnsupportedProblemError, match="one target, or any label but the true"):
        aim(make_wider(network), task)


def make_wider(network):
    """A network with one more label, which is then a second one that is no target."""
    *layers, last = network.layers
    wider = Dense(np.vstack([last.weight, last.weight[:1]]), np.append(last.bias, 0.0))
    return ReLUNetwork((*layers, wider))


def test_an_image_is_measured_on_the_real_network(asked):
    network, _, _, solution = asked
    row = _row(asked, Found(solution.image, solution.bound, True), exact=True)
    assert (row.status, row.certified) == ("OPTIMAL", True)
    assert row.distance == pytest.approx(solution.objective)
    assert row.ratio == pytest.approx(1.0)
    assert row.predicted == int(network.predict(solution.image))
    assert list(contradictions([row])) == []


def test_an_image_that_fools_nobody_is_not_certified(asked):
    _, _, task, _ = asked
    row = _row(asked, Found(task.image, 0.0, True), exact=True)
    assert not row.certified
    assert "the network answers" in row.message
    assert list(contradictions([row])) == []  # it claims nothing that is true of the network


def test_what_cannot_be_true_is_told(asked):
    *_, solution = asked
    high = _row(asked, Found(None, 2.0 * solution.objective, True), exact=True)
    assert "claims a bound of" in next(contradictions([high]))
    low = high.but(bound=None, certified=True, distance=0.5 * solution.objective)
    assert "below the proven" in next(contradictions([low]))


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (EngineUnavailableError("thing is not installed"), "REFUSED", "thing is not installed"),
        (ValueError("no such tensor"), "ERROR", "ValueError: no such tensor"),
    ],
)
def test_errors_are_rows(asked, tmp_path, error, status, words):
    row = _row(asked, error)
    assert (row.status, row.message, row.certified) == (status, words, False)
    table = peers_table([row])
    assert f"* made: {words}" in table
    assert ("| made |" in table) == (status == "ERROR")  # of the other nothing is to be shown
    path = write_peers([row], tmp_path)
    assert read_rows(path).typed(PeerRow) == [row]


def test_a_package_that_is_missing_is_one_line(asked):
    class Missing(_Made):
        modules = {"no-such-package": "no_such_package_at_all"}  # noqa: RUF012

    network, _, task, _ = asked
    with pytest.raises(EngineUnavailableError, match=r"^no-such-package is not installed: pip"):
        Missing(Found(None)).check(network, task)


@pytest.mark.parametrize("name", PEERS.names)
def test_each_peer_answers_or_says_why_not(asked, name):
    network, label, task, solution = asked
    row = run_peer(name, network, "x", label, task, 20.0, solution.objective)
    if "is not installed" in row.message:
        pytest.skip(row.message)
    if row.norm not in PEERS.get(name).norms:
        assert row.status == "REFUSED"
        return
    assert row.status in (("OPTIMAL",) if row.exact else ("FOUND", "NOTHING")), row
    assert list(contradictions([row])) == []
    if row.exact:
        assert row.certified
        assert row.distance == pytest.approx(solution.objective, rel=1e-5)
        assert row.bound == pytest.approx(solution.objective, rel=1e-5)
    elif row.distance is not None:
        assert row.distance > (1.0 - 1e-3) * solution.objective


def test_the_command_writes_peers_beside_methods(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(PEERS, "_makers", {"made": lambda: _Made(Found(None, -math.inf))})
    asked = ["--images", "test:0", "--method", "bnb", "--target", "any", "--margin", "x1"]
    with pytest.raises(SystemExit) as left:
        main(["bench", "thesis", *asked, "--peers", "--out", str(tmp_path / "run")])
    assert left.value.code == 0
    (row,) = read_rows(tmp_path / "run" / "peers.csv").typed(PeerRow)
    assert (row.status, row.exact) == ("NOTHING", False)
    assert row.minimum == pytest.approx(2.67963, rel=1e-5)
    assert "| test:0 | l1 | made | NOTHING |" in capfd.readouterr().out
