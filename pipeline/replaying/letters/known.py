"""The dead letters that runs of a job wrote, and which of their events have a score meanwhile."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.endpoints.files.found import files_in, with_origins
from pipeline.endpoints.files.record_columns import read_columns
from pipeline.endpoints.outputs import SinkFolder
from pipeline.endpoints.uris import FILE_SCHEMES, scheme_of
from schemas.validation import MISSING, SpecError

_FIELDS = ("stage", "error", "detail", "payload", "event_id", "event_time", "at", "schema", "key_id")


def known_letters(document: Mapping[str, Any]) -> pa.Table:
    """The letters of a job in order of their writing: fields of the record, and `scored`, whether an event of that id
    has a score (null where the letter has no id); with privacy as they were before they were encrypted, and `locked`
    has why one cannot be read (null: it can).

    Raises:
        SpecError: the job's letters, or scores, are not written to files.
        OSError: a file cannot be read.
    """
    letters = _records(document, "dead_letters", "DeadLetter", _FIELDS)
    scores = _records(document, "scores", "Score", ("event_id",))["event_id"]
    scored = pc.is_in(letters["event_id"], value_set=scores.unique())
    scored = pc.if_else(letters["event_id"].is_valid(), scored, pa.scalar(None, pa.bool_()))
    letters = letters.append_column("scored", scored).sort_by([("at", "ascending")])
    letters = letters.append_column("locked", pa.nulls(letters.num_rows, pa.string()))
    privacy = document.get("privacy")
    return _opened(letters, str(privacy["keys"]), set(scores.unique().to_pylist())) if privacy else letters


def _opened(letters: pa.Table, keys_url: str, scored: set[str]) -> pa.Table:
    """The letters as they were before they were encrypted; the detail of one that cannot be read says why. `scored`:
    the ids of events with a score, as records have them."""
    from audit.files.found.receipt_keys import ReceiptKeys  # few jobs have keys, and it takes a while to import

    keys, rows = ReceiptKeys(keys_url), letters.to_pylist()
    known = keys.found(letters["key_id"])
    for row in rows:
        if row["key_id"] is None:
            continue
        found = keys.letter(known[row["key_id"]], row["stage"], row["error"], row["payload"])
        if isinstance(found, str):
            row.update(detail=found, locked=found, payload=b"")
            continue
        row.update(detail=found.detail, payload=found.payload, event_id=found.event_id)
        if row["event_time"] is None and found.event_id is not None:  # its hash is of another time than its score's
            row["scored"] = bool(scored & {found.event_id, *keys.stored("event_id", found.event_id)})
    return pa.Table.from_pylist(rows, schema=letters.schema)


def _records(document: Mapping[str, Any], sink: str, record: str, names: tuple[str, ...]) -> pa.Table:
    sinks = document.get("sinks") or {}
    uri = sinks.get(sink)
    if uri is None or scheme_of(uri) not in FILE_SCHEMES:
        expected = f"a folder, whose records {record} are read"
        raise SpecError(f"sinks.{sink}", MISSING if uri is None else uri, expected)
    form = sinks.get("format", "avro") if sink == "scores" else "avro"
    folder = SinkFolder(f"sinks.{sink}", uri, f".{form}", record)
    files = with_origins(files_in(folder, must_list=False))
    return read_columns([each.path for each in files if each.is_of(document["job"])], record, names)
