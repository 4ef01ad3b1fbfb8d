"""Writes what the documentation has from the code: commands, rules, thresholds, rooms.

    python docs/generate.py            # write
    python docs/generate.py --check    # exit with 1 if a page is not what would be written

``commands.md`` and ``rooms.md`` are written as a whole; other pages between ``<!-- NAME -->`` and
``<!-- /NAME -->``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click
from parentage.cli import cli
from parentage.methods import METHODS
from parentage.verdict import RULES, Thresholds
from parentage.verdict import thresholds as thresholds_module

if TYPE_CHECKING:
    from collections.abc import Iterable

    from parentage.recipe import Parameter

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "python" / "parentage"
COMMANDS = """\
# Commands

What `parentage COMMAND --help` says, for every command. `parentage` and `python -m parentage` are
the same. Results go to stdout, progress and messages to stderr. Exit status: 0 done, 1 error, 2
wrong usage, 3 a verdict or mismatch named by `--fail-on` or `--fail-on-mismatch`, 130 interrupted,
143 by SIGTERM. `--version` and `-h` say what they say everywhere.

<!-- Written by docs/generate.py; edit the help in python/parentage/cli instead. -->
"""

ROOMS = """\
# What the rooms offer

Each folder of `python/parentage/` is a room; what is here is what other rooms may import of it,
from the ones that everything rests on to the ones that rest on others. These names may change;
[those of the package](python.md) do not. [Develop](develop.md) says which room to look in.

<!-- Written by docs/generate.py from the rooms' __init__.pyi. -->
"""


def commands() -> str:
    """Return the page of all commands."""
    context = click.Context(cli, info_name="parentage", **cli.context_settings)
    parts = [COMMANDS]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        parts.append(_command(command, click.Context(command, info_name=name, parent=context)))
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {command.name}", "", "```text", f"{context.command_path} {usage}", "```", ""]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, *rest = paragraph.removeprefix("\b\n").split("\n")
            lines += [title, "", "```sh", *_examples(rest), "```", ""]
        else:
            lines += [_plain(paragraph), ""]
    options = [each for each in command.params if isinstance(each, click.Option)]
    rows = [(f"`{_names(each)}`", _cell(_meaning(each))) for each in options]
    page = "\n".join(lines) + "\n" + _table(("option", "meaning"), rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inside = command.get_command(context, name)
            assert inside is not None
            part = _command(inside, click.Context(inside, info_name=name, parent=context))
            page += f"\n\n#{part}"
    return page


def _examples(lines: list[str]) -> list[str]:
    """Return commands, and what stands before each as a comment."""
    lines = [line.strip() for line in lines]
    return [line if line.startswith("parentage ") else f"# {line}" for line in lines]


def _names(option: click.Option) -> str:
    """Return an option's names and what it takes; click's own text differs between versions."""
    names = ", ".join(sorted(option.opts, key=len))
    if option.is_flag:
        return names
    if isinstance(option.type, click.Choice) and option.metavar is None:
        return f"{names} {', '.join(option.type.choices)}"
    return f"{names} {option.metavar or 'N'}"


def _meaning(option: click.Option) -> str:
    is_told = option.show_default and not option.is_flag and option.default is not None
    return f"{option.help or ''} [default: {option.default}]" if is_told else option.help or ""


def thresholds() -> str:
    """Return a table of thresholds, with the figures that they come from."""
    tree = ast.parse(inspect.getsource(thresholds_module))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    notes = {}
    for field, note in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr):
            assert isinstance(field.target, ast.Name)
            notes[field.target.id] = inspect.cleandoc(ast.literal_eval(note.value))
    limits = Thresholds()
    return _table(
        ("threshold", "value", "what it is, and why"),
        [
            (f"`{name}`", f"{getattr(limits, name):g}", _cell(notes[name]))
            for name in Thresholds.__slots__
        ],
    )


def rules() -> str:
    """Return a table of rules in the order in which they are asked."""
    return _table(
        ("", "rule", "decides if", "file"),
        [
            (
                str(number),
                f"`{rule.__name__}`",
                _cell((inspect.getdoc(rule) or "").split("\n\n")[0].removesuffix(".")),
                f"`verdict/rules/{rule.__module__.rpartition('.')[2]}.py`",
            )
            for number, rule in enumerate(RULES, 1)
        ],
    )


def methods() -> str:
    """Return what every method says of itself."""
    parts = []
    for method in METHODS.values():
        lines = [
            f"### {method.name}",
            "",
            f"`{method.formula}`",
            "",
            f"Source: {method.source}.",
            "",
        ]
        if method.parameters:
            rows = [(f"`{name}`", _cell(each.text)) for name, each in method.parameters.items()]
            lines += [_table(("parameter", "meaning"), rows)]
        rows = [(f"`{name}`", _cell(text)) for name, text in method.arithmetics.items()]
        parts.append("\n".join([*lines, _table(("arithmetic", "what is rounded"), rows)]))
    return "\n".join(parts)


def _type(parameter: Parameter) -> str:
    """Return what a parameter may be, and what it is where a recipe does not say."""
    if isinstance(parameter.type, tuple):
        kind = " or ".join(f"`{word}`" for word in parameter.type)
    else:
        kind = "true or false" if parameter.type is bool else "setting"
    if parameter.required:
        return f"{kind}; needed"
    default = parameter.default
    return kind if default is None else f"{kind}; by default {str(default).lower()}"


def rooms() -> str:
    """Return a table of rooms in the order of imports."""
    return _table(
        ("room", "what it is for"),
        [
            (f"`{name}`", _cell((inspect.getdoc(module) or "").split("\n\n")[0]))
            for name in contract()
            for module in [importlib.import_module(f"parentage.{name}")]
        ],
    )


def offers() -> str:
    """Return the page of what the rooms offer one another, in the order of imports."""
    parts = [ROOMS]
    for name in reversed(contract()):
        module = importlib.import_module(f"parentage.{name}")
        parts.append(f"## {name}\n\n{_plain((inspect.getdoc(module) or '').split(chr(10))[0])}\n")
        stub = PACKAGE / name / "__init__.pyi"
        if name not in ("cli", "bench") and stub.is_file():
            names = dict.fromkeys(re.findall(r"import (\w+) as", stub.read_text("utf-8")))
            parts += [f"::: parentage.{name}.{each}\n" for each in names]
    return "\n".join(parts)


def contract() -> list[str]:
    """Return the rooms in the order of pyproject's contract: each imports what is below it."""
    text = (DOCS.parent / "pyproject.toml").read_text("utf-8")
    found = re.search(r"^layers = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    names = re.findall(r'"([^"]+)"', found[1])
    # A name in brackets is a room that may be missing.
    names = [name.strip("()") for name in names]
    return [
        name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---" for _ in head], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(_plain(text).split()).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return Markdown of a docstring: roles and double backticks become code."""
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"(?<![`\w])(--[a-z-]+)", r"`\1`", text)


PARTS = {
    "verdicts.md": {"rules": rules, "thresholds": thresholds},
    "develop.md": {"rooms": rooms},
    "recipes.md": {"methods": methods},
}
"""Pages with parts that are written here."""


def pages() -> dict[str, str]:
    """Return the pages as they should be, by name."""
    found = {"commands.md": commands(), "rooms.md": offers()}
    for page, parts in PARTS.items():
        text = (DOCS / page).read_text("utf-8")
        for name, write in parts.items():
            pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
            assert pattern.search(text), f"{page} has no part {name}"
            new = f"\n{write()}\n"
            text = pattern.sub(lambda part, new=new: part[1] + new + part[2], text)
        found[page] = text
    return found


def main(arguments: list[str]) -> int:
    """Write the pages, or say which are stale."""
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, "utf-8")
    for name in stale:
        print(f"{name} {'is stale' if '--check' in arguments else 'was written'}")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
