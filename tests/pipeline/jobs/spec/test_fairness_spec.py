"""The fairness of a spec: what a valid one says, and what is said of one that cannot be obeyed."""

from typing import Any

import pytest

from pipeline.spec.checks import spec_errors
from pipeline.spec.job import parse_job
from schemas.columns import FairnessSpec, Grouping
from schemas.validation import SpecError, all_errors

VALID: dict[str, Any] = {
    "job": "loans",
    "events": {"uri": "/in", "format": "json", "event_id": "loan", "event_time": "at", "subject": "customer"},
    "features": ["income"],
    "model": {"name": "loans", "store": "/models"},
}
KINDS = {"income": "number", "sex": "string", "age": "integer", "applied": "timestamp", "customer": "string"}
HIDES = {"keys": "/keys", "hide": ["sex"]}


def test_valid_section_is_read() -> None:
    groups = {"age": [25, 65], "sex": {"women": ["f", "F"], "men": ["m", 1]}}
    section = {"columns": ["age", ["sex", "age"]], "groups": groups, "min_n": 50}
    named = (("women", ("f", "F")), ("men", ("m", "1")))
    meant = FairnessSpec(
        (("age",), ("sex", "age")), (("age", Grouping((25.0, 65.0))), ("sex", Grouping(named=named))), 100, 50
    )
    assert all_errors({**VALID, "fairness": section}, "job") == []
    assert parse_job({**VALID, "fairness": section}, KINDS).fairness == meant
    assert (
        parse_job({**VALID, "fairness": section, "privacy": HIDES}, KINDS).fairness != meant
    )  # small groups are withheld
    assert parse_job(VALID, KINDS).fairness is None


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"columns": ["sx"]}, "fairness.columns[0]: 'sx' is not allowed; expected: one of the event columns"),
        ({"columns": ["applied"]}, "fairness.columns[0]: 'applied' is not allowed; expected: a column of numbers"),
        ({"columns": ["income"]}, "fairness.groups.income: missing; expected: the edges of bins, such as [25, 65]"),
        ({"columns": [["sex", "income"]]}, "fairness.groups.income: missing; expected: the edges of bins"),
        ({"columns": ["sex"], "groups": {"sx": [1]}}, "a column of fairness.columns: sex; did you mean 'sex'?"),
        ({"columns": ["sex"], "groups": {"sex": [1]}}, "edges are of numbers (sex is a string)"),
        ({"columns": ["age"], "groups": {"age": [65, 25]}}, "expected: numbers in ascending order"),
        ({"columns": ["age"], "groups": {"age": {"other": [1]}}}, "all values that no group has are this group"),
        (
            {"columns": ["age"], "groups": {"age": {"a": [1, 2], "b": [2.0]}}},
            "fairness.groups.age.b[0]: 2.0 is not allowed; expected: a value that no other group has (a has it)",
        ),
    ],
)
def test_what_cannot_be_obeyed_names_path_value_and_what_is_expected(section: Any, said: str) -> None:
    document = {**VALID, "fairness": section}
    assert all_errors(document, "job") == []
    with pytest.raises(SpecError) as refused:
        parse_job(document, KINDS)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("column", "feature", "said"),
    [
        ("sex", None, "fairness.groups.sex: missing; expected: groups with names, or edges of bins: sex is hidden"),
        ("customer", None, "fairness.groups.customer: missing; expected: groups with names"),
        ("initial", "substr(sex, 0, 1)", "fairness.groups.initial: missing; expected: groups with names, or edges"),
    ],
)
def test_hidden_columns_need_groups_whose_names_records_may_have(column: str, feature: Any, said: str) -> None:
    features = [*VALID["features"], *([{"name": column, "expression": feature}] if feature else [])]
    document = {**VALID, "features": features, "privacy": HIDES, "fairness": {"columns": [column]}}
    if column == "customer":
        document["fairness"]["columns"].append("sex")
        document["fairness"]["groups"] = {"sex": {"women": ["f"]}}
    if feature:
        document["features"].append("sex")
    found = [str(each) for each in spec_errors(document)]
    assert len(found) == 1
    assert found[0].startswith(said)
    named = {"columns": [column, "sex"], "groups": {each: {"a": ["x"]} for each in (column, "sex")}}
    assert list(spec_errors({**document, "fairness": named})) == []


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({}, "fairness.columns"),
        ({"columns": []}, "fairness.columns"),
        ({"columns": [["sex"]]}, "fairness.columns[0]"),
        ({"columns": ["sex"], "max_groups": 10_000}, "fairness.max_groups"),
        ({"columns": ["sex"], "min_n": 0}, "fairness.min_n"),
        ({"columns": ["sex"], "groups": {"sex": "f"}}, "fairness.groups.sex"),
    ],
)
def test_shapes_are_checked_by_the_schema(section: Any, path: str) -> None:
    assert [each.path for each in all_errors({**VALID, "fairness": section}, "job")] == [path]
