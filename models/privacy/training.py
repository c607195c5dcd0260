"""Rows of a training set as they are stored with `privacy`: each under its subject's key; once that is destroyed nobody
can read them.

A stored row has `event_id` (hashed where ids are hidden), `event_time`, `subject` (hashed), `key_id`, and `row`: all
columns of the row as one ciphertext. The schema of these is in the metadata of the stored one, and authenticated.
"""

from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from models.privacy.ciphers import decrypt, encrypt, receipt_key
from models.privacy.identities import Epochs, Pseudonym, identity_of_subject
from models.privacy.key_store import SubjectKey
from models.privacy.receipts import FindKey, Opening, hashed_ids
from schemas.batches import TIME_TYPE
from schemas.errors import UnusableData

_LABEL = b"training"
_SCHEMA = b"halflife.training_schema"
_STORED = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_time", TIME_TYPE),
        ("subject", pa.string()),
        ("key_id", pa.string()),
        ("row", pa.binary()),
    ]
)
_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(list[Any])


class RowOrigin(NamedTuple):
    """Of n rows the ids, times and subjects of their events."""

    event_ids: pa.Array
    event_times: pa.Array
    subjects: pa.Array


class OpenedRows(NamedTuple):
    """Rows that could be opened, and what became of each that is stored."""

    rows: pa.RecordBatch
    states: list[Opening]


def encrypt_rows(
    rows: pa.RecordBatch,
    origin: RowOrigin,
    epochs: Epochs,
    keys_for: Callable[[Sequence[Pseudonym]], Sequence[SubjectKey]],
    hide_event_id: bool,
) -> pa.RecordBatch:
    """The rows as they are stored, in the same order. `keys_for`: the key of each pseudonym."""
    times_us = origin.event_times.cast(pa.int64()).to_numpy()
    subjects = [identity_of_subject(subject) for subject in origin.subjects.to_pylist()]
    pseudonyms = epochs.pseudonyms(subjects, times_us)
    keys = keys_for(pseudonyms)
    ids = hashed_ids(origin.event_ids, epochs, origin.event_times) if hide_event_id else origin.event_ids
    schema = rows.schema.remove_metadata().serialize().to_pybytes()
    plain = [_encoder.encode(row) for row in zip(*map(_values, rows.columns), strict=True)]
    bound = [sha256(schema).digest()] * rows.num_rows
    columns = [
        ids,
        origin.event_times,
        pa.array([str(each) for each in pseudonyms], pa.string()),
        pa.array([key.key_id for key in keys], pa.string()),
        pa.array(encrypt([key.key for key in keys], ids.to_pylist(), _LABEL, plain, bound), pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_STORED.with_metadata({_SCHEMA: b64encode(schema)}))


def is_encrypted_training(schema: pa.Schema) -> bool:
    """Whether rows of a training set with this schema are encrypted."""
    return _SCHEMA in (schema.metadata or {})


def decrypt_rows(stored: pa.RecordBatch | pa.Table, find: FindKey) -> OpenedRows:
    """The rows that can be opened, as they were. `find`: the key of a `key_id`, `erased`, or None.

    Raises:
        UnusableData: the metadata of the file do not say what the rows were.
    """
    encoded, schema = _schema_of(stored.schema)
    beside, rows, states = sha256(encoded).digest(), list[list[Any]](), list[Opening]()
    columns = [stored.column(name).to_pylist() for name in ("event_id", "key_id", "row")]
    known = {key_id: None if key_id is None else find(key_id) for key_id in dict.fromkeys(columns[1])}
    for event_id, key_id, sealed in zip(*columns, strict=True):
        key = known[key_id]
        plain = None
        if isinstance(key, bytes) and event_id is not None and sealed is not None:
            plain = decrypt(receipt_key(key, event_id), event_id, _LABEL, sealed, beside)
        states.append("opened" if plain is not None else "erased" if key == "erased" else "unreadable")
        if plain is not None:
            rows.append(_decoder.decode(plain))
    values = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [_array(own, field.type) for own, field in zip(values, schema, strict=True)]
    return OpenedRows(pa.RecordBatch.from_arrays(arrays, schema=schema), states)


def _schema_of(stored: pa.Schema) -> tuple[bytes, pa.Schema]:
    try:
        encoded = b64decode((stored.metadata or {})[_SCHEMA], validate=True)
        return encoded, pa.ipc.read_schema(pa.py_buffer(encoded))
    except (KeyError, NoBase64, ValueError, OSError, pa.ArrowException):
        raise UnusableData("the schema of the rows cannot be read; expected: files of halflife features") from None


def _values(column: pa.Array) -> list[Any]:
    """The values as MessagePack has them: times as whole numbers."""
    values: list[Any] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return values


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)
