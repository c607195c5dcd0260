"""More than a column can hold in one bounded run, and lines that are too long: nothing stops, memory is bounded."""

import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest

from pipeline.endpoints.files import formats as event_files
from pipeline.endpoints.files import json_files
from schemas import batches
from tests.pipeline.jobs.flows import COLUMNS, Flow, json_lines, trip, trips
from tests.pipeline.jobs.input.test_bad_input import adds_up

MIB = 1024**2


@pytest.fixture
def small_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow as it is with 2 GiB, at 2 MiB: more does not fit in the offsets of one column."""
    real: Callable[..., pa.RecordBatch] = pa.concat_batches

    def concat(parts: Sequence[pa.RecordBatch], **options: Any) -> pa.RecordBatch:
        if sum(part.nbytes for part in parts) > 2 * MIB:
            raise pa.ArrowInvalid("offset overflow while concatenating arrays")
        return real(parts, **options)

    monkeypatch.setattr(pa, "concat_batches", concat)
    monkeypatch.setattr(batches, "MAX_BYTES", MIB, raising=False)
    monkeypatch.setattr(batches, "WHOLE_BYTES", MIB // 2, raising=False)
    monkeypatch.setattr(json_files, "_JSON_BYTES", MIB // 2)
    monkeypatch.setattr(event_files, "_PIECE_BYTES", MIB // 2)


@pytest.mark.usefixtures("small_columns")
@pytest.mark.parametrize(("records", "size"), [(500, 20_000), (30, 400_000), (20_000, 300)])
def test_more_than_a_column_holds_is_scored_in_one_run(flow: Flow, records: int, size: int) -> None:
    lines = json_lines(trip(n, unread="x" * size) for n in range(records))
    half = lines.index(b"\n", len(lines) // 2) + 1
    flow.feed(lines[:half])
    flow.feed(gzip.compress(lines[half:], 1), "in.1.gz")
    flow.feed(json_lines([trip(0, delay=9.0), trip(records - 1, delay=9.0)]), "in.2")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert outcome.code == 0, outcome.err
    assert (outcome.summary["scored"], adds_up(outcome, records + 2)) == (records, True)
    assert sorted(letter["event_id"] for letter in flow.letters()) == sorted(["t0", f"t{records - 1}"])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_line_of_more_than_16_mib_is_one_letter(flow: Flow, suffix: str) -> None:
    longest = json.dumps(trip(3, unread="")).encode()
    fits = longest.replace(b'""', b'"' + b"x" * (16 * MIB - len(longest)) + b'"')
    too_long = b'{"id": "x", "unread": "' + b"y" * (40 * MIB) + b'"}'
    content = (
        json_lines(trips(3)) + b"\n".join([fits, too_long, too_long + b" " * MIB]) + b"\n" + json_lines(trips(4, 4))
    )
    flow.feed(gzip.compress(content, 1) if suffix else content, f"in{suffix}")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert outcome.code == 0, outcome.err
    assert (outcome.summary["scored"], adds_up(outcome, 10)) == (8, True)
    letters = flow.letters()
    assert [letter["payload"] for letter in letters] == [too_long[: 16 * MIB]] * 2
    assert all("allowed: at most 16777216" in letter["detail"] for letter in letters)


@pytest.mark.parametrize("ends", [b"\n", b""])
def test_file_of_one_endless_line_is_one_letter(flow: Flow, ends: bytes) -> None:
    flow.feed(b"[" * (40 * MIB) + ends)
    flow.feed(json_lines(trips(3)), "in.1")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"]) == (0, 3), outcome.err
    (letter,) = flow.letters()
    assert f"a line of {40 * MIB} bytes" in letter["detail"]
