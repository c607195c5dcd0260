"""Values in a spec that Python cannot read as the type that YAML gives them, and specs that are too deep or long."""

import time
from pathlib import Path

import pytest

from tests.pipeline.commands.commands import halflife
from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips

VALUES = [
    ("9" * 5000, "a number of 5000 characters; allowed: at most 400 characters"),
    ("-" + "1" * 20000, "a number of 20001 characters; allowed: at most 400 characters"),
    ("0x" + "f" * 5000, "a number of 5002 characters; allowed: at most 400 characters"),
    ("0b_", "'0b_' is not allowed; expected: a whole number, or the text in quotes"),
    ("1" + ":00" * 180 + ".0", "a number of 543 characters"),
    ("!!int abc", "'abc' is not allowed; expected: a whole number, or the text in quotes"),
    ("!!int ''", "'' is not allowed; expected: a whole number, or the text in quotes"),
    ("!!float abc", "'abc' is not allowed; expected: a number, or the text in quotes"),
    ("!!bool abc", "'abc' is not allowed; allowed: true or false"),
    ("!!timestamp abc", "'abc' is not allowed; expected: a time without a tag"),
    ("!!timestamp 2024-99-99", "'2024-99-99' is not allowed; expected: a time without a tag"),
]
IDS = [text[:16] for text, _ in VALUES]


@pytest.mark.parametrize(("text", "said"), VALUES, ids=IDS)
def test_value_that_cannot_be_read_is_named_with_its_path(flow: Flow, text: str, said: str) -> None:
    flow.feed(json_lines(trips(3)))
    spec = flow.write_spec(flow.spec()).read_text()
    outcome = flow.run(f"{spec}\nwindows:\n  shards: {text}\n")
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert "windows.shards: " in outcome.err
    assert said in outcome.err


@pytest.mark.parametrize(("text", "said"), VALUES, ids=IDS)
@pytest.mark.parametrize("before", ["", "["])
def test_setting_that_cannot_be_read_is_named(flow: Flow, text: str, said: str, before: str) -> None:
    flow.feed(json_lines(trips(3)))
    value = f"[{text}]" if before else text
    outcome = flow.run(flow.spec(), "--set", f"model.max_bytes={value}")
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert "model.max_bytes=" in outcome.err
    assert said in outcome.err


@pytest.mark.parametrize("text", ["9" * 5000, "!!bool abc"])
def test_verbs_of_models_refuse_it_too(flow: Flow, text: str) -> None:
    spec = flow.write_spec(flow.spec())
    ran = halflife("models", "list", "--job", spec, "--set", f"model.max_bytes={text}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "model.max_bytes=" in ran.err


@pytest.mark.parametrize("text", ["[" * 50000, "job: " + "{a: " * 3000 + "1" + "}" * 3000, "- " * 2000 + "x"])
def test_spec_that_is_nested_deeply_is_refused_at_once(flow: Flow, text: str) -> None:
    began = time.thread_time()
    outcome = flow.run(text)
    assert time.thread_time() - began < 10.0
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert "more than 50 levels" in outcome.err


def many_keys(count: int) -> str:
    return "job: j\n" + "".join(f"k{number}: 1\n" for number in range(count))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (many_keys(300_000), "has more than 1048576 bytes; expected: a smaller job spec"),
        (many_keys(60_000), "more than 100000 values"),
        ("job: '" + "x" * 2_000_000 + "'", "has more than 1048576 bytes"),
    ],
    ids=["4 MB of keys", "60,000 keys", "one text"],
)
def test_spec_that_is_too_long_is_refused(flow: Flow, text: str, said: str) -> None:
    began = time.thread_time()
    outcome = flow.run(text)
    assert time.thread_time() - began < 10.0
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert said in outcome.err


def test_thousands_of_unknown_keys_are_reported_with_the_first_twenty(flow: Flow) -> None:
    outcome = flow.run(many_keys(3000))
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 21
    assert "more error" in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("number", ["0x10", "1_0", "1:20", "077"])
def test_numbers_of_yaml_are_read_as_before(flow: Flow, number: str) -> None:
    flow.feed(json_lines(trips(3)))
    assert flow.run(flow.spec(), "--set", f"windows.shards={number}").code == 0


def test_spec_behind_a_device_is_not_read_for_ever(flow: Flow) -> None:
    ran = halflife("run", "--job", Path("/dev/zero"))
    assert (ran.code, "has more than 1048576 bytes" in ran.err) == (2, True)
