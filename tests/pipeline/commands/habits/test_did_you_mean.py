"""Whatever name is misspelt, the message offers the known one that is nearest."""

import pytest

from schemas.expectations import did_you_mean, nearest
from tests.pipeline.commands.commands import halflife
from tests.pipeline.commands.habits.conftest import Small

MISSPELT = {
    "verb": (("modles",), "did you mean models?"),
    "verb of models": (("models", "lst"), "did you mean list?"),
    "option of a verb": (("models", "timeline", "--stroe", "x"), "did you mean --store?"),
    "option with a value": (("models", "publish", "--sampel=x"), "did you mean --sample?"),
    "dashes": (("models", "publish", "--trianed-at=now"), "did you mean --trained_at?"),
    "choice": (("models", "publish", "--output", "regresion"), "did you mean regression?"),
    "option of a run": (("run", "--requireinput"), "did you mean --require_input?"),
    "option of Beam": (("run", "--streeming"), "did you mean --streaming?"),
    "runner": (("doctor", "--runner", "flnk"), "did you mean flink?"),
}


@pytest.mark.parametrize("kind", MISSPELT)
def test_misspelt_word_of_a_command_line(kind: str) -> None:
    words, hint = MISSPELT[kind]
    ran = halflife(*words)
    assert ran.code == 2
    assert hint in ran.err


@pytest.mark.parametrize("verb", ["show", "check", "withdraw"])
def test_misspelt_version(small: Small, verb: str) -> None:
    assert "; did you mean v1?" in small.models(verb, "v1x").err


def test_misspelt_version_of_a_release(small: Small) -> None:
    ran = small.models("release", "--champion", "v1", "--shadow", "V22")
    assert ran.code == 1
    assert ran.err.endswith("; did you mean v2?\n")


def test_advice_comes_last(small: Small) -> None:
    said = small.models("show", "1").err
    assert "; did you mean v1?; next: halflife models publish" in said


def test_misspelt_model_and_kind(small: Small) -> None:
    assert halflife("models", "list", "--store", small.models.url, "--model", "trip").err.endswith("mean trips?\n")
    said = "--input", "delay:number", "--output", "regression", "--trained_at", "now"
    assert "; did you mean linear?" in small.models("publish", "--scorer", "lineer", "--version", "v3", *said).err


def test_names_that_are_unlike_are_not_offered() -> None:
    assert did_you_mean("zebra", ["delay", "day"]) == ""
    assert nearest("V1", ["v1", "v2"]) == ["v1"]
