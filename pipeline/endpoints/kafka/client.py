"""What all Kafka clients share: settings, secrets from the environment, and the handling of their errors."""

import logging
import os
import re
import time
from typing import Any

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.kafka.address import KafkaAddress, variable_of

_LOG = logging.getLogger(__name__)
# librdkafka reports every failed attempt to connect, many per second; one line per minute is enough.
_REPEAT_SECONDS = 60.0
_DEFAULT_GROUP = "halflife"
# Prefetched per consumer; librdkafka's default is 64 MB, and a process may hold several.
_AHEAD_KB = 16_384
# How long the broker may wait for records to come: what is asked meanwhile, such as for the end of a partition, waits
# too, and who reads up to an end that is there does not wait for records.
_SHORT_WAIT_MS = 20
LARGEST_RECORD = 32 * 1024 * 1024
_VARYING = re.compile(r"\(after \d+ms.*|\d+/\d+ brokers|ipv[46]#\S+")


class TopicUnreadable(NoInput):
    """The broker does not answer or refuses, or the topic is not there; the message names both."""


def client_settings(address: KafkaAddress) -> dict[str, Any]:
    """librdkafka's settings for any client of this address, with secrets from this process's environment.

    Raises `TopicUnreadable` where a variable that the address names is not set.
    """
    found = {name: value_of(name, value, address) for name, value in address.client}
    return {"bootstrap.servers": address.bootstrap, "log_level": 2, **found}


def consumer_settings(address: KafkaAddress) -> dict[str, Any]:
    """librdkafka's settings for a consumer of this address. Raises `TopicUnreadable` for a secret that is not set."""
    return {
        "group.id": address.group or _DEFAULT_GROUP,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        # An offset that no longer exists is an error to handle, not to be skipped silently.
        "auto.offset.reset": "error",
        # Off by default in librdkafka: damaged records would count as good ones.
        "check.crcs": True,
        "queued.max.messages.kbytes": _AHEAD_KB,
        "fetch.message.max.bytes": LARGEST_RECORD,
        "receive.message.max.bytes": 2 * LARGEST_RECORD,
        **({"fetch.wait.max.ms": _SHORT_WAIT_MS} if address.bounded else {}),
    } | client_settings(address)


def value_of(name: str, value: str, address: KafkaAddress) -> str:
    """A setting's value, from this process's environment where it is `${NAME}`. Raises `TopicUnreadable`."""
    variable = variable_of(value)
    if variable is None:
        return value
    if not os.environ.get(variable):
        unset = f"{address.public}: environment variable {variable} for {name} is not set"
        raise TopicUnreadable(f"{unset}; next: export {variable}=…")
    return os.environ[variable]


def refused_setting(address: KafkaAddress, error: Exception) -> TopicUnreadable:
    """A client's error for a setting that it does not know, or whose value is not allowed."""
    said = error.args[0].str() if hasattr(error.args[0], "str") else str(error)
    return TopicUnreadable(f"{address.public}: {said}")


class Troubles:
    """Errors that a client reports from the background: logged without repetition, and kept to explain why nothing
    arrived.

    `lasting` is an error that waiting will not cure, `latest` the last one that concerns the broker.
    """

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._said: dict[str, float] = {}
        self.lasting, self.latest = "", ""

    def heard(self, error: Any) -> None:
        """Handles an error from librdkafka's error callback, or one returned instead of a record."""
        from confluent_kafka import KafkaError

        lasting = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION)
        text = error.str()
        if error.fatal() or error.code() in lasting:
            self.lasting = text
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.latest = text
        pattern, now = _VARYING.sub("", text), time.monotonic()
        if now - self._said.get(pattern, -_REPEAT_SECONDS) >= _REPEAT_SECONDS:
            self._said[pattern] = now
            _LOG.warning("%s: %s", self._address.public, text)

    def check(self) -> None:
        """Raises `TopicUnreadable` for an error that waiting will not cure."""
        if self.lasting:
            raise TopicUnreadable(f"{self._address.public}: {self.lasting}")
