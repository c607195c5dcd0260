"""Brokers that do not answer, refuse, or go away: the job ends with one clear line, or waits."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from pipeline.endpoints.kafka import readers as kafka_readers
from pipeline.endpoints.kafka.address import KafkaAddress, kafka_address
from pipeline.endpoints.kafka.client import TopicUnreadable
from pipeline.endpoints.kafka.source import check_readable
from pipeline.run import run
from runners.flink.local.processes import free_port
from tests.kafka.conftest import USERS
from tests.kafka.reading import opened, read_until
from tests.kafka.topics import Topics, event

PASSWORD = "HALFLIFE_KAFKA_PASSWORD"
SASL = "sasl.mechanism=PLAIN&sasl.password=${" + PASSWORD + "}"
Secured = Callable[[str, str], KafkaAddress]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which nothing will answer: shorter timeouts."""
    monkeypatch.setattr(kafka_readers, "_ANSWER_SECONDS", 3.0)


@pytest.fixture
def topic(topics: Topics) -> str:
    """A topic with two events that `job` may read and `guest` may not."""
    made = topics.create()
    topics.write(made, [event(0), event(1)])
    topics.allow(made, "job")
    return made


@pytest.fixture
def secured(topics: Topics, topic: str, authority: trustme.CA, tmp_path: Path) -> Secured:
    """The topic's address by a secured listener; the query goes on after the protocol and the authority's file."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def address(protocol: str, query: str) -> KafkaAddress:
        trusted = f"&ssl.ca.location={tmp_path}/ca.pem" if "SSL" in protocol else ""
        return topics.address(topic, f"?security.protocol={protocol}{trusted}&{query}", protocol)

    return address


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_user_with_rights_reads(secured: Secured, monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    monkeypatch.setenv(PASSWORD, USERS["job"])
    with opened(secured(protocol, f"{SASL}&sasl.username=job")) as reader:
        reader.seek(reader.start_offsets())
        assert [record.value for record in read_until(reader, {0: 2}).records] == [event(0), event(1)]


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_wrong_password_is_reported_at_once_and_not_shown(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setenv(PASSWORD, "open-says-me")
    monkeypatch.setattr(kafka_readers, "_ANSWER_SECONDS", 60.0)  # the test would take that long if it waited
    with pytest.raises(TopicUnreadable, match=r"Authentication failed: Invalid username or password") as refused:
        check_readable(secured(protocol, f"{SASL}&sasl.username=job"))
    assert "open-says-me" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_user_without_rights_gets_an_error_with_the_topic(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, USERS["guest"])
    with pytest.raises(TopicUnreadable, match=r"the topic cannot be read \(Broker: Topic authorization failed\)"):
        check_readable(secured("SASL_PLAINTEXT", f"{SASL}&sasl.username=guest"))


@pytest.mark.usefixtures("impatient")
def test_certificate_of_an_unknown_authority_is_refused(topics: Topics, topic: str) -> None:
    with pytest.raises(TopicUnreadable, match="certificate could not be verified"):
        check_readable(topics.address(topic, "?security.protocol=SSL", "SSL"))


def test_known_authority_is_enough_for_tls(secured: Secured) -> None:
    with opened(secured("SSL", "client.id=halflife")) as reader:
        assert reader.start_offsets() == {0: 0}


def test_password_that_is_not_in_the_environment_is_named(secured: Secured) -> None:
    with pytest.raises(TopicUnreadable, match=f"environment variable {PASSWORD} for sasl.password is not set"):
        check_readable(secured("SASL_PLAINTEXT", f"{SASL}&sasl.username=job"))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("security.protocol=HUSH", 'Invalid value "HUSH" for configuration property "security.protocol"'),
        ("fetch.colour=red", 'No such configuration property: "fetch.colour"'),
    ],
)
def test_setting_that_librdkafka_does_not_know_is_named(topics: Topics, query: str, said: str) -> None:
    with pytest.raises(TopicUnreadable, match=said):
        check_readable(topics.address("any", f"?{query}"))


def test_missing_topic_is_named(topics: Topics) -> None:
    with pytest.raises(TopicUnreadable, match=r"/no-such-topic: the topic cannot be read .*Unknown topic"):
        check_readable(topics.address("no-such-topic"))


@pytest.mark.usefixtures("impatient")
def test_nothing_listening_is_reported() -> None:
    port = free_port()
    with pytest.raises(TopicUnreadable, match=rf"127.0.0.1:{port}/flights: .*Connection refused"):
        check_readable(kafka_address(f"kafka://127.0.0.1:{port}/flights", "events.uri"))


@pytest.mark.usefixtures("impatient")
def test_job_without_a_broker_ends_with_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    code = run(["--set", f"events.uri=kafka://127.0.0.1:{port}/flights", "--set", "events.format=json"])
    assert code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"halflife: kafka://127.0.0.1:{port}/flights: the broker does not answer (")


def test_avro_topic_without_a_schema_is_refused_before_anyone_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--set", "events.uri=kafka://127.0.0.1:1/flights", "--set", "events.format=avro"]) == 2
    assert "expected: schema=FILE with the records' schema, or registry=URL" in capsys.readouterr().err


def test_broker_that_dies_is_waited_for_and_its_partitions_are_not_idle(
    topics: Topics, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with opened(topics.address(topic, "?idle_after=1s&reconnect.backoff.max.ms=500")) as reader:
        reader.seek({0: 0})
        records = read_until(reader, {0: 2}).records
        topics.broker.kill()
        refused = 0
        while refused < 15:  # longer than idle_after, in polls without an answer
            assert reader.poll(100, 0.1).records == []
            refused += "Connection refused" in caplog.text
        assert reader.idle() == set()
        topics.broker.start()
        topics.write(topic, [event(2)])
        records += read_until(reader, {0: 3}).records
        while reader.idle() != {0}:  # it ends when the end of the partition is known again
            assert reader.poll(100, 0.1).records == []
    assert [record.value for record in records] == [event(0), event(1), event(2)]
    assert caplog.text.count("Connection refused") < 5


def test_topic_that_is_deleted_while_it_is_read_is_a_clear_error(topics: Topics, topic: str) -> None:
    with opened(topics.address(topic, "?topic.metadata.propagation.max.ms=1000")) as reader:
        reader.seek({0: 0})
        read_until(reader, {0: 2})
        topics.delete(topic)
        with pytest.raises(TopicUnreadable, match=rf"{topic}: .*[Uu]nknown (topic|partition)"):
            read_until(reader, {0: 3})
