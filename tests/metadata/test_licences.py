"""Licences by their phrases."""

import pytest
from parentage.metadata.licences import licence_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("                Apache License\n           Version 2.0, January 2004", "apache-2.0"),
        ("Permission is hereby granted, free of charge, ... without restriction", "mit"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3", "agpl-3.0"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT", "llama3.1"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("Creative Commons Attribution 4.0 International", "cc-by-4.0"),
        ("All rights reserved.", None),
        ("", None),
    ],
)
def test_licences_are_recognised(text, name):
    assert licence_of("LICENSE", text).recognised == name


def test_line_ends_and_blanks_make_no_other_text():
    one, other = licence_of("LICENSE", "a  b\r\nc\n"), licence_of("LICENSE", "a b c")
    assert one.sha256 == other.sha256
    assert licence_of("LICENSE", "a b d").sha256 != one.sha256


def test_copyrights_are_quoted_once():
    text = "Copyright (c) 2024 Somebody\nx\nCopyright (c) 2024 Somebody\n© 2025 Another\n"
    assert licence_of("NOTICE", text).copyright == (
        "Copyright (c) 2024 Somebody",
        "© 2025 Another",
    )
