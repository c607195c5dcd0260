"""Expressions in a whole job: computed features, conditions of windows and of events, and how wrong ones are told."""

from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.endpoints.sources import open_source
from pipeline.preflight.decoding import check_decoding
from pipeline.spec.job import parse_job
from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import MANIFEST, Flow, Outcome, json_lines, read_avro, trip, trips

HOUR = {"key": "carrier", "size": "1h", "every": "1m"}
FEATURES: list[Any] = [
    "delay",
    {"name": "pace", "expression": "delay / nullif(distance - 100, 0)"},
    {"name": "late_share", "expression": "n_late / nullif(n, 0)"},
    {"name": "n", "aggregate": "count", **HOUR},
    {"name": "n_late", "aggregate": "count", "where": "delay > 2", **HOUR},
    {"name": "pace_sum", "column": "pace", "aggregate": "sum", **HOUR},
    {"name": "both", "aggregate": "count", **HOUR, "key": ["carrier", "half"]},
    {"name": "all", "aggregate": "count", **HOUR, "key": []},
    {"name": "fading", "column": "delay", "aggregate": "decayed_sum", "half_life": "2m", **HOUR},
    {"name": "ever", "column": "delay", "aggregate": "sum", **HOUR, "size": "all"},
    {"name": "slope", "column": "delay", "aggregate": "trend", **HOUR},
    {"name": "opening", "column": "distance", "aggregate": "first", **HOUR},
    {"name": "half", "expression": "CASE WHEN distance < 104 THEN 'first' ELSE 'second' END"},
]
EVENTS = trips(8)


def spec_of(flow: Flow, features: list[Any], **events: Any) -> dict[str, Any]:
    return flow.spec(**events) | {"features": features}


def training_set(flow: Flow, features: list[Any], **events: Any) -> tuple[dict[str, dict[str, Any]], Outcome]:
    spec, out = spec_of(flow, features, **events), str(flow.root / "set")
    outcome = flow.run(spec, "--out", out, "--json", verb=write_features)
    assert outcome.code == 0, outcome.err
    return {row["event_id"]: row for row in pq.read_table(flow.root / "set").to_pylist()}, outcome


def test_computed_features_conditions_and_keys_are_what_they_say(flow: Flow) -> None:
    flow.feed(json_lines(EVENTS))
    rows, _ = training_set(flow, FEATURES)
    for number, row in enumerate(rows[f"t{index}"] for index in range(8)):
        before = [earlier for earlier in range(number) if earlier % 2 == number % 2]
        late = sum(earlier / 2 > 2 for earlier in before)
        paces = [earlier / 2 / earlier for earlier in before if earlier]
        half = [earlier for earlier in before if (earlier < 4) == (number < 4)]
        assert row["pace"] == (number / 2 / number if number else None)
        assert (row["n"], row["n_late"], row["both"], row["all"]) == (len(before), late, len(half), number)
        assert row["late_share"] == (late / len(before) if before else None)
        assert row["pace_sum"] == (sum(paces) if paces else None)
        fading = [earlier / 2 * 2 ** ((earlier - number) / 2) for earlier in before]
        assert row["fading"] == (pytest.approx(sum(fading), rel=1e-15) if before else None)
        assert row["ever"] == (sum(earlier / 2 for earlier in before) if before else None)
        assert row["slope"] == (1 / 120 if len(before) > 1 else None)
        assert row["opening"] == (100 + before[0] if before else None)
        assert row["half"] == ("first" if number < 4 else "second")


def served(flow: Flow, *inputs: str) -> None:
    linear = {**MANIFEST["linear"], "coefficients": dict.fromkeys(inputs, 0.5)}
    entries = [{"name": name, "type": "number", "nullable": True, "default": 0.0} for name in inputs]
    manifest = {**MANIFEST, "version": "v2", "inputs": entries, "linear": linear}
    (flow.root / "payload").mkdir(exist_ok=True)
    flow.store.publish(flow.root / "payload", manifest)
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")


def receipts(flow: Flow, features: list[Any], **events: Any) -> tuple[list[dict[str, Any]], Outcome]:
    outcome = flow.run(spec_of(flow, features, **events))
    assert outcome.code == 0, outcome.err
    of_all_runs = read_avro(flow.root / "audit" / "receipts")
    return [one for one in of_all_runs if one["run"] == outcome.summary["run"]], outcome


def test_receipts_hold_what_was_read_and_ids_are_of_the_expression_not_of_its_spelling(flow: Flow) -> None:
    flow.feed(json_lines(EVENTS))
    served(flow, "late_share", "pace")
    found, outcome = receipts(flow, FEATURES)
    assert (len(found), outcome.summary["scored"]) == (8, 8)
    assert {one["event_id"]: one["features"]["late_share"] for one in found}["t7"] == 1 / 3
    ids = [{one["score_id"] for one in found}]
    changes = ({2: "n_late/nullif( n,0 )"}, {2: "n_late / nullif(n, 1)"}, {1: "delay / nullif(distance - 101, 0)"})
    for change in changes:
        changed = [{**one, "expression": change[at]} if at in change else one for at, one in enumerate(FEATURES)]
        ids.append({one["score_id"] for one in receipts(flow, changed)[0]})
    where = [{**one, "where": "delay > 3"} if at == 4 else one for at, one in enumerate(FEATURES)]
    ids.append({one["score_id"] for one in receipts(flow, where)[0]})
    assert ids[0] == ids[1]
    assert [len(ids[0] & other) for other in ids[2:]] == [0, 0, 0]


def test_events_that_do_not_pass_are_counted_and_neither_scored_nor_in_windows(flow: Flow) -> None:
    flow.feed(json_lines([*EVENTS, trip(8, carrier=None), trip(9, delay="x")]))
    served(flow, "all")
    found, outcome = receipts(flow, FEATURES, where="carrier = 'A' AND distance <> 102")
    summary = outcome.summary
    assert {one["event_id"]: one["features"]["all"] for one in found} == {"t0": 0, "t4": 1, "t6": 2}
    counted = [summary[name] for name in ("records_read", "decoded", "filtered", "scored")]
    assert (counted, summary["dead_letters"]["decode"]) == ([10, 9, 6, 3], 1)
    assert "filtered by events.where" in outcome.out
    _, told = training_set(flow, FEATURES, where="carrier = 'A' AND distance <> 102")
    assert '"filtered": 6' in told.out


def test_a_condition_that_no_event_passes_is_a_note(flow: Flow) -> None:
    flow.feed(json_lines(EVENTS))
    none = flow.run(spec_of(flow, ["delay"], where="carrier = 'a'"))
    assert (none.code, none.summary["filtered"]) == (0, 8)
    assert "events.where is true for none of 8 events" in none.out + none.err
    assert flow.run(spec_of(flow, ["delay"], where="carrier = 'a'"), "--require_input").code == 1
    served(flow, "delay")
    some = spec_of(flow, ["delay"], where="carrier = 'A'")
    first, second = (flow.run(some, "--only_new") for _ in range(2))
    assert (first.summary["scored"], second.summary["scored"], second.code) == (4, 0, 0)
    assert "nothing is new" in second.err


def test_the_doctor_says_how_many_of_its_sample_pass(flow: Flow) -> None:
    flow.feed(json_lines(EVENTS))
    source = open_source({"uri": str(flow.root / "in*"), "format": "json"})
    job = parse_job(spec_of(flow, ["delay"], where="carrier = 'A'"), {"delay": "number", "carrier": "string"})
    assert "events.where is true for 4 of 8" in check_decoding(source, job.events).found


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"expression": "delay +"}, "features[1].expression: 'delay +', at its end; expected: a column"),
    ({"expression": "delay + carrier"}, "features[1].expression: 'delay + carrier', at character 9, 'carrier'; exp"),
    ({"expression": "dely * 2"}, "did you mean 'delay'?"),
    ({"expression": "lgo(delay)"}, "did you mean 'log'?"),
    ({"expression": "carrier < 3"}, "not integers and texts"),
    ({"expression": "NULL"}, "features[1].expression: a feature of kind null"),
    ({"expression": "f + 1"}, "a circle, f → f"),
    ({"expression": "__payload = 'x'"}, "names that start with __"),
    ({"expresion": "delay"}, "features[1].expresion: unknown key"),
    ({"expression": "(" * 5000}, "at most 4000 characters"),
    ({**HOUR, "aggregate": "count", "where": "delay"}, "features[1].where: 'delay' of kind number; expected: a cond"),
    ({**HOUR, "aggregate": "count", "where": "n > 1"}, "this is a feature"),
    ({**HOUR, "aggregate": "sum", "column": "share"}, "(share is computed of windowed features)"),
    ({**HOUR, "aggregate": "sum", "column": "text"}, "(the column text is text)"),
    ({**HOUR, "aggregate": "count", "key": ["carrier", "carrier"]}, "features[1].key"),
    ({**HOUR, "aggregate": "sum", "column": "moment"}, "features[1].column: 'moment' is not allowed; exp"),
    ({**HOUR, "aggregate": "count", "key": ["carrier", "moment"]}, "features[1].key: 'moment' is not allowed; expec"),
]


@pytest.mark.parametrize(("feature", "said"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_told_before_anything_runs(flow: Flow, feature: dict[str, Any], said: str) -> None:
    flow.feed(json_lines(EVENTS))
    others = [{"name": "n", "aggregate": "count", **HOUR}, {"name": "share", "expression": "n / 2"},
              {"name": "text", "expression": "lower(carrier)"},
              {"name": "moment", "expression": "event_time"}]  # fmt: skip
    refused = flow.run(spec_of(flow, ["delay", {"name": "f", **feature}, *others]))
    assert refused.code == 2
    assert said in refused.err


def test_events_where_names_no_feature_and_circles_are_named(flow: Flow) -> None:
    flow.feed(json_lines(EVENTS))
    circle = [{"name": "a", "expression": "b + 1"}, {"name": "b", "expression": "coalesce(c, 0)"},
              {"name": "c", "expression": "a"}]  # fmt: skip
    refused = flow.run(spec_of(flow, ["delay", *circle], where="a > 1"))
    assert refused.code == 2
    assert "events.where: 'a > 1', at character 1, 'a > 1'; expected: event columns and event_time" in refused.err
    assert any(f"a circle, {said}" in refused.err for said in ("a → b → c → a", "b → c → a → b", "c → a → b → c"))
