"""`--reasons` and `--decisions`: the words of a bundle, which inputs have them, and what is no such file."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models import bundle_folders as bundles
from tests.pipeline.commands.commands import Models

NEW = ("--version", "n1", "--trained-at", "2013-03-01T00:00:00Z")
WORDS = """
delay: {code: D1, positive: it left late, negative: it left on time}
carrier: {code: C1, positive: the carrier is often late}
distance: {suppress: true}
"""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skops")
    bundles.sklearn_frame(folder)
    return folder / "model.skops"


@pytest.fixture
def typed(models: Models, model: Path) -> Any:
    """`publish` of that model, with the types of its inputs and these words."""
    inputs = [f"--input={each['name']}:{each['type']}" for each in bundles.INPUTS]

    def publish(*words: Any) -> Any:
        return models("publish", model, *NEW, *inputs, *words)

    return publish


def test_words_are_in_the_manifest_and_check_tells_which_inputs_have_them(
    models: Models, typed: Any, tmp_path: Path
) -> None:
    (tmp_path / "words.yaml").write_text(WORDS)
    decisions = ("--threshold", "0.5", "--decisions", "negative=approved, at last,positive=rejected")
    ran = typed("--reasons", tmp_path / "words.yaml", *decisions)
    assert ran.code == 0, ran.err
    found = json.loads(models.store.read_manifest("n1").raw)
    assert found["format"] == 2
    assert found["output"]["decisions"] == {"positive": "rejected", "negative": "approved, at last"}
    assert found["reasons"]["delay"] == {"code": "D1", "positive": "it left late", "negative": "it left on time"}
    assert found["reasons"]["distance"] == {"suppress": True}
    said = models("check", "n1").out.splitlines()
    assert said[1] == "reasons: texts for 1 of 4 inputs, 1 suppressed; none for weekend, carrier"
    expected = {"inputs": 4, "with_texts": 1, "suppressed": ["distance"], "missing": ["weekend", "carrier"]}
    assert models("check", "n1", "--json").json["reason_texts"] == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("dely: {code: D1}", "reasons of 'dely', which is not an input; allowed: delay, distance"),
        ("delay: {text: late}", "delay.text: unknown key; allowed: code, positive, negative, suppress"),
        ("delay: {code: 7}", "delay.code: 7 is not allowed; expected: a text, in quotes"),
        ("delay: late", "delay: 'late' is not allowed; expected: a YAML mapping of input to"),
        ("- delay", "is not a mapping; expected: a YAML mapping"),
        ("delay: {code: D1", "expected: a YAML mapping of input to"),
        (None, "cannot be read: No such file or directory; expected: a YAML mapping"),
    ],
)
def test_words_that_are_none_are_refused_in_one_line(
    models: Models, typed: Any, tmp_path: Path, words: str | None, said: str
) -> None:
    if words is not None:
        (tmp_path / "words.yaml").write_text(words)
    ran = typed("--reasons", tmp_path / "words.yaml")
    assert (ran.code, ran.err.count("\n"), ran.out) == (1, 1, "")
    assert said in ran.err
    assert not models.store.has_version("n1")


def test_decisions_are_two_texts_of_a_threshold(models: Models, typed: Any) -> None:
    alone = typed("--decisions", "positive=rejected,negative=approved")
    assert alone.code == 1
    assert "--decisions without --threshold; expected: the score from which on it is positive" in alone.err
    for text in ("rejected", "positive=rejected", "positive=a,positive=b"):
        ran = typed("--threshold", "0.5", "--decisions", text)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert f"'{text}' is not allowed; expected: positive=TEXT,negative=TEXT" in ran.err
