"""Results as texts, tables, figures and HTML."""

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import reluopt as ro
from reluopt.errors import InputError
from reluopt.networks.layers.base import Dense
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork


@pytest.fixture(scope="module")
def nearest(thesis, test_images):
    return ro.nearest(thesis, test_images.images[:2], "l1", "+5", "x1.2")


@pytest.fixture(scope="module")
def tabular():
    layer = Dense(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), np.zeros(2))
    box = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    names = ("<b>", "no & more")
    return ReLUNetwork((layer,), NetworkMetadata(class_names=names, input_box=box))


def words_of(figure):
    return " ".join(each.get_text() for each in figure.findobj(mpl.text.Text))


def test_a_result_reads_as_one_line(nearest, thesis, test_images):
    found = re.fullmatch(
        r"NearestResult\(7 → 2, l1, distance (5\.6\d+), bound (5\.6\d+), OPTIMAL, certified\)",
        repr(nearest[0]),
    )
    assert float(found[1]) == pytest.approx(nearest[0].distance, rel=1e-5)
    assert float(found[2]) == pytest.approx(nearest[0].bound, rel=1e-5)
    lines = repr(nearest).splitlines()
    assert lines == ["2 results", f"  {nearest[0]!r}", f"  {nearest[1]!r}"]
    robust = ro.verify(thesis, test_images.image(0), 0.001)
    pattern = r"VerificationResult\(label 7, linf, eps 0\.001, bound -\d.*, ROBUST, certified\)"
    assert re.fullmatch(pattern, repr(robust))
    worst = ro.worst_case(thesis, test_images.image(0), 0.001)
    assert re.match(r"WorstCaseResult\(7 → 7, linf, eps 0\.001, lead -\d", repr(worst))


def test_tables_have_a_row_for_each_result(nearest):
    frame = nearest.to_frame()
    assert frame.to_dict("records") == [each.to_dict() for each in nearest]
    assert frame["label"].tolist() == [7, 2]
    assert frame["predicted"].tolist() == frame["target"].tolist() == [2, 7]
    assert frame["distance"].tolist() == [each.distance for each in nearest]
    assert (frame["bound"] <= frame["distance"]).all()
    assert frame["certified"].all()
    assert nearest[0].to_frame().equals(frame[:1])
    assert nearest[:0].to_frame().empty


def test_figures_are_drawn_by_the_figures_of_the_package(nearest, thesis, test_images):
    figure = nearest.plot()
    assert isinstance(figure, Figure)
    said = words_of(figure)
    for words in ("original", "adversarial", "difference", "7 → 2", "2 → 7", "proven", "5.61"):
        assert words in said
    verdicts = ro.verify(thesis, test_images.images[:2], 0.037)
    assert [each.robust for each in verdicts] == [False, False]
    assert "not robust" in words_of(verdicts.plot())
    assert "label" not in words_of(verdicts.plot())
    assert "robust" in words_of(ro.verify(thesis, test_images.image(0), 0.001).plot())


def test_html_has_pictures_and_numbers(nearest):
    page = nearest[0]._repr_html_()
    assert page.count('<img src="data:image/png;base64,') == 1
    for words in ("<table", "<td>OPTIMAL</td>", "<th>distance</th>", "<td>True</td>"):
        assert words in page
    assert f"<td>{nearest[0].distance:.3f}" in page
    assert nearest._repr_html_().count("<td>OPTIMAL</td>") == 2


def test_features_are_drawn_as_their_changes(tabular):
    result = ro.nearest(tabular, [0.9, 0.5, 0.3], "l1", margin="+0.1")
    assert result.distance == pytest.approx(0.5)
    assert "0 → 1" in words_of(result.plot())
    assert "<img" in result._repr_html_()
    robust = ro.verify(tabular, [0.9, 0.5, 0.3], 0.1)
    with pytest.raises(InputError, match=r"^figure: expected results with images, found none"):
        robust.plot()
    assert "<img" not in robust._repr_html_()
    assert "<td>ROBUST</td>" in robust._repr_html_()


def test_rounding_that_undoes_an_answer_is_told(tabular):
    """The only witnesses lie within 1e-12 of a tie that float32 cannot hold."""
    inputs = np.array([0.9, 0.1, 0.0], dtype=np.float32)
    radius = float(np.float64(inputs[0]) - np.float64(inputs[1])) / 2.0 + 1e-12
    single, double = (ro.verify(tabular, x, radius) for x in (inputs, inputs.astype(float)))
    assert [single.robust, double.robust] == [False, False]
    assert double.certified
    assert single.solution.certified
    assert not single.certified
    assert "not certified" in repr(single)
    assert single.image.dtype == np.float32
    assert np.abs(single.image.astype(float) - inputs.astype(float)).max() <= radius


def test_a_batch_has_what_each_of_it_has(nearest):
    assert nearest.to_dict() == [each.to_dict() for each in nearest]
    assert nearest.distances.tolist() == [each.distance for each in nearest]
    for image, each in zip(nearest.images, nearest, strict=True):
        np.testing.assert_array_equal(image, each.image)


def test_notebooks_show_no_empty_messages(nearest):
    assert "<th>message</th>" not in nearest._repr_html_()
    assert "<th>status</th>" in nearest._repr_html_()
