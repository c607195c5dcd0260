"""Raw stretches of input to batches of events in the job's columns: one pure function, wherever it is done."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.avro.datums import decode_block
from schemas.dead_letter_stages import DECODE
from schemas.formats.envelopes.avro_envelopes import names_within, opened_rows
from schemas.formats.json_lines import decode_lines, decode_objects
from schemas.formats.path_columns import with_path_columns
from schemas.formats.raw import DecodedBlock, DecodedRows, RawBlock
from schemas.formats.tf_examples import decode_examples
from schemas.job import EventsSpec
from schemas.records import DeadLetter
from schemas.vectors import vector_of
from transforms.decoding.conform import conform
from transforms.decoding.record_locations import RECORD, RecordLocations
from transforms.decoding.written_schemas import fingerprint


def _decode_avro(block: RawBlock, spec: EventsSpec) -> list[DecodedRows]:
    names, headers = _wanted(spec), _headers(block)
    if spec.envelope is None:
        pieces = _avro_pieces(block, names)
        return pieces if block.origins else list(_numbered(pieces, block))
    pieces = _avro_pieces(block, names_within(names, spec.envelope))
    if len(pieces) == 1:
        return [opened_rows(pieces[0], names, spec.envelope, headers)]
    each = [[one] for one in headers] if len(headers) == len(pieces) else [()] * len(pieces)
    return [opened_rows(piece, names, spec.envelope, own) for piece, own in zip(pieces, each, strict=True)]


def _numbered(pieces: Sequence[DecodedRows], block: RawBlock) -> Iterator[DecodedRows]:
    """With the number of each record in the block; not for pieces with unreadable ones, which have not all rows."""
    before = 0
    counts = [datums for datums, _ in block.parts] if len(pieces) > 1 else [block.datums]
    for piece, count in zip(pieces, counts, strict=True):
        numbers = pa.array(np.arange(before + 1, before + 1 + piece.rows.num_rows), pa.int64())
        yield piece if piece.unreadable else piece._replace(numbers=numbers, unit=RECORD)
        before += count


def _headers(block: RawBlock) -> list[tuple[tuple[str, bytes | None], ...]]:
    return [origin.headers for origin in block.origins]


def _avro_pieces(block: RawBlock, names: Sequence[str]) -> list[DecodedRows]:
    decoded = decode_block(block.data, block.datums, block.schema, names)
    if not block.parts or (not decoded.unreadable and _as_declared(decoded, block.parts)):
        return [decoded]
    pieces, start = [], 0
    for datums, size in block.parts:
        data = block.data[start : start + size]
        piece = decode_block(data, datums, block.schema, names)
        pieces.append(_whole(piece, data) if datums == 1 and block.origins else piece)
        start += size
    return pieces


def _as_declared(decoded: DecodedRows, parts: tuple[tuple[int, int], ...]) -> bool:
    """Whether each record is as long as its part, where each part is one record: none was read into the next."""
    if any(datums != 1 for datums, _ in parts):
        return True
    lengths = pc.binary_length(decoded.payloads)
    return bool(lengths.equals(pa.array([size for _, size in parts], lengths.type)))


def _whole(piece: DecodedRows, data: bytes) -> DecodedRows:
    """A record of a topic must be read completely: one with bytes left over is unreadable."""
    if not piece.unreadable or not piece.rows.num_rows:
        return piece
    unreadable = piece.unreadable[0]._replace(payload=data)
    return DecodedRows(piece.rows.slice(0, 0), piece.payloads.slice(0, 0), (unreadable,))


def _decode_json(block: RawBlock, spec: EventsSpec) -> list[DecodedRows]:
    said = (spec.decoded, spec.event_id, spec.event_time, spec.subject, spec.envelope)
    return [decode_objects(block.records, *said, _headers(block)) if block.records else decode_lines(block.data, *said)]


def _decode_examples(block: RawBlock, spec: EventsSpec) -> list[DecodedRows]:
    lists = [name for name, kind in spec.decoded if vector_of(kind) is not None]
    return decode_examples(block.records, _wanted(spec), lists)


def _wanted(spec: EventsSpec) -> list[str]:
    """The columns that a job reads."""
    wanted = [spec.event_id, spec.event_time, *([spec.subject] if spec.subject else []), *dict(spec.columns)]
    return list(dict.fromkeys(wanted))


FORMATS: dict[str, Callable[[RawBlock, EventsSpec], list[DecodedRows]]] = {
    "avro": _decode_avro,
    "json": _decode_json,
    "tfexample": _decode_examples,
}
"""How the bytes of a block are read; of other formats the blocks hold columns."""


def rows_of(block: RawBlock, spec: EventsSpec) -> Iterator[DecodedRows]:
    """The records of a raw stretch in the columns of their format, and those that its path states."""
    for piece in block.rows or FORMATS[spec.format](block, spec):
        stated = block.of_path and piece.rows.num_rows
        yield piece._replace(rows=_with_path(piece.rows, block, spec)) if stated else piece


def _with_prefix(piece: DecodedRows, prefix: bytes) -> DecodedRows:
    """The letters with the complete original bytes of their records."""
    if not prefix:
        return piece
    ends = [pa.scalar(value, pa.binary()) for value in (prefix, b"")]
    payloads = pc.binary_join_element_wise(ends[0], piece.payloads, ends[1])
    unreadable = tuple(bad._replace(payload=prefix + bad.payload) for bad in piece.unreadable)
    return piece._replace(payloads=payloads, unreadable=unreadable)


def _with_path(rows: pa.RecordBatch, block: RawBlock, spec: EventsSpec) -> pa.RecordBatch:
    identity = [spec.event_id, spec.event_time, *([spec.subject] if spec.subject else [])]
    return with_path_columns(rows, block.of_path, dict(spec.decoded), identity)


def decode_raw(block: RawBlock, spec: EventsSpec, at_us: int) -> DecodedBlock:
    """The events of one raw stretch, and a dead letter with the original bytes for every record that is not one.

    A block that its reader has decoded already is taken as it is.
    """
    if block.decoded is not None:
        return block.decoded
    locations = RecordLocations(block)
    if block.error:
        detail = f"{locations.of(block.data)}: {block.error}"
        return DecodedBlock(None, [DeadLetter(DECODE, "UnreadableInput", detail, block.data, None, None, at_us)])
    events: list[pa.RecordBatch] = []
    letters: list[DeadLetter] = []
    subjects: list[str | None] = []
    skipped = Counter[str]()
    # With a prefix, bytes are more than what the schema reads.
    written = fingerprint(block.schema) if block.schema and not block.prefix else None
    of_path = "".join(f"{name}={text}/" for name, text, _ in block.of_path).encode("utf-8", "replace")
    for found in block.rows or FORMATS[spec.format](block, spec):
        piece = _with_prefix(found, block.prefix)
        skipped.update(dict(piece.skipped))
        for bad in piece.unreadable:
            where = locations.numbered(piece.unit, bad.number) if bad.number else locations.of(bad.payload, bad.headers)
            detail = f"{where}: {bad.detail}"
            letters.append(DeadLetter(DECODE, bad.error, detail, bad.payload, None, None, at_us, written))
            subjects.append(None)
        if piece.rows.num_rows:
            rows = _with_path(piece.rows, block, spec) if block.of_path else piece.rows
            conformed = conform(rows, piece.payloads, spec, at_us, of_path)
            events.append(conformed.events)
            subjects += conformed.subjects
            for letter, row in zip(conformed.dead_letters, conformed.refused, strict=True):
                number = None if piece.numbers is None else piece.numbers[row].as_py()
                letters.append(locations.stated(letter, piece.unit, number)._replace(schema=written))
    whole = batches.concat_batches(events) if events else None
    return DecodedBlock(whole, letters, tuple(skipped.items()), tuple(subjects))
