"""Rows of changes that touched speed: kept, replaced when measured again, and rendered."""

from dataclasses import replace

import pytest

import performance
from performance import PAGE, ROOT, Row, Set, main, measure, merged, page, read_table, write_table
from reluopt.errors import InputError, ReluoptError

ROW = Row("abc1234", "", "2026-11-20", "thesis", "2 s", "1 s", "2", "somebody", "less work")


def test_the_page_is_rendered_from_its_rows():
    assert PAGE.read_text(encoding="utf-8") == page(read_table())


def test_rows_are_kept_and_replaced(tmp_path):
    again, other = replace(ROW, after="0.5 s"), replace(ROW, commit="def5678", date="2026-11-19")
    path = tmp_path / "rows.csv"
    write_table(merged([ROW], [again, other]), path)
    assert read_table(path) == [other, again]  # by date
    assert read_table(tmp_path / "none.csv") == []
    text = page([again, other])
    assert text.index("`def5678`") < text.index("`abc1234`")
    assert "0.5 s" in text


@pytest.fixture
def fixed():
    return Set("thesis", "l1", "any", "x1", (0, 2))


class _Tree:
    """A tree whose solves take so many seconds each."""

    def __init__(self, seconds, objective=1.0, status="OPTIMAL"):
        self.answer = {"seconds": seconds, "objective": objective, "status": status}
        self.images = []

    def solve(self, asked):
        self.images.append(asked["image"])
        return self.answer


def test_trees_take_turns_and_medians_are_compared(fixed):
    trees = [_Tree(3.0), _Tree(1.5)]
    assert measure(trees, fixed, 2) == pytest.approx((9.0, 4.5, 2.0))
    assert trees[0].images == trees[1].images == [0, 0, 0, 1, 1, 2, 2]  # the first one compiles


def test_what_contradicts_or_proves_nothing_is_no_row(fixed):
    with pytest.raises(ReluoptError, match=r"objectives 1\.0 and 1\.1 differ"):
        measure([_Tree(1.0), _Tree(1.0, 1.1)], fixed, 1)
    with pytest.raises(ReluoptError, match="nothing was proven by both trees"):
        measure([_Tree(1.0), _Tree(1.0, status="FEASIBLE")], fixed, 1)


def test_bad_input_is_one_line(tmp_path, monkeypatch):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    monkeypatch.setattr(performance, "PAGE", tmp_path / "page.md")
    with pytest.raises(InputError, match="expected at least 1, found 0"):
        main(["--against", "HEAD", "--repeats", "0"])
    with pytest.raises(InputError, match="performance: git rev-parse: "):
        main(["--against", "no such commit"])
    main([])
    assert (tmp_path / "page.md").read_text() == page(read_table())
