"""What earlier runs of a job have done, read from the scores and dead letters that they wrote."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.endpoints.files.record_columns import read_columns


@dataclass(frozen=True, slots=True)
class EarlierRecords:
    """The files of earlier runs; `retries`: events of dead letters are to be scored again."""

    scores: tuple[str, ...]
    dead_letters: tuple[str, ...]
    retries: bool = False

    def event_ids(self) -> pa.Array:
        """The ids of events that are scored, and, unless they are to be tried again, of those that are dead letters."""
        ids = [read_columns(self.scores, "Score", ["event_id"])["event_id"].combine_chunks()]
        if not self.retries:
            ids.append(read_columns(self.dead_letters, "DeadLetter", ["event_id"])["event_id"].combine_chunks())
        chunks = [chunk for each in ids for chunk in (each.chunks if isinstance(each, pa.ChunkedArray) else [each])]
        return pa.concat_arrays([chunk.cast(pa.string()) for chunk in chunks]).drop_null()

    def letters(self) -> Iterator[tuple[str, bytes]]:
        """Stage and payload of each dead letter, file by file: payloads may be large."""
        for path in self.dead_letters:
            rows = read_columns([path], "DeadLetter", ["stage", "payload"])
            yield from zip(rows["stage"].to_pylist(), rows["payload"].to_pylist(), strict=True)
