"""What a command does when it is called alone, by name and no more."""

from __future__ import annotations

import click


class HelpAlone(click.Command):
    """A command that shows its help and ends with status 2 if nothing is said.

    What click itself makes of that hangs on its version.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, if there are any."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)
