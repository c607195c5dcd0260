"""What a bundle that is published with `privacy` has instead of a person's values: hashes, and rows that nobody has."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import one_line
from models.privacy.identities import Epoch, identity_of_event, identity_of_subject
from models.publishing.description import CannotPublish
from models.publishing.samples import read_rows

HASHED_RECORDS = "records.csv"
_EVENT_IDS, _SUBJECTS = {"event_id"}, {"subject"}
_TABLES = (".parquet", ".avro", ".json", ".jsonl", ".ndjson", ".arrow", ".arrows", ".feather", ".ipc")
_DAY_US = 86_400_000_000
_FIRST_DAY_US = 946_684_800_000_000  # 2000-01-01
_SEPARATORS = ",;\t|"
_HASH = re.compile(r"h[0-9]+:[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Hiding:
    """How values of persons are kept out of a bundle.

    `epoch`: whose key hashes training records; `hidden`: columns whose values may be nowhere; `event_ids`, `subjects`:
    names of the columns that hold these.
    """

    epoch: Epoch
    hidden: tuple[str, ...] = ()
    event_ids: frozenset[str] = frozenset(_EVENT_IDS)
    subjects: frozenset[str] = frozenset(_SUBJECTS)

    def document(self) -> dict[str, Any]:
        """As the manifest says it."""
        return {"epoch": self.epoch.number, "hidden": list(self.hidden)}


def hashed_records(path: Path, hiding: Hiding) -> bytes:
    """Training records as CSV of hashes, a line for each record. Of columns that are named as those of ids or subjects
    only these are kept; where none is, each value is hashed as an id and as a subject. What is a hash already, as in an
    encrypted training set, stays.

    Raises:
        CannotPublish: the file cannot be read.
    """
    if not path.is_file():
        raise CannotPublish(f"--records {path} is not a file; expected: a file of the records that it was trained on")
    try:
        rows = _table_rows(path) if path.suffix in _TABLES else _text_rows(path)
        hashed = io.StringIO()
        csv.writer(hashed, lineterminator="\n").writerows(_hashed(rows, hiding))
    except (csv.Error, OSError, ValueError, pa.ArrowException) as error:
        wanted = "expected: CSV, lines of text or of JSON, Parquet or Avro"
        raise CannotPublish(f"--records {path} is not readable: {one_line(error)}; {wanted}") from None
    return hashed.getvalue().encode()


def _hashed(rows: Iterator[list[str]], hiding: Hiding) -> Iterator[list[str]]:
    header = next(rows, [])
    known = [("event" if name in hiding.event_ids else "subject" if name in hiding.subjects else "") for name in header]
    if not any(known):
        known = ["both"] * len(header)
        yield _hashes(header, known, hiding.epoch)
    for row in rows:
        yield _hashes(row, known if len(known) == len(row) else ["both"] * len(row), hiding.epoch)


def _hashes(row: Sequence[str], kinds: Sequence[str], epoch: Epoch) -> list[str]:
    kept = [(cell, kind) for cell, kind in zip(row, kinds, strict=True) if cell and kind]
    identities = [make(cell) for cell, kind in kept if not _HASH.fullmatch(cell) for make in _MAKES[kind]]
    hashed = [cell for cell, _ in kept if _HASH.fullmatch(cell)]
    return [*hashed, *(str(each) for each in epoch.pseudonyms(identities))]


_MAKES: Mapping[str, tuple[Callable[[str], bytes], ...]] = {
    "event": (identity_of_event,),
    "subject": (identity_of_subject,),
    "both": (identity_of_event, identity_of_subject),
    "": (),
}


def _text_rows(path: Path) -> Iterator[list[str]]:
    text = path.read_bytes().decode("utf-8-sig", "replace")
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    return ([cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _table_rows(path: Path) -> Iterator[list[str]]:
    table = read_rows("--records", path)
    yield table.schema.names
    for batch in table.to_batches():
        for row in batch.to_pylist():
            yield ["" if value is None else str(value) for value in row.values()]


def made_up_rows(rows: pa.RecordBatch, hidden: Iterable[str]) -> pa.RecordBatch:
    """As many rows that no person has: hidden columns are made up, and of each other column the values stand in other
    rows, so that none is one person's."""
    count, columns = rows.num_rows, list[pa.Array]()
    for index, (name, column) in enumerate(zip(rows.schema.names, rows.columns, strict=True)):
        turned = pa.array(np.roll(np.arange(count), index))
        columns.append(_made_up(column) if name in set(hidden) else column.take(turned))
    return pa.RecordBatch.from_arrays(columns, rows.schema.names)


def _made_up(column: pa.Array) -> pa.Array:
    """Values of a column's type that say no more of its own than their order of magnitude."""
    count, kind = len(column), column.type
    steps = np.linspace(0.0, 2.0, count)
    if pa.types.is_boolean(kind):
        return pa.array(np.arange(count) % 2 == 0)
    if pa.types.is_timestamp(kind):
        return pa.array(_FIRST_DAY_US + _DAY_US * np.arange(count)).cast(pa.timestamp("us", "UTC")).cast(kind)
    if pa.types.is_integer(kind):
        return pa.array(np.round(steps * _magnitude(column)).astype(np.int64)).cast(kind)
    if pa.types.is_floating(kind):
        return pa.array(steps * _magnitude(column)).cast(kind)
    if pa.types.is_fixed_size_list(kind):
        values = pa.array(np.repeat(steps, kind.list_size)).cast(kind.value_type)
        return pa.FixedSizeListArray.from_arrays(values, kind.list_size)
    return pa.array([f"made up {number}" for number in range(count)]).cast(kind)


def _magnitude(column: pa.Array) -> float:
    """The power of ten nearest to the middle of the column's values, 1 where there is none."""
    middle = pc.approximate_median(pc.abs(column.cast(pa.float64()))).as_py()
    return float(10.0 ** round(np.log10(middle))) if middle else 1.0
