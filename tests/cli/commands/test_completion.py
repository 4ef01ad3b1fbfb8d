"""Completion scripts of shells."""

import pytest
from click.testing import CliRunner
from common.two_parents import invoke
from parentage.cli import cli


def test_completion_scripts_are_printed(capsys):
    for shell in ("bash", "zsh", "fish"):
        status, out, _ = invoke(capsys, "completion", shell)
        assert status == 0
        assert "_PARENTAGE_COMPLETE" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_completes_the_command_by_its_name(shell):
    done = CliRunner().invoke(cli, ["completion", shell], prog_name="parentage")
    assert done.exit_code == 0
    assert f"{shell}_complete" in done.output
    assert "parentage" in done.output


def test_another_shell_is_a_usage_error():
    done = CliRunner().invoke(cli, ["completion", "csh"], prog_name="parentage")
    assert done.exit_code == 2
    assert "'csh'" in done.output
