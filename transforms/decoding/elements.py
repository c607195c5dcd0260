"""Elements of a pipeline, such as dicts or Arrow batches, as stretches of input for `DecodeEvents`."""

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from schemas import batches
from schemas.formats.arrow_columns import column_at, plain
from schemas.formats.raw import DecodedRows, RawBlock
from schemas.formats.row_texts import row_texts
from schemas.job import EventsSpec
from transforms.decoding.python_values import column_of

_ROWS = 4_096


class GatherElements(beam.PTransform[beam.PCollection[Any], beam.PCollection[RawBlock]]):
    """Makes stretches of input of elements: dicts, named tuples such as `beam.Row` (an event each), RecordBatches.

    Input: such elements, in any windows; output: `RawBlock` in the global window, those of a bundle together, at the
    earliest of their timestamps. An element of another type raises. No state.
    """

    def __init__(self, spec: EventsSpec, source: str = "element") -> None:
        super().__init__()
        self._spec, self._source = spec, source

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[RawBlock]:
        whole = elements | "Global" >> beam.WindowInto(GlobalWindows())
        gather = beam.ParDo(_GatherFn(self._spec, self._source)).with_output_types(RawBlock)
        blocks: beam.PCollection[RawBlock] = whole | "Gather" >> gather
        return blocks


class _GatherFn(beam.DoFn):
    def __init__(self, spec: EventsSpec, source: str) -> None:
        named = (spec.event_id, spec.event_time, spec.subject, *(name for name, _ in spec.columns))
        self._names = tuple(dict.fromkeys(name for name in named if name not in (None, batches.ROW_HASH)))
        self._whole, self._source = spec.event_id == batches.ROW_HASH, source

    def start_bundle(self) -> None:
        self._records: list[Mapping[str, Any]] = []
        self._at = MAX_TIMESTAMP

    def process(self, element: Any, at: Timestamp = beam.DoFn.TimestampParam) -> Iterator[RawBlock]:  # type: ignore[assignment]  # Beam's way to ask for it
        if isinstance(element, pa.RecordBatch):
            yield block_of(element, self._source, self._named(element.schema.names))
            return
        self._records.append(_as_mapping(element))
        self._at = min(at, self._at)

    def finish_bundle(self) -> Iterator[Any]:
        for start in range(0, len(self._records), _ROWS):
            records = self._records[start : start + _ROWS]
            names = self._named(dict.fromkeys(name for record in records for name in record) if self._whole else ())
            columns = {name: column_of([_value(record, name) for record in records]) for name in names}
            rows = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
            yield GlobalWindows.windowed_value(block_of(rows, self._source), self._at)

    def _named(self, there: Any) -> tuple[str, ...]:
        """The columns that are read; all of them where the id is a hash of the whole record."""
        return tuple(dict.fromkeys((*there, *self._names))) if self._whole else self._names


def block_of(rows: pa.RecordBatch, source: str, names: tuple[str, ...] | None = None) -> RawBlock:
    """The columns of these names (all without `names`) as a stretch of input; a row's letter holds it as JSON."""
    found = {name: column_at(rows, name) for name in (rows.schema.names if names is None else names)}
    columns = {name: plain(column) for name, column in found.items() if column is not None}
    whole = columns or {"__none": pa.nulls(rows.num_rows)}
    batch = pa.RecordBatch.from_arrays(list(whole.values()), list(whole))
    return RawBlock(f"{source}@0", rows=(DecodedRows(batch, row_texts(batch), ()),))


def _as_mapping(element: Any) -> Mapping[str, Any]:
    """The fields of one event. Raises `TypeError` for an element that has none."""
    if isinstance(element, Mapping):
        return element
    fields = getattr(element, "_asdict", None) or getattr(element, "as_dict", None)
    if fields is None:
        raise TypeError(f"an element is a {type(element).__name__}; expected: a dict, a Row or an Arrow RecordBatch")
    found: Mapping[str, Any] = fields()
    return found


def _value(record: Mapping[str, Any], name: str) -> Any:
    """The value of a column, or of a path into mappings within; null where there is none."""
    value: Any = record.get(name)
    if name not in record and "." in name:
        value = record
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return value.to_utc_datetime(has_tz=True) if isinstance(value, Timestamp) else value
