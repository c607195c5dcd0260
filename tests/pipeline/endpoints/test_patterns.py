"""Patterns of file names mean what they mean to Beam's file systems."""

import re

import pytest
from apache_beam.io.localfilesystem import LocalFileSystem
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.endpoints.reading.patterns import translated


@given(st.text("a*?[]!^-\\/.\n", max_size=12), st.text("ab!^-\\/.[]\n", max_size=8))
@example("[!]]*", "a")
@example("[!]", "[!]")
@example("a**/b?.js[^n]n", "a/x/b1.json")
@example("***", "a/b")
def test_a_pattern_matches_what_beam_matches(pattern: str, name: str) -> None:
    try:
        beams = re.compile(LocalFileSystem.translate_pattern(pattern))
    except re.error:
        with pytest.raises(ValueError, match="no pattern of file names"):
            translated(pattern)
    else:
        assert bool(translated(pattern).match(name)) == bool(beams.match(name))
