"""The privacy of a spec: what a valid one says; no odd value in it ends in anything but a line for each fault."""

from itertools import product
from typing import Any

import pytest

from pipeline.spec.job import parse_job
from pipeline.spec.privacy import privacy_errors
from schemas.job import PrivacySpec

VALID: dict[str, Any] = {
    "job": "loans",
    "events": {"uri": "/in", "format": "json", "event_id": "loan", "event_time": "at", "subject": "customer"},
    "features": ["income", "iban"],
    "model": {"name": "loans", "store": "/models"},
}
COLUMNS = {"income": "number", "iban": "string"}
ODD: list[Any] = [None, 0, "", "x", [], {}, [[]], [None], {"a": 1}, True]


@pytest.mark.parametrize(
    ("section", "meant"),
    [
        ({"keys": "/keys"}, PrivacySpec("/keys", (), False)),
        ({"keys": "s3://k/a", "hide": ["event_id", "iban", "loan"]}, PrivacySpec("s3://k/a", ("loan", "iban"), False)),
        ({"keys": "/keys", "hide": ["customer"], "after_erasure": "refuse"}, PrivacySpec("/keys", ("customer",), True)),
    ],
)
def test_valid_section_is_read(section: Any, meant: PrivacySpec) -> None:
    assert parse_job({**VALID, "privacy": section}, COLUMNS).privacy == meant
    assert parse_job(VALID, COLUMNS).privacy is None


@pytest.mark.parametrize(
    ("keys", "other"), [("/k", "/k"), ("/k", "/k/scores"), ("/out/k", "/out"), ("s3://b/k", "s3://b")]
)
def test_keys_beside_other_data_are_refused(keys: str, other: str) -> None:
    for section, key in (("sinks", "audit"), ("model", "store"), ("events", "uri")):
        document = {**VALID, "privacy": {"keys": keys}, section: {**VALID.get(section, {}), key: other}}
        (found,) = privacy_errors(document, set(COLUMNS))
        assert str(found).startswith(
            f"privacy.keys: '{keys}' is not allowed; expected: a folder or bucket apart from {section}.{key}"
        )
    assert list(privacy_errors({**VALID, "privacy": {"keys": f"{other}eys"}, "sinks": {"audit": other}}, ())) == []


def test_odd_values_are_left_to_the_schema() -> None:
    for keys, hide, segments, events in product(ODD, repeat=4):
        document = {"privacy": {"keys": keys, "hide": hide}, "drift": {"segments": segments}, "events": events}
        assert {each.path.partition("[")[0] for each in privacy_errors(document, {"a"})} <= {
            *("privacy.keys", "privacy.hide", "events.subject"),
        }


@pytest.mark.parametrize(
    ("segment", "expression", "said"),
    [
        ("customer", None, "drift.segments[0]: 'customer' is not allowed; expected: another column than that of the"),
        ("bank", "substr(iban, 0, 4)", "expected: a column that does not follow from iban: drift statistics have its"),
        ("rich", "bank2 = 'x'", "expected: a column that does not follow from iban: drift statistics have its values"),
        ("income", None, ""),
    ],
)
def test_no_segment_has_values_of_a_person(segment: str, expression: str | None, said: str) -> None:
    computed = [{"name": segment, "expression": expression}] if expression else []
    others = [{"name": "bank2", "expression": "lower(iban)"}]
    privacy, drift = {"keys": "/keys", "hide": ["iban"]}, {"segments": [segment]}
    document = {**VALID, "features": [*computed, *others, "income"], "privacy": privacy, "drift": drift}
    assert [said in str(each) for each in privacy_errors(document, set(COLUMNS))] == ([True] if said else [])


@pytest.mark.parametrize(
    ("hide", "on", "segment", "said"),
    [
        (["bank.owner"], "iban", "bank.owner", "privacy.hide[0]: 'bank.owner' is not allowed; expected: a column that"),
        (["iban"], "iban", "bank.owner", "drift.segments[0]: 'bank.owner' is not allowed; expected: a column that"),
        (["iban"], ["income", "iban"], "first", "expected: a column that does not follow from iban: drift statistics"),
        (["bank.owner"], "income", "first", "expected: a column that does not follow from bank.owner: drift"),
        (["bank.owner"], "income", "bank.country", ""),
        (["iban"], "income", "first", ""),
        (["bank.name"], "income", "bank.country", "'bank.name' is not allowed; expected: event_id, or a column that"),
    ],
)
def test_columns_of_tables_are_hidden_and_no_segment_has_them(hide: Any, on: Any, segment: str, said: str) -> None:
    bank = {"name": "bank", "table": {"uri": "/banks", "key": "iban"}, "on": on, "columns": ["owner", "country"]}
    first = {"name": "first", "expression": "substr(bank.owner, 0, 4)"}
    document = {**VALID, "features": [first, "income"], "lookups": [bank], "drift": {"segments": [segment]}}
    errors = privacy_errors({**document, "privacy": {"keys": "/keys", "hide": hide}}, set(COLUMNS))
    assert [said in str(each) for each in errors] == ([True] if said else [])
