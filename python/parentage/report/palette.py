"""Colours of pictures, in light and dark, and how charts look in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

LIGHT = {
    "@ink": "#1c2127",
    "@muted": "#59626d",
    "@grid": "#e4e7eb",
    "@parent": "#0b5cbd",
    "@control": "#a34f00",
    "@decoy": "#757e88",
    "@base": "#59626d",
    "@low": "#e6eef9",
    "@high": "#0a4793",
    "@none": "#eef0f2",
    "@off-low": "#fbe6d6",
    "@off-high": "#a83600",
    "@unknown": "#c5cad0",
    "@on-low": "#1c2127",
    "@on-high": "#ffffff",
    "@halo": "#1c2127",
    "@ground": "#ffffff",
}
"""Colours by what they stand for, on white."""

DARK = {
    "@ink": "#e7eaee",
    "@muted": "#a3adb8",
    "@grid": "#2c343d",
    "@parent": "#6fb1ff",
    "@control": "#f0a35e",
    "@decoy": "#98a2ad",
    "@base": "#a3adb8",
    "@low": "#17263b",
    "@high": "#8cc4ff",
    "@none": "#20272f",
    "@off-low": "#38220f",
    "@off-high": "#ffa05c",
    "@unknown": "#4a535d",
    "@on-low": "#e7eaee",
    "@on-high": "#0d1218",
    "@halo": "#ffffff",
    "@ground": "#181e25",
}
"""The same on dark grey."""

THEMES = {"light": LIGHT, "dark": DARK}

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"

CONFIG: dict[str, Any] = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "@muted",
        "titleColor": "@muted",
        "tickColor": "@grid",
        "domainColor": "@grid",
        "gridColor": "@grid",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 170,
    },
    "legend": {
        "labelColor": "@ink",
        "titleColor": "@muted",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 220,
    },
    "text": {"color": "@ink"},
    "rule": {"color": "@ink"},
}
"""How charts look; colours by what they stand for."""

_NAMES = ("domain", "sort", "data", "datasets", "values")
"""Keys below which names of checkpoints and tensors stand: nothing in them is a colour."""


def painted(spec: Any, theme: str) -> Any:
    """Return a specification with the colours of a theme.

    >>> painted({"color": "@ink", "domain": ["@ink"]}, "light")
    {'color': '#1c2127', 'domain': ['@ink']}
    """
    colors = THEMES[theme]
    if isinstance(spec, dict):
        return {
            key: value if key in _NAMES else painted(value, theme) for key, value in spec.items()
        }
    if isinstance(spec, list):
        return [painted(each, theme) for each in spec]
    return colors.get(spec, spec) if isinstance(spec, str) else spec
