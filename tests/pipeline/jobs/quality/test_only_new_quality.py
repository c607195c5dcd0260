"""`--only_new` with labels: what earlier runs answered is measured with the labels that have come since."""

from typing import Any

import pytest

from tests.pipeline.jobs.flows import MANIFEST, START_US, Flow, Outcome, json_lines, read_avro, trip

MINUTE_US = 60_000_000


def spec(flow: Flow) -> dict[str, Any]:
    labels = {"uri": str(flow.root / "labels*.json"), "format": "json", "event_id": "of", "event_time": "known",
              "column": "late", "positive": "== 1", "horizon": "2d"}  # fmt: skip
    whole = flow.spec()
    return {**whole, "labels": labels, "drift": {"window": "1h", "segments": ["carrier"]},
            "sinks": {**whole["sinks"], "quality": str(flow.root / "quality")}}  # fmt: skip


def label(number: int) -> dict[str, Any]:
    return {"of": f"t{number}", "known": START_US + (number + 60) * MINUTE_US, "late": int(number % 3 == 0)}


def feed(flow: Flow, events: range, labelled: range) -> Outcome:
    """The files that a day brings, and the run that follows."""
    flow.feed(json_lines(trip(each) for each in events), f"in.{events.start}")
    (flow.root / f"labels{events.start}.json").write_bytes(json_lines(label(each) for each in labelled))
    done = flow.run(spec(flow), "--only_new")
    assert done.code == 0, done.err
    return done


def quality(flow: Flow) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Of each window, role, segment and metric the record of the greatest pane."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in sorted(read_avro(flow.root / "quality"), key=lambda each: int(each["pane"])):
        record["window_start"] = record["window_start"].hour
        key = tuple(record[name] for name in ("window_start", "version", "role", "segment", "metric", "against"))
        assert found.get(key, {"pane": -1})["pane"] != record["pane"], "of two records with one pane none replaces"
        found[key] = record
    return found


@pytest.fixture
def shadowed(flow: Flow) -> Flow:
    """v1 answers, and v2 scores beside it."""
    linear = {**MANIFEST["linear"], "intercept": -2.0}
    flow.store.publish(flow.root / "payload", {**MANIFEST, "version": "v2", "linear": linear})
    flow.store.append_release(champion="v1", shadows=["v2"], effective_from_us=0, by="tests")
    return flow


def test_labels_that_came_since_are_of_earlier_answers_in_all_roles(shadowed: Flow) -> None:
    feed(shadowed, range(90), range(0))
    error = (0, "v1", "champion", "", "error", None)
    assert (quality(shadowed)[error]["n"], quality(shadowed)[error]["events"]) == (0, 60)
    second = feed(shadowed, range(90, 150), range(90))
    assert (second.summary["scored"], second.summary["done_before"]["events"]) == (60, 90)
    found = quality(shadowed)
    assert (found[error]["n"], found[error]["pane"], found[error]["label_coverage"]) == (60, 1, 1.0)
    assert found[1, "v1", "champion", "", "error", None]["events"] == 60, "a window that two runs scored is whole"
    assert found[0, "v1", "champion", "carrier=A", "error", None]["n"] == 30
    assert (found[0, "v2", "shadow", "", "loss_difference", "v1"]["n"]) == 60


def test_what_all_runs_measured_equals_one_run_over_all(shadowed: Flow) -> None:
    feed(shadowed, range(50), range(10))
    feed(shadowed, range(50, 130), range(10, 70))
    feed(shadowed, range(130, 131), range(70, 131))
    step_by_step = quality(shadowed)
    sinks = {name: str(shadowed.root / "whole" / name) for name in spec(shadowed)["sinks"]}
    assert shadowed.run({**spec(shadowed), "sinks": sinks}).code == 0
    at_once = quality(Flow(shadowed.root / "whole", shadowed.capsys))
    assert at_once.keys() == step_by_step.keys()
    differing = {"pane", "run"}
    timed = {key for key in at_once if key[4] == "latency_difference"}
    for key in at_once.keys() - timed:
        same = [{name: each[name] for name in each.keys() - differing} for each in (at_once[key], step_by_step[key])]
        assert same[0] == same[1], key


def test_windows_of_which_nothing_is_new_are_not_written_again(shadowed: Flow) -> None:
    feed(shadowed, range(60), range(60))
    before = len(read_avro(shadowed.root / "quality"))
    again = shadowed.run(spec(shadowed), "--only_new")
    assert (again.code, len(read_avro(shadowed.root / "quality"))) == (0, before)
    assert again.summary["quality"]["records"] == 0


def test_a_window_that_is_read_in_part_keeps_what_was_measured(shadowed: Flow) -> None:
    feed(shadowed, range(40), range(40))
    feed(shadowed, range(40, 60), range(40, 60))
    (shadowed.root / "in.0").unlink()  # history that is no longer needed for features
    feed(shadowed, range(60, 70), range(60, 70))
    assert quality(shadowed)[0, "v1", "champion", "", "error", None]["n"] == 60


def test_what_detectors_said_of_a_window_is_said_again_only_where_its_labels_came(shadowed: Flow) -> None:
    whole = spec(shadowed)
    whole["labels"]["concept_drift"] = {"block": 2, "parts": 24}

    def day(events: range, labelled: range) -> dict[Any, Any]:
        shadowed.feed(json_lines(trip(each) for each in events), f"in.{events.start}")
        (shadowed.root / f"labels{events.start}.json").write_bytes(json_lines(label(each) for each in labelled))
        assert shadowed.run(whole, "--only_new").code == 0
        return {key: each for key, each in quality(shadowed).items() if key[4] == "change_page_hinkley"}

    first = day(range(240), range(200))
    second = day(range(240, 300), range(200, 240))
    again = {key[0]: each["pane"] for key, each in second.items() if key[1] == "v1"}
    assert again == {0: 0, 1: 0, 2: 0, 3: 1, 4: 0}
    assert [each for key, each in second.items() if key[0] < 3] == [each for key, each in first.items() if key[0] < 3]


def test_letters_of_labels_are_no_records_of_events(shadowed: Flow) -> None:
    late = [{**label(each), "known": START_US + 9 * 24 * 60 * MINUTE_US} for each in range(3)]
    (shadowed.root / "labels9.json").write_bytes(json_lines(late))
    first = feed(shadowed, range(60), range(3, 60))
    assert first.summary["dead_letters"]["labels"] == 3
    again = shadowed.run(spec(shadowed), "--only_new")
    assert (again.code, again.summary["done_before"]["dead_letters"]["labels"]) == (0, 3)
    assert "nothing is new" in again.err
