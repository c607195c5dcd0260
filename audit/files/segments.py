"""What is in a sealed segment, as its `segment.json` says: its bytes are a leaf of the tree of segments."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from models.strict_json import parse_object
from schemas.errors import UnusableData
from schemas.expectations import wants
from schemas.validation import SpecError

RECEIPTS, MODELS = "receipts", "models"
KINDS = {RECEIPTS: "Receipt", MODELS: "ModelEvent"}
"""The kinds of segment, and the record that each holds."""
SEALED, CHECKPOINTS = "sealed", "checkpoints"
STATEMENT, INDEX, SOURCES, SUMMARY = "segment.json", "index", "sources", "summary"
MAX_STATEMENT = 64 * 1024
_FORMAT = 2  # 1 has no summary
_HEX = re.compile(r"[0-9a-f]{64}")


class UnusableSegment(UnusableData):
    """What is said of a sealed segment cannot be read, or not by this Halflife."""


@dataclass(frozen=True, slots=True)
class SegmentStatement:
    """A sealed segment: `records` of a kind in `<kind>.avro`, in blocks of `block_rows`; `root`: of the tree whose
    leaves they are, as stored; `files`: sha256 of each file beside this one; `merged`: how many files it was made of;
    times in microseconds since 1970 by the operator's clock, None where no record has one; `schema`: sha256 of the
    parsing canonical form of the container's schema."""

    number: int
    kind: str
    records: int
    block_rows: int
    root: str
    files: Mapping[str, str]
    merged: int
    first_event_us: int | None
    last_event_us: int | None
    first_scored_us: int | None
    last_scored_us: int | None
    sealed_at_us: int
    schema: str
    format: int = _FORMAT

    def stored(self) -> bytes:
        """The bytes of `segment.json`."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @property
    def container(self) -> str:
        """The name of the file with the records."""
        return f"{self.kind}.avro"

    @property
    def summarised(self) -> bool:
        """Whether it has a summary: receipts have one, but for those that an earlier Halflife sealed."""
        return SUMMARY in self.files


def fingerprint_of(schema: str) -> str:
    """The sha256 (hex) of the parsing canonical form of a schema, which has neither documentation nor defaults."""
    from fastavro.schema import to_parsing_canonical_form

    return sha256(to_parsing_canonical_form(json.loads(schema)).encode()).hexdigest()


def checkpoint_key(number: int) -> str:
    """The key of a checkpoint.

    >>> checkpoint_key(7)
    'checkpoints/00000007'
    """
    return f"{CHECKPOINTS}/{number:08}"


def parse_statement(data: bytes) -> SegmentStatement:
    """What a `segment.json` says.

    Raises:
        UnusableSegment: it is none, or of a later format.
    """
    try:
        found = parse_object(data)
    except SpecError as error:
        raise UnusableSegment(f"{STATEMENT}: {error}") from None
    if isinstance(found.get("format"), int) and found["format"] > _FORMAT:
        raise UnusableSegment(
            f"{STATEMENT} has the format {found['format']:.0f}; expected: at most {_FORMAT} (a later Halflife)"
        )
    names = list(SegmentStatement.__dataclass_fields__)
    if sorted(found) != sorted(names):
        raise UnusableSegment(f"{STATEMENT} has {', '.join(sorted(found))[:300]}; {wants(', '.join(names))}")
    _check(found)
    return SegmentStatement(**found)


def _check(found: Mapping[str, Any]) -> None:
    """Raises `UnusableSegment` for a value that no segment has."""
    wholes = ("number", "records", "block_rows", "merged", "sealed_at_us", "format")
    times = ("first_event_us", "last_event_us", "first_scored_us", "last_scored_us")
    files = found["files"]
    sound = {
        **{name: type(found[name]) is int and 0 <= found[name] < 2**62 for name in wholes},
        **{name: found[name] is None or (type(found[name]) is int and abs(found[name]) < 2**62) for name in times},
        "kind": found["kind"] in KINDS,
        **{
            name: isinstance(found[name], str) and _HEX.fullmatch(found[name]) is not None
            for name in ("root", "schema")
        },
        "files": isinstance(files, dict)
        and all(isinstance(each, str) and _HEX.fullmatch(each) for each in files.values()),
    }
    if sound["kind"] and sound["files"]:
        beside = {f"{found['kind']}.avro", INDEX, SOURCES}
        sound["files"] = set(files) in (beside, beside | ({SUMMARY} if found["kind"] == RECEIPTS else set()))
    wrong = [name for name, good in sound.items() if not good]
    if wrong:
        raise UnusableSegment(f"{STATEMENT}: {wrong[0]} {found[wrong[0]]!r:.80}; expected: what sealing writes there")
