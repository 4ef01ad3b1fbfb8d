"""``parentage demo``: a guided first trace over the family that is shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from parentage.cli.options import terminal_options

if TYPE_CHECKING:
    from parentage.cli.terminal.console import Terminal


@click.command()
@terminal_options
def demo(terminal: Terminal) -> None:
    """Trace a small real family that comes with the package, step by step."""
    from parentage.checkpoint import Checkpoint
    from parentage.cli.terminal.inspect import show_inspect
    from parentage.cli.terminal.trace import show_trace, show_verdict
    from parentage.demo import family
    from parentage.pipeline import trace

    say = terminal.say
    say("1. Look.", "A checkpoint's headers say what is in it; no tensor is read for that.")
    show_inspect(terminal, Checkpoint.open(family("child")))

    say(
        "2. Trace.",
        "Somebody offers this child as their own. Every tensor of it is compared with a base and a "
        "candidate parent; the sibling is a relative known not to be a parent, for comparison.",
    )
    blend = trace(
        family("child"),
        base=family("base"),
        parents=[family("parent")],
        controls=[family("sibling")],
    )
    show_trace(terminal, blend)
    say(
        "",
        "Attention and MLP agree on one weight, the sibling explains next to nothing, and what is "
        "left over is no more than rounding to the child's dtype: there is no room for training. "
        "Of the norms least squares says little: theirs are displacements of about one unit in the "
        "last place, and there it reads the rounding, not the recipe.",
    )

    say("3. Doubt.", "The same question about a true fine-tune has another answer:")
    fine_tune = trace(
        family("grandchild"),
        base=family("base"),
        parents=[family("parent"), family("sibling")],
    )
    show_verdict(terminal, fine_tune.verdict)

    say("4. Go on.", "The same on your own checkpoints, from the shell or from Python:")
    terminal.code(
        f"parentage trace {family('child')} \\\n"
        f"    --base {family('base')} --parent {family('parent')} -o evidence/"
    )
    terminal.code(
        "import parentage\n"
        'trace = parentage.trace("CHILD", base="BASE", parents=["PARENT"])\n'
        "trace.verdict, trace.components, trace.slices"
    )
    say("", "`parentage trace --help` explains the options, docs/numbers.md what the numbers mean.")
