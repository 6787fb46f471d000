"""VNN-LIB files: what they mean, and that whatever else they hold is refused in one line."""

import gzip
import re
import time
from fractions import Fraction

import numpy as np
import pytest

from reluopt.errors import InputError, NoteWarning
from reluopt.specifications.vnnlib import read_specification

ACAS_3 = """; property 3 of ACAS Xu, as in the competition
(declare-const X_0 Real) (declare-const X_1 Real)
(declare-const Y_0 Real) (declare-const Y_1 Real) (declare-const Y_2 Real)
(assert (<= X_0 -0.29855281193475053))
(assert (>= X_0 -0.30353115613746867))
(assert (<= X_1 0.009549296585513092))
(assert (>= X_1 -0.009549296585513092))
(assert (<= Y_0 Y_1))
(assert (<= Y_0 Y_2))
"""

ACAS_6 = """
(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)
(assert (<= X_0 0.7)) (assert (>= X_0 -0.1299289109))
(assert (or
  (and (<= X_1 0.5) (>= X_1 0.11140846))
  (and (<= X_1 -0.11140846) (>= X_1 -0.499999896))
))
(assert (or (and (<= Y_1 Y_0)) (and (>= Y_0 1500) (<= Y_1 1e-05))))
"""

VERSION_2 = """(vnnlib-version <2.0>)
(declare-network acc (declare-input X real [1,2] "in") (declare-output Y Real []))
(assert (and (<= (* -1.0 X[0,0]) 0.25) (<= X [0,0] 0.5) (== X[0, 1] 3)))
(assert (or (< Y -3.0) (>= (- Y 1 0.5) (+ 0 0.0))))
"""


@pytest.fixture
def read(tmp_path):
    def execute(text, name="spec.vnnlib"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_specification(path)

    return execute


def test_a_box_and_one_conjunction(read):
    found = read(ACAS_3)
    assert (found.inputs, found.outputs, len(found.regions)) == (2, 3, 1)
    box, (only,) = found.regions[0].box, found.regions[0].alternatives
    assert box.upper.tolist() == pytest.approx([-0.29855281193475053, 0.009549296585513092])
    assert only.matrix.tolist() == [[-1, 1, 0], [-1, 0, 1]]
    assert only.rhs.tolist() == [0, 0]


def test_disjunctions_of_boxes_share_their_alternatives(read):
    found = read(ACAS_6)
    assert len(found.regions) == 2
    high, low = found.regions
    assert high.box.lower[1] == pytest.approx(0.11140846)
    assert low.box.upper[1] == pytest.approx(-0.11140846)
    for region in found.regions:
        assert [each.matrix.tolist() for each in region.alternatives] == [
            [[1, -1]],
            [[1, 0], [0, -1]],
        ]


def test_version_2_indexes_tensors_and_computes(read):
    found = read(VERSION_2)
    assert (found.inputs, found.outputs) == (2, 1)
    (region,) = found.regions
    assert (region.box.lower.tolist(), region.box.upper.tolist()) == ([-0.25, 3], [0.5, 3])
    assert [each.matrix.tolist() for each in region.alternatives] == [[[-1]], [[1]]]
    assert [each.rhs.tolist() for each in region.alternatives] == [[3], [1.5]]
    inside = np.array([0.0, 3.0])
    assert not found.holds(inside, np.array([-3.0]))  # strict as written
    assert found.holds(inside, np.array([-3.1]))
    assert not found.holds(np.array([0.0, 3.0 + 1e-15]), np.array([-3.1]))


def test_types_of_their_own_are_told(read):
    with pytest.warns(NoteWarning, match="exact arithmetic"):
        read(VERSION_2.replace("X real", "X float32"))


def test_decimals_are_rounded_outward(read):
    digits = [f"0.{seed:017d}" for seed in np.random.default_rng(0).integers(1, 10**17, 200)]
    text = "(declare-const Y_0 Real)"
    for i, end in enumerate(digits):
        text += f"(declare-const X_{i} Real)(assert (>= X_{i} {end}))(assert (<= X_{i} {end}))"
        text += f"(assert (>= (* 0.1 Y_0) {end}))"
    found = read(text)
    (region,) = found.regions
    for end, low, high in zip(digits, region.box.lower, region.box.upper, strict=True):
        assert Fraction(low) <= Fraction(end) <= Fraction(high)
        assert high <= np.nextafter(low, 1)
    rows = region.alternatives[0]
    for end, factor, rhs in zip(digits, rows.matrix[:, 0], rows.rhs, strict=True):
        assert Fraction(rhs) <= Fraction(end) * 10 * Fraction(factor)
    as_read = np.array([float(end) for end in digits])
    assert found.holds(as_read, np.array([10.0]))  # as the competition reads them


def test_contradictions_leave_no_region(read):
    assert read(ACAS_3 + "(assert (>= X_0 5))").regions == ()
    assert read(ACAS_3 + "(assert (<= 1 0))").regions == ()
    assert len(read(ACAS_6 + "(assert (>= X_1 0))").regions) == 1


def test_gzip_is_known_by_its_bytes(read):
    assert read(gzip.compress(ACAS_3.encode())).inputs == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 0 inputs"),
        (ACAS_3 + ")", "matching parentheses"),
        (ACAS_3 + "(assert (<= X_0 1)", "end of the file"),
        (ACAS_3 + "stray", "matching parentheses"),
        (ACAS_3 + "(assert " + "(and " * 200 + ")" * 201, "depth"),
        (ACAS_3 + "(check-sat)", "line 10: .*'check-sat' is not supported"),
        (ACAS_3 + "(assert (<= X_7 1))", "found 'X_7'"),
        (ACAS_3 + "(assert (<= X_0 nan))", "found 'nan'"),
        (ACAS_3 + "(assert (<= X_0 1e999))", "numbers within"),
        (ACAS_3 + "(assert (not (<= X_0 1)))", "found 'not'"),
        (ACAS_3 + "(assert (<= X_0 X_1))", "several inputs"),
        (ACAS_3 + "(assert (<= X_0 Y_1))", "inputs and outputs"),
        (ACAS_3 + "(assert (<= (* X_0 X_0) 1))", "products of variables"),
        (ACAS_3 + "(assert (<= X_0))", "two sides"),
        (ACAS_3 + "(assert (or))", "found none"),
        (ACAS_3 + "(assert)", "one formula"),
        (ACAS_3 + "(declare-const X_0 Real)", "each name once"),
        (ACAS_3 + "(declare-const X_3 Real)", "none left out"),
        (ACAS_3 + "(declare-const X_2 Int)", "and Real"),
        (ACAS_3.replace("(assert (<= X_1 0.009549296585513092))", ""), "input 1: .*missing"),
        (ACAS_3 + VERSION_2, "several networks"),
        (VERSION_2.replace("<2.0>", "<3.0>"), "expected <2.0>"),
        (VERSION_2.replace("[1,2]", "[1,2,3]"), "index of shape"),
        (VERSION_2.replace("[1,2]", "[1,99999999]"), "entries"),
        (VERSION_2.replace("real", "int8"), "int8 is not supported"),
        (VERSION_2.replace("(declare-input", "(equal-to g)(declare-input"), "supported"),
        (
            VERSION_2.replace("(declare-out", '(declare-hidden H real [1] "h")(declare-out'),
            "'declare-hidden' is not supported",
        ),
        (
            VERSION_2.replace("(declare-out", "(declare-input Z real [1])(declare-out"),
            "one input and then one output",
        ),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_in_one_line(read, text, message):
    with pytest.raises(InputError, match=message) as info:
        read(text)
    assert "\n" not in str(info.value)
    assert "spec.vnnlib: " in str(info.value)


def test_hostile_files_take_little_time(read):
    """Bombs: of gzip, of cases, of digits, of depth, of names without indices."""
    pairs = "(assert (or (<= Y_0 Y_1) (<= Y_1 Y_2)))"
    bombs = [
        gzip.compress(b" " * 2**26),
        ACAS_3 + pairs * 1000,
        ACAS_3 + "(assert (<= " + "(* 3.3 " * 90 + "1e99" + ")" * 90 + " Y_0))",
        ACAS_3 + "(assert (<= Y_0 (* " + "9" * 400 + " " + "1e-300 " * 5000 + ")))",
        b"(" * 10**6,
        b"[" * 10**6,
        b'"' * 10**6,
    ]
    started = time.process_time()
    for bomb in bombs:
        with pytest.raises(InputError):
            read(bomb)
    assert time.process_time() - started < 10.0


def test_mutants_are_refused_or_read(read):
    """Ten thousand: words swapped, dropped, doubled or damaged; only an InputError may come."""
    words = [re.findall(r"\s+|[()]|[^\s()]+", text) for text in (ACAS_3, ACAS_6, VERSION_2)]
    hostile = ["(", ")", "[", "]", '"', ";", "-", "1e9", "or", "and", "X_0", "Y_1", "[0,0]", "\x00"]
    random = np.random.default_rng(0)
    seen, messages = 0, []
    for _ in range(10_000):
        text = list(words[random.integers(3)])
        for _ in range(random.integers(1, 4)):
            place, other = random.integers(len(text), size=2)
            change = random.integers(4)
            if change == 0:
                text[place], text[other] = text[other], text[place]
            elif change == 1:
                text[place] = ""
            elif change == 2:
                text[place] = hostile[random.integers(len(hostile))]
            else:
                text.insert(place, text[other])
        try:
            read("".join(text))
            seen += 1
        except InputError as error:
            messages.append(str(error))
    assert min(seen, len(messages)) > 500
    assert all(map(str.isprintable, messages))
