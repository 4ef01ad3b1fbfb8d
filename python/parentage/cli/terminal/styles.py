"""How kinds of verdicts are set off."""

STYLES = {
    "identical": "bold red",
    "re-encoded": "bold red",
    "merge": "bold red",
    "merge-then-changed": "bold red",
    "assembled": "bold red",
    "fine-tune": "bold yellow",
    "related": "bold yellow",
    "unrelated": "bold green",
    "undetermined": "bold blue",
}
