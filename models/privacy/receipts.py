"""Receipts as they are stored with `privacy`: the subject as a keyed hash, values under the subject's key.

A stored receipt keeps its schema. `subject`, and `event_id` where it is hidden, are `h<epoch>:<32 hex digits>`;
`features` begins with an entry without a name, whose bytes are the ciphertext of the true subject, event id and values
as one Avro datum; then come the names, with no values. Reasons and `base_value`, from which values could be computed,
are one reason without a name, whose `code` is their ciphertext in base64: apart from the features, since a retry may
leave them out. `key_id` names the subject's key.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.privacy.ciphers import decrypt, encrypt_column, receipt_key
from models.privacy.hidden_features import (
    UNNAMED,
    is_compact,
    joined_digests,
    name_digests,
    names_of_all,
    sealed_values,
    with_names,
    without_names,
    without_values,
)
from models.privacy.identities import Epochs
from models.privacy.key_store import SubjectKeys
from schemas.avro.datums import decode_block
from schemas.avro.record_datums import encode_records
from schemas.records import arrow_schema, avsc

FEATURES, REASONS = b"features", b"reasons"
"""The labels of the two ciphertexts of a receipt."""
Opening = Literal["plain", "opened", "erased", "unreadable"]
"""Of a receipt: nothing is encrypted; it is decrypted; its key was destroyed; its key is not there, or not its own."""
KeysOf = Callable[[npt.NDArray[np.uint8]], SubjectKeys]
FindKey = Callable[[str], bytes | Literal["erased"] | None]


class OpenedReceipts(NamedTuple):
    """Receipts, those that could be opened as they were before they were encrypted, and what became of each."""

    receipts: pa.RecordBatch
    states: list[Opening]


def encrypt_receipts(
    receipts: pa.RecordBatch, epochs: Epochs, keys_of: KeysOf, hide_event_id: bool
) -> pa.RecordBatch:
    """The receipts as they are stored, in the same order.

    `keys_of`: the keys of pseudonyms by their bytes (`KeyStore.keys_of`). `hide_event_id`: ids of events name a person;
    `score_id`, which anyone can compute from an id that he guesses, must then be that of the hashed id (`hashed_ids`).
    """
    receipts = receipts if is_compact(receipts.column("features")) else _as_written(receipts)
    times_us = receipts.column("event_time").cast(pa.int64()).to_numpy()
    names, of_row = epochs.of_subjects(receipts.column("subject"), times_us)
    keys, score_ids = keys_of(names.digests), receipts.column("score_id")
    features, rows = receipts.column("features"), pa.array(of_row)
    alike = names_of_all(features)
    plain = _plain_features(receipts, hide_event_id)
    sealed = encrypt_column(keys.keys, of_row, score_ids, FEATURES, plain, joined_digests(features, alike))
    changed: dict[str, pa.Array] = {
        "subject": names.texts().take(rows),
        "features": without_values(features, sealed, alike),
        "key_id": keys.ids().take(rows),
        **_hidden_reasons(receipts, keys.keys, of_row),
    }
    if hide_event_id:
        changed["event_id"] = hashed_ids(receipts.column("event_id"), epochs, receipts.column("event_time"))
    return _with(receipts, changed)


def hashed_ids(event_ids: pa.Array, epochs: Epochs, event_times: pa.Array) -> pa.Array:
    """What stands for ids of events at their times, as text."""
    return epochs.of_events(event_ids, event_times.cast(pa.int64()).to_numpy()).texts()


def decrypt_receipts(receipts: pa.RecordBatch, find: FindKey) -> OpenedReceipts:
    """The receipts as they were, where their keys are there; the others stay as they are stored. Columns have the types
    that receipts are written with.

    `find`: the key of a `key_id`, `erased`, or None.
    """
    key_ids = receipts.column("key_id").to_pylist()
    known = {key_id: None if key_id is None else find(key_id) for key_id in dict.fromkeys(key_ids)}
    keys = [known[key_id] for key_id in key_ids]
    ids = receipts.column("score_id").to_pylist()
    own = [receipt_key(key, one) if isinstance(key, bytes) else None for key, one in zip(keys, ids, strict=True)]
    return open_receipts(receipts, own, [key == "erased" for key in keys])


def open_receipts(
    receipts: pa.RecordBatch, keys: Sequence[bytes | None], erased: Sequence[bool] | None = None
) -> OpenedReceipts:
    """As `decrypt_receipts`, with the key of each receipt alone, as an exported decision carries it."""
    receipts = _as_written(receipts)
    ids, (sealed, names) = receipts.column("score_id").to_pylist(), sealed_values(receipts.column("features"))
    digests = name_digests(names)
    named, hidden = receipts.column("key_id").is_valid().to_pylist(), _sealed_reasons(receipts.column("reasons"))
    rows, states = list[_Opened | None](), list[Opening]()
    for row, key in enumerate(keys):
        value, closed = sealed[row], _closed(named[row], erased is not None and erased[row])
        plain = None
        if named[row] and key is not None and value is not None:
            plain = decrypt(key, ids[row], FEATURES, value, digests[row])
        opened = None if plain is None or key is None else _with_reasons(plain, key, ids[row], hidden[row])
        rows.append(opened)
        states.append(closed if opened is None else "opened")
    return OpenedReceipts(_restored(receipts, rows, names), states)


def _closed(encrypted: bool, erased: bool) -> Opening:
    if not encrypted:
        return "plain"
    return "erased" if erased else "unreadable"


class _Opened(NamedTuple):
    """The two datums of a receipt; the second is None where it has no reasons."""

    features: bytes
    reasons: bytes | None


def _with_reasons(features: bytes, key: bytes, score_id: str, sealed: bytes | None) -> _Opened | None:
    told = None if sealed is None else decrypt(key, score_id, REASONS, sealed)
    return None if sealed is not None and told is None else _Opened(features, told)


def _restored(receipts: pa.RecordBatch, rows: Sequence[_Opened | None], names: pa.MapArray) -> pa.RecordBatch:
    """The receipts with what was decrypted in its place."""
    opened = [(row, each) for row, each in enumerate(rows) if each is not None]
    if not opened:
        return receipts
    values = _decoded([each.features for _, each in opened], _FEATURES_FIELDS)
    told = [(row, each.reasons) for row, each in opened if each.reasons is not None]
    reasons = _decoded([text for _, text in told], _REASONS_FIELDS)
    at = [row for row, _ in opened]
    features = with_names(values.column("features"), names.take(pa.array(at)).keys)
    ids = _put(pa.nulls(len(rows), pa.string()), at, values.column("event_id"))
    changed = {
        "subject": _put(receipts.column("subject"), at, values.column("subject")),
        "event_id": pc.coalesce(ids, receipts.column("event_id")),
        "features": _put(receipts.column("features"), at, features),
        "key_id": _put(receipts.column("key_id"), at, pa.nulls(len(at), pa.string())),
    }
    for name in _REASONS_FIELDS:
        changed[name] = _put(receipts.column(name), [row for row, _ in told], reasons.column(name))
    return _with(receipts, changed)


_FEATURES_FIELDS = ("subject", "event_id", "features")
_REASONS_FIELDS = ("reasons", "base_value")


@cache
def _schema(names: tuple[str, ...]) -> str:
    """The record of some fields of a receipt, of which each text may be null."""
    fields = {field["name"]: field for field in json.loads(avsc("Receipt"))["fields"]}
    chosen = [fields[name] if name != "event_id" else fields[name] | {"type": ["null", "string"]} for name in names]
    return json.dumps({"type": "record", "name": "Hidden", "fields": chosen})


def _plain_features(receipts: pa.RecordBatch, hide_event_id: bool) -> pa.Array:
    ids = receipts.column("event_id") if hide_event_id else pa.nulls(receipts.num_rows, pa.string())
    columns = [receipts.column("subject"), ids, without_names(receipts.column("features"))]
    rows = pa.RecordBatch.from_arrays(columns, list(_FEATURES_FIELDS))
    return encode_records(rows, _schema(_FEATURES_FIELDS))


def _hidden_reasons(
    receipts: pa.RecordBatch, keys: npt.NDArray[np.uint8], of_row: npt.NDArray[np.int32]
) -> dict[str, pa.Array]:
    """The reasons of those receipts that have some, or a base value, as one unnamed reason each."""
    reasons, base = receipts.column("reasons"), receipts.column("base_value")
    has = np.asarray(pc.or_(pc.greater(pc.list_value_length(reasons), 0), base.is_valid()))
    rows = np.flatnonzero(has)
    if not len(rows):
        return {}
    told = pa.RecordBatch.from_arrays([reasons, base], list(_REASONS_FIELDS)).take(pa.array(rows))
    plain, ids = encode_records(told, _schema(_REASONS_FIELDS)), receipts.column("score_id").take(pa.array(rows))
    sealed = encrypt_column(keys, of_row[rows], ids, REASONS, plain)
    kind = reasons.type.value_type
    values: dict[str, pa.Array] = {
        "feature": pa.array([UNNAMED] * len(rows)),
        "contribution": pa.array(np.zeros(len(rows))),
        "code": pa.array([b64encode(each).decode() for each in sealed.to_pylist()]),
    }
    each = pa.StructArray.from_arrays([values[field.name] for field in kind], fields=list(kind))
    starts = pa.array(np.concatenate([[0], np.cumsum(has)]).astype(np.int32))
    return {
        "reasons": pa.ListArray.from_arrays(starts, each, type=reasons.type),
        "base_value": pa.nulls(receipts.num_rows, base.type),
    }


def _sealed_reasons(reasons: pa.ListArray) -> list[bytes | None]:
    """The ciphertext of each list whose one reason has no name; empty where it is none."""
    found = list[bytes | None]()
    for told in reasons.to_pylist():
        if len(told) != 1 or told[0]["feature"] != UNNAMED:
            found.append(None)
            continue
        try:
            found.append(b64decode(told[0]["code"] or "", validate=True))
        except (NoBase64, ValueError):
            found.append(b"")
    return found


def _decoded(datums: Sequence[bytes], names: tuple[str, ...]) -> pa.RecordBatch:
    """The datums as columns of a receipt's types."""
    rows = decode_block(b"".join(datums), len(datums), _schema(names)).rows
    wanted = arrow_schema("Receipt")
    return pa.RecordBatch.from_arrays([_as(rows.column(name), wanted.field(name).type) for name in names], list(names))


def _as_written(receipts: pa.RecordBatch) -> pa.RecordBatch:
    """The receipts with the types that they are written with, however they were read; a copy without offsets."""
    whole, count = receipts.take(pa.array(np.arange(receipts.num_rows))), receipts.num_rows
    there = set(receipts.schema.names)
    columns = [
        _as(whole.column(field.name), field.type) if field.name in there else pa.nulls(count, field.type)
        for field in arrow_schema("Receipt")
    ]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema("Receipt"))


def _as(column: pa.Array, kind: pa.DataType) -> Any:
    """The column with another type of the same form: other names of branches, other fields that may be null."""
    if column.type == kind:
        return column
    nulls = column.is_null() if column.null_count else None
    if pa.types.is_map(kind):
        items = _as(column.items, kind.item_type)
        return pa.MapArray.from_arrays(column.offsets, column.keys, items, type=kind, mask=nulls)
    if pa.types.is_union(kind):
        children = [_as(column.field(code), field.type) for code, field in enumerate(kind)]
        return pa.UnionArray.from_sparse(column.type_codes, children, [field.name for field in kind])
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(column.offsets, _as(column.values, kind.value_type), type=kind, mask=nulls)
    if pa.types.is_struct(kind):
        children = [_as(column.field(field.name), field.type) for field in kind]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=nulls)
    return column.cast(kind)


def _put(column: pa.Array, rows: Sequence[int], values: pa.Array) -> pa.Array:
    """The column with other values in some rows."""
    chosen = np.arange(len(column))
    chosen[list(rows)] = len(column) + np.arange(len(rows))
    return pa.concat_arrays([column, _as(values, column.type)]).take(pa.array(chosen))


def _with(receipts: pa.RecordBatch, changed: dict[str, pa.Array]) -> pa.RecordBatch:
    columns = [_as(changed.get(field.name, receipts.column(field.name)), field.type) for field in receipts.schema]
    return pa.RecordBatch.from_arrays(columns, schema=receipts.schema)
