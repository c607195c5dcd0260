"""A command whose reader has gone ends without a word, as other programs do: `halflife models list | head -1`."""

import os
import subprocess
import sys

import pytest

from tests.pipeline.commands.habits.conftest import Small


def unread(*words: object) -> tuple[int, str]:
    """The exit code and standard error of a command whose standard output is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", *(str(word) for word in words)]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "words", [("--help",), ("models", "publish", "--help"), ("models", "bad"), ("run", "--help")], ids=" ".join
)
def test_help_ends_silently(words: tuple[str, ...]) -> None:
    assert unread("pipeline.cli", *words)[0] == (2 if "bad" in words else 141)


@pytest.mark.parametrize("words", [("list",), ("show", "v1", "--json"), ("timeline",)], ids=" ".join)
def test_reports_end_silently(small: Small, words: tuple[str, ...]) -> None:
    assert unread("pipeline.cli", "models", *words, *small.location) == (141, "")


def test_records_end_silently(small: Small) -> None:
    options = "--job", small.job, "--sinks", "replace", "--set", "sinks.scores=stdout:"
    assert unread("pipeline", *options) == (141, "")


def test_an_error_is_said_even_so(small: Small) -> None:
    code, said = unread("pipeline.cli", "models", "show", "v9", *small.location)
    assert code == 1
    assert "version 'v9' of 'trips' has no manifest.json" in said
