"""BigQuery's wire, on loopback: `BigQueryWrite.AppendRows` over gRPC and `tables` over REST, in the published messages.

It is not BigQuery: it checks requests against the published rules (size, schema before rows, required columns, the
Arrow type of each column by Google's own table in its client) and keeps the rows. What the real service checks beyond
that is not tested.
"""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pyarrow as pa
from google.cloud.bigquery import SchemaField
from google.cloud.bigquery._pandas_helpers import bq_to_arrow_field  # the client has no public name for its table
from google.cloud.bigquery_storage_v1.types import AppendRowsRequest, AppendRowsResponse, RowError

from runners.flink.local.processes import LOOPBACK

METHOD = "AppendRows"
SERVICE = "google.cloud.bigquery.storage.v1.BigQueryWrite"
MOST_BYTES = 10_000_000
INVALID, NOT_FOUND = 3, 5


class BigqueryServer:
    """Tables of one dataset, `rows` by table; `failures`: the answers to the next requests, None for the usual one."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.tables: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.failures: list[grpc.StatusCode | None] = []
        self.requests, self.connections = 0, 0
        self._lock = threading.Lock()
        self._grpc = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
        handler = grpc.stream_stream_rpc_method_handler(
            self._append, AppendRowsRequest.deserialize, AppendRowsResponse.serialize
        )
        self._grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})])
        self._write_port = self._grpc.add_insecure_port(f"{LOOPBACK}:0")
        self._grpc.start()
        self._http = ThreadingHTTPServer((LOOPBACK, 0), _handler_of(self))
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the sink finds it."""
        rest = f"http://{LOOPBACK}:{self._http.server_port}"
        return {"BIGQUERY_EMULATOR_HOST": rest, "BIGQUERY_STORAGE_EMULATOR_HOST": f"{LOOPBACK}:{self._write_port}"}

    def stop(self) -> None:
        self._grpc.stop(None).wait()
        self._http.shutdown()
        self._http.server_close()

    def create(self, table: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """`tables.insert`: status and body."""
        reference = table["tableReference"]
        if reference["datasetId"] != self.dataset:
            return 404, _error(404, f"Not found: Dataset {reference['projectId']}:{reference['datasetId']}")
        if reference["tableId"] in self.tables:
            return 409, _error(409, f"Already Exists: Table {reference['tableId']}")
        fields = {field["name"]: field for field in table["schema"]["fields"]}
        partition = table.get("timePartitioning", {}).get("field")
        if partition and (fields[partition]["type"], fields[partition]["mode"]) != ("TIMESTAMP", "REQUIRED"):
            return 400, _error(400, f"cannot partition by {partition}")
        clusters = table.get("clustering", {}).get("fields", [])
        if len(clusters) > 4 or any(fields[name]["type"] in ("RECORD", "FLOAT") for name in clusters):
            return 400, _error(400, f"cannot cluster by {clusters}")
        self.tables[reference["tableId"]] = table
        self.rows[reference["tableId"]] = []
        return 200, table

    def _append(self, requests: Iterator[AppendRowsRequest], context: Any) -> Iterator[AppendRowsResponse]:
        """One connection: the first request names stream and schema, each has one answer, in order."""
        schema, stream = None, ""
        with self._lock:
            self.connections += 1
        for request in requests:
            with self._lock:
                self.requests += 1
                failure = self.failures.pop(0) if self.failures else None
            if failure is not None:
                context.abort(failure, "asked to fail")
            stream = stream or request.write_stream
            table = stream.split("/")[5]
            if table not in self.tables or not stream.endswith("/streams/_default"):
                context.abort(grpc.StatusCode.NOT_FOUND, f"Requested entity was not found: {stream}")
            if request.arrow_rows.writer_schema.serialized_schema:
                schema = pa.ipc.read_schema(pa.py_buffer(request.arrow_rows.writer_schema.serialized_schema))
            yield self._answer(table, schema, request)

    def _answer(self, table: str, schema: pa.Schema | None, request: AppendRowsRequest) -> AppendRowsResponse:
        if schema is None:
            return _refusal("no writer schema before the first rows")
        if len(AppendRowsRequest.serialize(request)) > MOST_BYTES:
            return _refusal("the request is larger than 10 MB")
        fields = [SchemaField.from_api_repr(field) for field in self.tables[table]["schema"]["fields"]]
        wrong = _mismatch(fields, schema)
        if wrong:
            return _refusal(wrong)
        rows = pa.ipc.read_record_batch(pa.py_buffer(request.arrow_rows.rows.serialized_record_batch), schema)
        rows.validate(full=True)
        found = rows.to_pylist()
        required = [field.name for field in fields if field.mode == "REQUIRED"]
        empty = [(at, name) for at, row in enumerate(found) for name in required if row.get(name) is None]
        if empty:
            errors = [RowError(index=at, code=1, message=f"{name} is required") for at, name in empty]
            return _refusal("Errors found while processing rows", errors)
        with self._lock:
            self.rows[table] += found
        return AppendRowsResponse(append_result=AppendRowsResponse.AppendResult())


def _mismatch(fields: list[Any], schema: pa.Schema) -> str:
    """The first column that the table lacks or has as another type; empty if all fit."""
    columns = {field.name: bq_to_arrow_field(field).type for field in fields}
    for written in schema:
        if written.name not in columns:
            return f"no such column: {written.name}"
        if not _alike(written.type, columns[written.name]):
            return f"{written.name} is {columns[written.name]}, written as {written.type}"
    return ""


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether the types are equal, except for what may be null and the name of a list's items."""
    if pa.types.is_list(one) and pa.types.is_list(other):
        return _alike(one.value_type, other.value_type)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        pairs = zip(one, other, strict=False)
        same = all(mine.name == its.name and _alike(mine.type, its.type) for mine, its in pairs)
        return same and one.num_fields == other.num_fields
    return bool(one == other)


def _refusal(message: str, rows: list[Any] | None = None) -> AppendRowsResponse:
    return AppendRowsResponse(error={"code": INVALID, "message": message}, row_errors=rows or [])


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "errors": [{"message": message, "reason": "x"}]}}


def _handler_of(server: BigqueryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            content = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*server.create(json.loads(content)))

        def do_GET(self) -> None:  # as above
            kind, name = self.path.partition("?")[0].split("/")[-2:]
            if kind == "datasets":
                found = {"datasetReference": {"projectId": "p", "datasetId": name}} if name == server.dataset else None
            else:
                found = server.tables.get(name)
            self._answer(*((404, _error(404, f"Not found: {kind} {name}")) if found is None else (200, found)))

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing is logged: the tests report what is wrong."""

    return Handler
