"""``parentage identify``: ask a served model who it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parentage.cli.alone import HelpAlone
from parentage.cli.options import (
    CHECKPOINT,
    PATH,
    check_output,
    json_option,
    terminal_options,
)

if TYPE_CHECKING:
    from typing import Any

    from parentage.cli.terminal.console import Terminal

_ARMS = ("as-served", "empty-system", "removed", "neutral")


@click.command(cls=HelpAlone)
@click.option(
    "--base-url", metavar="URL",
    help="The server: http://HOST:PORT; /v1 is added where no path is given.",
)  # fmt: skip
@click.option("--model", metavar="NAME", help="What the server calls the model.")
@click.option(
    "--checkpoint", type=CHECKPOINT, metavar="CHECKPOINT",
    help="The checkpoint that is served, for the arm removed: its chat template is rendered "
    "without the prompt that it writes by itself.",
)  # fmt: skip
@click.option(
    "-n", "--name", "names", multiple=True, metavar="NAME[=ALIAS,...]",
    help="A name that is counted, with what else it is written as. Can be repeated.",
)  # fmt: skip
@click.option(
    "--questions", type=PATH, metavar="FILE",
    help="Ask the questions of this file (YAML) instead of those of the package.",
)  # fmt: skip
@click.option(
    "--samples", type=click.IntRange(1, 1000), default=5, show_default=True,
    help="Answers to each question in each arm.",
)  # fmt: skip
@click.option(
    "--arm", "arms", multiple=True, type=click.Choice(_ARMS), metavar="ARM",
    help="A way of asking: as-served, empty-system, removed or neutral. Can be repeated. "
    "[default: all that can be asked]",
)  # fmt: skip
@click.option(
    "--neutral", metavar="TEXT", help="The system message of the arm neutral. "
    "[default: You are a helpful assistant.]",
)  # fmt: skip
@click.option(
    "--temperature", type=click.FloatRange(0, 5), default=0.7, show_default=True,
    help="At 0 all answers to a question are one, and each is asked once.",
)  # fmt: skip
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="[default: the server's]")
@click.option(
    "--max-tokens", type=click.IntRange(1, 32_768), default=256, show_default=True,
    help="Tokens of an answer, at most. Thinking models need room to think.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True,
    help="What the seed of each answer is derived from, which the server is sent.",
)  # fmt: skip
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=4, show_default=True,
    help="Questions that wait for an answer at once.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(0.1, 86_400), default=120.0, show_default=True,
    help="Seconds for an answer, before it is asked for again.",
)  # fmt: skip
@click.option(
    "--retries", type=click.IntRange(0, 100), default=8, show_default=True,
    help="Attempts after a first one that failed, each after a longer wait.",
)  # fmt: skip
@click.option(
    "--api-key-env", metavar="VARIABLE",
    help="The environment variable that holds the server's key. [default: OPENAI_API_KEY, for "
    "OpenAI's servers and this machine alone]",
)  # fmt: skip
@click.option(
    "-o", "--output", type=PATH, metavar="DIR",
    help="Keep answers.jsonl in this folder while answers come, and write identity.json.",
)  # fmt: skip
@click.option(
    "--resume", is_flag=True, help="Go on with the answers that are kept in the folder of -o."
)
@click.option(
    "--answers", type=PATH, metavar="FILE",
    help="Analyse stored answers (answers.jsonl, or lines of JSON with question and answer; gzip "
    "as well), and ask nobody.",
)  # fmt: skip
@click.option(
    "--against-answers", type=PATH, metavar="FILE",
    help="Answers of another model: test claims between the two, and compare passages.",
)  # fmt: skip
@click.option(
    "--against-text", "against_texts", multiple=True, type=PATH, metavar="FILE",
    help="Find passages that answers share with this text, word for word. Can be repeated.",
)  # fmt: skip
@click.option(
    "--control-text", "controls", multiple=True, type=PATH, metavar="FILE",
    help="A text of the same kind that has nothing to do with the model (or answers of another "
    "model): what is shared by chance. Can be repeated.",
)  # fmt: skip
@click.option(
    "--least-words", type=click.IntRange(3, 1000), default=8, show_default=True,
    help="Words of a passage, at least.",
)  # fmt: skip
@json_option("Print the evidence as one JSON document.")
@terminal_options
def identify(
    base_url: str | None,
    model: str | None,
    output: Path | None,
    resume: bool,
    answers: Path | None,
    arms: tuple[str, ...],
    neutral: str | None,
    retries: int,
    as_json: bool,
    terminal: Terminal,
    **settings: Any,
) -> None:
    """Ask a served model who it is, and count which names its answers claim.

    Every question of a set in several languages is asked several times in four arms: as-served, the
    question alone; empty-system, with an empty system message; removed, a raw prompt without the
    text that the checkpoint's chat template tells the model by itself; neutral, with a system
    message that names nobody. A name that is claimed as served, and not once the template's prompt
    is removed, was told to the model by that prompt.

    Shares have exact intervals; arms, names and models are tested over questions. What a model says
    of itself is circumstantial: it decides nothing about weights.

    The server speaks OpenAI's protocol, as vLLM, SGLang, llama.cpp and Ollama do. A key is taken
    from the environment, and written nowhere. This takes pip install 'parentage[identify]'.

    \b
    Examples:
      parentage identify --base-url http://localhost:8000 --model Rio --checkpoint ./Rio \\
          --name Rio --name Nex=Nex-AGI,Nex-N2 -o identity/
      parentage identify --answers identity/answers.jsonl --name Qwen --against-text ./card.md
    """
    from parentage.cli.terminal.identify import show_identity, watching
    from parentage.identity import NEUTRAL, Pace, identify

    if answers is None and not (base_url and model):
        raise click.UsageError("--base-url and --model say who is asked; --answers, what is stored")
    if answers is not None and (base_url or model or resume or arms or settings["checkpoint"]):
        raise click.UsageError(
            "--answers asks nobody: it takes no server, arm, checkpoint or --resume"
        )
    if resume and output is None:
        raise click.UsageError("--resume goes on with what is kept in the folder of -o; give -o")
    if output is not None:
        check_output(output)
    with watching(terminal) as progress:
        found = identify(
            base_url,
            model,
            output=output,
            resume=resume,
            answers=answers,
            arms=arms or None,
            neutral=NEUTRAL if neutral is None else neutral,
            pace=Pace(retries=retries),
            progress=progress,
            **settings,
        )
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        show_identity(terminal, found)
    if output is not None:
        terminal.note(f"wrote {output / 'identity.json'} and answers.jsonl")
