"""The records that a model is tried with: ordinary ones, and each input in turn null, unseen or extreme."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from models.bundles.manifest import Input
from schemas.columns import ColumnKind
from tests.models.scorers.alone.cases import Model, Record

UNUSUAL: Mapping[ColumnKind, Sequence[Any]] = {
    "number": (None, 0.0, -0.0, 0.1, 1e308, -1e308, 5e-324, float(2**53), 3.4028235e38, 1e39, 16777217.0, -7.5),
    "integer": (None, 0, -1, 2**24 + 1, 2**31, 2**53 + 1, 2**60 + 2**36 + 1, 2**63 - 1, -(2**63)),
    "boolean": (None, True, False),
    "string": (None, "", " ", "unseen", "ünsähen 🛩", "10", "nan", "None", "x" * 100_000),
}
TYPES: Mapping[ColumnKind, Sequence[pa.DataType]] = {
    "number": (pa.float64(), pa.float32(), pa.int64()),
    "integer": (pa.int64(), pa.int32(), pa.int8()),
    "boolean": (pa.bool_(),),
    "string": (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())),
}


def unusual(model: Model, entry: Input) -> list[Any]:
    """The values of one input that are tried."""
    return [*UNUSUAL[entry.type], *model.unseen.get(entry.name, ())]


def single_records(model: Model, inputs: Sequence[Input]) -> Iterator[Record]:
    """The ordinary records, and one for each unusual value of each input, beside ordinary values."""
    ordinary = itertools.cycle(model.seen)
    yield from model.seen
    for entry in inputs:
        for value in unusual(model, entry):
            yield {**next(ordinary), entry.name: value}


def paired_records(model: Model, inputs: Sequence[Input]) -> Iterator[Record]:
    """As `single_records`, and one for each pair of unusual values of two inputs."""
    yield from single_records(model, inputs)
    ordinary = itertools.cycle(model.seen)
    for one, other in itertools.combinations(inputs, 2):
        for value, beside in itertools.product(unusual(model, one), unusual(model, other)):
            yield {**next(ordinary), one.name: value, other.name: beside}


def batch_of(records: Sequence[Record], inputs: Sequence[Input], types: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    """The records as the job's columns, each of the type of Arrow that its name is given."""
    columns = [pa.array([record[each.name] for record in records]).cast(types[each.name]) for each in inputs]
    return pa.RecordBatch.from_arrays(columns, names=[each.name for each in inputs])


def fits(value: Any, kind: pa.DataType) -> bool:
    """Whether an event can have this very value in a column of this type."""
    if value is None:
        return True
    try:
        return bool(pa.array([value]).cast(kind)[0].as_py() == value)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
        return False
