"""How state and batches are encoded: both are decoded as they were, and state of another format is refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from apache_beam import coders

from transforms.arrivals.seen_ids import SeenForm, run_of
from transforms.drift.drift_groups import GroupCounts
from transforms.drift.drift_tally import GroupCountsCoder
from transforms.flow.coders import ArrowBatchCoder, batches_kept, decode_batch, encode_batch
from transforms.flow.state import Plain, StateFormatMismatch, VersionedStateCoder
from transforms.quality.sums.error_sums import ErrorSums
from transforms.quality.sums.exact_sums import ExactSums
from transforms.quality.sums.sums_coder import QualitySums, SumsFn

NUMBERS = np.array([3])
ERRORS = ErrorSums(NUMBERS, NUMBERS, np.ones((1, 24), np.int64), ExactSums(0, np.ones((1, 1, 24), np.int64)))
TILES, SEEN = (VersionedStateCoder(name, 1, Plain(int | None)) for name in ("tiles", "seen"))
NEWER = VersionedStateCoder("tiles", 2, Plain(int | None))


def test_state_comes_back_through_its_coder() -> None:
    run = run_of(pa.array(["a", "b"]), np.array([1, 2]))
    coder = VersionedStateCoder("seen", 1, SeenForm())
    found = coder.decode(coder.encode(run))
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(found, run, strict=True))


@pytest.mark.parametrize("writer", [NEWER, SEEN])
def test_state_of_another_format_is_refused_with_both_formats_and_what_to_do(writer: VersionedStateCoder) -> None:
    with pytest.raises(StateFormatMismatch) as refused:
        TILES.decode(writer.encode(None))
    message = str(refused.value)
    assert writer.encode(None).split(b"\n")[0].decode() in message
    assert "halflife/tiles/1" in message
    assert "drain the job" in message


def test_state_that_never_had_a_format_is_refused() -> None:
    with pytest.raises(StateFormatMismatch, match="drain the job"):
        TILES.decode(b"\x80\x05N.")


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_batch_comes_back_with_its_schema(rows: int) -> None:
    columns = {"n": pa.array(range(rows), pa.int64()), "t": pa.array([None] * rows, pa.timestamp("us", "UTC"))}
    batch = pa.RecordBatch.from_pydict({**columns, "s": pa.array(["ä"] * rows, pa.string())})
    sliced = pa.concat_batches([batch, batch]).slice(rows)
    coder = coders.registry.get_coder(pa.RecordBatch)
    assert isinstance(coder, ArrowBatchCoder)
    assert coder.decode(coder.encode(sliced)).equals(batch)


def test_coders_are_equal_by_what_they_write() -> None:
    assert VersionedStateCoder("tiles", 1, Plain(int)) == TILES
    assert TILES != NEWER
    assert not ArrowBatchCoder().is_deterministic()


def test_kept_batches_are_themselves_until_the_last_block_ends() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [1, 2]})
    with batches_kept():
        with batches_kept():
            reference = encode_batch(batch)
        assert len(reference) < 40
        assert decode_batch(reference) is batch
        assert decode_batch(encode_batch(batch.slice(1))).to_pylist() == [{"n": 2}]
    assert decode_batch(encode_batch(batch)) is not batch
    with pytest.raises(ValueError, match=f"{reference.decode()}: the value was kept by another process"):
        decode_batch(reference)


def test_batches_encoded_before_are_read_while_others_are_kept() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [1, 2]})
    encoded = encode_batch(batch)
    with batches_kept():
        assert decode_batch(encoded).equals(batch)


@pytest.mark.parametrize(
    ("coder", "value"),
    [
        (GroupCountsCoder(), GroupCounts(4, (("champion", None),), NUMBERS, NUMBERS)),
        (coders.registry.get_coder(QualitySums), ERRORS),
        (SumsFn().get_accumulator_coder(), [ERRORS]),  # type: ignore[no-untyped-call]  # CombineFn has no types
    ],
)
def test_counts_and_sums_are_kept_where_batches_are_and_written_elsewhere(coder: coders.Coder, value: Any) -> None:
    with batches_kept():
        kept = coder.encode(value)
        assert coder.decode(kept) is value
    written = coder.encode(value)
    assert len(kept) < 30 < len(written)
    assert coder.decode(written) is not value
    assert 0 < coder.estimate_size(value) <= len(written)
    with batches_kept():
        assert coder.encode(coder.decode(written)).startswith(b"halflife:kept:")
    with pytest.raises(ValueError, match="the value was kept by another process"):
        coder.decode(kept)
