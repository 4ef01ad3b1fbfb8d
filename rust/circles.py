"""Fails if modules of the Rust crates import one another in a circle.

    python rust/circles.py [SRC ...]

Modules side by side in a folder are compared; a subfolder is one module with all it holds. Every
path counts, in a `use` or elsewhere, but not in comments, strings or tests. `mod.rs` and `lib.rs`
are modules as well, but what they re-export (`pub use`) is imported from where it comes from.
"""

import graphlib
import re
import sys
from pathlib import Path

NOISE = r'//[^\n]*|r?"(?:\\.|[^"\\])*"|#\[cfg\(test\)\]\s*(?:mod \w+;|mod \w+ \{.*?\n\}|use [^;]*;)'
HUBS = ("mod", "lib")


def expanded(tree: str) -> list[list[str]]:
    """Return the paths of a use tree such as `a::{b, c::{d, e as f}}`."""
    while group := re.search(r"((?:\w+::)*)\{([^{}]*)\}", tree):
        items = (group[1] + item.strip() for item in group[2].split(",") if item.strip())
        tree = tree[: group.start()] + ",".join(items) + tree[group.end() :]
    return [path.split(" as ")[0].strip().split("::") for path in tree.split(",")]


def paths(file: Path, src: Path, exports: dict[Path, dict[str, str]]) -> set[tuple[str, ...]]:
    """Return the paths in a file, from the crate on; a re-export counts if it is used there."""
    hub = file.stem in HUBS
    home = file.parent if hub else file.with_suffix("")
    children = {other.stem for other in file.parent.iterdir()} if hub else set()
    code = re.sub(NOISE, "", file.read_text("utf-8"), flags=re.DOTALL)
    rest = re.sub(r"\b(?:use [^;]*|mod \w+);", "", code)
    starts = "|".join(["crate", "super", "self", *sorted(children)])
    found = [path.split("::") for path in re.findall(rf"(?<!::)\b(?:{starts})(?:::\w+)+", rest)]
    for public, tree in re.findall(r"(\bpub(?:\([a-z]+\))? )?\buse ([^;]*);", code):
        for names in expanded(tree):
            if hub and public:
                exports.setdefault(home, {})[names[-1]] = names[0]
            if not (hub and public) or re.search(rf"\b{names[-1]}\b", rest):
                found.append(names)
    out, at = set(), home.relative_to(src).parts
    for names in found:  # Others begin with another crate.
        if names[0] in ("crate", "self", "super", *children):
            before = () if names[0] == "crate" else at[: len(at) - names.count("super")]
            out.add((*before, *[name for name in names if name not in ("crate", "self", "super")]))
    return out


def edges(src: Path) -> dict[Path, dict[str, set[str]]]:
    """Return, by folder and module of it, which others of the folder that imports."""
    files = [file.relative_to(src) for file in sorted(src.rglob("*.rs"))]
    files = [file for file in files if "tests" not in file.with_suffix("").parts]
    exports: dict[Path, dict[str, str]] = {}
    found = [(each, target) for each in files for target in paths(src / each, src, exports)]
    out: dict[Path, dict[str, set[str]]] = {}
    for file, target in found:
        for depth in range(min(len(file.parts), len(target))):
            folder, one = src.joinpath(*file.parts[:depth]), file.parts[depth].removesuffix(".rs")
            beside = {entry.stem for entry in folder.iterdir()}
            other = exports.get(folder, {}).get(target[depth], target[depth])
            other = other if other in beside else (beside & set(HUBS)).pop()
            if target[:depth] == file.parts[:depth] and one != other:
                out.setdefault(folder, {}).setdefault(one, set()).add(other)
    return out


def main() -> None:
    """Print a circle of each folder that has one, and exit with 1 if there is any."""
    crates = sys.argv[1:] or [Path(__file__).parent / crate / "src" for crate in ("core", "py")]
    circles = []
    for folder, imported in [item for crate in crates for item in edges(Path(crate)).items()]:
        try:
            graphlib.TopologicalSorter(imported).prepare()
        except graphlib.CycleError as found:
            circles.append(f"{folder}: {' <- '.join(found.args[1])}")
    sys.exit("\n".join(circles) or 0)


if __name__ == "__main__":
    main()
