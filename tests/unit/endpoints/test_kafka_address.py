"""Topics as URIs: what they say, and what is wrong with those that are refused."""

from pathlib import Path

import pytest

from pipeline.endpoints.kafka_address import KafkaAddress, kafka_address
from schemas.validation import SpecError


def test_hosts_topic_and_options() -> None:
    address = kafka_address("kafka://a:9092,b:9093/flights?start=latest&idle_after=5s&group=g", "events.uri")
    assert address == KafkaAddress("a:9092,b:9093", "flights", "latest", group="g", idle_after_us=5_000_000)
    assert address.public == "kafka://a:9092,b:9093/flights"


def test_folder_below_a_topic_is_a_topic_of_its_own() -> None:
    assert kafka_address("kafka://a:1/audit/receipts", "sinks.audit").topic == "audit.receipts"


def test_secrets_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "client.properties").write_text("# comment\nsasl.password=a=b\nsecurity.protocol = SSL\n")
    address = kafka_address(f"kafka://a:1/t?config={tmp_path}/client.properties", "events.uri")
    assert address.client == (("sasl.password", "a=b"), ("security.protocol", "SSL"))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("kafka://a/t", "events.uri: 'kafka://a/t' is not allowed; allowed: kafka://host:port/topic"),
        ("kafka://a:1/", "allowed: kafka://host:port/topic"),
        ("kafka://a:1/t?start=soon", "events.uri?start: 'soon' is not allowed; allowed: earliest, latest,"),
        ("kafka://a:1/t?start=committed", "together with group"),
        ("kafka://a:1/t?until=noon", "events.uri?until: 'noon' is not allowed; allowed: latest"),
        ("kafka://a:1/t?idle_after=soon", "a duration such as 30s"),
        ("kafka://a:1/t?colour=red", "events.uri?colour: 'red' is not allowed; allowed: one of start, until"),
        ("kafka://a:1/t?config=/nowhere", "a readable file"),
    ],
)
def test_refused_uri_names_the_option_and_what_is_allowed(uri: str, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        kafka_address(uri, "events.uri")
    assert said in str(refused.value)


def test_password_in_a_uri_is_refused_and_not_repeated() -> None:
    with pytest.raises(SpecError) as refused:
        kafka_address("kafka://a:1/t?sasl.password=hunter2", "events.uri")
    assert "hunter2" not in str(refused.value)
    assert "config=FILE" in str(refused.value)
