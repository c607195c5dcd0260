"""Records to BigQuery tables, through Google's own clients to their wire format on loopback (`bigquery_server`).

Not BigQuery itself: what the service does beyond the published messages and limits is not proven here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest

from pipeline.endpoints.bigquery.address import TableAddress
from pipeline.endpoints.bigquery.rows import arrow_schema_of, rows_of
from pipeline.endpoints.bigquery.schema import columns_of
from pipeline.endpoints.bigquery.sink import Appender, serialised
from pipeline.endpoints.bigquery.tables import TableUnwritable, ensure_table
from pipeline.preflight.probes import check_sink
from schemas.records import DeadLetter, avsc, record_batch
from tests.dataflow.doubles.bigquery_server import BigqueryServer
from tests.dataflow.doubles.emulators import PROJECT
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro, trip, trips

ROOT = f"bigquery://{PROJECT}.flights"
LETTERS = TableAddress(PROJECT, "flights", "letters")
COLUMNS = columns_of(avsc("DeadLetter"))
MEASURED = ("scored_at", "latency_us", "worker", "run", "at")


@pytest.fixture
def bigquery(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigqueryServer]:
    server = BigqueryServer("flights")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


@pytest.fixture
def letters(bigquery: BigqueryServer) -> Iterator[Appender]:
    ensure_table(LETTERS, "DeadLetter", "sinks.dead_letters")
    appender = Appender(LETTERS, arrow_schema_of(COLUMNS))
    yield appender
    appender.close()


def rows(count: int, payload: bytes = b"x") -> pa.RecordBatch:
    found = [DeadLetter("decode", "E", f"d{number}", payload, None, None, 1_000_000) for number in range(count)]
    return rows_of(record_batch("DeadLetter", found), COLUMNS)


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a file as a table has it, without what was measured; features in order of their names."""
    named = {"int": "long_value", "float": "double_value", "str": "string_value", "bytes": "bytes_value"}
    features = [
        {"key": name, "value": dict.fromkeys(named.values()) | {named[type(value).__name__]: value}}
        for name, value in sorted(row.get("features", {}).items())
    ]
    # A table's map has no null: it is empty instead.
    shown = row | ({"features": features, "lookups": []} if "features" in row else {})
    return {name: value for name, value in shown.items() if name not in MEASURED}


def in_table(row: dict[str, Any]) -> dict[str, Any]:
    shown = row | ({"features": sorted(row["features"], key=lambda one: one["key"])} if "features" in row else {})
    return {name: value for name, value in shown.items() if name not in MEASURED}


def test_tables_hold_what_the_files_of_the_same_job_hold(
    bigquery: BigqueryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(tmp_path, capsys)
    flow.publish()
    flow.feed(json_lines([*trips(20), trip(99, at="never")]))
    assert flow.run(flow.spec()).code == 0
    tables = {"scores": f"{ROOT}.scores", "audit": f"{ROOT}.audit", "dead_letters": f"{ROOT}.letters"}
    outcome = flow.run(flow.spec() | {"sinks": tables})
    assert (outcome.code, outcome.err) == (0, "")
    for table, folder in (("scores", "scores"), ("audit_receipts", "audit/receipts"), ("letters", "dead_letters")):
        written = sorted(map(plain, read_avro(tmp_path / folder)), key=str)
        assert sorted(map(in_table, bigquery.rows[table]), key=str) == written, table
        assert len(written) in (1, 20)
    assert {row["kind"] for row in bigquery.rows["audit_models"]} >= {"admitted", "released"}


def test_table_is_partitioned_by_the_time_of_writing_and_clustered(bigquery: BigqueryServer) -> None:
    ensure_table(TableAddress(PROJECT, "flights", "receipts"), "Receipt", "sinks.audit")
    table = bigquery.tables["receipts"]
    assert table["timePartitioning"] == {"type": "DAY", "field": "scored_at"}
    assert table["clustering"] == {"fields": ["event_time", "model", "version", "role"]}
    assert table["schema"]["fields"] == [column.to_api() for column in columns_of(avsc("Receipt"))]


def test_table_that_is_there_is_used_and_one_that_does_not_fit_is_refused(bigquery: BigqueryServer) -> None:
    ensure_table(LETTERS, "DeadLetter", "sinks.dead_letters")
    ensure_table(LETTERS, "DeadLetter", "sinks.dead_letters")
    fields = bigquery.tables["letters"]["schema"]["fields"]
    fields[0]["type"], fields[1]["name"], fields[2]["mode"] = "INTEGER", "other", "NULLABLE"
    said = "stage is INTEGER, REQUIRED; expected: STRING, REQUIRED; error is missing .STRING, REQUIRED.; other is REQU"
    with pytest.raises(TableUnwritable, match=f"sinks.dead_letters: {ROOT}.letters does not fit DeadLetter: {said}"):
        ensure_table(LETTERS, "DeadLetter", "sinks.dead_letters")


def test_doctor_says_what_would_be_created_and_creates_nothing(bigquery: BigqueryServer) -> None:
    (absent,) = check_sink("sinks.dead_letters", LETTERS.public, "DeadLetter")
    assert (absent.verdict, absent.found) == ("ok", f"{LETTERS.public} will be created")
    assert bigquery.tables == {}
    ensure_table(LETTERS, "DeadLetter", "sinks.dead_letters")
    (there,) = check_sink("sinks.dead_letters", LETTERS.public, "DeadLetter")
    assert there.found == f"{LETTERS.public} is there and fits"
    with pytest.raises(TableUnwritable, match=r"nowhere\.others cannot be written: 404"):
        list(check_sink("sinks.dead_letters", f"bigquery://{PROJECT}.nowhere.others", "DeadLetter"))


def test_dataset_that_is_not_there_stops_the_job_before_it_reads(
    bigquery: BigqueryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(tmp_path, capsys)
    flow.publish()
    flow.feed(json_lines(trips(1)))
    outcome = flow.run(flow.spec() | {"sinks": {"scores": f"bigquery://{PROJECT}.nowhere.scores"}})
    assert outcome.code == 1
    assert "sinks.scores: bigquery://halflife-tests.nowhere.scores cannot be written: 404" in outcome.err
    assert outcome.err.count("\n") == 1


def test_rows_survive_a_service_that_fails_for_a_while(bigquery: BigqueryServer, letters: Appender) -> None:
    # At the start of a connection, and after it has answered once.
    bigquery.failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, None, grpc.StatusCode.UNAVAILABLE]
    for batch in (rows(3), rows(2)):
        for message in serialised(batch):
            letters.append(message)
    letters.settle()
    # At least once: requests after a failed one are sent again.
    assert {row["detail"] for row in bigquery.rows["letters"]} == {"d0", "d1", "d2"}
    assert len(bigquery.rows["letters"]) >= 5


def test_only_request_of_a_connection_is_sent_again_where_the_service_is_unavailable(
    bigquery: BigqueryServer, letters: Appender
) -> None:
    bigquery.failures = [grpc.StatusCode.UNAVAILABLE]
    (message,) = serialised(rows(2))
    letters.append(message)
    letters.settle()
    assert (len(bigquery.rows["letters"]), bigquery.connections) == (2, 2)


def test_connection_serves_many_bundles(bigquery: BigqueryServer, letters: Appender) -> None:
    for bundle in range(3):
        for message in serialised(rows(bundle + 1)):
            letters.append(message)
        letters.settle()
    assert (len(bigquery.rows["letters"]), bigquery.connections) == (6, 1)


def test_permanent_failure_is_reported_with_the_table_and_the_row(
    bigquery: BigqueryServer, letters: Appender
) -> None:
    holes = rows(3).set_column(0, "stage", pa.array(["decode", None, "decode"]))
    letters.append(holes.serialize().to_pybytes())
    with pytest.raises(TableUnwritable, match=rf"{ROOT}.letters: .*; row 1: stage is required \(1 refused\)"):
        letters.settle()
    assert bigquery.rows["letters"] == []


def test_batch_larger_than_a_request_goes_in_several(bigquery: BigqueryServer, letters: Appender) -> None:
    for message in serialised(rows(50, payload=bytes(500_000))):
        letters.append(message)
    letters.settle()
    assert [row["detail"] for row in bigquery.rows["letters"]] == [f"d{number}" for number in range(50)]
    assert bigquery.requests == 4


def test_row_that_no_request_holds_is_named_by_its_size() -> None:
    with pytest.raises(TableUnwritable, match=r"a row of 95\d+ bytes is not allowed; expected: 9000000, or a sink of"):
        list(serialised(rows(1, payload=bytes(9_500_000))))
