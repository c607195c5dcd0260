"""A replay of many receipts copies only what it keeps: what all have is there once, and nothing is filtered that stays
whole."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.files.audit import Audit, ReceiptFilter, columns_of
from models.bundles.manifest import Input
from pipeline.replaying.recorded.receipts import kinds_of, read_receipts
from schemas.score_ids import score_id
from tests.audit.containers import receipt, write
from transforms.scoring import scoring

INPUTS = (Input("delay", "number"),)
ROWS = 3_000


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Two files, too large to be read together, the second with receipts of two roles."""
    root, drawn = tmp_path_factory.mktemp("audit"), random.Random(1)
    roles = ("champion", "shadow")
    for number in range(2):
        said = [{"role": roles[n % (1 + number)], "subject": drawn.randbytes(150).hex()} for n in range(ROWS)]
        rows = [receipt(number * ROWS + n, job=None, **each) for n, each in enumerate(said)]
        write(root / "receipts" / f"{number}.avro", rows)
    return Audit(str(root))


def addresses(column: pa.ChunkedArray) -> set[int]:
    return {chunk.buffers()[-1].address for chunk in column.chunks}


def test_what_all_receipts_have_is_kept_once_and_the_rest_in_order(audit: Audit) -> None:
    found = read_receipts(audit, ReceiptFilter(since_us=0), lambda version, digest: INPUTS).together()
    assert found["event_id"].to_pylist() == [f"e{n}" for n in range(2 * ROWS)]
    assert found["role"].to_pylist() == ["champion"] * ROWS + ["champion", "shadow"] * (ROWS // 2)
    assert found["in:delay"].to_pylist() == [float(n) for n in range(2 * ROWS)]
    assert found["run"].null_count == 2 * ROWS
    assert set(found["digest"].to_pylist()) == {"d" * 64}
    assert (found["digest"].num_chunks > 1, len(addresses(found["digest"]))) == (True, 1)


@pytest.mark.parametrize("wanted", [{"version": "v1"}, {"since_us": 0}, {"until_us": 2**60, "decision": "late"}])
def test_receipts_that_are_all_wanted_are_not_copied(wanted: dict[str, Any]) -> None:
    """Features are a map of a union, of which a filter copies one value after the other."""
    texts = {"event_id": ["a", "b"], "version": ["v1", "v1"], "decision": ["late", "late"]}
    columns = {name: pa.array(each) for name, each in texts.items()}
    times = pa.array([1, 2]).cast(pa.timestamp("us", tz="UTC"))
    rows = pa.RecordBatch.from_pydict({**columns, "event_time": times})
    whole = columns_of(rows, ["event_id"], ReceiptFilter(**wanted))
    assert whole.column(0).buffers()[2].address == rows.column("event_id").buffers()[2].address
    part = columns_of(rows, ["event_id"], ReceiptFilter(**(wanted | {"until_us": 2})))
    assert part.column(0).to_pylist() == ["a"]


@given(st.lists(st.tuples(st.sampled_from(["r1", None]), st.sampled_from("ab"), st.integers(1, 2)), min_size=1))
@settings(deadline=None)
def test_kinds_are_those_of_a_search_row_by_row(rows: list[tuple[str | None, str, int]]) -> None:
    names = ("run", "role", "release")
    columns = [list(each) for each in zip(*rows, strict=True)]
    kinds = [pa.string(), pa.string(), pa.int64()]
    table = pa.table({name: pa.array(each, kind) for name, each, kind in zip(names, columns, kinds, strict=True)})
    table = table.append_column("row", pa.array(np.arange(len(rows))))
    found = {tuple(kind.values()): own["row"].to_pylist() for kind, own in kinds_of(table, names)}
    assert found == {row: [n for n, each in enumerate(rows) if each == row] for row in rows}


@pytest.mark.parametrize("most", [1 << 30, 100, 1])
def test_ids_of_scores_are_made_at_once_or_in_parts(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(scoring, "_MOST_HASHED", most)
    events = ["a", "", "é|x", "n" * 300, "7"]
    found = scoring.score_ids(pa.array(["no", *events]).slice(1), "d" * 64, "shadow", None).to_pylist()
    assert found == [score_id(each, "d" * 64, "shadow", None) for each in events]
    assert len(scoring.score_ids(pa.array([], pa.string()), "d", "champion", "f")) == 0
