"""An Apache Kafka broker on loopback: one KRaft node that is broker and controller."""

import base64
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from runners.flink.local import parts
from runners.flink.local.processes import LOOPBACK, DidNotStart, Process, Server, answers, free_port

_START_SECONDS = 180.0  # it takes five on an idle machine
_JAVA = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


class BrokerRefused(RuntimeError):
    """The broker did not do what was requested; the message is its own."""


@dataclass(frozen=True, slots=True)
class Security:
    """What the secured listeners need.

    `certificate` is a PEM file with the broker's private key (PKCS #8) and its chain, `users` maps those who may log in
    (SASL PLAIN) to their passwords. Users have no rights of their own: clients of the open listener grant them.
    """

    certificate: Path
    users: Mapping[str, str] = field(repr=False)


SECURED = ("SASL_PLAINTEXT", "SSL", "SASL_SSL")


def properties(folder: Path, port: int, controller_port: int) -> dict[str, str]:
    """`server.properties` of a single node."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "logs"),
        # There is one node: the internal topics cannot have the three copies that are the default.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Consumer groups start at once; there are no other members to wait for.
        "group.initial.rebalance.delay.ms": "0",
        # A misspelt topic must be an error, not a new topic.
        "auto.create.topics.enable": "false",
        # Records replayed from history have the times of their events; they must not be deleted because of their age.
        "log.retention.ms": "-1",
    }


def secured_properties(plain: Mapping[str, str], ports: Mapping[str, int], security: Security) -> dict[str, str]:
    """The properties of a node with a listener for each of `ports` besides the open one."""
    listeners = "".join(f",{protocol}://{LOOPBACK}:{port}" for protocol, port in ports.items())
    protocols = "".join(f",{protocol}:{protocol}" for protocol in ports)
    logins = " ".join(f'user_{name}="{password}"' for name, password in security.users.items())
    login = f"org.apache.kafka.common.security.plain.PlainLoginModule required {logins};"
    sasl = [protocol.lower() for protocol in ports if protocol.startswith("SASL")]
    return {
        **plain,
        "listeners": plain["listeners"] + listeners,
        "advertised.listeners": plain["advertised.listeners"] + listeners,
        "listener.security.protocol.map": plain["listener.security.protocol.map"] + protocols,
        "sasl.enabled.mechanisms": "PLAIN",
        **{f"listener.name.{protocol}.plain.sasl.jaas.config": login for protocol in sasl},
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(security.certificate),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


class KafkaBroker(Server):
    """A broker in `folder`; `start` and `stop`, or a `with` block. Its data survive `kill` and `start`.

    With `security` it listens for `SECURED` protocols too, each on a port of its own.
    """

    def __init__(self, folder: Path, security: Security | None = None) -> None:
        super().__init__(folder)
        self._controller_port = free_port()
        self._security = security
        self._ports = {} if security is None else {protocol: free_port() for protocol in SECURED}

    @property
    def bootstrap(self) -> str:
        """What clients connect to: host and port."""
        return f"{LOOPBACK}:{self.port}"

    def secured(self, protocol: str) -> str:
        """Host and port of the listener for one of `SECURED`."""
        return f"{LOOPBACK}:{self._ports[protocol]}"

    def start(self) -> Self:
        """Formats the storage where it is new and starts. Raises `PartMissing` and `DidNotStart`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.properties"
        if not config.exists():
            found = properties(self.folder, self.port, self._controller_port)
            if self._security is not None:
                found = secured_properties(found, self._ports, self._security)
            config.write_text("".join(f"{name}={value}\n" for name, value in found.items()))
            self._format(config)
        self.process = Process("Kafka", [*self._java(), "kafka.Kafka", str(config)], self.folder / "kafka.log")
        self.process.wait_until(lambda: answers(self.port), _START_SECONDS)
        return self

    def slow_down(self, client_id: str, bytes_per_second: int | None) -> None:
        """Limits the rate of all producers with that `client.id` together; None lifts the limit.

        This is Kafka's own quota: a producer that exceeds it is delayed. Raises `BrokerRefused`.
        """
        quota = "producer_byte_rate"
        change = f"--delete-config={quota}" if bytes_per_second is None else f"--add-config={quota}={bytes_per_second}"
        about = ["--alter", change, "--entity-type=clients", f"--entity-name={client_id}"]
        said = self._ran("kafka.admin.ConfigCommand", f"--bootstrap-server={self.bootstrap}", *about)
        if said is not None:
            raise BrokerRefused(f"{self.bootstrap}: {change}: {said}")

    def _format(self, config: Path) -> None:
        arguments = ["format", f"--cluster-id={_cluster_id()}", "--config", str(config)]
        said = self._ran("kafka.tools.StorageTool", *arguments)
        if said is not None:
            config.unlink()
            raise DidNotStart(f"Kafka's storage could not be formatted: {said}")

    def _ran(self, tool: str, *arguments: str) -> str | None:
        """The message of one of Kafka's own tools when it fails; None when it does not."""
        done = subprocess.run([*self._java(), tool, *arguments], capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()[-300:] if done.returncode else None

    @staticmethod
    def _java() -> list[str]:
        return [parts.java(), *_JAVA, "-cp", f"{parts.kafka_jars()}/libs/*"]


def _cluster_id() -> str:
    """22 characters of base64, as Kafka's own ids are."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
