"""The README's table of bundled networks is what their files say."""

from pathlib import Path

import pytest

from reluopt.networks.zoo import TRAINED_BY, bundled_names, load_bundled

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_all_bundled_networks_have_a_command():
    assert tuple(sorted(TRAINED_BY)) == bundled_names()


@pytest.mark.parametrize("name", bundled_names())
def test_each_has_its_row(name):
    metadata = load_bundled(name).metadata
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{name}` | ")
              and "--recipe" in line]  # fmt: skip
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == f"{100 * metadata.test_accuracy:.2f} %"
    assert cells[3] == f"`{TRAINED_BY[name]}`"


def test_the_accuracy_under_attack_is_that_on_record():
    measured = load_bundled("adv-b").metadata.recipe["pgd_test"]
    assert f"{100 * measured['accuracy']:.2f} %" in README
    assert f"after {measured['pgd_steps']} steps" in README
