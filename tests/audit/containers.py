"""Receipts and model events, made one by one, in files such as jobs write and such as nobody should."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fastavro

from schemas.records import avsc

ROOT = Path(__file__).parents[2]


def receipt(number: int, **said: Any) -> dict[str, Any]:
    """The receipt of event `e<number>`; times in microseconds."""
    return {
        "score_id": f"{number:032x}",
        "event_id": f"e{number}",
        "event_time": 1_357_000_000_000_000 + number * 1_000_000,
        "subject": f"N{number % 7}",
        "model": "delays",
        "version": "v1",
        "release": 1,
        "role": "champion",
        "score": number / 100,
        "decision": "late" if number >= 50 else "not late",
        "late": False,
        "reasons": [],
        "scored_at": 1_357_100_000_000_000 + number,
        "digest": "d" * 64,
        "features": {"delay": float(number), "seats": number, "carrier": "UA", "blank": None},
        "latency_us": 7,
        "worker": "here-1",
    } | said


def schema_of(record: str, earlier: int | None = None) -> dict[str, Any]:
    """Today's schema of a record, or an earlier one by its number."""
    text = avsc(record)
    if earlier is not None:
        text = (ROOT / "schemas" / "history" / record / f"{earlier}.avsc").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def write(path: Path, rows: Iterable[dict[str, Any]], schema: dict[str, Any] | None = None, **how: Any) -> Path:
    """A container of the rows in a schema, of receipts unless another is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        fastavro.writer(stream, schema or schema_of("Receipt"), list(rows), codec="zstandard", **how)
    return path
