"""The command line inside of this process."""

import pytest

from reluopt.cli import main


@pytest.fixture
def run(capfd):
    """Run a command; returns its exit code, stdout and stderr."""

    def execute(*arguments):
        with pytest.raises(SystemExit) as info:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return info.value.code, captured.out, captured.err

    return execute
