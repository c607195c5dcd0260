"""Real probes of what a job reads and writes: a block is read, a file is written and removed, a broker is asked for
rights."""

from collections.abc import Iterator, Sequence

from models.errors import one_line
from pipeline.command_line.sink_policy import SinkPolicy
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.earlier_runs import SinksInUse, check_earlier_runs
from pipeline.endpoints.files.source import read_file
from pipeline.endpoints.kafka.address import SCHEME, KafkaAddress, kafka_address
from pipeline.endpoints.kafka.client import client_settings
from pipeline.endpoints.kafka.pool import shared_reader
from pipeline.endpoints.matching import file_sizes
from pipeline.endpoints.outputs import SinkFolder
from pipeline.endpoints.sinks import look_at
from pipeline.endpoints.sources import EventSource, Files, Topic
from pipeline.endpoints.uris import scheme_of
from pipeline.preflight.advice import refused
from runners.findings import Finding, fail, ok, unchecked, warn
from schemas.formats.raw import RawBlock
from schemas.validation import SpecError

_ANSWER_SECONDS = 15.0
# How many events are counted before the rest of the input is estimated by its bytes.
_ENOUGH_EVENTS = 100_000


def check_source(source: EventSource, uri: str = "", check: str = "events.uri") -> Iterator[Finding]:
    """Reads a first block, and asks a broker whether this client may read. `uri`: the source's; `check`: its key in the
    spec."""
    try:
        block = next(filter(_holds_something, source.sample()), None)
    except (NoInput, OSError) as error:
        yield refused(check, one_line(error), uri)
        return
    if block is not None and block.error:
        found = f"{source.describe()}: the first block is damaged ({block.error[:200]})"
        yield warn(check, found, "what cannot be decoded becomes dead letters")
    elif block is None and not isinstance(source, Files | Topic):
        yield unchecked(check, f"{source.describe()}: it is there; whoever looks at its messages takes them")
    elif block is None and source.bounded:
        yield warn(check, f"{source.describe()}: no record in it", "a run would do nothing (exit 0 with a note)")
    else:
        yield ok(check, source.describe() + ("" if block else ", empty now"))
    if isinstance(source, Topic):
        yield _right(check, source.address, "READ")


def _holds_something(block: RawBlock) -> bool:
    return bool(block.error or block.rows or block.records or block.data.strip())


def check_sink(spec_path: str, uri: str, record: str) -> Iterator[Finding]:
    """Whether a sink can be written; nothing is left behind. Raises `SpecError` for a URI that is not allowed."""
    yield ok(spec_path, look_at(uri, spec_path, record))
    if scheme_of(uri) == SCHEME:
        yield _right(spec_path, kafka_address(uri, spec_path), "WRITE")


def check_records_there(folders: Sequence[SinkFolder], policy: SinkPolicy, job: str) -> Iterator[Finding]:
    """What a run under `policy` would say of the records in its sinks, or refuse; nothing is deleted.

    Raises:
        OSError: a folder cannot be listed, or a file cannot be read.
    """
    check = "earlier runs"
    try:
        there = check_earlier_runs(folders, policy, job)
    except SpecError as error:
        yield fail(error.path, f"{error.value!r} is not allowed", f"expected: {error.allowed}")
        return
    except SinksInUse as error:
        found, _, change = str(error).partition("; expected: ")
        yield fail(check, found, f"expected: {change}")
        return
    going = len(there.files)
    said = [f"--sinks {policy}: {going} of the files that earlier runs wrote would be deleted"] if going else []
    yield ok(check, "; ".join([*said, *there.remarks]) or "the sinks hold none")


def _right(spec_path: str, address: KafkaAddress, operation: str) -> Finding:
    """Whether the broker states that this client may read or write the topic: no record is written."""
    from confluent_kafka import KafkaException, TopicCollection
    from confluent_kafka.admin import AdminClient

    check = f"{spec_path} rights"
    admin = AdminClient(client_settings(address))  # it must outlive its requests
    asked = admin.describe_topics(
        TopicCollection([address.topic]), include_authorized_operations=True, request_timeout=_ANSWER_SECONDS
    )
    try:
        allowed = {each.name for each in asked[address.topic].result(_ANSWER_SECONDS).authorized_operations or ()}
    except (KafkaException, TimeoutError) as error:
        return unchecked(check, f"{address.public}: the broker does not say ({one_line(error)})")
    if operation in allowed or "ALL" in allowed:
        return ok(check, f"{address.public}: {operation} is allowed")
    return fail(check, f"{address.public}: {operation} is not allowed", f"an ACL with {operation} for this client")


def count_events(source: EventSource) -> int | None:
    """How many events a bounded source holds: offsets of a topic, or by the bytes of files; None if not known."""
    if isinstance(source, Topic) and source.bounded:
        with shared_reader(source.address, {}) as reader:
            starts = reader.start_offsets()
            return sum(reader.bounds(partition)[1] - start for partition, start in starts.items())
    if not isinstance(source, Files):
        return None
    sizes = file_sizes(source.uri)
    counted, seen_bytes = 0, 0
    for path in source.paths:
        for block in read_file(path, source.format, source.form):
            at = block.source.rpartition("@")[2]
            if counted >= _ENOUGH_EVENTS and at.isdecimal() and int(at):
                return round(counted * sum(sizes.values()) / (seen_bytes + int(at)))
            counted += _events_in(block)
        seen_bytes += sizes[path]
        if counted >= _ENOUGH_EVENTS:
            break
    return round(counted * sum(sizes.values()) / seen_bytes) if seen_bytes else 0


def _events_in(block: RawBlock) -> int:
    if block.error:
        return 0
    if block.rows:
        return sum(piece.rows.num_rows + len(piece.unreadable) for piece in block.rows)
    return block.datums or len(block.records) or block.data.count(b"\n")
