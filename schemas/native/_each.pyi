from typing import Any

Buffer = Any  # what has bytes: bytes, a NumPy array, an Arrow buffer

def sha256_each(prefix: Buffer, data: Buffer, offsets: Buffer) -> bytes: ...
def tree_roots(hashes: Buffer, rows: int) -> bytes: ...
def order_of(numbers: Buffer) -> bytes: ...
def hmac_each(key: Buffer, prefix: Buffer, data: Buffer, offsets: Buffer) -> bytes: ...
def encrypt_each(
    keys: Buffer,
    rows: Buffer,
    ids: Buffer,
    id_offsets: Buffer,
    label: Buffer,
    values: Buffer,
    value_offsets: Buffer,
    beside: Buffer,
    key_for: Buffer,
    person: Buffer,
) -> bytes: ...
def skim(program: Buffer, data: Buffer, records: int, wanted: Buffer) -> tuple[bytes, list[Any]] | None: ...
