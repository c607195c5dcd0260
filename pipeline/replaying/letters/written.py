"""What the payloads of letters are read by, where their source is gone: the schemas that runs told the audit of."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from audit.files.audit import Audit, NoAudit
from models.errors import StoreError
from pipeline.endpoints.uris import FILE_SCHEMES, beam_path, scheme_of
from pipeline.spec.sinks import uris_of
from schemas import batches
from schemas.avro.datums import decode_block
from schemas.avro.schema import MalformedSchema
from schemas.formats.csv_rows import table_of
from schemas.formats.envelopes.avro_envelopes import names_within, opened_rows
from schemas.job import EventsSpec
from transforms.decoding.conform import conform
from transforms.decoding.written_schemas import SCHEMA_READ, schema_of_event

OTHER = "its source is gone, and no schema, or header, that the audit holds is one that its payload is read by"
SEVERAL = "its source is gone, and its payload is read by several schemas, or headers, that the audit holds"
TOO_LARGE = "its source is gone, and its schema was too large to be kept in the audit"


class ToldOfInput(NamedTuple):
    """What an audit says of a job's input: the `events` of its last run as they were resolved, nothing where it does
    not say; and the texts of schemas by fingerprint, None where one is not kept."""

    events: Mapping[str, Any]
    schemas: Mapping[str, str | None]


def told_by_audit(document: Mapping[str, Any]) -> ToldOfInput:
    """What the job's audit holds; nothing where it has none in files that can be read."""
    schemas, events = dict[str, str | None](), dict[str, Any]()
    for kind, said in _evidence(document):
        if kind == SCHEMA_READ and isinstance(said.get("schema"), str):
            schemas[said["schema"]] = schemas.get(said["schema"]) or schema_of_event(said)
        if kind == "run_started" and said.get("job") == document["job"]:
            events = (said.get("spec") or {}).get("events") or events
    return ToldOfInput(events, schemas)


def _evidence(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    uris = uris_of((document.get("sinks") or {}).get("audit"))
    uri = next((each for each in uris if scheme_of(each) in FILE_SCHEMES), None)
    if uri is None:
        return
    try:
        audit = Audit(beam_path(uri) if scheme_of(uri) == "file" else uri)
        audit.check()
        for event in audit.model_events():
            if event["kind"] in (SCHEMA_READ, "run_started"):
                said = json.loads(event["evidence"])
                yield event["kind"], said if isinstance(said, dict) else {}
    except (NoAudit, StoreError, ValueError):
        return


class ReadableLetters(NamedTuple):
    """Letters with the fingerprint of what their payloads are read by, and those that none is known of, with why."""

    by_schema: Mapping[str, pa.Table]
    kept: Sequence[tuple[pa.Table, str]]


def read_by(letters: pa.Table, told: ToldOfInput, spec: EventsSpec) -> ReadableLetters:
    """Assigns letters to schemas. A letter of decoding names its own. One of a later stage, which has the id and the
    time of its event, is read by the schema that gives these, where all that do so give the same event."""
    own, kept = dict[str, list[int]](), dict[str, list[int]]()
    for row, letter in enumerate(letters.select(["payload", "event_id", "event_time", "schema"]).to_pylist()):
        named = letter["schema"]
        if named is None:
            named, why = _found(letter, told, spec)
        else:
            why = "" if told.schemas.get(named) else TOO_LARGE if named in told.schemas else OTHER
        (kept if why else own).setdefault(why or str(named), []).append(row)
    return ReadableLetters(
        {schema: letters.take(pa.array(rows)) for schema, rows in own.items()},
        [(letters.take(pa.array(rows)), why) for why, rows in kept.items()],
    )


def _found(letter: Mapping[str, Any], told: ToldOfInput, spec: EventsSpec) -> tuple[str | None, str]:
    """The fingerprint of the schema that a payload is read by; else why none is."""
    fits, payload = dict[str, str](), letter["payload"]
    for name, schema in told.schemas.items():
        values = None if schema is None else _row(payload, schema, spec)
        if values is not None and _identity(values, payload, spec) == (letter["event_id"], letter["event_time"]):
            fits[name] = repr(values.to_pylist())
    if len(set(fits.values())) > 1:
        return None, SEVERAL
    if fits:
        return next(iter(fits)), ""
    return None, TOO_LARGE if None in told.schemas.values() else OTHER


def _row(payload: bytes, schema: str, spec: EventsSpec) -> pa.RecordBatch | None:
    """The record as the schema reads all of its bytes; None where it does not."""
    try:
        return (_line if spec.format == "csv" else _datum)(payload, schema, spec)
    except (MalformedSchema, csv.Error, LookupError, TypeError, ValueError):
        return None


def _datum(payload: bytes, schema: str, spec: EventsSpec) -> pa.RecordBatch | None:
    wanted = [name for name in (spec.event_id, spec.event_time) if name != batches.ROW_HASH]
    found = decode_block(payload, 1, schema, names_within(wanted, spec.envelope) if spec.envelope else wanted)
    if spec.envelope:
        found = opened_rows(found, wanted, spec.envelope, [])
    return found.rows if len(found.rows) == 1 and not found.unreadable else None


def _line(payload: bytes, schema: str, spec: EventsSpec) -> pa.RecordBatch | None:
    table = table_of(schema)
    text = io.StringIO(payload.decode(table.encoding), newline="")
    quoting = {"quotechar": table.quote} if table.quote else {"quoting": csv.QUOTE_NONE}
    rows = list(csv.reader(text, delimiter=table.delimiter, **quoting))
    if len(rows) != 1 or len(rows[0]) != len(table.names):
        return None
    named = dict(zip(reversed(table.names), reversed(rows[0]), strict=True))
    return pa.RecordBatch.from_pydict({name: pa.array([value], pa.string()) for name, value in named.items()})


def _identity(values: pa.RecordBatch, payload: bytes, spec: EventsSpec) -> tuple[str, Any] | None:
    """The id and the time of the record's event; None where it has none."""
    found = conform(values, pa.array([payload], pa.binary()), replace(spec, columns=(), subject=None), 0).events
    if not found.num_rows:
        return None
    return found.column(batches.EVENT_ID)[0].as_py(), found.column(batches.EVENT_TIME)[0].as_py()
