"""Every kind of run has a page that asks its question and claims no more than its rows."""

import math

import numpy as np
import pytest

from reluopt.cli import main
from reluopt.engines.options import EngineOptions
from reluopt.errors import InputError
from reluopt.method import Method
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.questions.problems import Norm
from reluopt.report import load_runs, render_report
from reluopt.report.anytime import read_curve
from reluopt.report.charts import charts
from reluopt.report.kinds import KINDS, kind_of
from reluopt.report.kinds.verdicts import robust_error
from reluopt.report.tables import contradictions, instance_table, ratio_table, summary_table
from reluopt.runs.instances import load_instances
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore
from reluopt.runs.verification import VerifyJob, balls
from reluopt.runs.worst_case import WorstCaseJob, WorstCaseSettings

RADII = (0.001, 1.0)


@pytest.fixture(scope="module")
def colours(tmp_path_factory, make_network):
    """A network on colour images of 3 x 4 pixels, its file, and instances: one is misread."""
    folder = tmp_path_factory.mktemp("kinds")
    drawn = make_network((36, 5, 4, 3), 6)
    network = ReLUNetwork(drawn.layers, NetworkMetadata(name="hues", input_shape=(3, 3, 4)))
    path = folder / "hues.safetensors"
    save_network(network, path)
    names = []
    for number in range(3):
        names.append(str(folder / f"hue-{number}.npy"))
        np.save(names[-1], np.random.default_rng(number).random((3, 3, 4)))
    return network, path, load_instances(network, names)


def _verified(colours, folder, radii):
    network, path, instances = colours
    job = VerifyJob(network, Method("bnb", options=EngineOptions(30.0)), Norm.LINF, str(path))
    store = ResultStore(folder, job.row_class, job.describe(), {})
    run_job(job, balls(instances, radii), store)
    return load_runs([folder])


def test_verdicts_over_one_radius(colours, tmp_path, entries_of):
    (run,) = _verified(colours, tmp_path / "one", RADII[1:])
    page = render_report([run])
    assert "Robustness within Linf balls" in page
    assert "Is everything within 1 of each of 3 images in the Linf norm answered right" in page
    assert "None" not in page.partition("</header>")[0]
    statuses = [row["status"] for row in run.rows]
    assert f"{statuses.count('ROBUST')} of 3 balls are proven robust" in page
    low, high = robust_error(statuses)
    assert low == high == statuses.count("NOT_ROBUST") / 3
    for entry, row in zip(entries_of(page), run.rows, strict=True):
        assert (entry["adversarial"] is not None) == (row["status"] == "NOT_ROBUST")
        assert entry["nothing"] == row["status"].replace("_", " ").lower()
    assert contradictions([run]) == []


def test_verdicts_over_several_radii_are_a_band(colours, tmp_path):
    (run,) = _verified(colours, tmp_path / "two", RADII)
    statuses = {eps: [r["status"] for r in run.rows if r["eps"] == eps] for eps in RADII}
    shares = {eps: 100.0 * robust_error(found)[0] for eps, found in statuses.items()}
    rows = {row[0].text: row for row in summary_table([run]).rows}
    assert list(rows) == [f"within {eps:g}" for eps in RADII]
    for eps, share in shares.items():
        cells = [cell.order for cell in rows[f"within {eps:g}"]]
        assert cells.count(share) >= 2  # both bounds: all are decided
    chart = next(chart for chart in charts([run]) if chart.title == "Robust error")
    assert [[round(100 * y, 6) for _, y in points] for *_, points in chart.lines] == [
        [round(share, 6) for share in shares.values()]
    ] * 2
    assert chart.svg.count("band b0") == 1
    assert ratio_table([run]) is None  # other radii are other questions
    assert "within 0.001, 1 of each" in render_report([run])


def test_worst_cases_are_leads_with_bounds_from_above(colours, tmp_path):
    network, path, instances = colours
    settings = WorstCaseSettings(0.05, Norm.LINF)
    job = WorstCaseJob(network, settings, Method("bnb", options=EngineOptions(30.0)), str(path))
    run_job(job, instances, ResultStore(tmp_path / "wc", job.row_class, job.describe(), {}))
    runs = load_runs([tmp_path / "wc"])
    table = instance_table(runs)
    titles = [column.title for column in table.columns]
    for cells, row in zip(table.rows, runs[0].rows, strict=True):
        told = dict(zip(titles, cells, strict=True))
        assert told["lead"].order == row["objective"]
        assert told["bound"].order == row["bound"] >= row["objective"] - 1e-9
    page = render_report(runs)
    assert "Worst cases within Linf balls" in page
    assert "on which the network hues is most wrong" in page


def test_every_job_that_stores_rows_has_a_kind():
    assert {"attack", "verify", "worst-case", "universal", "ideal", "bench"} <= set(KINDS.names)
    assert kind_of({"experiment": "something else"}) is KINDS.get("ideal")
    assert kind_of({"norm": "l1"}) is KINDS.get("attack")
    assert KINDS.get("verify").bound(-1e-290, Norm.L1) == -math.inf


@pytest.fixture
def moments(tmp_path):
    """What `profile --figure` writes beside its figure."""
    path = tmp_path / "search.csv"
    path.write_text("seconds,incumbent,bound,nodes\n0,inf,0,0\n0.5,4,1,1\n2,3,3,7\n")
    return path


def test_anytime_curves_are_drawn(real, moments, tmp_path, capfd):
    out = tmp_path / "page.html"
    args = ["report", str(real / "l1"), "--out", str(out), "--anytime", str(moments)]
    with pytest.raises(SystemExit) as left:
        main(args)
    assert left.value.code == 0
    assert "What was known when" in out.read_text()
    curve = read_curve(moments)
    assert curve.steps(1, 0.001) == [(0.5, 4.0), (2.0, 4.0), (2.0, 3.0), (2.0, 3.0)]
    assert curve.steps(2, 0.001)[0] == (0.001, 0.0)
    with pytest.raises(SystemExit) as left:
        main([*args, "--format", "md"])
    assert left.value.code == 2
    assert "--anytime: expected the format html, found 'md'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seconds,incumbent\n0,1\n", "expected a column bound, found none"),
        ("seconds,incumbent,bound\n0,1,x\n", "bound: expected numbers, found others"),
        ("seconds,incumbent,bound\n0,1,inf\n", "expected moments with a bound, found none"),
        ("", "expected a table with commas, found: No columns"),
    ],
)
def test_other_tables_are_no_curves(moments, text, message):
    moments.write_text(text)
    with pytest.raises(InputError, match=message):
        read_curve(moments)


@pytest.mark.parametrize(("width", "touch"), [(1440, False), (390, True)])
def test_pages_of_verdicts_fit(page, colours, tmp_path, width, touch):
    path = tmp_path / "page.html"
    path.write_text(render_report(_verified(colours, tmp_path / "run", RADII)))
    page.open(path, width, 900, touch=touch)
    assert page.complaints() == []
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    ghosts = page.run(
        "[...document.querySelectorAll('.card')].map((c) => "
        "[c.querySelector('.empty').hidden, c.querySelector('.ghost').hidden])"
    )
    assert all(empty == ghost for empty, ghost in ghosts)  # the original behind the word
    # Colour pixels of three rows and four columns keep their shape.
    sizes = page.run(
        "[...document.querySelectorAll('.card img')].filter((i) => i.src)"
        ".map((i) => [i.naturalWidth, i.naturalHeight])"
    )
    assert {tuple(size) for size in sizes} == {(4, 3)}
