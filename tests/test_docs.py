"""What the documentation says is so: its examples run, and its tables are those of the code."""

import contextlib
import doctest
import importlib.util
import io
import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import parentage
import pytest
from common.said import family as family_that_says_so
from parentage.align import UNALIGNED
from parentage.cli import cli, run
from parentage.demo import family
from parentage.evidence import OF_CHECKPOINT, OF_SLICE, wide
from parentage.metadata.claims import RELATIONS, STANDINGS
from parentage.metadata.names import LANGUAGES
from parentage.metadata.said import CONFIGS, RECIPES
from parentage.methods import from_json
from parentage.verdict import KINDS, RULES, Thresholds

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "python" / "parentage"
MEMBERS = {"Base": "base", "Tuned": "parent", "Sibling": "sibling", "Suspect": "child"}

WITH_EXAMPLES = (
    "README.md",
    "docs/tutorial.md",
    "docs/columns.md",
    "docs/python.md",
    "docs/live.md",
)
ELSEWHERE = ("pip", "cargo", "pytest", "bash", "mkdocs", "python")
"""Commands that examples name and that are not run here."""
AWAITED: set[str] = set()
"""Places that are named before they are there; whoever brings one takes it out of here."""
EXTRAS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not here")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text("utf-8")
    return [
        Block(found[1], found[2], 1 + text[: found.start(2)].count("\n"))
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def beside_each_other(folder: Path) -> Path:
    """Put the family into a folder, under the names that the pages use."""
    for name, member in MEMBERS.items():
        shutil.copytree(family(member), folder / name)
    return folder


@pytest.fixture
def beside(tmp_path, monkeypatch):
    beside_each_other(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("page", WITH_EXAMPLES)
@pytest.mark.usefixtures("beside")
def test_examples_run(page):
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), names)
        elif block.language == "pycon":
            examples = doctest.DocTestParser().get_doctest(
                block.text, names, page, page, block.line - 1
            )
            said = io.StringIO()
            failed = doctest.DocTestRunner(optionflags=EXTRAS).run(
                examples, out=said.write, clear_globs=False
            )
            names = examples.globs
            assert failed.failed == 0, said.getvalue()
        elif block.language == "console":
            check_console(block, page)


def check_console(block: Block, page: str) -> None:
    """Run the commands of a block, and compare what they print where the block shows it."""
    status = 0
    for command, shown in commands_in(block.text):
        where = f"{page}, line {block.line}: {command}"
        if command == "echo $?":
            assert shown == [str(status)], where
            status = 0
            continue
        # What failed before is asked for with `echo $?`.
        assert status == 0, f"before {where}"
        said = ""
        for part in command.split("&&"):
            words = shlex.split(part, comments=True)
            target = None
            if ">" in words:
                words, target = words[: words.index(">")], words[-1]
            if words[0] in ELSEWHERE:
                continue
            assert words[0] == "parentage", where
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                status = run(words[1:])
            if target is None:
                said += out.getvalue().replace(f"{Path.cwd()}/", "")
            else:
                Path(target).write_text(out.getvalue(), "utf-8")
        if shown:
            assert is_like(shown, said.splitlines()), f"{where} prints\n{said}"
    assert status == 0, f"{page}, line {block.line}"


def commands_in(text: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:].strip(), []))
        else:
            found[-1][1].append(line)
    return found


def is_like(shown: list[str], said: list[str]) -> bool:
    """Whether lines are those shown, where ``...`` stands for any; empty lines do not count."""
    pattern = "".join(
        "(?:.*\n)*?" if line.strip() == "..." else re.escape(line.rstrip()) + "\n"
        for line in shown
        if line.strip()
    )
    text = "".join(line.rstrip() + "\n" for line in said if line.strip())
    return re.fullmatch(pattern, text) is not None


# Tables of the pages beside what they describe.


def rows_in(text: str) -> list[list[str]]:
    """Return the cells of all rows of tables whose first cell is code."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def section(page: str, title: str) -> str:
    text = (DOCS / page).read_text("utf-8")
    found = re.search(rf"^(#+) {re.escape(title)}$(.*?)(?=^#{{1,2}} |\Z)", text, re.M | re.S)
    assert found is not None, f"{page} has no section {title!r}"
    return found[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return beside_each_other(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def trace(folder):
    return parentage.trace(
        folder / "Suspect",
        base=folder / "Base",
        parents=[folder / "Tuned"],
        controls=[folder / "Sibling"],
        digest="sha256",
    )


@pytest.fixture(scope="module")
def fine_tune(folder):
    return parentage.trace(folder / "Tuned", base=folder / "Base", parents=[folder / "Sibling"])


def described_columns() -> list[list[str]]:
    titles = (
        "Which row it is",
        "What is true of the checkpoint",
        "What is true of the whole slice, layer, component or model",
    )
    return [row for title in titles for row in rows_in(section("columns.md", title))]


def test_every_column_is_described(trace):
    described = [row[0].strip("`") for row in described_columns()]
    assert described == trace.slices.columns
    assert [name for name in described if name in OF_CHECKPOINT] == list(OF_CHECKPOINT)
    assert described[-len(OF_SLICE) :] == list(OF_SLICE)
    # The other tables have some of them, in this order.
    for table in (trace.layers, trace.components, trace.model):
        assert [name for name in described if name in table.columns] == table.columns


def test_columns_have_the_types_roles_and_nulls_that_are_told(trace, fine_tune):
    for name, type_, _, roles, _, null in described_columns():
        name = name.strip("`")
        if name in OF_CHECKPOINT:
            assert tuple(roles.split(", ")) == OF_CHECKPOINT[name], name
        for each in (trace.slices, fine_tune.slices):
            assert str(each.schema[name]) == type_, name
            if name in OF_CHECKPOINT:
                have = each.filter(each["role"].is_in(OF_CHECKPOINT[name]))
                others = each.filter(~each["role"].is_in(OF_CHECKPOINT[name]))
                assert others[name].is_null().all(), name
            else:
                have = each
            assert null != "never" or not have[name].is_null().any(), name


def test_columns_of_what_took_no_part_are_described():
    rows = rows_in(section("columns.md", "Unaligned"))
    assert [(row[0].strip("`"), row[1]) for row in rows] == [
        (name, str(type_())) for name, type_ in UNALIGNED.items()
    ]


def test_what_version_1_called_them_leads_to_what_is_there(trace):
    rows = rows_in(section("columns.md", "From version 1"))
    wide_names = {name.split(":")[0] for name in wide(trace.slices).columns if ":" in name}
    told = {name for row in rows for name in re.findall(r"`(\w+):\w+`", row[2])}
    assert told <= wide_names


def keys_of(value: object, names: frozenset[str] = frozenset()) -> dict[str, bool]:
    """Return the keys of a document, and whether there are others below them.

    Keys that are data are told by what they are.
    """
    found: dict[str, bool] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    walk(each, f"{path}[]")
        elif isinstance(value, dict):
            for key, each in value.items():
                key = KEYS_OF.get(path, "{name}" if key in names else key)
                inner = f"{path}.{key}".removeprefix(".")
                holds = isinstance(each, dict) or (
                    isinstance(each, list) and bool(each) and isinstance(each[0], dict)
                )
                found[inner] = found.get(inner, False) or holds
                if inner not in OPAQUE:
                    walk(each, inner)

    walk(value, "")
    return found


KEYS_OF = {
    "components": "{component}",
    "parameters.thresholds": "{threshold}",
    "relations[].numbers": "{number}",
    "verdict.numbers": "{number}",
}
"""What the keys of these are."""
OPAQUE = (
    *("recipe.parameters", "recipe.fitted", "recipe.sources", "recipe.matrices"),
    "recipe.out_dtypes",
)
"""Keys whose content is described with recipes."""
SAME_AS = (
    (r"^inputs\.(base|parents\[\]|controls\[\])\.", "inputs.child."),
    (r"^components\.\{component\}\.", "model."),
)
"""Keys that are described under others."""


def keys_told(title: str) -> set[str]:
    return {row[0].strip("`") for row in rows_in(section("evidence.md", title))}


SECTIONS = (
    "What it is, and of what",
    "What could change a number",
    "How much was compared",
    "What was measured",
    "How it was made",
    "What follows",
)


def test_every_key_of_evidence_is_described(trace, fine_tune, folder):
    sampled = parentage.trace(
        folder / "Suspect", base=folder / "Base", parents=[folder / "Tuned"], sample="20%"
    )
    # What is called a parent was made from the child.
    called = parentage.trace(
        folder / "Base", base=folder / "Sibling", parents=[folder / "Tuned", folder / "Suspect"]
    )
    said: dict[str, bool] = {}
    for each in (trace, fine_tune, sampled, called):
        for key, holds in keys_of(each.evidence, frozenset(each.inputs.columns.names)).items():
            for pattern, other in SAME_AS:
                key = re.sub(pattern, other, key)
            said[key] = said.get(key, False) or holds
    told = {key for title in SECTIONS for key in keys_told(title)}
    # The second table of the last section is of numbers of verdicts.
    told = {key for key in told if "." in key or key in trace.evidence}
    check_keys(
        said,
        told,
        r"coverage\.(unaligned|orders)\[\]|recipe\.parents\[\]\.density|inputs\.child\.beside\[\]"
        r"|recipe\.(fitted|matrices|sources|layers|adapters)|assumed",
    )


def check_keys(said: dict[str, bool], told: set[str], rare: str) -> None:
    """Check that what a document says is told, and nothing else but what is ``rare``."""
    untold = {key for key, holds in said.items() if not (holds or key in told or key in OPAQUE)}
    assert untold == set(), "keys without a description"
    stale = {key for key in told - set(said) if not re.match(rare, key)}
    assert stale == set(), "descriptions without a key"


def test_every_number_of_a_verdict_is_described(trace, fine_tune):
    told = {
        name
        for row in rows_in(section("evidence.md", "What follows"))
        for name in re.findall(r"`([a-z0-9_{}]+)`", row[0])
    }
    for each in (trace, fine_tune):
        for key in each.verdict.numbers:
            assert key in told or f"{key.split('_')[0]}_{{name}}" in told, key


@pytest.mark.usefixtures("beside")
def test_every_key_of_a_replay_is_described():
    # Half of each, so that something mismatches.
    recipe = {
        "method": "linear",
        "parents": [{"name": "Tuned", "weight": 0.5}, {"name": "Base", "weight": 0.5}],
    }
    Path("recipe.json").write_text(json.dumps(recipe))
    out = io.StringIO()
    command = "replay recipe.json --against Suspect --write Again --json --quiet"
    with contextlib.redirect_stdout(out):
        assert run(command.split()) == 0
    said = keys_of(json.loads(out.getvalue()))
    said = {key: holds for key, holds in said.items() if not key.startswith("recipe.")}
    told = keys_told("Document of a replay")
    check_keys(
        said, told, r"replay\.(missing|other_dtypes|uncompared)\[|written\.left_out\[|sources\."
    )


# What is written from the code.


def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_written_from_the_code_is_not_stale():
    for name, text in generator().pages().items():
        page = (DOCS / name).read_text("utf-8")
        assert page == text, f"{name} is stale: run python docs/generate.py"


def test_every_command_verdict_rule_and_threshold_has_its_place():
    commands = (DOCS / "commands.md").read_text("utf-8")
    assert all(f"\n## {name}\n" in commands for name in cli.commands)
    verdicts = (DOCS / "verdicts.md").read_text("utf-8")
    kinds = verdicts.partition("## Levels")[0]
    assert all(re.search(rf"^\| .*\b{kind}\b", kinds, re.MULTILINE) for kind in KINDS)
    for name in (*(rule.__name__ for rule in RULES), *Thresholds.__slots__):
        assert f"`{name}`" in verdicts


def test_numbers_in_rules_are_the_thresholds():
    kinds = (DOCS / "verdicts.md").read_text("utf-8").partition("## Levels")[0]
    found = re.findall(r"([\d.]+)( %)? \(`(\w+)`\)", kinds)
    assert len(found) > 10
    for number, is_percent, name in found:
        value = float(number) / 100 if is_percent else float(number)
        assert value == pytest.approx(getattr(Thresholds(), name)), name


def test_every_public_name_is_in_the_reference():
    page = (DOCS / "python.md").read_text("utf-8")
    for name in parentage.__all__:
        if not name.startswith("_"):
            assert f"::: parentage.{name}\n" in page or name.endswith("Error"), name


@pytest.mark.parametrize("page", ["README.md", "docs/develop.md"])
def test_places_to_touch_are_there(page):
    text = (ROOT / page).read_text("utf-8")
    table = text.partition("| to add |")[2].partition("\n\n")[0]
    places = set(re.findall(r"`([\w./]+/[\w./]*)`", table.replace("NAME.py", "")))
    assert len(places) > 10
    for place in places:
        is_there = any((base / place).exists() for base in (PACKAGE, ROOT))
        assert is_there or place in AWAITED, place


def test_links_lead_somewhere():
    for path in (ROOT / "README.md", ROOT / "bench" / "README.md", *DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if "://" not in target:
                found = (path.parent / target).resolve()
                is_awaited = str(found.relative_to(ROOT)) in AWAITED
                assert found.exists() or is_awaited, f"{path.name}: {target}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_pages_are_in_the_table_of_contents():
    listed = set(re.findall(r"- (\w[\w-]*\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M))
    assert {path.name for path in DOCS.glob("*.md")} <= listed


def test_the_site_asks_no_other_for_anything():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "font: false" in text
    assert not re.search(r"https?://", text)


def test_the_recipe_that_is_shown_is_one():
    (shown,) = re.findall(r"```json\n(.*?)```", (DOCS / "recipes.md").read_text("utf-8"), re.DOTALL)
    assert from_json(shown).describe() == "linear of 0.6 Tuned + 0.4 Base, in float32-fma"


def test_keys_of_recipes_are_described():
    page = (DOCS / "recipes.md").read_text("utf-8")
    recipe = from_json(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
    told = set(re.findall(r"^\| `([\w.\[\]]+)` \|", page.partition("## Settings")[0], re.MULTILINE))
    parts = {f"parents[].{key}" for parent in recipe.as_dict()["parents"] for key in parent}
    assert set(recipe.as_dict()) | parts | {"parents[].density", "layers", "adapters"} == told


def test_every_key_of_metadata_is_described(tmp_path):
    family_that_says_so(tmp_path)
    found = parentage.compare_metadata(
        tmp_path / "child", base=tmp_path / "base", parents=[tmp_path / "tuned"]
    )
    document = json.loads(found.to_json())
    rows = rows_in(section("metadata.md", "metadata.json"))
    told = {name: row[1] for row in rows for name in re.findall(r"`([\w]+)(?:\[\])?`", row[0])}
    assert set(told) == set(document) - {"schema", "tool"}
    for key in ("inputs", "prompts", "templates", "names", "claims", "rows"):
        for each in document[key][0]:
            assert f"`{each}`" in told[key] or f"`{each}[]`" in told[key], f"{key}: {each}"


def test_what_metadata_reads_is_described():
    page = (DOCS / "metadata.md").read_text("utf-8")
    for name in (*CONFIGS, *RECIPES[::2], *RELATIONS, *STANDINGS):
        assert name in page, name
    # Every language that names are found in.
    for language in LANGUAGES:
        assert language in page, language
