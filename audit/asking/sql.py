"""`audit sql`: the audit as tables of DuckDB, for questions that no verb has. Nothing else can be reached."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from audit.asking.sources import AuditSources
from audit.files.audit import ReceiptFilter
from audit.files.formats import is_encrypted
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


LOCKED = "locked"
"""A column of receipts: why features and reasons of one cannot be read; null where they can."""


class QueryRefused(HalflifeError):
    """A query that is none, or does something else than ask; `str()` is one line."""


class Answered(NamedTuple):
    """`rows`: the answer; `said`: the query as the access log may have it; `read`: by model the subjects, as they stand
    in records, of the receipts that were decrypted for it."""

    rows: pa.RecordBatchReader
    said: str
    read: Mapping[str, Collection[str]]


def query(sources: AuditSources, text: str, wanted: ReceiptFilter) -> Answered:
    """The answer to one SELECT over the views `VIEWS`, of the receipts that are wanted.

    `receipts` has one row for each score, with a struct `features`, and `locked`; `scores` the fields of Score, without
    shadows; `all_receipts` the retries and replays too. With keys the receipts are decrypted.

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
        read, names = _fill(sources, connection, used, wanted)
        for name, value in _CLOSED.items():
            connection.execute(f"SET {name} = '{value}'")
        said = text if sources.audit.keys is None else _without_values(duckdb, text, names)
        return Answered(connection.execute(text).to_arrow_reader(), said, read)
    except duckdb.Error as error:
        raise QueryRefused(f"the query fails: {error}; expected: a SELECT over {', '.join(VIEWS)}") from None


def _checked(library: Any, connection: "duckdb.DuckDBPyConnection", text: str) -> set[str]:
    """The names of the tables that a query reads."""
    statements = connection.extract_statements(text)
    if len(statements) != 1 or statements[0].type != library.StatementType.SELECT:
        raise QueryRefused(f"the query is not one SELECT; expected: one over {', '.join(VIEWS)}")
    return {name.lower() for name in connection.get_table_names(text)}


def _without_values(library: Any, text: str, names: Collection[str]) -> str:
    """The query with … in place of what may be somebody's: constants, comments, and names that are not of the audit."""
    kinds = library.token_type
    said = list[str]()
    for (start, kind), (end, _) in pairwise([*library.tokenize(text), (len(text), None)]):
        token = text[start:end].strip()
        of_function = text.startswith("(", end) and token.isidentifier()
        of_audit = of_function or token.strip('"').lower() in names
        harmless = kind in (kinds.keyword, kinds.operator) or (kind == kinds.identifier and of_audit)
        said.append(token if harmless else "…")
    return " ".join(said)


def _fill(
    sources: AuditSources, connection: "duckdb.DuckDBPyConnection", used: Iterable[str], wanted: ReceiptFilter
) -> tuple[Mapping[str, Collection[str]], set[str]]:
    """Makes the views; whose receipts were decrypted for them, and all names in them."""
    read = dict[str, set[str]]()
    names = {*VIEWS, *arrow_schema("Receipt").names, *arrow_schema("ModelEvent").names, "job", "run", LOCKED}
    if {"receipts", "scores", "all_receipts"} & set(used):
        receipts = _receipts(sources, wanted, read)
        of_receipts = receipts.schema.field("features").type
        names |= {of_receipts.field(index).name for index in range(of_receipts.num_fields)}
        connection.register("all_receipts", receipts)
        one = f"SELECT * FROM all_receipts QUALIFY row_number() OVER ({_ONE_PER_SCORE}) = 1"
        connection.execute(f"CREATE VIEW receipts AS {one}")
        fields = ", ".join(arrow_schema("Score").names)
        connection.execute(f"CREATE VIEW scores AS SELECT {fields} FROM receipts WHERE role <> 'shadow'")
    if "model_events" in used:
        connection.register("model_events", _model_events(sources))
    return read, {name.lower() for name in names}


def _receipts(sources: AuditSources, wanted: ReceiptFilter, read: dict[str, set[str]]) -> pa.Table:
    schema = arrow_schema("Receipt").append(pa.field(LOCKED, pa.string()))
    pieces = [conformed(rows, schema) for rows in _readable(sources, wanted, read)]
    found = together(pieces, schema)
    features = found.schema.get_field_index("features")
    if not found.schema.field(features).type.num_fields:  # DuckDB has no struct without fields
        found = found.set_column(features, "features", pa.nulls(found.num_rows, pa.string()))
    return found


def _readable(sources: AuditSources, wanted: ReceiptFilter, read: dict[str, set[str]]) -> Iterator[pa.RecordBatch]:
    """The receipts as they were before they were encrypted, with `locked`; those of whom they are go to `read`."""
    for stored in sources.audit.whole_columns(wanted):
        if not is_encrypted(stored):
            yield stored
            continue
        from audit.files.found.receipt_keys import readable_receipts  # few jobs have keys

        rows, locked = readable_receipts(stored, sources.audit.keys)
        found = pc.and_(stored.column("key_id").is_valid(), pa.array([not why for why in locked]))
        own = stored.select(["model", "subject"]).filter(found)
        for each in pa.table(own).group_by(["model", "subject"]).aggregate([]).to_pylist():
            read.setdefault(each["model"], set()).add(each["subject"])
        yield rows.append_column(LOCKED, pa.array([why or None for why in locked], pa.string()))


def _model_events(sources: AuditSources) -> pa.Table:
    schema = arrow_schema("ModelEvent").append(pa.field("job", pa.string())).append(pa.field("run", pa.string()))
    return pa.Table.from_pylist([dict(event) for event in sources.events], schema)
