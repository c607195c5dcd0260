"""Audits to seal: many small files, as a stream leaves them, and what is in them."""

from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from ulid import ULID

from audit.files.chain import read_chain, read_merged
from audit.files.sealed import SealedSegment
from audit.sealing.sealing import Sealed, Sealer, SealLimits
from models.store.backends import Backend
from tests.audit.containers import receipt, schema_of, write

NOW_US = 1_360_000_000_000_000
ORIGIN = "halflife/flights"


def file_name(number: int, prefix: str = "receipts") -> str:
    """The name of a file of a run: numbers are in the order of time."""
    return f"{prefix}-run-{str(ULID.from_timestamp(1_350_000_000.0 + number)).lower()}.avro"


def written(root: Path, files: int = 6, each: int = 5, first: int = 0, **how: Any) -> list[Path]:
    """Files of receipts `e0`, `e1`, …, and one of a model event."""
    numbers = range(first, first + files)
    paths = [
        write(root / "receipts" / file_name(n), [receipt(n * each + i) for i in range(each)], **how) for n in numbers
    ]
    event = {"at": NOW_US, "kind": "admitted", "model": "delays", "actor": "x", "reason": "", "evidence": "{}"}
    nothing = dict.fromkeys(("version", "digest", "release"))
    write(root / "models" / file_name(first, "models"), [event | nothing], schema_of("ModelEvent"))
    return paths


def seal(root: Path | str, size: int = 12, **how: Any) -> Sealed:
    """Seals everything, some files to a segment."""
    return sealer(root, size, **how).seal()


def sealer(root: Path | str, size: int = 12, age_us: int | None = None, key: Any = None, **how: Any) -> Sealer:
    ticks = count(NOW_US)
    return Sealer(Backend(str(root)), ORIGIN, key, SealLimits(size, age_us), lambda: next(ticks), **how)


def segments(root: Path | str) -> list[SealedSegment]:
    backend = Backend(str(root))
    return [SealedSegment(backend, folder) for folder in read_chain(backend).folders]


def events_of(root: Path) -> Counter[str]:
    """How often each event's receipt is in the audit: sealed, or in a file that no segment names."""
    backend, found = Backend(str(root)), Counter[str]()
    merged = set[str]()
    for segment in segments(root):
        merged |= set(read_merged(backend, segment.folder, segment.statement))
        if segment.statement.kind == "receipts":
            found.update(event for part in segment.stretches() for event in part.columns.column("event_id").to_pylist())
    unsealed = [path for path in (root / "receipts").glob("*.avro") if f"receipts/{path.name}" not in merged]
    found.update(event for path in unsealed for event in _events_in(path))
    return found


def _events_in(path: Path) -> list[str]:
    import fastavro

    with path.open("rb") as stream:
        return [str(row["event_id"]) for row in fastavro.reader(stream) if isinstance(row, dict)]


Changed = Callable[[str], None]
