"""Partitions against big-M: instances, means over shared problems, and what is told."""

import pandas as pd
import pytest

from reluopt.answers.solution import Status
from reluopt.images.mnist import load_images
from reluopt.runs.row import WorstCaseRow
from reluopt.studies import partition
from reluopt.studies.partition import FIRST, IMAGES, ROOT_FORMS
from reluopt.studies.published import PARTITION_TARGETS, PARTITIONS


def test_the_study_tells_its_rows(few, told, files, monkeypatch):
    monkeypatch.setattr(partition, "IMAGES", {name: IMAGES[name] for name in FIRST[:3]})
    monkeypatch.setattr(partition, "ROOT_FORMS", ROOT_FORMS[:3])
    result = few("partition", 1, network="thesis")
    rows = pd.read_csv(result.folder / "partition-rows.csv")
    assert set(rows["status"]) == {"OPTIMAL"}
    assert set(rows["target"]) == {PARTITION_TARGETS[0]}
    assert rows["objective"].max() - rows["objective"].min() < 1e-4
    roots = pd.read_csv(result.folder / "partition-roots.csv").pivot(
        index="form", columns="bounds", values="bound"
    )
    assert (roots >= rows["objective"].max() - 1e-4).all(axis=None)
    assert (roots.loc["partition-2"] <= roots.loc["bigm"] + 1e-6).all()
    assert not result.complete
    assert "All proven optima of a problem agree to" in " ".join(told(result).split())
    before = files(result)
    assert files(few("partition", 1, network="thesis")) == before
    table = pd.read_csv(result.folder / "partition.csv").set_index("method")
    assert table.loc["our engine", "eps 5: solved"] == "1/1"
    printed = table.loc["printed: Gurobi, partition-2", "eps 5: solved"]
    assert printed == f"{PARTITIONS[5.0]['partition-2'][0]}/100"


def row(status, seconds, nodes=3):
    return WorstCaseRow(
        image="test:0", label=7, eps=5.0, norm="l1", engine="gurobi", status=str(status),
        nodes=nodes, seconds=seconds, certified=True, image_sha256="0",
    )  # fmt: skip


def test_means_are_over_what_all_forms_solve():
    solved, open_ = Status.OPTIMAL, Status.FEASIBLE
    methods = {
        "gurobi:bigm:linear": [row(solved, 1.0), row(solved, 5.0), row(open_, 30.0)],
        "gurobi:hull:linear": [row(solved, 3.0), row(open_, 30.0), row(open_, 30.0)],
        "gurobi:bigm:interval": [row(solved, 2.0), row(solved, 4.0), row(open_, 30.0)],
        "scip:bigm:linear": [row(open_, 30.0)],
    }
    found = partition._solve_facts(methods)
    assert [each["solved"] for each in found.values()] == [2, 1, 2, 0]
    assert [each["seconds"] for each in found.values()] == [1.0, 3.0, 3.0, None]


def test_the_published_targets_are_other_labels():
    labels = load_images("test").labels[: len(PARTITION_TARGETS)]
    assert len(PARTITION_TARGETS) == 100
    assert all(target != label for target, label in zip(PARTITION_TARGETS, labels, strict=True))


def test_an_image_without_target_is_refused(make_network):
    from reluopt.method import Method
    from reluopt.questions.problems import Norm
    from reluopt.runs.instances import Instance
    from reluopt.runs.worst_case import WorstCaseSettings

    job = partition.AdversaryJob(
        make_network((3, 4, 2), 0), WorstCaseSettings(0.1, Norm.L1), Method()
    )
    with pytest.raises(TypeError, match="an image with a target"):
        job.problem(Instance("one", [0.1, 0.2, 0.3], 0))
