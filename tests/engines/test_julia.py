"""The Julia engine: its states without Julia, and, with one, its answers against the others'."""

import json
import math
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from reluopt.answers.solution import Incumbent, Status
from reluopt.bounds import BOUNDING_METHODS
from reluopt.engines import get_engine
from reluopt.engines.alternatives import FIRST_SHARE
from reluopt.engines.base import EngineRequest
from reluopt.engines.julia import JuliaEngine
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError, UnsupportedProblemError
from reluopt.method import Method
from reluopt.networks.layers import LAYERS
from reluopt.networks.layers.base import Dense
from reluopt.networks.layers.chain import Chain
from reluopt.networks.layers.conv2d import Conv2d
from reluopt.networks.layers.elementwise import LeakyReLU, Permute, Scale
from reluopt.networks.layers.pooling import AveragePool2d, MaxPool2d
from reluopt.networks.layers.windows import Windows
from reluopt.networks.loading import load_network
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.pipeline import solve
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    Classification,
    MinimalPerturbation,
    Norm,
    OptimalInput,
    Task,
)

JULIA_DATA = Path(__file__).parents[2] / "julia" / "test" / "data"


def test_engine_is_registered():
    assert isinstance(get_engine("julia"), JuliaEngine)


def test_unknown_options_are_refused_before_julia_starts(lecture):
    task = Task.largest_logit(0, Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0])))
    options = EngineOptions(extra={"optimizer": "cplex"})
    with pytest.raises(InputError, match="optimizer: expected one of highs"):
        JuliaEngine().solve(EngineRequest(lecture, task, None, options=options))
    with pytest.raises(UnsupportedProblemError, match="formulations are"):
        JuliaEngine().solve(EngineRequest(lecture, task, None, SimpleNamespace(name="other")))


class ScriptedSession:
    """Answers request files from a list, and keeps what was asked."""

    def __init__(self, *answers: tuple[dict, dict]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[dict, dict]] = []
        self.on_solve = lambda: None

    def provide(self, optimizer):
        assert optimizer == "highs"

    def solve(self, network, request, answer, report):
        with safe_open(request, "numpy") as file:
            fields = json.loads(file.metadata()["request"])
            self.asked.append((fields, {name: file.get_tensor(name) for name in file.keys()}))  # noqa: SIM118
        report(5.0, 1.0, 10)
        self.on_solve()
        fields, tensors = self.answers.pop(0)
        numbers = {"nodes": 7, "build_seconds": 0.1, "search_seconds": 0.2, "variables": 9}
        numbers |= {"constraints": 8, "binaries": 2, "message": "why"}
        tensors = tensors or {"none": np.zeros(1)}
        save_file(tensors, answer, metadata={"answer": json.dumps(numbers | fields)})


def scripted(monkeypatch: pytest.MonkeyPatch, *answers: tuple[dict, dict]) -> ScriptedSession:
    session = ScriptedSession(*answers)
    monkeypatch.setattr("reluopt.engines.julia.julia_session", lambda: session)
    return session


@pytest.fixture
def two_targets(make_network):
    """A request with two alternatives and bounds."""
    network = make_network((4, 5, 3), 1)
    image = np.full(4, 0.5)
    problem = MinimalPerturbation(image, int(network.predict(image)), AnyTarget())
    bounds = BOUNDING_METHODS.get("interval").compute(network, InputSet(Box.unit(4)))
    return EngineRequest(network, problem.task(network), bounds)


def test_alternatives_share_an_incumbent(monkeypatch, two_targets):
    first, second = np.full(4, 0.4), np.full(4, 0.45)
    session = scripted(
        monkeypatch,
        ({"status": "OPTIMAL", "objective": 0.4, "bound": 0.39}, {"image": first}),
        ({"status": "OPTIMAL", "objective": 0.2, "bound": 0.2}, {"image": second}),
    )
    seen = []
    answer = JuliaEngine().solve(replace(two_targets, progress=seen.append))
    assert answer.status is Status.OPTIMAL
    assert answer.alternative == 1
    assert (answer.objective, answer.bound, answer.nodes) == (0.2, 0.2, 14)
    assert np.array_equal(answer.image, second)
    assert answer.size == {"variables": 9, "constraints": 8, "binaries": 2}
    fields, tensors = session.asked[0]
    assert fields["optimizer"] == "highs"
    assert "cutoff" not in fields
    assert np.array_equal(tensors["bounds.1.upper"], two_targets.bounds.upper[1])
    # The image of the first target is no start for the second, but its objective is a cutoff.
    fields, tensors = session.asked[1]
    assert fields["cutoff"] == 0.4
    assert "incumbent" not in tensors
    assert [(now.objective, now.nodes) for now in seen] == [(5.0, 10), (0.4, 17)]


def test_nothing_better_than_the_incumbent(monkeypatch, two_targets):
    session = scripted(
        monkeypatch,
        ({"status": "OPTIMAL", "objective": 0.3, "bound": 0.3}, {"image": np.full(4, 0.2)}),
        ({"status": "INFEASIBLE", "objective": math.inf, "bound": math.inf}, {}),
    )
    start = Incumbent(np.full(4, 0.2), 0.3, 0)
    answer = JuliaEngine().solve(replace(two_targets, incumbent=start))
    assert answer.status is Status.OPTIMAL
    assert (answer.objective, answer.bound, answer.alternative) == (0.3, 0.3, 0)
    assert answer.image is None
    assert np.array_equal(session.asked[0][1]["incumbent"], start.image)


def test_no_image_at_all(monkeypatch, two_targets):
    nothing = {"objective": math.inf, "bound": math.inf}
    scripted(monkeypatch, *[({"status": "INFEASIBLE", **nothing}, {})] * 2)
    assert JuliaEngine().solve(two_targets).status is Status.INFEASIBLE
    limit = {"status": "TIME_LIMIT", "objective": math.inf, "bound": 0.1}
    scripted(monkeypatch, (limit, {}), ({"status": "INFEASIBLE", **nothing}, {}))
    answer = JuliaEngine().solve(two_targets)
    assert (answer.status, answer.bound) == (Status.TIME_LIMIT, 0.1)
    assert answer.message == "julia: why"


def test_an_image_that_julia_refused_is_no_incumbent(monkeypatch, two_targets):
    refused = {"status": "NUMERICAL", "objective": 0.1, "bound": 0.1}
    scripted(monkeypatch, *[(refused, {"image": np.full(4, 0.6)})] * 2)
    answer = JuliaEngine().solve(two_targets)
    assert answer.status is Status.NUMERICAL
    assert np.array_equal(answer.image, np.full(4, 0.6))
    assert answer.objective == math.inf


def test_time_is_shared(monkeypatch, two_targets):
    session = scripted(
        monkeypatch,
        ({"status": "FEASIBLE", "objective": 0.3, "bound": 0.1}, {"image": np.full(4, 0.2)}),
    )
    clock = [0.0]
    session.on_solve = lambda: clock.__setitem__(0, 99.0)
    monkeypatch.setattr("reluopt.engines.julia.time.perf_counter", lambda: clock[0])
    answer = JuliaEngine().solve(two_targets)
    assert len(session.asked) == 1
    assert session.asked[0][0]["time_limit"] == pytest.approx(FIRST_SHARE * 60.0 / 2)
    assert (answer.status, answer.objective, answer.bound) == (Status.FEASIBLE, 0.3, 0.0)


def test_logits_cross_with_the_outputs_of_the_program(monkeypatch, lecture):
    box = Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0]))
    session = scripted(
        monkeypatch,
        (
            {"status": "OPTIMAL", "objective": 50.0, "bound": 50.0},
            {"image": np.zeros(2), "outputs": np.array([50.0])},
        ),
    )
    answer = JuliaEngine().solve(EngineRequest(lecture, Task.largest_logit(0, box), None))
    assert answer.status is Status.OPTIMAL
    assert answer.outputs == pytest.approx([50.0])
    assert session.asked[0][0]["task"] == "logit"
    assert np.array_equal(session.asked[0][1]["lower"], box.lower)


def julia_method(**options) -> Method:
    return Method(engine="julia", options=EngineOptions(time_limit=120.0, **options))


@pytest.mark.julia
def test_l1_equals_the_other_engines(usable, thesis, test_images):
    for i in range(100, 110):
        problem = MinimalPerturbation(test_images.images[i], int(test_images.labels[i]))
        found = solve(thesis, problem, julia_method())
        assert found.status is Status.OPTIMAL
        assert found.certified
        for engine in ("bnb", "highs"):
            other = solve(thesis, problem, Method(engine=engine))
            assert found.objective == pytest.approx(other.objective, rel=1e-4)


@pytest.mark.julia
def test_l2_equals_bnb(usable, thesis, test_images):
    for i in range(100, 103):
        problem = MinimalPerturbation(
            test_images.images[i], int(test_images.labels[i]), norm=Norm.L2
        )
        found = solve(thesis, problem, julia_method())
        assert found.status is Status.OPTIMAL
        other = solve(thesis, problem, Method(engine="bnb"))
        assert found.objective == pytest.approx(other.objective, rel=1e-4)


@pytest.mark.julia
def test_classification_equals_the_forward_pass(usable, thesis, test_images):
    for i in range(100):
        found = solve(thesis, Classification(test_images.images[i]), julia_method())
        assert found.certificate is not None
        assert found.certified
        expected = thesis.forward(test_images.images[i])
        assert found.certificate.predicted == int(np.argmax(expected))


@pytest.mark.julia
def test_thesis_model_has_958_and_1742_variables(usable, thesis, test_images):
    image, label = test_images.images[100], int(test_images.labels[100])
    method = Method(engine="julia", formulation="thesis", options=EngineOptions(time_limit=2.0))
    assert solve(thesis, Classification(image), method).size["variables"] == 958
    assert solve(thesis, MinimalPerturbation(image, label), method).size["variables"] == 1742


@pytest.mark.julia
def test_small_problems_of_every_kind(usable, make_network, lecture):
    box = Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0]))
    found = solve(lecture, OptimalInput(0, box), julia_method())
    assert found.objective == pytest.approx(50.0, abs=1e-6)
    assert found.bound == pytest.approx(50.0, abs=1e-4)
    network = make_network((6, 8, 6, 4), 3)
    image = np.full(6, 0.5)
    label = int(network.predict(image))
    for norm in Norm:
        problem = MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(0.1))
        ours = solve(network, problem, julia_method())
        other = solve(network, problem, Method(engine="bnb" if norm is Norm.L2 else "highs"))
        assert ours.status is other.status
        if ours.status is Status.OPTIMAL:
            assert ours.objective == pytest.approx(other.objective, rel=1e-5)
            assert ours.target == other.target


@pytest.mark.julia
def test_convolutional_network_has_rows_of_its_own(usable):
    network = load_network(JULIA_DATA / "cnn.safetensors")
    with safe_open(JULIA_DATA / "cnn-reference.safetensors", "numpy") as file:
        images = file.get_tensor("images")
    for image in images:
        found = solve(network, Classification(image), julia_method())
        assert found.status is Status.OPTIMAL
        assert found.certificate.predicted == int(network.predict(image))
    image, label = images[1], int(network.predict(images[1]))
    for norm in Norm:
        problem = MinimalPerturbation(image, label, AnyTarget(), norm, AbsoluteMargin(0.05))
        found = solve(network, problem, julia_method())
        other = solve(network, problem, Method(engine="bnb" if norm is Norm.L2 else "highs"))
        assert (found.status, found.target) == (Status.OPTIMAL, other.target)
        assert found.objective == pytest.approx(other.objective, rel=1e-5)
        if norm is not Norm.L2:
            # A binary for each candidate of a pool, not for each match of a tournament.
            assert found.size["binaries"] < other.size["binaries"]
    for formulation in ("indicator", "thesis", "partition-2"):
        method = replace(julia_method(), formulation=formulation)
        problem = MinimalPerturbation(image, label, margin=AbsoluteMargin(0.05), norm=Norm.LINF)
        other = solve(network, problem, Method(engine="highs"))
        assert solve(network, problem, method).objective == pytest.approx(other.objective, rel=1e-5)


@pytest.mark.julia
@pytest.mark.parametrize("kind", LAYERS.names)
def test_julia_reads_and_writes_every_layer(usable, tmp_path, kind):
    from juliacall import Main

    network = network_with(kind)
    inputs = np.random.default_rng(1).random((3, network.input_size))
    save_network(network, tmp_path / "here")
    Main.seval("import ReLUOpt")
    loaded = Main.ReLUOpt.load_network(str(tmp_path / "here"))
    for values in inputs:
        found = np.asarray(Main.ReLUOpt.forward(loaded, values))
        np.testing.assert_allclose(found, network.forward(values), rtol=1e-12, atol=1e-12)
        ours, theirs = network.pre_activations(values), Main.ReLUOpt.pre_activations(loaded, values)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(np.asarray(other), mine, rtol=1e-12, atol=1e-12)
    Main.ReLUOpt.save_network(str(tmp_path / "there"), loaded)
    assert load_network(tmp_path / "there").fingerprint == network.fingerprint


def network_with(kind: str) -> ReLUNetwork:
    """A network with a layer of this kind in it."""
    random = np.random.default_rng(5)
    place = Windows((2, 5, 4), (2, 3), (2, 1), (1, 0, 0, 2), (2, 1))
    undilated = Windows((2, 5, 4), (3, 2), (2, 2), (1, 1, 0, 0), ceil=True)
    layers = {
        "dense": Dense(random.normal(size=(3, 40)), random.normal(size=3)),
        "conv2d": Conv2d(random.normal(size=(4, 1, 2, 3)), random.normal(size=4), place, 2),
        "max-pool2d": MaxPool2d(undilated),
        "average-pool2d": AveragePool2d(undilated),
        "scale": Scale(random.normal(size=40), random.normal(size=40)),
        "leaky-relu": LeakyReLU(40, 0.1),
        "permute": Permute(random.permutation(40)),
    }
    layers["chain"] = Chain((layers["scale"], layers["leaky-relu"], layers["max-pool2d"]))
    layer = layers[kind]
    return ReLUNetwork((layer, Dense(random.normal(size=(3, layer.output_size)), np.zeros(3))))


@pytest.mark.julia
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a POSIX signal")
def test_interrupt_ends_the_search(usable, test_images):
    from reluopt.networks.zoo import load_bundled

    network = load_bundled("mlp-100")
    problem = MinimalPerturbation(test_images.images[100], int(test_images.labels[100]))
    solve(network, problem, Method(engine="julia", options=EngineOptions(time_limit=1.0)))
    main = threading.main_thread().ident
    timer = threading.Timer(2.0, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            solve(network, problem, julia_method())
    finally:
        timer.cancel()


@pytest.mark.julia
def test_solver_logs_leave_stdout_alone(usable, thesis, test_images, capfd):
    solve(thesis, Classification(test_images.images[0]), julia_method(verbose=True))
    # Julia keeps the stderr it was started with, which capfd does not see.
    assert capfd.readouterr().out == ""


@pytest.mark.julia
def test_missing_optimizer_says_how_to_get_it(usable, thesis, test_images):
    from juliacall import Main

    if Main.seval('Base.find_package("Gurobi") !== nothing'):
        pytest.skip("Gurobi.jl is installed in this Julia")
    with pytest.raises(InputError, match=r'Pkg.add\("Gurobi"\)'):
        solve(
            thesis,
            Classification(test_images.images[0]),
            julia_method(extra={"optimizer": "gurobi"}),
        )
