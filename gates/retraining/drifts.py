"""The windows in which a champion's inputs or answers drifted, by the records of a job."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from gates.record_files import RecordFiles, plain_column
from gates.windows import CHAMPION

_FIELDS = ("window_start", "window_end", "pane", "version", "column", "drifted", "effect", "importance")


class DriftedColumn(NamedTuple):
    """A column that drifted: how far it moved, and how much it matters to the version, where these are known."""

    column: str
    effect: float | None
    importance: float | None

    @property
    def weight(self) -> float:
        """How far it moved, weighed by what it matters."""
        return abs(self.effect or 0.0) * (1.0 if self.importance is None else abs(self.importance))


class DriftWindow(NamedTuple):
    """A window of all events of a version, microseconds since 1970: the columns that drifted, the heaviest first."""

    start_us: int
    end_us: int
    pane: int
    version: str
    columns: tuple[DriftedColumn, ...]


class DriftRecords:
    """Reads the files of `sinks.drift`, each only once.

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
        self._panes = dict[tuple[int, int, str], tuple[int, dict[str, DriftedColumn]]]()

    def latest(self) -> list[DriftWindow]:
        """The windows of all events (no segments) of champions, of each the greatest pane, in order of time.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        for batch in self._files.unread():
            for row in _of_model(batch, self._model):
                self._take(row)
        found = [
            DriftWindow(*key[:2], pane, key[2], tuple(sorted(columns.values(), key=lambda each: -each.weight)))
            for key, (pane, columns) in self._panes.items()
        ]
        return sorted(found, key=lambda each: (each.start_us, each.end_us, each.version))

    def _take(self, row: Mapping[str, Any]) -> None:
        key = row["window_start"], row["window_end"], row["version"]
        pane, columns = self._panes.get(key, (-1, {}))
        if row["pane"] > pane:
            pane, columns = row["pane"], {}
            self._panes[key] = pane, columns
        if row["drifted"] and row["pane"] == pane:
            columns[row["column"]] = DriftedColumn(row["column"], row["effect"], row["importance"])


def _of_model(batch: pa.RecordBatch, model: str) -> list[dict[str, Any]]:
    if not {"model", "segment", "window_start", "statistic", "role"} <= set(batch.schema.names):
        return []
    own = pc.and_(pc.equal(batch["model"], model), pc.equal(batch["role"], CHAMPION))
    wanted = batch.filter(pc.and_(own, pc.is_null(batch["segment"])))
    columns = [plain_column(wanted, name) for name in _FIELDS]
    return [dict(zip(_FIELDS, row, strict=True)) for row in zip(*columns, strict=True)]
