"""`audit sql`: the audit as tables of DuckDB, for questions that no verb has. Nothing else can be reached."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from audit.asking.sources import AuditSources
from audit.files.audit import ReceiptFilter
from audit.files.tables import conformed, together
from models.distribution import installing
from schemas.errors import HalflifeError
from schemas.records import arrow_schema

if TYPE_CHECKING:
    import duckdb

VIEWS = ("receipts", "scores", "model_events", "all_receipts")
_ONE_PER_SCORE = "PARTITION BY score_id ORDER BY role = 'replay', late, scored_at"
# What a query may not do: read or write files, load extensions, see variables of this program, or change these.
_CLOSED: Mapping[str, str] = {
    "TimeZone": "UTC",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "temp_directory": "",
    "enable_external_access": "false",
    "lock_configuration": "true",
}


class QueryRefused(HalflifeError):
    """A query that is none, or does something else than ask; `str()` is one line."""


def query(sources: AuditSources, text: str, wanted: ReceiptFilter) -> pa.RecordBatchReader:
    """The answer to one SELECT over the views `VIEWS`, of the receipts that are wanted.

    `receipts` has one row for each score, with a struct `features`; `scores` the fields of Score, without shadows;
    `all_receipts` the retries and replays too.

    Raises:
        QueryRefused: it is no single SELECT, or fails; DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise QueryRefused(f"audit sql needs DuckDB; {installing('sql')}") from None
    connection = duckdb.connect(":memory:")
    try:
        used = _checked(duckdb, connection, text)
        _fill(sources, connection, used, wanted)
        for name, value in _CLOSED.items():
            connection.execute(f"SET {name} = '{value}'")
        return connection.execute(text).to_arrow_reader()
    except duckdb.Error as error:
        raise QueryRefused(f"the query fails: {error}; expected: a SELECT over {', '.join(VIEWS)}") from None


def _checked(library: Any, connection: "duckdb.DuckDBPyConnection", text: str) -> set[str]:
    """The names of the tables that a query reads."""
    statements = connection.extract_statements(text)
    if len(statements) != 1 or statements[0].type != library.StatementType.SELECT:
        raise QueryRefused(f"the query is not one SELECT; expected: one over {', '.join(VIEWS)}")
    return {name.lower() for name in connection.get_table_names(text)}


def _fill(
    sources: AuditSources, connection: "duckdb.DuckDBPyConnection", used: Iterable[str], wanted: ReceiptFilter
) -> None:
    if {"receipts", "scores", "all_receipts"} & set(used):
        connection.register("all_receipts", _receipts(sources, wanted))
        one = f"SELECT * FROM all_receipts QUALIFY row_number() OVER ({_ONE_PER_SCORE}) = 1"
        connection.execute(f"CREATE VIEW receipts AS {one}")
        names = ", ".join(field for field in arrow_schema("Score").names)
        connection.execute(f"CREATE VIEW scores AS SELECT {names} FROM receipts WHERE role <> 'shadow'")
    if "model_events" in used:
        connection.register("model_events", _model_events(sources))


def _receipts(sources: AuditSources, wanted: ReceiptFilter) -> pa.Table:
    schema = arrow_schema("Receipt")
    pieces = [conformed(rows, schema) for rows in sources.audit.whole_columns(wanted)]
    found = together(pieces, schema)
    features = found.schema.get_field_index("features")
    if not found.schema.field(features).type.num_fields:  # DuckDB has no struct without fields
        found = found.set_column(features, "features", pa.nulls(found.num_rows, pa.string()))
    return found


def _model_events(sources: AuditSources) -> pa.Table:
    schema = arrow_schema("ModelEvent").append(pa.field("job", pa.string())).append(pa.field("run", pa.string()))
    return pa.Table.from_pylist([dict(event) for event in sources.events], schema)
