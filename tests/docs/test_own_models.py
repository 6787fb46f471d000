"""Examples and text about models of one's own: they run, and what they say is true."""

import itertools
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import reluopt as ro

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
WEIGHTS = ROOT / "julia" / "examples" / "data"
PAGE = ROOT / "docs" / "own-models.md"

pytestmark = pytest.mark.filterwarnings("ignore::reluopt.errors.NoteWarning")


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("sklearn")
    return lambda name: runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_production_plan(example, tmp_path):
    module = example("production_plan")
    facts = module["main"](tmp_path)
    assert (tmp_path / "production-plan.png").exists()
    assert facts["learned"] == pytest.approx(facts["promised"], rel=1e-6)
    assert facts["true"] == pytest.approx(facts["promised"], rel=0.05)
    assert facts["true"] > facts["equal shares"]
    area, limits = module["AREA"], (module["WATER"], module["NITROGEN"])
    water, nitrogen = facts["inputs"].T[:2]
    assert area @ water <= limits[0] + 1e-3
    assert area @ nitrogen <= limits[1] + 1e-3
    assert np.count_nonzero(water > 1e-6) <= 2
    # No plan that is drawn by chance is better.
    rng = np.random.default_rng(0)
    for _ in range(50):
        shares = rng.dirichlet(np.ones(3), (2, 200))
        shares[0, np.arange(200), rng.integers(3, size=200)] = 0.0
        drawn = [limit * share / area for limit, share in zip(limits, shares, strict=True)]
        drawn = np.minimum(drawn, [[[400.0]], [[220.0]]])
        inputs = np.stack([*drawn, np.broadcast_to(module["SOIL"], (200, 3))], axis=-1)
        grown = facts["estimator"].predict(inputs.reshape(-1, 3)).reshape(200, 3)
        best = max(map(module["profit"], grown, *drawn))
        assert best <= facts["promised"] * (1.0 + 1e-4)


def test_trusted_surrogate(example, tmp_path):
    module = example("trusted_surrogate")
    facts = module["main"](tmp_path)
    assert (tmp_path / "trusted-surrogate.png").exists()
    errors = {}
    for what, (place, promised) in facts["found"].items():
        assert facts["estimator"].predict(place[None])[0] == pytest.approx(promised, abs=1e-5)
        errors[what] = abs(promised - module["simulate"](place[None])[0])
    assert errors["near a run"] < 0.1 < errors["anywhere"]
    place, promised = facts["found"]["near a run"]
    assert (np.abs(facts["runs"] - place) <= module["NEAR"] + 1e-6).all(axis=1).any()
    assert facts["estimator"].predict(facts["runs"]).max() <= promised + 1e-6
    grid = np.stack(np.meshgrid(*map(np.linspace, module["LOW"], module["HIGH"], (90, 90))), -1)
    grid = grid.reshape(-1, 2)
    learned = facts["estimator"].predict(grid)
    assert learned.max() <= facts["found"]["anywhere"][1] + 1e-6
    near = (np.abs(grid[:, None] - facts["runs"]) <= module["NEAR"]).all(axis=2).any(axis=1)
    assert learned[near].max() <= promised + 1e-6


def test_inverse_design(example, tmp_path):
    pytest.importorskip("pyomo")
    module = example("inverse_design")
    facts = module["main"](tmp_path)
    assert (tmp_path / "inverse-design.png").exists()
    strength, slump = facts["learned"].T
    targets, within = np.array(module["TARGETS"]), module["WITHIN"]
    assert np.abs(strength - targets).max() <= within + 1e-4
    assert slump.min() >= module["SLUMP"] - 1e-4
    np.testing.assert_allclose(facts["true"][:, 0], targets, rtol=0.05)
    drawn = np.random.default_rng(0).uniform(module["LOW"], module["HIGH"], (100_000, 4))
    seen = facts["estimator"].predict(drawn)
    costs = drawn @ module["COST"]
    for target, mix in zip(targets, facts["mixes"], strict=True):
        fits = (np.abs(seen[:, 0] - target) <= within) & (seen[:, 1] >= module["SLUMP"])
        assert fits.any()
        assert mix @ module["COST"] <= costs[fits].min() * (1.0 + 1e-4)


def test_the_weights_that_julia_reads_give_what_its_tests_expect(example):
    """``julia/test/test_examples.jl`` has these numbers, too."""
    plan = example("production_plan")["plan"]
    assert plan(ro.load_network(WEIGHTS / "yield.safetensors"))[2] == pytest.approx(74190, rel=1e-4)
    optimum = example("trusted_surrogate")["optimum"]
    reactor = ro.load_network(WEIGHTS / "reactor.safetensors")
    from safetensors.numpy import load_file

    runs = load_file(WEIGHTS / "reactor-runs.safetensors")["runs"]
    assert optimum(reactor)[1] == pytest.approx(1.06471, abs=1e-4)
    assert optimum(reactor, runs)[1] == pytest.approx(0.57136, abs=1e-4)
    pytest.importorskip("pyomo")
    design = example("inverse_design")
    mixes = design["designs"](ro.load_network(WEIGHTS / "concrete.safetensors"))
    costs = mixes @ design["COST"]
    assert costs == pytest.approx([27.97, 30.69, 33.45, 37.11, 41.29, 45.48, 49.91], rel=1e-3)


def test_the_table_of_what_it_costs_is_that_of_the_script(example):
    module = example("what_it_costs")
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines()]
    told = {tuple(line[:2]): line[2:] for line in lines if len(line) == len(module["HEADER"])}
    assert len(told) == 1 + 3 * 4
    for bounds, formulation, *sizes, relaxed, optimum, _, _ in module["table"](
        ["lp"], ["bigm", "hull"]
    ):
        row = told[bounds, formulation]
        assert float(row[3]) == pytest.approx(relaxed, rel=0.05)
        assert float(row[4]) == pytest.approx(optimum, rel=0.05)
        assert int(row[1]) == pytest.approx(sizes[1], abs=2)


def test_the_pages_python_runs_in_every_package(capfd):
    pytest.importorskip("sklearn")
    first, *blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    space, found = {}, []
    exec(compile(first, PAGE.name, "exec"), space)
    for block in blocks:
        if "pyomo" in block:
            pytest.importorskip("pyomo")
        exec(compile(block, PAGE.name, "exec"), space)
        found.append(space["best"])
        assert space["learned"].predict([space["at"]])[0] == pytest.approx(found[-1], abs=1e-4)
        assert sum(space["at"]) <= 0.5 + 1e-6
        assert len(block.splitlines()) <= 11
    assert len(found) == 4
    for one, other in itertools.pairwise(found):
        assert one == pytest.approx(other, abs=1e-4)
    capfd.readouterr()  # what solvers print
