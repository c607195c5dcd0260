"""AppendRows: batches of records to a BigQuery table, as Arrow, by the Storage Write API.

Why not Beam's own `WriteToBigQuery`: docs/decisions/bigquery-sink.md.
"""

import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipeline.endpoints.bigquery_address import TableAddress
from pipeline.endpoints.bigquery_rows import arrow_schema_of, rows_of
from pipeline.endpoints.bigquery_schema import columns_of
from pipeline.endpoints.bigquery_tables import WRITE_EMULATOR, TableUnwritable
from schemas.records import avsc

# A request may have 10 MB, and so may a row.
_MOST_BYTES = 9_000_000
# Requests that wait for their answer; together with the batches they come from they bound the sink's memory.
_IN_FLIGHT = 4
_ANSWER_SECONDS = 60.0
_RETRY_SECONDS = 300.0


def serialised(rows: pa.RecordBatch) -> Iterator[bytes]:
    """The rows as Arrow messages, halved until each fits a request. Raises `TableUnwritable` for a longer row."""
    message = rows.serialize().to_pybytes()
    if len(message) <= _MOST_BYTES:
        yield message
        return
    if rows.num_rows == 1:
        allowed = f"{_MOST_BYTES}, or a sink of files"
        raise TableUnwritable(f"a row of {len(message)} bytes is not allowed; allowed: {allowed}")
    half = rows.num_rows // 2
    yield from serialised(rows.slice(0, half))
    yield from serialised(rows.slice(half))


class Appender:
    """One connection to the default stream of a table. Not thread-safe."""

    def __init__(self, address: TableAddress, schema: pa.Schema) -> None:
        from google.cloud.bigquery_storage_v1 import types

        self._address = address
        self._template = types.AppendRowsRequest(
            write_stream=address.default_stream,
            arrow_rows=types.AppendRowsRequest.ArrowData(
                writer_schema=types.ArrowSchema(serialized_schema=schema.serialize().to_pybytes())
            ),
            trace_id="halflife",
        )
        self._client = _write_client()
        self._stream: Any = None
        self._waiting: list[tuple[Any, Any]] = []

    def append(self, message: bytes) -> None:
        """Sends rows; raises as `settle` once several requests wait for their answers."""
        from google.cloud.bigquery_storage_v1 import types

        rows = types.AppendRowsRequest.ArrowData(rows=types.ArrowRecordBatch(serialized_record_batch=message))
        request = types.AppendRowsRequest(write_stream=self._address.default_stream, arrow_rows=rows)
        self._waiting.append((request, None))
        if len(self._waiting) >= _IN_FLIGHT:
            self.settle()

    def settle(self) -> None:
        """Returns when the table has all rows. Raises `TableUnwritable` for what asking again does not mend."""
        from google.api_core import exceptions, retry
        from google.cloud.bigquery_storage_v1.exceptions import StreamClosedError

        passing = (
            exceptions.Aborted,
            exceptions.Cancelled,
            exceptions.DeadlineExceeded,
            exceptions.InternalServerError,
            exceptions.ResourceExhausted,
            exceptions.ServiceUnavailable,
            exceptions.Unknown,
            StreamClosedError,
            TimeoutError,
        )
        mends = retry.if_exception_type(*passing)
        again = retry.Retry(predicate=mends, initial=0.2, maximum=20, timeout=_RETRY_SECONDS)
        try:
            again(self._settle_once)()
        except (exceptions.GoogleAPICallError, exceptions.RetryError, StreamClosedError) as error:
            raise TableUnwritable(f"{self._address.public}: {_reason(error)}") from None

    def _settle_once(self) -> None:
        """Sends what is not on its way and takes the answers in order. From a failed request on all is sent again."""
        try:
            self._send()
            while self._waiting:
                self._waiting[0][1].result(timeout=_ANSWER_SECONDS)
                del self._waiting[0]
        except Exception:  # any at all: what is behind a failed request may have been lost with the connection
            self._waiting = [(request, None) for request, _ in self._waiting]
            self.close()
            raise

    def _send(self) -> None:
        from google.cloud.bigquery_storage_v1.writer import AppendRowsStream

        if self._stream is None:
            self._stream = AppendRowsStream(self._client, self._template)
        for number, (request, future) in enumerate(self._waiting):
            if future is None:
                self._waiting[number] = (request, self._stream.send(request))

    def close(self) -> None:
        """Closes the connection; the next request opens one."""
        from google.cloud.bigquery_storage_v1.exceptions import StreamClosedError

        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except StreamClosedError:
                return  # the server was first


def _write_client() -> Any:
    from google.cloud.bigquery_storage_v1 import BigQueryWriteClient

    emulator = os.environ.get(WRITE_EMULATOR)
    if not emulator:
        return BigQueryWriteClient()
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

    return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=grpc.insecure_channel(emulator)))


def _reason(error: Exception) -> str:
    """What the service said, and of the rows that it refused the first."""
    response = getattr(error, "response", None)
    rows = list(getattr(response, "row_errors", ()))
    said = " ".join(str(error).split())[:300]
    return f"{said}; row {rows[0].index}: {rows[0].message[:200]} ({len(rows)} refused)" if rows else said


class _AppendFn(beam.DoFn):
    def __init__(self, address: TableAddress, record: str) -> None:
        self._address, self._record = address, record

    def setup(self) -> None:
        self._columns = columns_of(avsc(self._record))
        self._appender = Appender(self._address, arrow_schema_of(self._columns))

    def process(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            for message in serialised(rows_of(batch, self._columns)):
                self._appender.append(message)

    def finish_bundle(self) -> None:
        self._appender.settle()

    def teardown(self) -> None:
        self._appender.close()


class WriteTable(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Appends batches of a record to a table, at least once; what is appended is visible at once.

    Input: batches in the record's Arrow schema, any windowing. A bundle ends when the table has all of its rows, and
    fails otherwise; a bundle that is retried appends its rows again (they carry ids to tell: `score_id`, and the keys
    in docs/dataflow.md).
    """

    def __init__(self, address: TableAddress, record: str) -> None:
        super().__init__()
        self._address, self._record = address, record

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        return batches | "Append" >> beam.ParDo(_AppendFn(self._address, self._record))
