"""What segments of the training data were like: a job's segment is compared with itself, not with all rows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.profiles.observed import observe_groups
from models.profiles.reference import Profile
from schemas import batches

MOST_VALUES = 32
"""Of a column with more values no segment has a reference of its own."""
MOST_SEGMENTS = 128
"""Of all columns together; fewer where a profile has more than about 4,000 cells (60 columns of numbers)."""
MOST_COUNTS = 500_000
"""Of all segments together, about 2 MB of the profile's document at most."""


def segment_of(column: str, value: str | None) -> str:
    """The name of a segment, as in records.

    >>> segment_of("origin", "JFK"), segment_of("origin", None)
    ('origin=JFK', 'origin is null')
    """
    return f"{column} is null" if value is None else f"{column}={value}"


def with_segments(profile: Profile, rows: pa.RecordBatch, by: Mapping[str, pa.Array]) -> Profile:
    """The profile with the counts of each value's rows, of those columns `by` that are texts, booleans or whole numbers
    of at most 32 values; where that makes more than 128 segments, of the columns with the fewest values.

    Args:
        profile: that of `rows`.
        rows: what it was made of.
        by: columns of as many rows by their names, as events have them.
    """
    cells, chosen = len(profile.reference), dict[str, tuple[int, ...]]()
    most = min(MOST_SEGMENTS, MOST_COUNTS // cells)
    found = {name: _codes(values) for name, values in by.items() if _may_divide(values.type)}
    for name, (codes, values) in sorted(found.items(), key=lambda item: (len(item[1][1]), item[0])):
        if len(values) > MOST_VALUES or len(chosen) + len(values) > most:
            break
        counted = observe_groups(profile, rows, [codes], len(values))
        counts = np.zeros(len(values) * cells, np.int64)
        counts[counted.keys] = counted.counts
        for value, own in zip(values, counts.reshape(len(values), cells), strict=True):
            chosen[segment_of(name, value)] = tuple(own.tolist())
    return replace(profile, segments=chosen)


def _may_divide(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(text or pa.types.is_boolean(kind) or pa.types.is_integer(kind))


def _codes(values: pa.Array) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], list[str | None]]:
    encoded = pc.dictionary_encode(batches.as_texts(values), null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
