"""A decision that is proven alone: its receipt, the way from it to a signed root, and nothing else of the audit."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from audit.files.chain import CheckpointChain
from audit.files.checkpoints import StoredCheckpoint, parse_checkpoint
from audit.files.formats import RECEIPT, is_encrypted, plain_rows
from audit.files.merkle import HASH_BYTES, leaf_hash, path, root_by_path
from audit.files.notes import PublicKey
from audit.files.sealed import SealedSegment
from audit.files.segments import SegmentStatement, fingerprint_of, parse_statement
from models.strict_json import parse_object
from schemas.avro.datums import decode_block
from schemas.errors import UnusableData
from schemas.native.hashing import each_of
from schemas.records import avsc
from schemas.validation import SpecError

_FORMAT = 2
"""Of a file with the key of an encrypted receipt; one without is of format 1, as before."""
_KEY = "receipt_key"
_KEYS = ("format", "receipt", "schema", "index", "path", "segment", "segment_path", "checkpoint")
_KEY_BYTES = 32
FindKey = Callable[[str], bytes | Literal["erased"] | None]
MAX_BYTES = 512 * 1024 * 1024


class UnusableProof(UnusableData):
    """A file that is no exported decision, or of a later format."""


@dataclass(frozen=True, slots=True)
class ProvenDecision:
    """A receipt (every field of today's record), what its segment and the checkpoint say, and why it does not follow
    from them; `problem` is empty where it does; `locked`: why its features cannot be read, empty where they can."""

    receipt: Mapping[str, Any]
    statement: SegmentStatement
    checkpoint: StoredCheckpoint
    problem: str
    locked: str = ""

    def signed_by(self, keys: Sequence[PublicKey]) -> PublicKey | None:
        """The key that signed the root which the receipt follows from; None where none did."""
        return None if self.problem else self.checkpoint.note.signed_by(keys)


def receipt_key_at(segment: SealedSegment, row: int, find: FindKey) -> bytes | None:
    """The key that opens the encrypted receipt at an index of a segment, and no other; None where there is none.

    `find`: the key of a `key_id`, `erased`, or None. Raises as `export_decision`.
    """
    from models.privacy.ciphers import receipt_key  # few audits are encrypted

    rows = segment.block(row // segment.index.block_rows)
    receipt = plain_rows(decode_block(rows.datum(row), 1, segment.schema).rows, RECEIPT)[0]
    key = None if receipt["key_id"] is None else find(receipt["key_id"])
    return receipt_key(key, receipt["score_id"]) if isinstance(key, bytes) else None


def export_decision(segment: SealedSegment, row: int, chain: CheckpointChain, key: bytes | None = None) -> bytes:
    """The file that proves the receipt at an index of a segment of the chain; `key`: what opens it, where it is
    encrypted.

    Raises:
        RecordsExpired, UnusableIndex, UnusableSegment: the segment cannot be read.
        StoreUnavailable: the store did not answer.
    """
    from audit.sealing.building import leaf_hashes

    assert chain.last is not None
    index, said = segment.index, segment.statement
    block = segment.block(row // index.block_rows)
    within = path(each_of(leaf_hashes(block.data, block.location.offsets)), row % index.block_rows)
    proof = {
        "format": 1 if key is None else _FORMAT,
        "receipt": _base64(block.datum(row)),
        "schema": said.schema,
        "index": row,
        "path": _base64(b"".join([*within, *path(index.roots(), row // index.block_rows)])),
        "segment": said.stored().decode(),
        "segment_path": _base64(b"".join(path(chain.leaves, said.number - 1))),
        "checkpoint": chain.last.stored.decode(),
        **({} if key is None else {_KEY: _base64(key)}),
    }
    return json.dumps(proof, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def read_decision(data: bytes) -> ProvenDecision:
    """What an exported file says, and whether its receipt follows from the root in it. No signature is checked yet.

    Raises:
        UnusableProof: it cannot be read.
    """
    try:
        said = parse_object(data)
        _check(said)
        datum, statement = _bytes(said["receipt"]), parse_statement(said["segment"].encode())
        checkpoint = parse_checkpoint(said["checkpoint"].encode())
        receipt, locked = _receipt(datum, said["schema"], None if _KEY not in said else _bytes(said[_KEY]))
        paths = [_hashes(said[name]) for name in ("path", "segment_path")]
    except (SpecError, UnusableData, ValueError) as error:
        raise UnusableProof(f"{error}; next: halflife audit export writes such a file") from None
    problem = _problem(said, datum, statement, checkpoint, paths)
    if locked and _KEY in said:
        problem = problem or "the key in it does not open the receipt"
    return ProvenDecision(receipt, statement, checkpoint, problem, locked)


def _check(said: Mapping[str, Any]) -> None:
    """Raises `UnusableProof`."""
    if isinstance(said.get("format"), int) and said["format"] > _FORMAT:
        raise UnusableProof(f"format {said['format']:.0f}; expected: at most {_FORMAT} (a later Halflife wrote it)")
    if sorted(said.keys() - {_KEY}) != sorted(_KEYS):
        raise UnusableProof(f"it has {', '.join(sorted(said))[:200] or 'nothing'}; allowed: {', '.join(_KEYS)}")
    for name in said:
        if not isinstance(said[name], int if name in ("format", "index") else str) or isinstance(said[name], bool):
            raise UnusableProof(f"{name} is a {type(said[name]).__name__}; expected: what export writes there")


def _problem(
    said: Mapping[str, Any], datum: bytes, statement: SegmentStatement, checkpoint: StoredCheckpoint,
    paths: Sequence[Sequence[bytes]],
) -> str:  # fmt: skip
    if said["schema"] != statement.schema:
        return "the schema is not that of the segment"
    root = root_by_path(leaf_hash(datum), said["index"], statement.records, paths[0])
    if root is None or root.hex() != statement.root:
        return "the receipt is not the one that stood at this index of the segment"
    leaf = leaf_hash(said["segment"].encode())
    if root_by_path(leaf, statement.number - 1, checkpoint.said.size, paths[1]) != checkpoint.said.root:
        return "the segment is not in the tree of the checkpoint"
    return ""


def _receipt(datum: bytes, fingerprint: str, key: bytes | None) -> tuple[Mapping[str, Any], str]:
    """The receipt of a datum, and why its features cannot be read. Raises `UnusableProof`."""
    schema = _schemas().get(fingerprint)
    if schema is None:
        raise UnusableProof(
            f"schema {fingerprint[:16]} is not known; expected: one that this Halflife, or an earlier, had"
        )
    found = decode_block(datum, 1, schema)
    if found.unreadable or len(found.rows) != 1:
        raise UnusableProof("the receipt cannot be read; expected: one record of its schema")
    if not is_encrypted(found.rows):
        return plain_rows(found.rows, RECEIPT)[0], ""
    from models.privacy.receipts import open_receipts  # few audits are encrypted

    opened = open_receipts(found.rows, [key if key is None or len(key) == _KEY_BYTES else None])
    locked = "" if opened.states == ["opened"] else "its features are encrypted, and the file has no key that opens it"
    return plain_rows(opened.receipts, RECEIPT)[0], locked


@lru_cache(maxsize=1)
def _schemas() -> dict[str, str]:
    earlier = resources.files("schemas").joinpath("history", RECEIPT).iterdir()
    texts = [file.read_text(encoding="utf-8") for file in earlier if file.name.endswith(".avsc")]
    return {fingerprint_of(text): text for text in [*texts, avsc(RECEIPT)]}


def _hashes(text: str) -> list[bytes]:
    held = _bytes(text)
    if len(held) % HASH_BYTES:
        raise UnusableProof(f"a path of {len(held)} bytes; expected: a multiple of {HASH_BYTES}")
    return [held[at : at + HASH_BYTES] for at in range(0, len(held), HASH_BYTES)]


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise UnusableProof(f"{text[:20]!r} is not allowed; expected: base64") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
