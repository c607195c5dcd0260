"""Policies: the documented example, and every error with its path, its value and what is allowed."""

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gates.policy import read_policy
from schemas.keys import keys_of
from schemas.problems import SpecErrors
from schemas.validation import SpecError, schema_of

EXAMPLE: dict[str, Any] = schema_of("rollout")["examples"][0]


def changed(**keys: Any) -> dict[str, Any]:
    return {**EXAMPLE, "version": "v2", **keys}


def said(document: object) -> str:
    with pytest.raises(SpecError) as caught:
        read_policy(document)
    return "\n".join(caught.value.lines) if isinstance(caught.value, SpecErrors) else str(caught.value)


def test_the_example_is_a_policy() -> None:
    policy = read_policy(EXAMPLE, "v2")
    assert [str(step) for step in policy.steps] == ["shadow", "1%", "5%", "25%", "100%"]
    assert [step.margin for step in policy.steps] == [0.05, 0.1, 0.05, 0.01, 0.01]
    assert (policy.awaits(4), policy.awaits(5)) == (False, True)
    assert policy.rate_of_each == 0.025  # one guardrail beside the metric


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"steps": [{"share": "5%"}, {"share": "1%"}, {"share": "100%"}]}, "steps[1].share: '1%' is not allowed"),
        ({"steps": [{"share": "5%"}]}, "steps[0].share: '5%' is not allowed; expected: 100%, the last step"),
        ({"steps": [{"share": 0.05}]}, "steps[0].share: 0.05 is not allowed; expected: shadow, or a percentage"),
        ({"steps": [{"share": "0%"}, {"share": "100%"}]}, "steps[0].share: '0%' is not allowed"),
        ({"method": "betting"}, "bounds: missing; expected: the bounds"),
        ({"method": "mixture", "bounds": [1, 0]}, "bounds: [1, 0] is not allowed"),
        ({"promote": {"by": "group_sequential"}, "maximum": {}}, "maximum.n: missing"),
        ({"error_rate": 0}, "error_rate: 0 is not allowed"),
        ({"labels": {"wait": "99999999d"}}, "labels.wait: 99999999d; expected: a duration of at most 36500d"),
        ({"margins": 1}, "margins: unknown key; allowed: "),
        ({"metric": "auc"}, "metric: 'auc' is not allowed; allowed: error, log_loss"),
        ({"guardrails": [{"metric": "accuracy"}]}, "guardrails[0].margin: missing"),
    ],
)
def test_errors_name_path_and_value_and_what_is_allowed(keys: dict[str, Any], line: str) -> None:
    assert any(each.startswith(line) for each in said(changed(**keys)).splitlines()), said(changed(**keys))


def test_all_errors_are_said_at_once() -> None:
    lines = said({"steps": [{"share": "2%"}], "method": "betting"}).splitlines()
    assert [line.split(":")[0] for line in lines] == ["rollout", "steps[0].share", "bounds", "version"]


@pytest.mark.parametrize("document", [None, [], "text", 7])
def test_what_is_no_mapping_is_refused(document: object) -> None:
    assert "expected: a mapping" in said(document)


def test_another_text_of_the_same_meaning_is_the_same_rollout() -> None:
    again = yaml.safe_load(yaml.safe_dump({**EXAMPLE, "direction": "lower", "version": "v1"}, sort_keys=True))
    assert read_policy(EXAMPLE, "v2").id == read_policy(again, "v2").id
    assert read_policy(EXAMPLE, "v3").id != read_policy(EXAMPLE, "v2").id
    assert read_policy(changed(margin=0.02)).id != read_policy(EXAMPLE, "v2").id


def test_every_key_is_described_and_its_examples_are_allowed() -> None:
    keys, definitions = list(keys_of("rollout")), schema_of("rollout")["$defs"]
    assert [key.path for key in keys if not (key.schema.get("description") and key.schema.get("examples"))] == []
    for key in keys:
        validator = Draft202012Validator({**key.schema, "$defs": definitions})
        for value in (*key.schema["examples"], *([key.schema["default"]] if "default" in key.schema else ())):
            assert list(validator.iter_errors(value)) == [], key.path
