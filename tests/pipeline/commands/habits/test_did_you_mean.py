"""Whatever name is misspelt, the message offers the known one that is nearest."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from schemas.expectations import did_you_mean, nearest
from schemas.validation import SpecError, allowed_phrase, schema_of
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
    "runner of a run": (("run", "--runner", "DirctRunner"), "did you mean DirectRunner?"),
    "what to do with sinks": (("run", "--sinks", "appendd"), "did you mean append?"),
    "truth": (("run", "--only_new=ture"), "did you mean true?"),
    "type of an input": (("models", "publish", "x", "--input", "delay:nummber"), "did you mean number?"),
    "shell": (("completion", "fissh"), "did you mean fish?"),
    "form of the log": (("models", "list", "--log_format", "jsn"), "did you mean json?"),
}
WINDOWED = "{name: m, key: carrier, column: delay, size: 1h, every: 1m, aggregate: medain}"
VALUES = {
    "events.format=parqet": "parquet",
    f"features=[{WINDOWED}]": "median",
    "events.time_ambiguous=earlyer": "earlier",
    "events.envelope=debezum": "debezium",
    "events.columns={delay: nummber}": "number",
    "events.time_format=epohc": "epoch",
    "events.time_zone=Europe/Berln": "'Europe/Berlin'",
    "sinks.format=avor": "avro",
    "model.allow_pickle=ture": "true",
    "lookups=[{missing: refus}]": "refuse",
}


@pytest.mark.parametrize("kind", MISSPELT)
def test_misspelt_word_of_a_command_line(kind: str) -> None:
    words, hint = MISSPELT[kind]
    ran = halflife(*words)
    assert ran.code == 2
    assert hint in ran.err


@pytest.mark.parametrize("setting", VALUES)
def test_misspelt_value_of_a_spec(setting: str) -> None:
    ran = halflife("run", "--set", setting)
    assert ran.code == 2
    assert f"; did you mean {VALUES[setting]}?" in ran.err


@pytest.mark.parametrize("option", ["strat=latest", "start=latst"])
def test_misspelt_option_of_a_topic(option: str) -> None:
    ran = halflife("run", "--set", f"events.uri=kafka://h:1/t?{option}", "--set", "events.format=json")
    assert (ran.code, f"did you mean {'start' if option.startswith('strat') else 'latest'}?" in ran.err) == (2, True)


def enums(node: Any) -> Iterator[Mapping[str, Any]]:
    """The parts of a schema that list what is allowed."""
    inner: Iterable[Any] = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    if isinstance(node, Mapping) and "enum" in node:
        yield node
    for each in inner:
        yield from enums(each)


@pytest.mark.parametrize("schema", ["job", "manifest", "release", "remote"])
def test_every_listed_value_of_a_schema_is_offered_where_it_is_misspelt(schema: str) -> None:
    for node in enums(schema_of(schema)):
        for value in (each for each in node["enum"] if isinstance(each, str) and len(each) > 2):
            error = SpecError("path", f"{value[0]}{value}", allowed_phrase(node))
            assert str(error).endswith(f"; did you mean {value}?")


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
