"""`--only_new` with a table that changes between runs: what is scored stays, what is new uses the new table."""

from collections import Counter
from typing import Any

from tests.pipeline.jobs.flows import MANIFEST, START_US, Flow, Outcome, json_lines, read_avro, trip, trips

ROW = {"since": START_US, "maker": "Airbus"}


def run_over(flow: Flow, events: list[dict[str, Any]], years: dict[str, int], *words: str, **lookup: Any) -> Outcome:
    """Scores what is new of the events by a table with the year of each carrier."""
    rows = [{**ROW, "code": code, "year": year} for code, year in years.items()]
    (flow.root / "planes.json").write_bytes(json_lines(rows))
    flow.feed(json_lines(events))
    table = {"uri": str(flow.root / "planes.json"), "key": "code", "valid_from": "since"}
    one = {"name": "plane", "table": table, "on": "carrier", "columns": ["year"], **lookup}
    outcome = flow.run(flow.spec() | {"features": ["plane.year"], "lookups": [one]}, "--only_new", *words)
    assert outcome.code == 0, outcome.err
    return outcome


def receipts(flow: Flow) -> dict[str, tuple[float | None, str]]:
    """Of each event the year that was read, and the table's version; each event has one receipt."""
    found = read_avro(flow.root / "audit" / "receipts")
    assert set(Counter(one["event_id"] for one in found).values()) <= {1}
    return {one["event_id"]: (one["features"]["plane.year"], one["lookups"]["plane"]) for one in found}


def serve(flow: Flow) -> None:
    linear = {**MANIFEST["linear"], "coefficients": {"plane.year": 0.001}}
    entry = {"name": "plane.year", "type": "number", "nullable": True, "default": 0.0}
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": "v2", "inputs": [entry], "linear": linear})
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")


def test_events_that_are_scored_keep_their_table_and_new_ones_get_the_new_one(flow: Flow) -> None:
    serve(flow)
    run_over(flow, trips(10), {"A": 1990, "B": 1995})
    before = receipts(flow)
    second = run_over(flow, trips(14), {"A": 2000, "B": 2005})
    after = receipts(flow)
    assert (second.summary["scored"], second.summary["done_before"]["events"]) == (4, 10)
    assert {name: after[name] for name in before} == before
    assert {after[f"t{number}"][0] for number in range(10, 14)} == {2000, 2005}
    assert len({version for _, version in after.values()}) == 2


def test_an_event_that_was_scored_and_has_no_row_any_more_does_not_become_a_dead_letter(flow: Flow) -> None:
    serve(flow)
    run_over(flow, trips(10), {"A": 1990, "B": 1995}, missing="refuse")
    second = run_over(flow, trips(14), {"A": 2000}, missing="refuse")
    letters = Counter(one["event_id"] for one in flow.letters())
    assert (letters, second.summary["scored"]) == (Counter(["t11", "t13"]), 2)
    assert second.summary["dead_letters"]["features"] == 2
    assert not set(letters) & set(receipts(flow))


def test_a_dead_letter_for_want_of_a_row_is_scored_by_a_later_table_when_letters_are_tried_again(flow: Flow) -> None:
    serve(flow)
    events = [*trips(4), trip(9, carrier=None)]
    first = run_over(flow, events, {"A": 1990}, missing="refuse")
    assert (first.summary["scored"], first.summary["dead_letters"]["features"]) == (2, 3)
    later = run_over(flow, events, {"A": 1990, "B": 1995}, missing="refuse")
    assert (later.summary["scored"], sum(later.summary["dead_letters"].values())) == (0, 0)
    again = run_over(flow, events, {"A": 1990, "B": 1996}, "--retry_dead_letters", missing="refuse")
    assert (again.summary["scored"], sorted(receipts(flow))) == (2, ["t0", "t1", "t2", "t3"])
    assert Counter(one["event_id"] for one in flow.letters()) == Counter(["t1", "t3", "t9"])
