"""What the doctor says of topics is what the broker says: they are there, hold so much, may be read or written."""

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not declared so
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from pipeline.endpoints.kafka.sink import TopicUnwritable
from pipeline.endpoints.sources import Topic
from pipeline.preflight.labels import check_labels
from pipeline.preflight.probes import check_sink, check_source, count_events
from runners.findings import Finding
from schemas.job import EventsSpec
from schemas.times import now_us
from tests.kafka.conftest import USERS
from tests.kafka.topics import Topics, event

SPEC = EventsSpec("", "json", "id", "at", None, 0, (("delay", "number"),), (0, 2 * now_us()), "us")
PASSWORD = "HALFLIFE_KAFKA_PASSWORD"
SASL = "?security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username=job&sasl.password=${" + PASSWORD + "}"


@pytest.fixture
def topic(topics: Topics) -> str:
    """A topic with three events in two partitions."""
    made = topics.create(partitions=2)
    topics.write(made, [event(1), event(2)])
    topics.write(made, [event(3)], partition=1)
    return made


@pytest.fixture
def read_only(topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The topic, where the user `job` may read and do nothing else."""
    monkeypatch.setenv(PASSWORD, USERS["job"])
    any_user = ("User:job", "*", AclOperation.READ, AclPermissionType.ALLOW)
    binding = AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, *any_user)
    admin = AdminClient({"bootstrap.servers": topics.broker.bootstrap})
    for made in admin.create_acls([binding]).values():
        made.result(30)
    return topic


def by_check(findings: Iterator[Finding]) -> dict[str, str]:
    return {each.check: each.verdict for each in findings}


def test_topic_is_read_and_counted(topics: Topics, topic: str) -> None:
    source = Topic(topics.address(topic, "?until=latest"), "json")
    assert by_check(check_source(source)) == {"events.uri": "ok", "events.uri rights": "ok"}
    assert count_events(source) == 3
    assert count_events(Topic(topics.address(topic), "json")) is None


@pytest.mark.parametrize("horizon", ["1h", None])
def test_labels_of_a_stream_are_read_from_their_topic(topics: Topics, topic: str, horizon: str | None) -> None:
    uri = f"kafka://{topics.broker.bootstrap}/{topic}"
    own = {"uri": uri, "format": "json", "event_id": "id", "event_time": "at"}
    labels = own | {"column": "delay", "positive": "> 1"} | ({"horizon": horizon} if horizon else {})
    document = {"events": own, "labels": labels, "sinks": {"quality": "q"}}
    found = {each.check: each for each in check_labels(document, Topic(topics.address(topic), "json"), SPEC)}
    verdicts = {"labels.uri": "ok", "labels.uri rights": "ok", "labels": "ok", "labels of events": "ok"}
    verdicts["labels.horizon"] = "ok" if horizon else "fail"
    assert by_check(iter(found.values())) == verdicts
    assert found["labels"].found == "3 records of a sample: 2 true and 1 false labels"


def test_a_topic_of_labels_that_is_empty_now_is_no_failure(topics: Topics, topic: str) -> None:
    uri = f"kafka://{topics.broker.bootstrap}/{topics.create()}"
    own = {"format": "json", "event_id": "id", "event_time": "at"}
    labels = own | {"uri": uri, "column": "delay", "horizon": "1h"}
    events = own | {"uri": f"kafka://{topics.broker.bootstrap}/{topic}"}
    found = check_labels({"events": events, "labels": labels}, Topic(topics.address(topic), "json"), SPEC)
    assert by_check(found) == {"labels.uri": "ok", "labels.uri rights": "ok"}


def test_topic_that_may_be_read_is_no_sink(topics: Topics, read_only: str) -> None:
    hosts = topics.broker.secured("SASL_PLAINTEXT")
    source = Topic(topics.address(read_only, SASL, "SASL_PLAINTEXT"), "json")
    assert by_check(check_source(source)) == {"events.uri": "ok", "events.uri rights": "ok"}
    sink = by_check(check_sink("sinks.scores", f"kafka://{hosts}/{read_only}{SASL}", "Score"))
    assert sink == {"sinks.scores": "ok", "sinks.scores rights": "fail"}


def test_sink_leaves_no_record_behind(topics: Topics, topic: str) -> None:
    uri = f"kafka://{topics.broker.bootstrap}/{topic}"
    assert by_check(check_sink("sinks.scores", uri, "Score")) == {"sinks.scores": "ok", "sinks.scores rights": "ok"}
    assert len(topics.read(topic)) == 3


def test_topic_that_is_not_there_is_no_sink(topics: Topics) -> None:
    uri = f"kafka://{topics.broker.bootstrap}/absent-{uuid.uuid4().hex}"
    with pytest.raises(TopicUnwritable, match="absent-"):
        list(check_sink("sinks.scores", uri, "Score"))
