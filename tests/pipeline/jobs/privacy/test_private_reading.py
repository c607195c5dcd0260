"""Encrypted receipts as tables: by `audit sql`, which says in the access log whose it read, and by
`halflife.read_receipts`; what was erased is told from what has no key."""

import json
from typing import Any

import pytest

import halflife
from models.errors import StoreError
from pipeline.verbs import main
from tests.pipeline.jobs.flows import Flow
from tests.pipeline.jobs.private_flows import ALL, DISTANCES, HIDDEN, IDS, SUBJECTS, asked, erase, spec_of
from tests.pipeline.jobs.spelled import found_in, written


def sql(flow: Flow, query: str, *words: str, spec: Any = None) -> list[dict[str, Any]]:
    def verb(rest: Any) -> int:
        return main(["audit", "sql", query, *rest, *words, "--json", "--by", "ann"])

    outcome = flow.run(spec or spec_of(flow, private=True), verb=verb)
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_sql_answers_from_what_was_encrypted_and_tells_what_was_erased(private: Flow) -> None:
    query = f"SELECT event_id, features.iban AS i FROM receipts WHERE subject = '{SUBJECTS[1]}' AND locked IS NULL"
    assert {(row["event_id"], row["i"]) for row in sql(private, query)} == {(IDS[n], HIDDEN[n % 2]) for n in IDS_OF_1}
    erase(private, SUBJECTS[1])
    assert sql(private, query) == []
    by = "SELECT locked, count(*) AS n, sum(features.distance) AS d FROM receipts GROUP BY locked ORDER BY n"
    left = sum(DISTANCES[number] for number in range(39) if number % 5 != 1)
    erased, readable = sql(private, by)
    assert erased == {"locked": "erased: its key was destroyed", "n": 8, "d": None}
    assert (readable["locked"], readable["n"], int(readable["d"])) == (None, 31, left)
    plain = {name: section for name, section in spec_of(private, private=True).items() if name != "privacy"}
    assert [row["locked"] for row in sql(private, by, spec=plain)] == ["unreadable: no key store given"]
    assert found_in(written(private.root / "store", private.root / "audit"), ALL) == set()


IDS_OF_1 = range(1, 39, 5)


def test_each_subject_that_a_query_read_is_in_the_access_log(private: Flow) -> None:
    query = f"SELECT count(*) AS n FROM receipts WHERE features.iban = '{HIDDEN[0]}' -- of {SUBJECTS[2]}"
    assert sql(private, query) == [{"n": 20}]
    spec = spec_of(private, private=True)
    [one] = asked(private, spec, "event", IDS[6])[1]["scores"]
    _, page = asked(private, spec, "score", one["score_id"])
    [entry] = [each for each in page["accessed"] if each.get("question") == "sql"]
    said = "SELECT count ( * ) AS … FROM receipts WHERE features . iban = … …"
    assert (entry["actor"], entry["query"]) == ("ann", said)
    assert found_in(written(private.root / "store"), ALL) == set()


def test_a_query_of_very_many_is_in_the_access_log_once(private: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.commands.audit.sql._MOST_NAMED", 4)
    sql(private, "SELECT count(*) AS n FROM receipts")
    spec = spec_of(private, private=True)
    for event_id in IDS[:2]:
        [one] = asked(private, spec, "event", event_id)[1]["scores"]
        _, page = asked(private, spec, "score", one["score_id"])
        assert [each["subjects"] for each in page["accessed"] if each.get("question") == "sql"] == [5]


def test_receipts_are_read_with_the_keys_as_they_were(private: Flow) -> None:
    audit, keys = private.root / "audit", private.root / "keys"
    table = halflife.read_receipts(audit, keys=keys)
    assert (set(table["event_id"].to_pylist()), set(table["subject"].to_pylist())) == (set(IDS[:39]), set(SUBJECTS))
    assert set(table["features"].combine_chunks().field("iban").to_pylist()) == set(HIDDEN)
    assert table["locked"].null_count == 39
    before = {row["event_id"]: row["features"] for row in table.to_pylist() if row["subject"] != SUBJECTS[4]}
    erase(private, SUBJECTS[4])
    after = halflife.read_receipts(audit, keys=keys).to_pylist()
    assert {row["event_id"]: row["features"] for row in after if row["locked"] is None} == before
    table = halflife.read_receipts(audit, ["score", "features"], keys)
    assert set(table["locked"].to_pylist()) == {None, "erased: its key was destroyed"}
    assert table["features"].combine_chunks().field("iban").null_count == table.num_rows - 32 == 7
    without = halflife.read_receipts(audit)
    assert (set(without["locked"].to_pylist()), without.num_rows) == ({"unreadable: no key store given"}, 39)
    assert set(without["features"].type.names) == {"delay", "distance", "iban"}
    with pytest.raises(StoreError, match="holds no keys"):
        halflife.read_receipts(audit, keys=private.root / "none")
