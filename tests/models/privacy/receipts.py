"""Receipts of all kinds of values, made of a seed, and a key store in memory for them."""

import random
import struct
from itertools import count
from typing import Any

import pyarrow as pa

from models.privacy.key_store import KeyStore
from models.store.backends import Backend
from schemas.avro.record_datums import encode_records
from schemas.records import FEATURES_TYPE, arrow_schema, avsc

_NUMBER = count()
NANS = [struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in (0x7FF8000000000001, 0xFFF8000000000000)]
TEXTS = ["", "é\0\n", "N14228", "x" * 300, "🛫"]
CHOICES = [
    None,
    0,
    -1,
    2**63 - 1,
    -(2**63),
    2**53 + 1,
    0.0,
    -0.0,
    0.1,
    5e-324,
    *NANS,
    float("inf"),
    *TEXTS,
    b"",
    bytes(range(256)),
]


def memory() -> Backend:
    """An empty store."""
    return Backend(f"memory://privacy-{next(_NUMBER)}")


def key_store(backend: Backend | None = None, fresh_s: float = 0.0, **others: Any) -> KeyStore:
    return KeyStore(memory() if backend is None else backend, fresh_s=fresh_s, **others)


def union_of(values: list[Any]) -> pa.Array:
    """The values as the union of a receipt's features."""
    kinds = [type(None), int, float, str, bytes]
    codes = [kinds.index(type(value)) for value in values]
    columns = [
        pa.array([value if code == own else None for value, code in zip(values, codes, strict=True)], field.type)
        for own, field in enumerate(FEATURES_TYPE.item_type)
    ]
    names = [field.name for field in FEATURES_TYPE.item_type]
    return pa.UnionArray.from_sparse(pa.array(codes, pa.int8()), columns, names)


def made_receipts(rows: int, seed: int, subjects: int = 5, features: int = 4) -> pa.RecordBatch:
    """Receipts of this many subjects, every seventh of nobody, every third with reasons."""
    own = random.Random(seed)
    starts, names, values = [0], [], []
    for _ in range(rows):
        held = own.randrange(features + 1)
        names += [own.choice(["", "delay", "é"]) + str(index) * (index > 0) for index in range(held)]
        values += [own.choice(CHOICES) for _ in range(held)]
        starts.append(len(names))
    reasons = [
        [{"feature": "a", "contribution": 0.25, "code": own.choice([None, "", "LATE-DEPARTURE"])}] * own.randrange(1, 4)
    ] * rows
    columns: dict[str, Any] = {
        "score_id": [f"{own.getrandbits(128):032x}" for _ in range(rows)],
        "event_id": [f"event {index}" for index in range(rows)],
        "event_time": [own.randrange(2_000_000) for _ in range(rows)],
        "subject": [None if index % 7 == 6 else f"subject {own.randrange(subjects)}" for index in range(rows)],
        "reasons": [told if index % 3 == 0 else [] for index, told in enumerate(reasons)],
        "base_value": [0.5 if index % 3 == 0 else None for index in range(rows)],
    }
    arrays = []
    for field in arrow_schema("Receipt"):
        if field.name == "features":
            arrays.append(
                pa.MapArray.from_arrays(
                    pa.array(starts, pa.int32()), pa.array(names, pa.string()), union_of(values), type=field.type
                )
            )
        elif field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type))
        else:
            filler = None if field.nullable else {"double": 0.75, "int64": 3, "bool": False}.get(str(field.type), "x")
            arrays.append(pa.array([filler if str(field.type)[:4] != "time" else 7] * rows, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema("Receipt"))


def datums(receipts: pa.RecordBatch) -> list[bytes]:
    """The receipts' bytes, as a sink writes them."""
    found: list[bytes] = encode_records(receipts, avsc("Receipt")).to_pylist()
    return found
