"""Colours: contrast, and that names are none."""

import itertools

import pytest
from parentage.report.palette import CONFIG, DARK, LIGHT, THEMES, painted

GROUND = {"light": "#ffffff", "dark": "#181e25"}


def luminance(color):
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    high, low = sorted([luminance(one), luminance(two)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_marks_stand_out_from_their_ground(theme):
    colors = THEMES[theme]
    for name in ("@ink", "@muted"):
        assert contrast(colors[name], GROUND[theme]) >= 4.5, name
    for name in ("@parent", "@control", "@decoy", "@base"):
        assert contrast(colors[name], GROUND[theme]) >= 3.0, name
    for high in ("@high", "@off-high"):
        assert contrast(colors["@on-high"], colors[high]) >= 4.5
    for low in ("@low", "@off-low", "@none", "@unknown"):
        assert contrast(colors["@on-low"], colors[low]) >= 4.5, low


def test_both_themes_have_the_same_colours():
    assert LIGHT.keys() == DARK.keys()
    assert not set(LIGHT) & set(itertools.chain(LIGHT.values(), DARK.values()))


def test_names_that_look_like_colours_stay_names():
    spec = {"color": "@ink", "scale": {"domain": ["@ink"], "range": ["@ink"]}, "values": ["@ink"]}
    assert painted(spec, "dark") == {
        "color": DARK["@ink"],
        "scale": {"domain": ["@ink"], "range": [DARK["@ink"]]},
        "values": ["@ink"],
    }


def test_all_of_the_configuration_is_painted():
    assert "@" not in str(painted(CONFIG, "light"))
