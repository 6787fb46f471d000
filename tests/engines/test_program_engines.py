"""HiGHS, Gurobi and SCIP on the same programs, against each other and against brute force."""

import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.clocks import FakeClock
from helpers.exact import exact_optimum
from reluopt.answers.solution import Incumbent, Status
from reluopt.attacks.linear_regions import find_incumbent
from reluopt.bounds import BOUNDING_METHODS
from reluopt.deadline import Deadline
from reluopt.engines import choose_engine, engine_names, engines_for, get_engine
from reluopt.engines.base import EngineRequest
from reluopt.engines.gurobi import GurobiEngine
from reluopt.engines.highs import HighsEngine
from reluopt.engines.options import EngineOptions
from reluopt.engines.program_engine import ProgramTask
from reluopt.engines.scip import ScipEngine, add_rows
from reluopt.errors import EngineUnavailableError, InputError, UnsupportedProblemError
from reluopt.formulation import FORMULATIONS
from reluopt.formulation.forms.bigm import BigM
from reluopt.install import install_command
from reluopt.networks.layers.base import Dense
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.zoo import load_bundled
from reluopt.questions.input_sets import InputSet
from reluopt.questions.problems import (
    AbsoluteMargin,
    AnyTarget,
    Box,
    MinimalPerturbation,
    Norm,
    RelativeMargin,
    Task,
)

ENGINES = (HighsEngine(), GurobiEngine(), ScipEngine())


class SumOnly:
    """Stands for a variable of SCIP: whatever is done with it gives it back."""

    def _same(self, _other):
        return self

    __add__ = __radd__ = __iadd__ = __mul__ = __rmul__ = __ge__ = __le__ = __eq__ = _same
    __hash__ = None


def _request(network, task, formulation="bigm", bounds="interval", **options):
    incumbent = options.pop("incumbent", None)
    region = InputSet(task.box)
    return EngineRequest(
        network,
        task,
        BOUNDING_METHODS.get(bounds).compute(network, region),
        FORMULATIONS.get(formulation),
        EngineOptions(**options),
        incumbent,
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("norm", list(Norm))
def test_engines_agree_on_random_networks(make_network, seed, norm):
    network = make_network((5, 5, 4, 3), seed)
    image = np.random.default_rng(seed).random(5)
    margin = (RelativeMargin(0.2), AbsoluteMargin(0.3))[seed % 2]
    label = int(network.predict(image))
    task = MinimalPerturbation(image, label, AnyTarget(), norm, margin).task(network)
    answers = [
        engine.solve(_request(network, task, formulation))
        for engine in ENGINES
        if engine.supports(task)
        for formulation in ("bigm", "thesis")
    ]
    statuses = {answer.status for answer in answers}
    assert len(statuses) == 1
    if statuses == {Status.INFEASIBLE}:
        return
    assert statuses == {Status.OPTIMAL}
    objectives = [answer.objective for answer in answers]
    assert max(objectives) - min(objectives) <= 1e-5 * max(1.0, *objectives)
    for answer in answers:
        assert answer.bound <= answer.objective + 1e-9
        conditions = task.alternatives[answer.alternative].conditions
        assert conditions.slack(network.forward(answer.image)).min() >= -1e-5


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize("factor", [1e-10, 1e-8, 1e8])
def test_logits_of_any_scale_have_the_same_optima(make_network, engine, factor):
    """Solvers drop coefficients below 1e-9 and miss rows by as much; bounds were false."""
    for seed in range(4):
        network = make_network((5, 4, 3), seed)
        last = network.layers[-1]
        layers = (*network.layers[:-1], Dense(factor * last.weight, factor * last.bias))
        tiny = ReLUNetwork(layers)
        image = np.random.default_rng(seed).random(5)
        margin = AbsoluteMargin(0.05 * factor)
        label = int(network.predict(image))
        task = MinimalPerturbation(image, label, AnyTarget(), Norm.L1, margin).task(tiny)
        answer = engine.solve(_request(tiny, task))
        optimum = float(exact_optimum(tiny, task))
        assert answer.bound == pytest.approx(optimum, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_incumbent_is_a_cutoff_and_a_start(make_network, engine):
    network = make_network((5, 5, 4, 3), 6)
    image = np.random.default_rng(6).random(5)
    task = MinimalPerturbation(image, int(network.predict(image)), AnyTarget()).task(network)
    free = engine.solve(_request(network, task))
    incumbent = Incumbent(free.image, free.objective, free.alternative)
    again = engine.solve(_request(network, task, incumbent=incumbent))
    assert again.status is Status.OPTIMAL
    assert again.objective == pytest.approx(free.objective, rel=1e-6)
    assert again.bound == pytest.approx(free.objective, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_near_incumbent_cuts_off_far_alternatives(thesis, test_images, engine):
    image = test_images.image(3)
    task = MinimalPerturbation(image, test_images.label(3), AnyTarget()).task(thesis)
    near = find_incumbent(thesis, task)
    far = next(a for a in task.alternatives if a.target == 5)  # its optimum is 9.4 away
    known = Incumbent(near.image, near.objective, 1)  # of another alternative than the asked one
    answer = engine.solve(_request(thesis, task.only(far), "bigm", "linear", incumbent=known))
    assert answer.bound >= known.objective * (1.0 - 1e-6)
    assert answer.image is None
    assert answer.bound < 9.0  # it stopped at the cutoff and did not look for its own optimum


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_infeasible_is_proven(make_network, engine):
    network = make_network((4, 3, 2), 1)
    image = np.full(4, 0.5)
    label = int(network.predict(image))
    task = MinimalPerturbation(image, label, AnyTarget(), margin=AbsoluteMargin(1e3)).task(network)
    answer = engine.solve(_request(network, task))
    assert answer.status is Status.INFEASIBLE
    assert answer.image is None


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_lecture_example(lecture, engine):
    box = Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0]))
    answer = engine.solve(_request(lecture, Task.largest_logit(0, box)))
    assert answer.status is Status.OPTIMAL
    assert answer.objective == pytest.approx(50.0)
    assert answer.bound == pytest.approx(50.0)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_time_limit_leaves_a_dual_bound(thesis, test_images, engine):
    task = MinimalPerturbation(test_images.image(1), test_images.label(1)).task(thesis)
    answer = engine.solve(_request(thesis, task, "thesis", "thesis", time_limit=0.3))
    assert answer.status in (Status.TIME_LIMIT, Status.FEASIBLE)
    assert 0.0 <= answer.bound < 2.4  # the optimum is larger: see test_solve.py
    assert answer.search_seconds < 5.0


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_nothing_is_built_or_solved_after_the_time_limit(thesis, test_images, monkeypatch, engine):
    def refuse(*_):
        raise AssertionError("work after the time limit")

    task = MinimalPerturbation(test_images.image(1), 2, AnyTarget()).task(thesis)
    request = _request(thesis, task, time_limit=1e-9)
    monkeypatch.setattr(BigM, "encode", refuse)
    monkeypatch.setattr(type(engine), "solve_program", refuse)
    answer = engine.solve(request)
    assert (answer.status, answer.bound, answer.nodes) == (Status.TIME_LIMIT, 0.0, 0)
    known = Incumbent(test_images.image(1).ravel(), 3.0, 0)
    answer = engine.solve(replace(request, incumbent=known))
    assert (answer.status, answer.objective, answer.bound) == (Status.FEASIBLE, 3.0, 0.0)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_solver_stops_at_a_deadline_that_has_passed(thesis, test_images, engine):
    """Also when time runs out while its model is made."""
    task = MinimalPerturbation(test_images.image(1), 2).task(thesis)
    request = _request(thesis, task)
    program = BigM().encode(thesis, task, request.bounds).program
    clock = FakeClock(5.0)
    result = engine.solve_program(ProgramTask(program, request.options, Deadline(4.0, clock)))
    assert result.status in (Status.TIME_LIMIT, Status.FEASIBLE)
    assert result.bound < 1.0  # the optimum is 7.4


def test_scip_stops_while_its_rows_are_added(thesis, test_images):
    task = MinimalPerturbation(test_images.image(1), 2).task(thesis)
    program = BigM().encode(thesis, task, _request(thesis, task).bounds).program
    clock = FakeClock()
    rows = []

    class CountingModel:
        def addCons(self, row, name):  # noqa: N802 - SCIP's name
            rows.append(row)
            clock.seconds += 1.0

    variables = [SumOnly()] * program.cost.size
    rows_of = program.matrix, program.row_lower, program.row_upper
    late = Deadline.after(3.0, clock)
    assert add_rows(CountingModel(), variables, *rows_of, deadline=late) is None
    assert len(rows) == 3


def test_free_gurobi_says_which_limit_is_exceeded(thesis, test_images, monkeypatch, tmp_path):
    monkeypatch.delenv("GRB_LICENSE_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    task = MinimalPerturbation(test_images.image(1), 2, norm=Norm.L2).task(thesis)
    with pytest.raises(UnsupportedProblemError, match=r"quadratic model \(limit 200\)"):
        GurobiEngine().solve(_request(thesis, task))
    wide = load_bundled("mlp-100")
    linear = MinimalPerturbation(test_images.image(1), 2).task(wide)
    with pytest.raises(UnsupportedProblemError, match=r"linear constraints \(limit 2000"):
        GurobiEngine().solve(_request(wide, linear, "thesis"))


def test_highs_names_engines_for_l2(thesis, test_images):
    task = MinimalPerturbation(test_images.image(1), 2, norm=Norm.L2).task(thesis)
    with pytest.raises(UnsupportedProblemError, match=r"engine highs: cannot solve L2.*scip"):
        choose_engine("highs", task, thesis)
    with pytest.raises(UnsupportedProblemError, match="cannot solve"):
        HighsEngine().solve(_request(thesis, task))
    bounds = BOUNDING_METHODS.get("interval").compute(thesis, InputSet(task.box))
    with pytest.raises(ValueError, match="quadratic"):
        HighsEngine().solve_program(
            ProgramTask(BigM().encode(thesis, task, bounds).program, EngineOptions())
        )


def test_auto_finds_an_engine_for_every_norm(thesis, test_images):
    for norm in Norm:
        task = MinimalPerturbation(test_images.image(1), 2, norm=norm).task(thesis)
        able = engines_for(task, thesis)
        assert able
        assert choose_engine("auto", task, thesis).name == able[0]


def test_auto_takes_what_proves_most(thesis, test_images, monkeypatch, tmp_path):
    """The orders that were measured; without a licence Gurobi takes no large or quadratic model."""
    monkeypatch.delenv("GRB_LICENSE_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    wide = load_bundled("mlp-100")

    def order(network, norm, **changes):
        problem = MinimalPerturbation(test_images.image(1), 2, norm=norm, **changes)
        return engines_for(problem.task(network), network)

    assert order(thesis, Norm.L1) == ("bnb", "gurobi", "scip", "highs")
    assert order(thesis, Norm.L2) == ("bnb", "scip")
    assert order(thesis, Norm.LINF) == ("bnb", "gurobi", "scip", "highs")
    assert order(wide, Norm.LINF) == ("bnb", "scip", "highs")
    assert order(thesis, Norm.LINF, smoothness=0.1) == ("scip", "highs")


def test_auto_looks_at_no_engine_behind_the_one_that_it_takes(thesis, test_images, monkeypatch):
    """Loading a solver takes up to 0.4 s, and making its first model milliseconds."""
    image = test_images.image(1)
    tasks = [
        MinimalPerturbation(image, 2, norm=Norm.L1).task(thesis),
        MinimalPerturbation(image, 2, norm=Norm.LINF).task(thesis),
        Task.largest_logit(0, Box.unit(784)),
    ]
    asked = []
    for name in engine_names():
        kind = type(get_engine(name))
        state = kind.state
        monkeypatch.setattr(
            kind, "state", lambda self, state=state: asked.append(self.name) or state(self)
        )
    for task in tasks:
        asked.clear()
        engine = choose_engine("auto", task, thesis)
        assert asked == [engine.name]


@pytest.mark.parametrize("module", ["highspy", "pyscipopt"])
def test_states_make_one_model_in_a_process(monkeypatch, module):
    """Only a model tells the version of its solver, and every solve asks for the state."""
    engine = {"highspy": HighsEngine(), "pyscipopt": ScipEngine()}[module]
    first = engine.state()
    highs = "reluopt.numerics.quiet_highs.QuietHighs"
    made = {"highspy": highs, "pyscipopt": "pyscipopt.Model"}[module]
    monkeypatch.setattr(made, None)
    assert engine.state() == first


def test_an_engine_that_is_missing_is_refused_before_any_work(thesis, test_images, monkeypatch):
    monkeypatch.setattr("reluopt.engines.scip.find_spec", lambda _: None)
    task = MinimalPerturbation(test_images.image(1), 2).task(thesis)
    with pytest.raises(EngineUnavailableError, match=re.escape(install_command("scip"))):
        choose_engine("scip", task, thesis)


def test_unknown_engine():
    with pytest.raises(InputError, match="engine: expected auto or one of"):
        get_engine("cplex")


def test_every_engine_tells_its_state():
    for name in engine_names():
        state = get_engine(name).state()
        assert state.detail
        assert state.usable == bool(state.version) or not state.usable


def test_missing_solver_says_how_to_get_it(lecture, monkeypatch):
    monkeypatch.setattr("reluopt.engines.scip.find_spec", lambda _: None)
    box = Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0]))
    with pytest.raises(EngineUnavailableError, match=re.escape(install_command("scip"))):
        ScipEngine().solve(_request(lecture, Task.largest_logit(0, box)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_limit", 0.0),
        ("gap", -1.0),
        ("threads", 0),
        ("threads", 100_000),
        ("seed", -1),
        ("seed", 3_000_000_000),
    ],
)
def test_bad_options(field, value):
    with pytest.raises(InputError, match=field.replace("_", " ")):
        EngineOptions(**{field: value})


@pytest.mark.parametrize("engine", ENGINES[:2], ids=lambda engine: engine.name)
def test_progress_is_reported(thesis, test_images, engine):
    task = MinimalPerturbation(test_images.image(1), test_images.label(1)).task(thesis)
    seen = []
    request = _request(thesis, task, "thesis", "thesis", time_limit=3.0)
    request = EngineRequest(**{**vars(request), "progress": seen.append})
    engine.solve(request)
    assert seen
    assert seen[-1].nodes >= 0


def test_verbose_logs_go_to_stderr(lecture, capfd):
    box = Box(np.array([-10.0, -5.0]), np.array([10.0, 5.0]))
    for engine in ENGINES:
        engine.solve(_request(lecture, Task.largest_logit(0, box), verbose=True))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "HiGHS" in captured.err
