"""Topics as URIs: `kafka://host:port[,host:port…]/topic?start=…&until=latest&group=…&idle_after=30s&schema=FILE`."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from schemas.times import MalformedTime, parse_duration_us, parse_time_us
from schemas.validation import Absent, SpecError

SCHEME = "kafka"
EARLIEST, LATEST, COMMITTED = "earliest", "latest", "committed"
_FORM = "kafka://host:port/topic"
_STARTS = (EARLIEST, LATEST, COMMITTED)
_IDLE_AFTER = "30s"
_OPTIONS = ("start", "until", "group", "idle_after", "schema", "config")
# URIs are shown in logs and summaries, and the graph, with all settings in it, on the runner's pages.
_SECRETS = ("password", "secret", "jaas", "key.pem", "oauthbearer.config")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """One topic and how it is read. `client` are librdkafka's own settings, `schema` an Avro schema (JSON).

    A value `${NAME}` stands for an environment variable of the process that connects.
    """

    bootstrap: str
    topic: str
    start: str = EARLIEST
    bounded: bool = False
    group: str | None = None
    idle_after_us: int = 30_000_000
    schema: str = ""
    client: tuple[tuple[str, str], ...] = ()

    @property
    def public(self) -> str:
        """The URI without its options."""
        return f"{SCHEME}://{self.bootstrap}/{self.topic}"


def variable_of(value: str) -> str | None:
    """The environment variable that a setting's value `${NAME}` stands for."""
    found = _VARIABLE.fullmatch(value)
    return found.group(1) if found else None


def kafka_address(uri: str, place: str) -> KafkaAddress:
    """The topic of a URI; `place` is where it stands in the job spec.

    Dotted options (`security.protocol=SSL`) go to librdkafka; `config` names a file of such lines.

    Raises:
        SpecError: no topic, an unknown option, a secret in clear, a file that cannot be read.
    """
    parts = urlsplit(uri)
    topic = parts.path.strip("/").replace("/", ".")  # a sink's sub-folder is a topic of its own
    hosts = parts.netloc.split(",")
    if not topic or any(not host.rpartition(":")[2].isdigit() or not host.rpartition(":")[0] for host in hosts):
        raise SpecError(place, uri, _FORM)
    address = KafkaAddress(parts.netloc, topic)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        address = _with_option(address, name, value, f"{place}?{name}")
    if address.start == COMMITTED and address.group is None:
        raise SpecError(f"{place}?start", COMMITTED, "together with group, whose offsets were committed")
    return address


def _with_option(address: KafkaAddress, name: str, value: str, place: str) -> KafkaAddress:
    if name == "start":
        return replace(address, start=_start(value, place))
    if name == "until":
        if value != LATEST:
            raise SpecError(place, value, LATEST)
        return replace(address, bounded=True)
    if name == "group":
        return replace(address, group=value or None)
    if name == "idle_after":
        return replace(address, idle_after_us=_idle_after(value, place))
    if name == "schema":
        return replace(address, schema=_read(value, place))
    if name == "config":
        return replace(address, client=address.client + _properties(_read(value, place), place))
    if "." not in name:
        raise SpecError(place, value, f"one of {', '.join(_OPTIONS)}, or a dotted option of librdkafka")
    return replace(address, client=(*address.client, (name, _not_in_clear(name, value, place))))


def _not_in_clear(name: str, value: str, place: str) -> str:
    if any(secret in name for secret in _SECRETS) and variable_of(value) is None:
        raise SpecError(place, Absent("a secret in clear"), "${NAME}, an environment variable of the job's workers")
    return value


def _start(value: str, place: str) -> str:
    if value not in _STARTS:
        try:
            parse_time_us(value)
        except MalformedTime:
            raise SpecError(place, value, f"{', '.join(_STARTS)} or an RFC 3339 time") from None
    return value


def _idle_after(value: str, place: str) -> int:
    try:
        return parse_duration_us(value)
    except (MalformedTime, ValueError):
        raise SpecError(place, value, f"a duration such as {_IDLE_AFTER}") from None


def _read(path: str, place: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(place, path, f"a readable file ({error})") from None


def _properties(text: str, place: str) -> tuple[tuple[str, str], ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pairs = [line.partition("=") for line in lines]
    if not all(separator for _, separator, _ in pairs):
        raise SpecError(place, Absent("a line without ="), "lines of name=value")
    settings = [(name.strip(), value.strip()) for name, _, value in pairs]
    return tuple((name, _not_in_clear(name, value, f"{place}: {name}")) for name, value in settings)
