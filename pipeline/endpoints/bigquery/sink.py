"""AppendRows: batches of records to a BigQuery table, as Arrow, by the Storage Write API.

Why not Beam's own `WriteToBigQuery`: docs/decisions/bigquery-sink.md.
"""

import os
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import apache_beam as beam
import pyarrow as pa

from models.errors import one_line
from pipeline.endpoints.bigquery.address import TableAddress
from pipeline.endpoints.bigquery.rows import arrow_schema_of, rows_of
from pipeline.endpoints.bigquery.schema import columns_of
from pipeline.endpoints.bigquery.tables import WRITE_EMULATOR, TableUnwritable
from schemas.expectations import wants
from schemas.records import avsc

# A request may have 10 MB, and so may a row.
_MOST_BYTES = 9_000_000
# How many requests may wait for their answers; with the batches they come from this bounds the sink's memory.
_IN_FLIGHT = 4
_RETRY_SECONDS = 300.0
# A connection that does not answer ends after this time; one that works is renewed well before, between two bundles.
_CONNECTION_SECONDS, _RENEW_SECONDS = 600.0, 240.0


def serialised(rows: pa.RecordBatch) -> Iterator[bytes]:
    """The rows as Arrow messages, halved until each fits a request. Raises `TableUnwritable` for a longer row."""
    message = rows.serialize().to_pybytes()
    if len(message) <= _MOST_BYTES:
        yield message
        return
    if rows.num_rows == 1:
        allowed = f"{_MOST_BYTES}, or a sink of files"
        raise TableUnwritable(f"a row of {len(message)} bytes is not allowed; {wants(allowed)}")
    half = rows.num_rows // 2
    yield from serialised(rows.slice(0, half))
    yield from serialised(rows.slice(half))


class Appender:
    """One connection to the default stream of a table, opened when it is needed. Not thread-safe.

    Uses the plain method of Google's client: the client's own manager of such connections (`AppendRowsStream`, 2.43)
    waits for ten minutes where the service is unavailable at the start, because a retry inside the method finds no
    request left.
    """

    def __init__(self, address: TableAddress, schema: pa.Schema) -> None:
        from google.cloud.bigquery_storage_v1 import types

        self._address = address
        self._schema = types.ArrowSchema(serialized_schema=schema.serialize().to_pybytes())
        self._client = _write_client()
        self._waiting: list[Any] = []
        self._requests: SimpleQueue[Any] = SimpleQueue()
        self._answers: Any = None
        self._opened_at = 0.0

    def append(self, message: bytes) -> None:
        """Adds rows; raises as `settle` once several requests wait to be sent and answered."""
        from google.cloud.bigquery_storage_v1 import types

        rows = types.AppendRowsRequest.ArrowData(rows=types.ArrowRecordBatch(serialized_record_batch=message))
        self._waiting.append(types.AppendRowsRequest(arrow_rows=rows))
        if len(self._waiting) >= _IN_FLIGHT:
            self.settle()

    def settle(self) -> None:
        """Returns when the table has all rows. Raises `TableUnwritable` for errors that a retry does not cure."""
        from google.api_core import exceptions, retry

        passing = (
            exceptions.Aborted,
            exceptions.Cancelled,
            exceptions.DeadlineExceeded,
            exceptions.InternalServerError,
            exceptions.ResourceExhausted,
            exceptions.ServiceUnavailable,
            exceptions.Unknown,
        )
        mends = retry.if_exception_type(*passing)
        again = retry.Retry(predicate=mends, initial=0.2, maximum=20, timeout=_RETRY_SECONDS)
        try:
            again(self._settle_once)()
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise TableUnwritable(f"{self._address.public}: {_reason(error)}") from None
        finally:
            self._waiting.clear()

    def _settle_once(self) -> None:
        """Sends the waiting requests and reads the answers, which come in order. After a failure everything from the
        failed request on is sent again."""
        if not self._waiting:
            return
        try:
            if time.monotonic() - self._opened_at > _RENEW_SECONDS:
                self.close()
            self._send()
            while self._waiting:
                _check(next(self._answers, None))
                del self._waiting[0]
        except Exception:  # any error: requests after the failed one may have been lost with the connection
            self.close()
            raise

    def _send(self) -> None:
        if self._answers is None:
            self._open()
        else:
            for request in self._waiting:
                self._requests.put(request)

    def _open(self) -> None:
        """Opens a connection with its first requests: the client returns from the call with the first answer."""
        first = type(self._waiting[0])(self._waiting[0], write_stream=self._address.default_stream, trace_id="halflife")
        first.arrow_rows.writer_schema = self._schema
        for request in (first, *self._waiting[1:]):
            self._requests.put(request)
        routing = (("x-goog-request-params", f"write_stream={self._address.default_stream}"),)
        sending = iter(self._requests.get, None)
        self._opened_at = time.monotonic()
        self._answers = self._client.append_rows(sending, retry=None, timeout=_CONNECTION_SECONDS, metadata=routing)

    def close(self) -> None:
        """Closes the connection; the next request opens one."""
        self._requests.put(None)
        if self._answers is not None:
            self._answers.cancel()
        self._requests, self._answers = SimpleQueue(), None


def _check(answer: Any) -> None:
    """Raises the error of an answer; None is the end of a connection with answers outstanding."""
    from google.api_core import exceptions

    if answer is None:
        raise exceptions.Aborted("the service closed the connection")
    if answer.error.code:
        raise exceptions.from_grpc_status(answer.error.code, answer.error.message, response=answer)


def _write_client() -> Any:
    from google.cloud.bigquery_storage_v1 import BigQueryWriteClient

    emulator = os.environ.get(WRITE_EMULATOR)
    if not emulator:
        return BigQueryWriteClient()
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

    return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=grpc.insecure_channel(emulator)))


def _reason(error: Exception) -> str:
    """The service's message, and the first of the rows that it refused."""
    response = getattr(error, "response", None)
    rows = list(getattr(response, "row_errors", ()))
    said = one_line(error)
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
