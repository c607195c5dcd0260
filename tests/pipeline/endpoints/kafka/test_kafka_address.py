"""Topics as URIs: what they say, and what is wrong with those that are refused."""

from pathlib import Path

import pytest

from pipeline.endpoints.kafka.address import KafkaAddress, kafka_address
from pipeline.endpoints.kafka.client import TopicUnreadable, client_settings
from schemas.validation import SpecError


def test_hosts_topic_and_options() -> None:
    address = kafka_address("kafka://a:9092,b:9093/flights?start=latest&idle_after=5s&group=g", "events.uri")
    assert address == KafkaAddress("a:9092,b:9093", "flights", "latest", group="g", idle_after_us=5_000_000)
    assert address.public == "kafka://a:9092,b:9093/flights"


def test_folder_below_a_topic_is_a_topic_of_its_own() -> None:
    assert kafka_address("kafka://a:1/audit/receipts", "sinks.audit").topic == "audit.receipts"


def test_settings_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "client.properties").write_text("# comment\nsasl.password=${PASSWORD}\nsecurity.protocol = SSL\n")
    address = kafka_address(f"kafka://a:1/t?config={tmp_path}/client.properties", "events.uri")
    assert address.client == (("sasl.password", "${PASSWORD}"), ("security.protocol", "SSL"))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("kafka://a/t", "events.uri: 'kafka://a/t' is not allowed; expected: kafka://host:port/topic"),
        ("kafka://a:1/", "expected: kafka://host:port/topic"),
        ("kafka://me:secret@a:1/t", "a user in the URI; expected: sasl.username=NAME and sasl.password=${NAME}"),
        ("kafka://token@a:1,b:2/t", "a user in the URI"),
        ("kafka://a:1/t?start=soon", "events.uri?start: 'soon' is not allowed; expected: earliest, latest,"),
        ("kafka://a:1/t?start=committed", "together with group"),
        ("kafka://a:1/t?until=noon", "events.uri?until: 'noon' is not allowed; expected: latest"),
        ("kafka://a:1/t?idle_after=soon", "a duration such as 30s"),
        ("kafka://a:1/t?colour=red", "events.uri?colour: 'red' is not allowed; expected: one of start, until"),
        ("kafka://a:1/t?config=/nowhere", "a readable file"),
        ("kafka://a:1/t?registry=registry:8081", "?registry: 'registry:8081' is not allowed; expected: http(s)://host"),
        ("kafka://a:1/t?registry=http://me:secret@r", "a user in the URL; expected: registry_auth=${NAME}"),
        ("kafka://a:1/t?registry_auth=me:secret", "?registry_auth: a secret in clear; expected: ${NAME}"),
    ],
)
def test_refused_uri_names_the_option_and_what_is_allowed(uri: str, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        kafka_address(uri, "events.uri")
    assert said in str(refused.value)


def test_password_in_clear_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "client.properties").write_text("sasl.password=hunter2\n")
    for query in ("sasl.password=hunter2", f"config={tmp_path}/client.properties"):
        with pytest.raises(SpecError) as refused:
            kafka_address(f"kafka://a:1/t?{query}", "events.uri")
        assert "hunter2" not in str(refused.value)
        assert "a secret in clear; expected: ${NAME}, an environment variable" in str(refused.value)


def test_secret_is_in_the_address_as_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    address = kafka_address("kafka://a:1/t?sasl.password=${HALFLIFE_KAFKA_PASSWORD}", "events.uri")
    with pytest.raises(TopicUnreadable, match=r"variable HALFLIFE_KAFKA_PASSWORD for sasl\.password is not"):
        client_settings(address)
    monkeypatch.setenv("HALFLIFE_KAFKA_PASSWORD", "hunter2")
    assert client_settings(address)["sasl.password"] == "hunter2"
    assert "hunter2" not in repr(address)
