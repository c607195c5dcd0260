"""What sinks leave in topics: the same keys for the same records, and all of a bundle or an error."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
import trustme
from confluent_kafka import Message

from pipeline.endpoints.kafka import sink as kafka_sink
from pipeline.endpoints.kafka.address import KafkaAddress, kafka_address
from pipeline.endpoints.kafka.sink import KEYS, TopicUnwritable, WriteTopic, check_topic_writable
from runners.direct import bounded_runner
from runners.flink.local.processes import free_port
from schemas.records import DeadLetter, arrow_schema, record_batch
from tests.kafka.conftest import USERS
from tests.kafka.topics import START_US, Topics
from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips


def rows(name: str, count: int, **values: Any) -> pa.RecordBatch:
    """So many records of that name whose fields are their own numbers, but for `values`."""
    schema = arrow_schema(name)
    given = {key: [value] * count for key, value in values.items()}
    columns = [pa.array(given.get(field.name, _numbers(field, count)), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _numbers(field: pa.Field, count: int) -> list[Any]:
    if pa.types.is_string(field.type) or pa.types.is_dictionary(field.type):
        return [f"{field.name}-{number}" for number in range(count)]
    if pa.types.is_list(field.type):
        return [[] for _ in range(count)]
    if pa.types.is_boolean(field.type):
        return [False] * count
    if pa.types.is_timestamp(field.type):
        return [START_US + number for number in range(count)]
    return [float(number) if pa.types.is_floating(field.type) else number for number in range(count)]


def written(topics: Topics, address: KafkaAddress, record: str, *batches: pa.RecordBatch) -> list[Message]:
    """The topic after a pipeline has written batches to it."""
    write(address, record, *batches)
    return topics.read(address.topic)


def write(address: KafkaAddress, record: str, *batches: pa.RecordBatch) -> None:
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        _ = pipeline | beam.Create(list(batches)) | WriteTopic(address, record)


def letter(payload: bytes, detail: str = "why") -> DeadLetter:
    return DeadLetter("decode", "MalformedJson", detail, payload, None, None, START_US)


@pytest.fixture
def target(topics: Topics) -> KafkaAddress:
    return topics.address(topics.create())


@pytest.mark.parametrize("record", ["Score", "ModelEvent", "DriftStatistic", "DeadLetter"])
def test_record_written_twice_has_the_same_key_both_times(topics: Topics, target: KafkaAddress, record: str) -> None:
    batch = record_batch("DeadLetter", [letter(b"a"), letter(b"b")]) if record == "DeadLetter" else rows(record, 2)
    found = written(topics, target, record, batch, batch)
    keys = [message.key() for message in found]
    assert (len(keys), len(set(keys))) == (4, 2)


def test_scores_and_receipts_have_their_score_id_for_a_key(topics: Topics, target: KafkaAddress) -> None:
    assert KEYS["Receipt"] is KEYS["Score"]
    found = written(topics, target, "Score", rows("Score", 3))
    ids = [json.loads(message.value() or b"")["score_id"] for message in found]
    assert [message.key() for message in found] == [one.encode() for one in ids]
    assert sorted(ids) == ["score_id-0", "score_id-1", "score_id-2"]


def test_letters_of_records_without_a_value_have_keys_of_their_own(topics: Topics, target: KafkaAddress) -> None:
    batch = record_batch("DeadLetter", [letter(b"", "t[0]@3: a tombstone"), letter(b"", "t[0]@4: a tombstone")])
    assert len({message.key() for message in written(topics, target, "DeadLetter", batch)}) == 2


def test_letter_too_large_for_the_topic_is_written_without_its_payload(topics: Topics) -> None:
    target = topics.address(topics.create(max_message_bytes="100000"))
    noise = base64.b85encode(bytes(range(256)) * 4000)
    batch = record_batch("DeadLetter", [letter(b"small"), letter(noise, "t[0]@3: bad"), letter(b"smaller")])
    found = {json.loads(message.value() or b"")["payload"]: message for message in topics_of(topics, target, batch)}
    assert set(found) == {base64.b64encode(b"small").decode(), "", base64.b64encode(b"smaller").decode()}
    said = json.loads(found[""].value() or b"")
    assert said["detail"].startswith("t[0]@3: bad; its payload of 1280000 bytes is left out")


def topics_of(topics: Topics, target: KafkaAddress, batch: pa.RecordBatch) -> list[Message]:
    """The topic after letters were written without compression, which would make them small."""
    query = KafkaAddress(target.bootstrap, target.topic, client=(("compression.type", "none"),))
    return written(topics, query, "DeadLetter", batch)


def test_small_records_in_a_batch_too_large_are_all_written(topics: Topics) -> None:
    topic = topics.create(max_message_bytes="3000")
    target = KafkaAddress(topics.broker.bootstrap, topic, client=(("compression.type", "none"), ("linger.ms", "500")))
    found = written(topics, target, "Score", rows("Score", 40))
    assert len({message.key() for message in found}) == 40


def test_any_other_record_too_large_fails_its_bundle(topics: Topics) -> None:
    topic = topics.create(max_message_bytes="3000")
    target = KafkaAddress(topics.broker.bootstrap, topic, client=(("compression.type", "none"),))
    with pytest.raises(Exception, match=r"the topic takes no record of \d+ bytes .*raise its max\.message\.bytes"):
        written(topics, target, "Score", rows("Score", 1, event_id="x" * 9000))


def test_broker_that_is_gone_fails_the_bundle(topics: Topics) -> None:
    hasty = KafkaAddress(f"127.0.0.1:{free_port()}", "scores", client=(("message.timeout.ms", "1500"),))
    with pytest.raises(Exception, match=r"Local: Message timed out \(.*Connection refused"):
        written(topics, hasty, "Score", rows("Score", 2))


def test_broker_that_accepts_no_record_finally_fails_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_sink, "_SILENT_SECONDS", 1.5)
    gone = KafkaAddress(f"127.0.0.1:{free_port()}", "scores")
    with pytest.raises(Exception, match=r"no record acknowledged for 2 s, 2 wait \(.*Connection refused"):
        write(gone, "Score", rows("Score", 2))


def test_sink_waits_for_a_slow_broker_as_long_as_it_accepts_records(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The quota is over the last ten seconds: after a burst the broker accepts nothing for up to four.
    monkeypatch.setattr(kafka_sink, "_SILENT_SECONDS", 6.0)
    topic = topics.create()
    small = (("client.id", topic), ("compression.type", "none"), ("batch.size", "2000"))
    topics.broker.slow_down(topic, 8_000)
    began = time.monotonic()
    found = written(topics, KafkaAddress(topics.broker.bootstrap, topic, client=small), "Score", rows("Score", 500))
    assert time.monotonic() - began > 2 * kafka_sink._SILENT_SECONDS
    assert len({message.key() for message in found}) == 500


def test_topic_that_does_not_exist_is_named_before_the_job_starts(topics: Topics) -> None:
    with pytest.raises(TopicUnwritable, match=r"sinks.scores: kafka://.*/no-such cannot be written .*Unknown topic"):
        check_topic_writable(topics.address("no-such"), "sinks.scores")


def test_wrong_password_of_a_sink_is_reported_at_once(
    topics: Topics, target: KafkaAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFLIFE_KAFKA_PASSWORD", USERS["guest"])
    query = "?security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username=job"
    address = topics.address(target.topic, query + "&sasl.password=${HALFLIFE_KAFKA_PASSWORD}", "SASL_PLAINTEXT")
    with pytest.raises(TopicUnwritable, match="Authentication failed: Invalid username or password"):
        check_topic_writable(address, "sinks.scores")


def test_scores_reach_a_topic_by_tls_and_password(
    topics: Topics, target: KafkaAddress, authority: trustme.CA, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFLIFE_KAFKA_PASSWORD", USERS["job"])
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    topics.allow(target.topic, "job")
    query = f"?security.protocol=SASL_SSL&ssl.ca.location={tmp_path}/ca.pem&sasl.mechanism=PLAIN&sasl.username=job"
    address = topics.address(target.topic, query + "&sasl.password=${HALFLIFE_KAFKA_PASSWORD}", "SASL_SSL")
    check_topic_writable(address, "sinks.scores")
    assert len(written(topics, address, "Score", rows("Score", 3))) == 3


def test_sink_without_a_broker_says_who_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_sink, "_ANSWER_SECONDS", 1.0)
    with pytest.raises(TopicUnwritable, match=r"the broker does not answer .*Connection refused"):
        check_topic_writable(kafka_address(f"kafka://127.0.0.1:{free_port()}/t", "sinks.scores"), "sinks.scores")


@pytest.mark.parametrize("policy", ["new", "replace"])
def test_content_of_a_topic_is_not_examined_with_a_note(
    topics: Topics, target: KafkaAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    flow = Flow(tmp_path, capsys)
    flow.publish()
    flow.feed(json_lines(trips(5)))
    spec = flow.spec()
    spec["sinks"]["scores"] = target.public
    assert flow.run(spec).err == ""
    del spec["sinks"]["drift"], spec["sinks"]["dead_letters"]
    spec["sinks"]["audit"] += "2"
    outcome = flow.run(spec, "--sinks", policy)
    assert outcome.code == 0
    assert said_nothing_of_python(outcome)
    assert f"--sinks {policy} is about files" in outcome.err
    assert f"sinks.scores: {target.public}" in outcome.err
    assert len(topics.read(target.topic)) == 10
