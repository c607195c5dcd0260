"""Tables for records: created from the `.avsc` where they do not exist, compared with it where they do."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from models.distribution import installing
from models.errors import one_line
from pipeline.endpoints.bigquery.address import TableAddress
from pipeline.endpoints.bigquery.schema import NULLABLE, BigQueryColumn, columns_of
from pipeline.endpoints.errors import SinkUnwritable
from schemas.records import avsc

_ANSWER_SECONDS = 30.0
# Partitioned by the time of writing: streaming limits how old a partition may be, and history is scored too.
_WRITTEN_AT = ("scored_at", "at")
_CLUSTERED = ("event_time", "model", "version", "role")
# Google's clients read the first; the second does the same for the Storage Write API, which has no such variable.
_REST_EMULATOR, WRITE_EMULATOR = "BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"
# Names of one type: tables answer in the names of SQL or in the older ones.
_SAME = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}


class TableUnwritable(SinkUnwritable):
    """A table that cannot be made or does not fit the record; the message names it and what is wrong."""


def ensure_table(address: TableAddress, record: str, spec_path: str) -> None:
    """Creates the table of a record unless it is there; then its columns must fit.

    Raises:
        TableUnwritable: no access, no such dataset, a column that is absent or of another type or mode.
    """
    columns = columns_of(avsc(record))
    with _asking(address, spec_path) as client:
        table = client.create_table(_wanted(address, columns), exists_ok=True, timeout=_ANSWER_SECONDS)
    _check_fits(table, columns, f"{spec_path}: {address.public} does not fit {record}")


def find_table(address: TableAddress, record: str, spec_path: str) -> bool:
    """Whether the table is there, and fits; False where `ensure_table` would create it. Raises `TableUnwritable`."""
    from google.api_core.exceptions import NotFound

    with _asking(address, spec_path) as client:
        try:
            table = client.get_table(address.name, timeout=_ANSWER_SECONDS)
        except NotFound:
            client.get_dataset(f"{address.project}.{address.dataset}", timeout=_ANSWER_SECONDS)
            return False
    _check_fits(table, columns_of(avsc(record)), f"{spec_path}: {address.public} does not fit {record}")
    return True


@contextmanager
def _asking(address: TableAddress, spec_path: str) -> Iterator[Any]:
    """A client; errors of the service become `TableUnwritable`."""
    try:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
    except ImportError as error:
        raise TableUnwritable(f"{spec_path}: {address.public}: {error}; {installing('gcp')}") from None
    try:
        with _client(address.project) as client:
            yield client
    except (GoogleAPICallError, GoogleAuthError) as error:
        reason = one_line(error)
        raise TableUnwritable(f"{spec_path}: {address.public} cannot be written: {reason}") from None


def _check_fits(table: Any, columns: Sequence[BigQueryColumn], complaint: str) -> None:
    problems = differences(columns, [field.to_api_repr() for field in table.schema])
    if problems:
        raise TableUnwritable(f"{complaint}: {'; '.join(problems[:5])}")


def _client(project: str) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    credentials = AnonymousCredentials() if os.environ.get(_REST_EMULATOR) else None
    return Client(project=project, credentials=credentials)


def _wanted(address: TableAddress, columns: Sequence[BigQueryColumn]) -> Any:
    from google.cloud.bigquery import SchemaField, Table, TimePartitioning

    table = Table(address.name, schema=[SchemaField.from_api_repr(column.to_api()) for column in columns])
    names = [column.name for column in columns]
    partition = next((name for name in _WRITTEN_AT if name in names), None)
    if partition is not None:
        table.time_partitioning = TimePartitioning(field=partition)
    table.clustering_fields = [name for name in _CLUSTERED if name in names] or None
    return table


def differences(columns: Sequence[BigQueryColumn], found: Sequence[Any], path: str = "") -> list[str]:
    """Why rows of such columns do not fit a table with the fields `found` (REST form): one line each.

    A table may have more columns, if they are not required, and its modes may be less strict.
    """
    there = {field["name"].lower(): field for field in found}
    problems = []
    for column in columns:
        name = f"{path}{column.name}"
        field = there.pop(column.name.lower(), None)
        if field is None:
            problems.append(f"{name} is missing ({column.kind}, {column.mode})")
            continue
        kind, mode = _SAME.get(field["type"], field["type"]), field.get("mode", NULLABLE)
        if kind != column.kind or mode not in (column.mode, NULLABLE if column.mode == "REQUIRED" else column.mode):
            problems.append(f"{name} is {kind}, {mode}; expected: {column.kind}, {column.mode}")
        elif column.fields:
            problems += differences(column.fields, field.get("fields", []), f"{name}.")
    required = [name for name, field in there.items() if field.get("mode") == "REQUIRED"]
    return problems + [f"{path}{name} is REQUIRED, and the record has no such column" for name in required]
