"""Completion for shells."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script for SHELL.

    \b
    Examples:
      parentage completion bash >> ~/.bashrc
      parentage completion zsh >> ~/.zshrc
      parentage completion fish > ~/.config/fish/completions/parentage.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells"
    click.echo(
        kind(
            click.get_current_context().find_root().command, {}, "parentage", "_PARENTAGE_COMPLETE"
        ).source()
    )
