"""Valid Pub/Sub URIs; all others are refused with the spec path, the value and what is allowed."""

from pathlib import Path

import pytest

from pipeline.endpoints.pubsub.address import check_events, sink_address, source_address
from schemas.validation import SpecError

TIMED = "pubsub://my-project/trips?timestamp_attribute=at"


def test_name_is_a_subscription_for_events_and_a_topic_for_a_sink() -> None:
    assert source_address(TIMED, "events.uri").path == "projects/my-project/subscriptions/trips"
    assert sink_address("pubsub://my-project/trips", "sinks.scores").path == "projects/my-project/topics/trips"


def test_kind_may_be_stated_and_a_project_may_belong_to_a_domain() -> None:
    uri = "pubsub://example.com:my-project/topics/trips?timestamp_attribute=at&id_attribute=key"
    address = source_address(uri, "events.uri")
    assert (address.path, address.id_attribute) == ("projects/example.com:my-project/topics/trips", "key")
    assert address.public == "pubsub://example.com:my-project/topics/trips"


def test_folder_below_a_sink_is_a_topic_of_its_own() -> None:
    assert sink_address("pubsub://my-project/audit/receipts", "sinks.audit").name == "audit.receipts"


def test_schema_is_read_where_the_job_starts(tmp_path: Path) -> None:
    schema = '{"type": "record", "name": "Trip", "fields": [{"name": "id", "type": "string"}]}'
    (tmp_path / "trip.avsc").write_text(schema, encoding="utf-8")
    address = source_address(f"{TIMED}&schema={tmp_path}/trip.avsc", "events.uri")
    assert address.schema == schema


@pytest.mark.parametrize("schema", ['{"type": "string"}', '{"type": "array", "items": ' * 2_000, "not json"])
def test_schema_that_no_event_can_be_read_by_is_refused_where_the_job_starts(tmp_path: Path, schema: str) -> None:
    (tmp_path / "trip.avsc").write_text(schema, encoding="utf-8")
    with pytest.raises(SpecError, match="a file with the Avro schema of a record"):
        source_address(f"{TIMED}&schema={tmp_path}/trip.avsc", "events.uri")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("pubsub://my-project", "events.uri: 'pubsub://my-project' is not allowed; expected: pubsub://project/subsc"),
        ("pubsub://UPPER/trips", "events.uri: 'pubsub://UPPER/trips'"),
        ("pubsub://my-project/t?timestamp_attribute=at", "events.uri: 't' is not allowed; allowed: 3 to 255 letters"),
        ("pubsub://my-project/google?timestamp_attribute=at", "not beginning with goog"),
        ("pubsub://my-project/trips", r"events.uri\?timestamp_attribute: not given"),
        ("pubsub://my-project/trips?timestamp_attribute=", "the name of an attribute"),
        (f"{TIMED}&ack=1", r"events.uri\?ack: '1' is not allowed; allowed: one of timestamp_attribute, id_attribute"),
        (f"{TIMED}&schema=/nowhere/x.avsc", r"events.uri\?schema: '/nowhere/x.avsc' is not allowed; expected: a read"),
    ],
)
def test_wrong_source_is_refused_in_one_line(uri: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        source_address(uri, "events.uri")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("uri", ["pubsub://my-project/subscriptions/trips", "pubsub://my-project/trips?id_attribute=x"])
def test_sink_is_a_topic_without_options(uri: str) -> None:
    with pytest.raises(SpecError, match=r"sinks\.scores: .* expected: pubsub://project/topic, without options"):
        sink_address(uri, "sinks.scores")


def test_columns_and_an_avro_schema_are_stated_since_no_message_is_taken_to_learn_them() -> None:
    address = source_address(TIMED, "events.uri")
    check_events({"format": "json", "columns": {}}, address)
    with pytest.raises(SpecError, match=r"events\.columns: not given"):
        check_events({"format": "json"}, address)
    with pytest.raises(SpecError, match=r"events\.uri\?schema: not given"):
        check_events({"format": "avro", "columns": {}}, address)
