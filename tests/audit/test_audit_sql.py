"""`halflife audit sql` answers from the receipts alone, and reaches nothing else."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.audit.asking import altered, ask
from tests.audit.containers import receipt, write
from tests.audit.world import FlightsAudit
from tests.pipeline.commands.commands import halflife


def rows(flown: FlightsAudit, query: str, *words: object, audit: Path | None = None) -> list[dict[str, Any]]:
    """The rows of an answer."""
    ran = ask(flown, "sql", query, "--json", *words, audit=audit)
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_counts_are_those_of_the_receipts(flown: FlightsAudit) -> None:
    query = "SELECT version, role, count(*) AS n, sum(features.flight) AS f FROM receipts GROUP BY ALL"
    wanted = Counter((one["version"], one["role"]) for one in flown.receipts)
    flights = Counter[tuple[str, str]]()
    for one in flown.receipts:
        flights[one["version"], one["role"]] += one["features"]["flight"]
    found = rows(flown, query)
    assert {(row["version"], row["role"]): row["n"] for row in found} == wanted
    assert {(row["version"], row["role"]): int(row["f"]) for row in found} == flights
    [only] = rows(flown, "SELECT count(*) AS n FROM receipts", "--version", "v2", "--from", "2013-01-05")
    assert only["n"] == sum(one["version"] == "v2" and one["event_time"].day >= 5 for one in flown.receipts)


def test_each_table_has_what_it_says(flown: FlightsAudit, tmp_path: Path) -> None:
    copy = altered(flown, tmp_path, *flown.receipts[:10])
    counted = (
        "(SELECT count(*) FROM receipts) r, (SELECT count(*) FROM all_receipts) a, (SELECT count(*) FROM scores) s"
    )
    [found] = rows(flown, f"SELECT {counted}", audit=copy)
    shadows = sum(one["role"] == "shadow" for one in flown.receipts)
    n = len(flown.receipts)
    assert found == {"r": n, "a": n + 10, "s": n - shadows}
    events = rows(flown, "SELECT kind, job, version FROM model_events WHERE kind = 'refused'")
    assert events == [{"kind": "refused", "job": "flights", "version": "v9"}]


FORBIDDEN = [
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM glob('{folder}/*')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "ATTACH '{folder}/out.db'",
    "EXPORT DATABASE '{folder}/out'",
    "INSTALL httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "SET enable_external_access = true",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'",
    "CREATE TABLE x AS SELECT 1",
    "DROP VIEW receipts",
    "PRAGMA database_list",
    "SELECT * FROM sources",
    "SELECT * FROM found",
    "",
    "SELEC",
    "SELECT * FROM receipts WHERE",
]


@pytest.mark.parametrize("query", FORBIDDEN)
def test_a_query_reaches_nothing_but_the_audit(flown: FlightsAudit, tmp_path: Path, query: str) -> None:
    (tmp_path / "secret.csv").write_text("a\nTOPSECRET\n")
    ran = ask(flown, "sql", query.format(secret=tmp_path / "secret.csv", folder=tmp_path))
    assert (ran.code, ran.out) == (1, ""), ran
    assert "TOPSECRET" not in ran.err
    assert "SELECT" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_who_asks_what_is_logged_first(flown: FlightsAudit) -> None:
    ask(flown, "sql", "SELECT 41 + 1", "--by", "erin@desk")
    [entry] = [each for each in flown.store.accesses().entries if each.actor == "erin@desk"]
    assert (entry.action, entry.detail) == ("accessed", {"question": "sql", "query": "SELECT 41 + 1"})


def test_features_of_several_kinds_and_none_at_all_are_read(flown: FlightsAudit, tmp_path: Path) -> None:
    kinds = [receipt(1), receipt(2, features={"delay": 7, "carrier": 5.5}), receipt(3, features={})]
    write(tmp_path / "audit" / "receipts" / "a.avro", kinds)
    words = ("--audit", tmp_path / "audit", "--store", flown.folder / "store", "--json")
    ran = halflife("audit", "sql", "SELECT features.delay AS d, features.carrier AS c FROM receipts ORDER BY 1", *words)
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert found == [{"d": 1.0, "c": "UA"}, {"d": 7.0, "c": "5.5"}, {"d": None, "c": None}]
    write(tmp_path / "audit" / "receipts" / "a.avro", [receipt(1, features={})])
    assert halflife("audit", "sql", "SELECT count(*) AS n FROM receipts", *words).json == {"n": 1}
