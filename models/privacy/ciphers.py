"""Values under the key of a receipt: AES-256-GCM, with a key that HKDF derives of the subject's key and the
`score_id`.

Equal values of one receipt have equal ciphertexts, so that a retry still writes the same receipt and `verify` needs no
key to see that two receipts of one score say the same. Therefore the nonce is no random number but a keyed hash
(BLAKE2b, RFC 7693) of all that is encrypted: under one key a nonce is repeated only for the same bytes. No two scores
have the same key.
"""

import hmac
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import repeat

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.native import compiled
from schemas.native.hashing import HASH_BYTES, bytes_and_offsets, each_of

_ROWS_A_THREAD = 4096
_MOST_THREADS = min(4, os.cpu_count() or 1)
NONCE_BYTES = 12
TAG_BYTES = 16
_VALUE, _NONCE = b"halflife value 1\0", b"halflife nonce 1"


def receipt_key(subject_key: bytes, score_id: str) -> bytes:
    """The key of one receipt, 32 bytes: HKDF-Expand (RFC 5869) of the subject's key, which is uniformly random.

    It opens that receipt alone: neither the subject's key nor that of another receipt follows from it.

    >>> receipt_key(bytes(32), "4af1").hex()[:16]
    '37e74814419f1f1b'
    """
    return hmac.digest(subject_key, _VALUE + score_id.encode() + b"\1", "sha256")


def encrypt(
    subject_keys: Sequence[bytes],
    score_ids: Sequence[str],
    label: bytes,
    plain: Sequence[bytes],
    beside: Sequence[bytes] | None = None,
) -> list[bytes]:
    """Nonce, ciphertext and tag of each value, shape (n,), under the key of its receipt.

    Args:
        subject_keys: of each value.
        score_ids: of each value's receipt; authenticated with it.
        label: what the values are of their receipts; authenticated too. It has no zero byte.
        plain: the values.
        beside: of each value 32 bytes that are authenticated with it, such as the digest of its names.
    """
    digest, before, sealed = hmac.digest, label + b"\0", list[bytes]()
    others = repeat(b"", len(plain)) if beside is None else beside
    for key, score_id, value, other in zip(subject_keys, score_ids, plain, others, strict=True):
        identifier = score_id.encode()
        bound = before + identifier + other
        nonce = blake2b(bound + value, key=key, digest_size=NONCE_BYTES, person=_NONCE).digest()
        own = AESGCM(digest(key, _VALUE + identifier + b"\1", "sha256"))
        sealed.append(nonce + own.encrypt(nonce, value, bound))
    return sealed


def encrypt_column(
    keys: npt.NDArray[np.uint8],
    of_row: npt.NDArray[np.int32],
    score_ids: pa.Array,
    label: bytes,
    plain: pa.Array,
    beside: bytes = b"",
) -> pa.Array:
    """As `encrypt`, of columns: the same bytes.

    Args:
        keys: keys of subjects, shape (k, 32).
        of_row: the index among them of each value's, shape (n,).
        score_ids, label: as for `encrypt`.
        plain: the values, bytes.
        beside: 32 bytes that are authenticated with all values, or with each its own, back to back.
    """
    if compiled.EACH is None:
        every, size = [key.tobytes() for key in keys], len(plain)
        others = [beside] * size if len(beside) <= HASH_BYTES else each_of(beside)
        subject_keys = [every[row] for row in of_row.tolist()]
        return pa.array(encrypt(subject_keys, score_ids.to_pylist(), label, plain.to_pylist(), others), pa.binary())
    each, (data, ends), (ids, id_ends) = compiled.EACH.encrypt_each, *map(bytes_and_offsets, (plain, score_ids))
    table, rows = np.ascontiguousarray(keys), np.ascontiguousarray(of_row, np.int32)

    def part(first: int, end: int) -> bytes:
        own = ids, id_ends[first : end + 1], label, data, ends[first : end + 1]
        others = beside if len(beside) <= HASH_BYTES else beside[HASH_BYTES * first : HASH_BYTES * end]
        return bytes(each(table, rows[first:end], *own, others, _VALUE, _NONCE))

    sealed = _in_threads(part, len(plain))
    offsets = ends - ends[0] + np.arange(len(ends)) * (NONCE_BYTES + TAG_BYTES)
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(sealed)]
    return pa.Array.from_buffers(pa.binary(), len(plain), buffers)


def _in_threads(part: Callable[[int, int], bytes], count: int) -> bytes:
    """What `part` makes of all rows; of many, in threads, since it holds no lock."""
    if count < 2 * _ROWS_A_THREAD:
        return part(0, count)
    size = max(_ROWS_A_THREAD, -(-count // _MOST_THREADS))
    firsts = range(0, count, size)
    with ThreadPoolExecutor(len(firsts), "encrypt") as threads:
        return b"".join(threads.map(part, firsts, [min(first + size, count) for first in firsts]))


def decrypt(key: bytes, score_id: str, label: bytes, sealed: bytes, beside: bytes = b"") -> bytes | None:
    """The value that was encrypted under the key of a receipt; None where this key and what was authenticated do not
    open it."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        return None
    try:
        bound = label + b"\0" + score_id.encode() + beside
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag:
        return None
