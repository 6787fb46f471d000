"""Versions, and hints that can be followed."""

import json

import pytest

from reluopt import install


@pytest.fixture
def package(monkeypatch, tmp_path):
    """As if the package lay in ``site-packages``; returns what sets pip's record of its source."""
    place = tmp_path / "lib" / "site-packages" / "reluopt" / "install.py"
    monkeypatch.setattr(install, "__file__", str(place))
    record = {}

    class Installed:
        version = "1.2.3"

        def read_text(self, name):
            return record.get(name)

    monkeypatch.setattr(install, "_distribution", lambda: Installed())

    def built_from(url):
        record["direct_url.json"] = json.dumps({"url": url, "dir_info": {}})

    return built_from


def test_a_checkout_is_named_by_its_folder(monkeypatch, tmp_path):
    root = tmp_path / "a copy"
    (root / "python" / "reluopt").mkdir(parents=True)
    (root / "pyproject.toml").write_text("")
    monkeypatch.setattr(install, "__file__", str(root / "python" / "reluopt" / "install.py"))
    assert install.install_command("train") == f"pip install -e '{root}[train]'"
    monkeypatch.chdir(root)
    assert install.install_command("train") == "pip install -e '.[train]'"


def test_a_package_is_named_by_what_pip_built_it_from(package, tmp_path):
    assert install.install_command("scip") == "pip install 'reluopt[scip]'"
    (tmp_path / "my source").mkdir()
    package((tmp_path / "my source").as_uri())
    assert install.install_command("scip") == "pip install 'reluopt[scip]'"  # it is gone
    (tmp_path / "my source" / "pyproject.toml").write_text("")
    assert install.install_command("scip") == f"pip install '{tmp_path / 'my source'}[scip]'"
    package("https://example.org/reluopt-1.2.3.tar.gz")
    assert install.install_command("scip") == "pip install 'reluopt[scip]'"


def test_the_version_is_that_of_the_package(package, monkeypatch):
    assert install.own_version() == "1.2.3"
    monkeypatch.setattr(install, "_distribution", lambda: None)
    assert install.own_version() == "unknown"
    assert install.install_command("scip") == "pip install 'reluopt[scip]'"
