"""Topics as URIs: `kafka://host:port[,host:port…]/topic?start=…&until=latest&group=…&idle_after=30s&schema=FILE`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from schemas.avro.schema import MalformedSchema, vetted
from schemas.expectations import did_you_mean
from schemas.times import MalformedTime, parse_duration_us, parse_time_us
from schemas.validation import Absent, SpecError

SCHEME = "kafka"
EARLIEST, LATEST, COMMITTED = "earliest", "latest", "committed"
FAIL, WARN = "fail", "warn"
_FORM = "kafka://host:port/topic"
_STARTS = (EARLIEST, LATEST, COMMITTED)
_IDLE_AFTER = "30s"
# URIs appear in logs and summaries, and the graph, with all settings in it, on the runner's web pages.
_SECRETS = ("password", "secret", "jaas", "key.pem", "oauthbearer.config")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """One topic and how it is read. `client` are librdkafka's own settings, `schema` an Avro schema (JSON).

    `registry` is the URL of a schema registry: values begin with the number of their schema there. A value `${NAME}`
    stands for an environment variable of the process that connects; that of `registry_auth` contains `user:password`.
    """

    bootstrap: str
    topic: str
    start: str = EARLIEST
    bounded: bool = False
    group: str | None = None
    idle_after_us: int = 30_000_000
    schema: str = ""
    registry: str = ""
    registry_auth: str = ""
    client: tuple[tuple[str, str], ...] = ()
    on_gap: str = ""

    @property
    def gap_fails(self) -> bool:
        """Whether records that the broker deleted before they were read fail the job; by default they fail a bounded
        one."""
        return self.on_gap == FAIL or (self.bounded and not self.on_gap)

    @property
    def public(self) -> str:
        """The URI without its options."""
        return f"{SCHEME}://{self.bootstrap}/{self.topic}"


def variable_of(value: str) -> str | None:
    """The environment variable that a setting's value `${NAME}` stands for."""
    found = _VARIABLE.fullmatch(value)
    return found.group(1) if found else None


def kafka_address(uri: str, spec_path: str) -> KafkaAddress:
    """The topic of a URI; `spec_path` is its key in the job spec.

    Dotted options (`security.protocol=SSL`) go to librdkafka; `config` names a file of such lines.

    Raises:
        SpecError: no topic, an unknown option, a secret in clear, a file that cannot be read.
    """
    parts = urlsplit(uri)
    topic = parts.path.strip("/").replace("/", ".")  # a sink's sub-folder is a topic of its own
    hosts = parts.netloc.split(",")
    if "@" in parts.netloc:  # librdkafka would read it as a part of the host's name, and print it
        expected = "sasl.username=NAME and sasl.password=${NAME}, a variable"
        raise SpecError(spec_path, Absent("a user in the URI"), expected)
    if not topic or any(not host.rpartition(":")[2].isdigit() or not host.rpartition(":")[0] for host in hosts):
        raise SpecError(spec_path, uri, _FORM)
    address = KafkaAddress(parts.netloc, topic)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        address = _with_option(address, name, value, f"{spec_path}?{name}")
    if address.start == COMMITTED and address.group is None:
        raise SpecError(f"{spec_path}?start", COMMITTED, "together with group, whose offsets were committed")
    if address.registry and address.schema:
        raise SpecError(f"{spec_path}?schema", Absent("given besides registry"), "one of the two")
    return address


def _with_option(address: KafkaAddress, name: str, value: str, spec_path: str) -> KafkaAddress:
    if name == "config":
        return replace(address, client=address.client + _properties(_read(value, spec_path), spec_path))
    if name in _FIELDS:
        field, parse = _FIELDS[name]
        return replace(address, **{field: parse(value, spec_path)})
    if "." not in name:
        known = [*_FIELDS, "config"]
        allowed = f"one of {', '.join(known)}, or a dotted option of librdkafka{did_you_mean(name, known)}"
        raise SpecError(spec_path, value, allowed)
    return replace(address, client=(*address.client, (name, _not_in_clear(name, value, spec_path))))


def _not_in_clear(name: str, value: str, spec_path: str) -> str:
    if any(secret in name for secret in _SECRETS) and variable_of(value) is None:
        raise SpecError(spec_path, Absent("a secret in clear"), "${NAME}, an environment variable of the job's workers")
    return value


def _start(value: str, spec_path: str) -> str:
    if value not in _STARTS:
        try:
            parse_time_us(value)
        except MalformedTime:
            raise SpecError(spec_path, value, f"{', '.join(_STARTS)} or an RFC 3339 time") from None
    return value


def _until(value: str, spec_path: str) -> bool:
    if value != LATEST:
        raise SpecError(spec_path, value, LATEST)
    return True


def _on_gap(value: str, spec_path: str) -> str:
    if value not in (FAIL, WARN):
        raise SpecError(spec_path, value, f"{FAIL}, {WARN}")
    return value


def _idle_after(value: str, spec_path: str) -> int:
    try:
        return parse_duration_us(value)
    except (MalformedTime, ValueError):
        raise SpecError(spec_path, value, f"a duration such as {_IDLE_AFTER}") from None


def _registry(value: str, spec_path: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SpecError(spec_path, value, "http(s)://host[:port][/path]")
    if "@" in parts.netloc:
        raise SpecError(spec_path, Absent("a user in the URL"), "registry_auth=${NAME}, a variable with user:password")
    return urlunsplit(parts).rstrip("/")


def _read(path: str, spec_path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(spec_path, path, f"a readable file ({error})") from None


def _schema(path: str, spec_path: str) -> str:
    text = _read(path, spec_path)
    try:
        vetted(text)
    except MalformedSchema as error:
        raise SpecError(spec_path, path, f"a file with the Avro schema of a record ({error})") from None
    return text


def _properties(text: str, spec_path: str) -> tuple[tuple[str, str], ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pairs = [line.partition("=") for line in lines]
    if not all(separator for _, separator, _ in pairs):
        raise SpecError(spec_path, Absent("a line without ="), "lines of name=value")
    settings = [(name.strip(), value.strip()) for name, _, value in pairs]
    return tuple((name, _not_in_clear(name, value, f"{spec_path}: {name}")) for name, value in settings)


# The field that each option sets, and the function that reads it.
_FIELDS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "start": ("start", _start),
    "until": ("bounded", _until),
    "on_gap": ("on_gap", _on_gap),
    "group": ("group", lambda value, spec_path: value or None),
    "idle_after": ("idle_after_us", _idle_after),
    "schema": ("schema", _schema),
    "registry": ("registry", _registry),
    "registry_auth": ("registry_auth", lambda value, spec_path: _not_in_clear("password", value, spec_path)),
}
