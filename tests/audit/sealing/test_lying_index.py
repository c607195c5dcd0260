"""What a sealed segment says of its receipts beside them is held against them, whoever sealed it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.files.index import IndexParts, write_index
from audit.files.segments import SegmentStatement
from audit.files.summaries import SummaryBuilder
from audit.sealing.findings import AuditFindings
from audit.sealing.verifying import AuditTrust, verify_segments
from models.store.backends import Backend
from tests.audit.containers import receipt, write
from tests.audit.sealing.sealed import ORIGIN, file_name, seal, segments, written

Lie = Callable[[IndexParts], IndexParts]


def altered_in(root: Path) -> list[str]:
    """The names of the files of the first segment that verification calls altered."""
    found = AuditFindings()
    verify_segments(Backend(str(root)), AuditTrust(origin=ORIGIN), found)
    assert all(not values for name, values in found.lists.items() if name != "altered"), found.lists
    return [each.partition(":")[0].rpartition("/")[2] for each in found.altered]


def keys(parts: IndexParts, name: str, change: Callable[[Any, Any], tuple[Any, Any]]) -> IndexParts:
    return parts._replace(keys=dict(parts.keys) | {name: change(*parts.keys[name])})


def hidden(values: Any, there: Any) -> tuple[Any, Any]:
    return values, there & (np.arange(len(there)) != 3)


LIES: dict[str, Lie] = {
    "a receipt that no score_id finds": lambda parts: keys(parts, "score_id", hidden),
    "a subject that finds another's": lambda parts: keys(parts, "subject", lambda v, t: (np.roll(v, 1), t)),
    "an event that nothing finds": lambda parts: keys(parts, "event_id", lambda v, t: (v + np.uint64(v[0] != 0), t)),
    "a leaf of another hash": lambda parts: parts._replace(checks=parts.checks[::-1]),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_says_something_else_than_the_receipts_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    written(tmp_path, files=3)

    def lying(stream: Any, parts: IndexParts) -> None:
        write_index(stream, LIES[lie](parts) if parts.keys else parts)

    monkeypatch.setattr("audit.sealing.building.write_index", lying)
    seal(tmp_path, size=1000)
    assert altered_in(tmp_path) == ["index"]


def test_values_that_are_looked_for_in_the_wrong_stretch_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, files=40)
    real = np.searchsorted
    monkeypatch.setattr("audit.files.index.np.searchsorted", lambda *given: real(*given) + (real(*given) > 0))
    seal(tmp_path, size=1000)
    monkeypatch.undo()
    assert altered_in(tmp_path) == ["index"]


def test_a_summary_of_other_versions_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, files=3)
    real = SummaryBuilder.add

    def lying(self: SummaryBuilder, rows: pa.RecordBatch, first: int, block_rows: int) -> None:
        others = pa.array(["v2"] * rows.num_rows)
        real(self, rows.set_column(rows.schema.get_field_index("version"), "version", others), first, block_rows)

    monkeypatch.setattr(SummaryBuilder, "add", lying)
    seal(tmp_path, size=1000)
    monkeypatch.undo()
    assert altered_in(tmp_path) == ["summary"]


@pytest.mark.parametrize("field", ["first_event_us", "last_event_us", "first_scored_us", "last_scored_us"])
def test_a_statement_of_other_times_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    written(tmp_path, files=3)
    real = SegmentStatement.stored

    def lying(self: SegmentStatement) -> bytes:
        return real(replace(self, **{field: 17}) if self.kind == "receipts" else self)  # type: ignore[arg-type]

    monkeypatch.setattr(SegmentStatement, "stored", lying)
    seal(tmp_path, size=1000)
    monkeypatch.undo()
    assert altered_in(tmp_path) == ["segment.json"]


def test_receipts_without_a_subject_and_of_one_subject_are_indexed_truly(tmp_path: Path) -> None:
    rows = [receipt(n, subject=None if n % 3 else "one") for n in range(300)]
    write(tmp_path / "receipts" / file_name(0), rows)
    seal(tmp_path, size=1000)
    assert (altered_in(tmp_path), len(segments(tmp_path)[0].index.find("subject", "one"))) == ([], 100)
