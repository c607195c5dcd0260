"""Compressed input that is cut off, damaged, padded or in many members: the good is scored, the rest is a letter."""

import bz2
import gzip
import lzma
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from backports import zstd

from tests.pipeline.jobs.flows import COLUMNS, Flow, container, json_lines, trips
from tests.pipeline.jobs.input.test_bad_input import adds_up


def zstandard(content: bytes) -> bytes:
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


def without_size(content: bytes) -> bytes:
    """A frame of Zstandard as a stream writes it: neither the size nor a checksum is in it."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.content_size_flag: 0})
    return compressor.compress(content) + compressor.flush()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard,
    ".deflate": zlib.compress,
}
SKIPPABLE = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"


def flushed(records: list[Any]) -> bytes:
    """As a logger leaves it that flushes after each record and is killed: no end, no checksum."""
    compressor = zlib.compressobj(wbits=31)
    pieces = [compressor.compress(json_lines([record])) + compressor.flush(zlib.Z_SYNC_FLUSH) for record in records]
    return b"".join(pieces)


def run(flow: Flow, records: int) -> list[dict[str, Any]]:
    """Runs the job over what was fed; returns its letters, having looked that so many records were scored."""
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert outcome.code == 0, outcome.err
    letters = flow.letters()
    assert (outcome.summary["scored"], adds_up(outcome, records + len(letters))) == (records, True)
    return letters


@pytest.mark.parametrize("suffix", COMPRESS)
def test_file_that_is_cut_off_is_read_to_there_and_has_a_letter(flow: Flow, suffix: str) -> None:
    first, rest = json_lines(trips(40)), json_lines(trips(4_000, 40))
    compress = COMPRESS[suffix]
    flow.feed((compress(first) + compress(rest))[: len(compress(first)) + 300], f"in{suffix}")
    flow.feed(json_lines(trips(5, 100_000)), "in.whole")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert (outcome.code, outcome.summary["scored"] >= 45) == (0, True), outcome.err
    (letter,) = flow.letters()
    assert adds_up(outcome, outcome.summary["scored"] + 1)
    assert f"in{suffix}@" in letter["detail"]
    assert "cut off" in letter["detail"]
    assert letter["payload"]


@pytest.mark.parametrize(("cut", "records"), [(4, 6), (9, 5), (21, 5)])
def test_log_that_was_flushed_but_never_ended_is_read_and_named(flow: Flow, cut: int, records: int) -> None:
    flow.feed(flushed(trips(3)), "in.gz")
    flow.feed(flushed(trips(3, 10))[:-cut], "in.1.gz")
    letters = run(flow, records)
    assert sorted("in.1.gz@" in letter["detail"] for letter in letters) == [False, True]
    assert all("cut off" in letter["detail"] for letter in letters)


def test_last_line_without_its_end_is_scored_where_the_file_is_cut_behind_it(flow: Flow) -> None:
    flow.feed(gzip.compress(json_lines(trips(4)).rstrip())[:-8], "in.gz")
    (letter,) = run(flow, 4)
    assert "cut off" in letter["detail"]


# The offset of the checksum from the end: in xz an index and a footer follow it.
@pytest.mark.parametrize(("suffix", "offset"), [(".gz", -8), (".zst", -1), (".deflate", -1), (".xz", -21)])
def test_wrong_checksum_costs_its_member_only(flow: Flow, suffix: str, offset: int) -> None:
    compress = COMPRESS[suffix]
    damaged = bytearray(compress(json_lines(trips(11))))
    damaged[offset] ^= 0xFF
    flow.feed(compress(json_lines(trips(7, 20))) + damaged + compress(json_lines(trips(5, 30))), f"in{suffix}")
    flow.feed(compress(json_lines(trips(3, 40))), f"in.1{suffix}")
    (letter,) = run(flow, 15)
    assert f"in{suffix}@" in letter["detail"]
    assert letter["payload"] == damaged


def numbers(count: int, first: int = 0) -> bytes:
    """Trips with many different digits: a decompressor that reads on in damage makes other numbers of them."""
    chance = random.Random(first)
    return json_lines({**each, "delay": round(chance.random() * 100, 6)} for each in trips(count, first))


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".zst", ".deflate"])
def test_nothing_is_scored_of_a_member_with_a_flipped_bit(flow: Flow, suffix: str) -> None:
    for offset in range(6):
        stored = bytearray(COMPRESS[suffix](numbers(300, 1000 * offset)))
        stored[len(stored) * (offset + 3) // 10] ^= 1 << offset
        flow.feed(bytes(stored), f"in.{offset}{suffix}")
    flow.feed(COMPRESS[suffix](numbers(7, 9000)), f"in{suffix}")
    assert len(run(flow, 7)) == 6


def test_blocks_of_bzip2_before_a_flipped_bit_are_scored(flow: Flow) -> None:
    stored = bytearray(bz2.compress(numbers(3000), 1))
    stored[-100] ^= 1
    flow.feed(bytes(stored), "in.bz2")
    outcome = flow.run(flow.spec(columns=COLUMNS))
    assert outcome.code == 0, outcome.err
    assert outcome.summary["scored"] >= 700  # a block holds 100,000 bytes
    assert len(flow.letters()) == 1


@pytest.mark.parametrize("rest", [b"", gzip.compress(json_lines(trips(6, 20)))])
def test_log_whose_end_became_zeros_when_its_machine_lost_power_is_read_to_there(flow: Flow, rest: bytes) -> None:
    good = flushed(trips(10))
    flow.feed(good + bytes(4096) + rest, "in.gz")
    (letter,) = run(flow, 16 if rest else 10)
    assert "where zeros begin" in letter["detail"]


def test_damage_costs_its_member_and_reading_continues_at_the_next(flow: Flow) -> None:
    good, wrong = flushed(trips(10)), b"\x07" * 9  # a block of a kind that there is not
    flow.feed(gzip.compress(json_lines(trips(3, 30))) + good + wrong + gzip.compress(json_lines(trips(6, 20))), "in.gz")
    (letter,) = run(flow, 9)
    assert ("break off at byte" in letter["detail"], letter["payload"]) == (True, good + wrong)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_members_end_to_end_and_zeros_are_read(flow: Flow, suffix: str) -> None:
    compress = COMPRESS[suffix]
    flow.feed(compress(json_lines(trips(3))) + bytes(512) + compress(json_lines(trips(3, 5))) + bytes(4), f"in{suffix}")
    flow.feed(b"", f"in.1{suffix}")
    assert run(flow, 6) == []


def test_frames_without_size_and_frames_to_skip_are_read(flow: Flow) -> None:
    flow.feed(SKIPPABLE + without_size(json_lines(trips(3))) + SKIPPABLE, "in.zst")
    flow.feed(zstandard(json_lines(trips(3, 5))) + without_size(json_lines(trips(3, 9))), "in.1.zst")
    assert run(flow, 9) == []


@pytest.mark.parametrize("suffix", COMPRESS)
def test_bytes_after_the_end_are_a_letter(flow: Flow, suffix: str) -> None:
    flow.feed(COMPRESS[suffix](json_lines(trips(3))) + b"left over", f"in{suffix}")
    flow.feed(json_lines(trips(2, 5)), f"in.1{suffix}")  # not compressed at all
    letters = run(flow, 3)
    assert {letter["payload"] for letter in letters} == {b"left over", json_lines(trips(2, 5))}


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_containers_are_read_to_where_the_file_is_cut(flow: Flow, suffix: str) -> None:
    content = container(trips(60), codec="null")
    whole = COMPRESS[suffix](content[:-700]) + COMPRESS[suffix](content[-700:])
    flow.feed(whole[:-5], f"in{suffix}")
    outcome = flow.run(flow.spec("avro"))
    assert (outcome.code, outcome.summary["scored"] >= 20) == (0, True), outcome.err
    (letter,) = flow.letters()
    assert "cut off" in letter["detail"]
    assert f"in{suffix}@" in letter["detail"]
