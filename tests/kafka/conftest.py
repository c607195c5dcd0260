"""One broker for all tests of a session: an open listener, and secured ones with a certificate of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from runners.flink.local.broker import KafkaBroker, Security
from runners.flink.local.parts import kafka_jars, registry_jar
from runners.flink.local.registry import RegistryServer
from tests.kafka.topics import Topics
from tests.servers import skipped_without

USERS = {"job": "sesame-1", "guest": "sesame-2"}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who signs the broker's certificate."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ready_broker(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[KafkaBroker]:
    """A broker that runs at the start of the session."""
    with skipped_without("no Kafka broker", "java", "mvn"):
        kafka_jars()
    folder = tmp_path_factory.mktemp("kafka")
    with KafkaBroker(folder, Security(_certificate(authority, folder / "broker.pem"), USERS)) as started:
        yield started


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A schema registry."""
    with skipped_without("no schema registry", "java", "mvn"):
        registry_jar()
    with RegistryServer(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
def broker(ready_broker: KafkaBroker) -> KafkaBroker:
    """The broker, restarted if the test before stopped it."""
    if ready_broker.process is None:
        ready_broker.start()
    return ready_broker


@pytest.fixture
def topics(broker: KafkaBroker) -> Topics:
    """Makes topics and their records."""
    return Topics(broker)


def _certificate(authority: trustme.CA, path: Path) -> Path:
    """A PEM file as Kafka reads it: the key in PKCS #8, then the chain."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
    return path
