"""What tables answer for the events of a batch."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class TableAnswer(NamedTuple):
    """The columns of each event's row, null where it has none; which events have none (bool, shape (n,)); and the
    version that answered each, null where none was in force, of a table that has several (else None)."""

    columns: list[pa.Array]
    missing: npt.NDArray[np.bool_]
    versions: pa.Array | None = None

    def of(self, chosen: npt.NDArray[np.bool_]) -> "TableAnswer":
        """That of some events."""
        mask = pa.array(chosen)
        versions = None if self.versions is None else self.versions.filter(mask)
        return TableAnswer([column.filter(mask) for column in self.columns], self.missing[chosen], versions)


class Answering(Protocol):
    """A table, or the versions of one, that events are joined to."""

    def answer(self, keys: pa.Array, times_us: npt.NDArray[np.int64], /) -> TableAnswer:
        """The rows of events with these keys, of a kind that `as_texts` takes, at these times (microseconds)."""
