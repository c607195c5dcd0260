"""The records of quality that a job wrote to a folder or an object store, as far as gates need them."""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from gates.record_files import RecordFiles, plain_column

_FIELDS = (
    *("window_start", "window_end", "pane", "version", "role", "metric", "value", "n", "events", "label_coverage"),
    *("against", "variance", "n_effective", "at_training", "why", "began", "before", "n_since", "run"),
)
_NEEDED = {"model", "version", "role", "segment", "window_start", "window_end", "metric", "value", "n"}
OF_QUALITY = "the files of sinks.quality of a job with labels"
"""What is expected where there are no records."""
_MOST_NAMED = 8


class QualityRow(NamedTuple):
    """A record of quality of all events of a window; times in microseconds since 1970. Fields as of the record."""

    window_start: int
    window_end: int
    pane: int
    version: str
    role: str
    metric: str
    value: float | None
    n: int
    events: int
    label_coverage: float | None
    against: str | None
    variance: float | None
    n_effective: float | None
    at_training: float | None = None
    why: str | None = None
    began: int | None = None
    before: float | None = None
    n_since: int | None = None
    run: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What of several records counts only once."""
        return self.window_start, self.window_end, self.version, self.role, self.metric, self.against


class QualityRecords:
    """Reads the files of `sinks.quality`, each only once; files that are added meanwhile are seen by the next look.

    `broken`: why each file was passed over, or a part of it, by its key.

    Args:
        url: a path, or a `file://`, `s3://`, `gs://` or `az://` URL.
        model: whose records.

    Raises:
        InvalidStoreUrl: no object store can be opened with it.
    """

    def __init__(self, url: str, model: str) -> None:
        self._files = RecordFiles(url)
        self.url, self._model = self._files.url, model
        self.broken = self._files.broken
        self._others, self._models = set[str](), set[str]()
        self._latest = dict[tuple[object, ...], QualityRow]()

    @property
    def is_there(self) -> bool:
        """Whether the folder exists; of an object store nobody can say."""
        return self._files.is_there

    def why_none(self) -> str:
        """Why there is no record of the model in what was read so far; empty where there is one."""
        if self._latest:
            return ""
        if not self._files.files:
            return f"no file is in {self.url}"
        if self._models:
            named = ", ".join(sorted(self._models)[:_MOST_NAMED])
            return f"the records in {self.url} are of {named}, none of {self._model}"
        of_others = f": they hold {', '.join(sorted(self._others)[:_MOST_NAMED])}" if self._others else ""
        return f"none of the {self._files.files} file(s) in {self.url} has a record of quality{of_others}"

    def latest(self) -> list[QualityRow]:
        """The records of all events (no segments), of each the one that counts the most: panes accumulate.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        for batch in self._files.unread():
            for row in self._rows_of(batch):
                known = self._latest.get(row.key)
                if known is None or _turn(row) >= _turn(known):
                    self._latest[row.key] = row
        return list(self._latest.values())

    def _rows_of(self, batch: pa.RecordBatch) -> Iterator[QualityRow]:
        if not set(batch.schema.names) >= _NEEDED:
            self._others.add(f"records of {len(batch.schema)} fields such as {', '.join(batch.schema.names[:4])}")
            return
        self._models |= set(pc.unique(batch["model"]).to_pylist())
        yield from _of_model(batch, self._model)


def _turn(row: QualityRow) -> tuple[int, int, int]:
    return row.events, row.n, row.pane


def _of_model(batch: pa.RecordBatch, model: str) -> list[QualityRow]:
    whole = pc.and_(pc.equal(batch["model"], model), pc.equal(batch["segment"], ""))
    wanted = batch.filter(whole)
    columns = [plain_column(wanted, name) for name in _FIELDS]
    return [QualityRow(*row) for row in zip(*columns, strict=True)]
