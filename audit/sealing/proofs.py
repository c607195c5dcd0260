"""A decision that is proven alone: its receipt, the way from it to a signed root, and nothing else of the audit."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from audit.files.chain import CheckpointChain
from audit.files.checkpoints import StoredCheckpoint, parse_checkpoint
from audit.files.formats import RECEIPT, plain_rows
from audit.files.merkle import HASH_BYTES, leaf_hash, path, root_by_path
from audit.files.notes import PublicKey
from audit.files.sealed import SealedSegment
from audit.files.segments import SegmentStatement, fingerprint_of, parse_statement
from models.strict_json import parse_object
from schemas.avro.datums import decode_block
from schemas.errors import UnusableData
from schemas.records import avsc
from schemas.validation import SpecError

_FORMAT = 1
_KEYS = ("format", "receipt", "schema", "index", "path", "segment", "segment_path", "checkpoint")
MAX_BYTES = 512 * 1024 * 1024


class UnusableProof(UnusableData):
    """A file that is no exported decision, or of a later format."""


@dataclass(frozen=True, slots=True)
class ProvenDecision:
    """A receipt (every field of today's record), what its segment and the checkpoint say, and why it does not follow
    from them; `problem` is empty where it does."""

    receipt: Mapping[str, Any]
    statement: SegmentStatement
    checkpoint: StoredCheckpoint
    problem: str

    def signed_by(self, keys: Sequence[PublicKey]) -> PublicKey | None:
        """The key that signed the root which the receipt follows from; None where none did."""
        return None if self.problem else self.checkpoint.note.signed_by(keys)


def export_decision(segment: SealedSegment, row: int, chain: CheckpointChain) -> bytes:
    """The file that proves the receipt at an index of a segment of the chain.

    Raises:
        RecordsExpired, UnusableIndex, UnusableSegment: the segment cannot be read.
        StoreUnavailable: the store did not answer.
    """
    from audit.sealing.building import leaf_hashes

    assert chain.last is not None
    index, said = segment.index, segment.statement
    block = segment.block(row // index.block_rows)
    within = path(leaf_hashes(block.data, block.location.offsets), row % index.block_rows)
    proof = {
        "format": _FORMAT,
        "receipt": _base64(block.datum(row)),
        "schema": said.schema,
        "index": row,
        "path": _base64(b"".join([*within, *path(index.roots(), row // index.block_rows)])),
        "segment": said.stored().decode(),
        "segment_path": _base64(b"".join(path(chain.leaves, said.number - 1))),
        "checkpoint": chain.last.stored.decode(),
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
        receipt = _receipt(datum, said["schema"])
        paths = [_hashes(said[name]) for name in ("path", "segment_path")]
    except (SpecError, UnusableData, ValueError) as error:
        raise UnusableProof(f"{error}; next: halflife audit export writes such a file") from None
    problem = _problem(said, datum, statement, checkpoint, paths)
    return ProvenDecision(receipt, statement, checkpoint, problem)


def _check(said: Mapping[str, Any]) -> None:
    """Raises `UnusableProof`."""
    if isinstance(said.get("format"), int) and said["format"] > _FORMAT:
        raise UnusableProof(f"format {said['format']:.0f}; expected: at most {_FORMAT} (a later Halflife wrote it)")
    if sorted(said) != sorted(_KEYS):
        raise UnusableProof(f"it has {', '.join(sorted(said))[:200] or 'nothing'}; allowed: {', '.join(_KEYS)}")
    for name in _KEYS:
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


def _receipt(datum: bytes, fingerprint: str) -> Mapping[str, Any]:
    """The receipt of a datum. Raises `UnusableProof`."""
    schema = _schemas().get(fingerprint)
    if schema is None:
        raise UnusableProof(
            f"schema {fingerprint[:16]} is not known; expected: one that this Halflife, or an earlier, had"
        )
    found = decode_block(datum, 1, schema)
    if found.unreadable or len(found.rows) != 1:
        raise UnusableProof("the receipt cannot be read; expected: one record of its schema")
    return plain_rows(found.rows, RECEIPT)[0]


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
