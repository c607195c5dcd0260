"""A run with labels writes how good each version was, by window, role and segment; what comes of labels is counted."""

import json
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score, roc_auc_score

from gates.policy import read_policy
from gates.records import QualityRecords
from gates.rollout import look_at
from gates.windows import window_differences
from tests.pipeline.commands.commands import halflife
from tests.pipeline.jobs.flows import MANIFEST, SECOND_US, Flow, Outcome, json_lines, read_avro, trip, trips

OUTPUT = {"kind": "probability", "threshold": 0.9, "positive": "late"}
LABELS = {"format": "json", "event_id": "of", "event_time": "known", "column": "late_by", "positive": "> 15"}
HOUR_US = 3600 * SECOND_US


def put(flow: Flow, version: str, slope: float, **changes: Any) -> None:
    linear = {**MANIFEST["linear"], "coefficients": {"delay": slope}}
    (flow.root / "payload").mkdir(exist_ok=True)
    manifest = {**MANIFEST, "output": OUTPUT, "version": version, "linear": linear, "quality": {"auc": 0.8}, **changes}
    flow.store.publish(flow.root / "payload", manifest)


def truth(number: int, after_us: int = 60) -> dict[str, Any]:
    late = number >= 60 and number % 3 == 0
    return {"of": f"t{number}", "known": trip(number)["at"] + after_us, "late_by": 30.0 if late else 1.0}


@pytest.fixture
def labelled(flow: Flow) -> Flow:
    """200 trips over four hours, a champion with a shadow, and labels of all but the last ten, of which five are
    late."""
    put(flow, "v2", 0.1)
    put(flow, "v3", -0.05)
    flow.store.append_release(champion="v2", shadows=("v3",), effective_from_us=0, by="tests")
    flow.feed(json_lines(trips(200)))
    late = [truth(number, 2 * HOUR_US) for number in range(190, 195)]
    other = {**truth(0), "of": "t999"}
    flow.feed(json_lines([*(truth(number) for number in range(190)), *late, other]), "truth.json")
    return flow


def spec_of(flow: Flow, **stated: Any) -> dict[str, Any]:
    labels = {"uri": str(flow.root / "truth.json"), **LABELS, "horizon": "1h", **stated}
    spec = flow.spec() | {"labels": labels, "drift": {"window": "1h", "segments": ["carrier"]}}
    spec["sinks"]["quality"] = str(flow.root / "quality")
    return spec


def run(flow: Flow, *arguments: str, **stated: Any) -> Outcome:
    return flow.run(spec_of(flow, **stated), *arguments)


def test_metrics_of_each_window_are_those_of_scikit_learn(labelled: Flow) -> None:
    outcome = run(labelled)
    assert outcome.code == 0, outcome.err
    assert "does not act on it" not in outcome.err
    records = [each for each in read_avro(labelled.root / "quality") if each["against"] is None]
    scores = {(each["event_id"], each["version"]): each for each in read_avro(labelled.root / "audit" / "receipts")}
    assert {(each["version"], each["role"]) for each in records} == {("v2", "champion"), ("v3", "shadow")}
    for version in ("v2", "v3"):
        own = [each for (_, name), each in scores.items() if name == version]
        window = [each for each in own if each["event_time"].hour == own[0]["event_time"].hour + 1]
        known = [(each["score"], truth(int(each["event_id"][1:]))["late_by"] > 15) for each in window]
        p, y = np.array([each[0] for each in known]), np.array([each[1] for each in known])
        start = min(each["event_time"] for each in window).replace(minute=0, second=0, microsecond=0)
        found = {each["metric"]: each for each in records
                 if (each["window_start"], each["version"], each["segment"]) == (start, version, "")}  # fmt: skip
        wanted = {"auc": roc_auc_score(y, p), "log_loss": log_loss(y, p), "brier": np.mean((p - y) ** 2),
                  "accuracy": np.mean((p >= 0.9) == y), "recall": recall_score(y, p >= 0.9),
                  "f1": f1_score(y, p >= 0.9), "selection_rate": np.mean(p >= 0.9)}  # fmt: skip
        assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted)
        if (p >= 0.9).any():
            assert found["precision"]["value"] == pytest.approx(precision_score(y, p >= 0.9))
        assert found["auc"]["at_training"] == 0.8
        assert (found["auc"]["n"], found["auc"]["events"], found["auc"]["label_coverage"]) == (len(y), len(y), 1.0)
        assert all(each["low"] <= each["value"] <= each["high"] for each in found.values() if each["value"] is not None)


def test_what_comes_of_labels_is_counted_and_a_label_beyond_the_horizon_is_a_dead_letter(labelled: Flow) -> None:
    outcome = run(labelled)
    assert outcome.code == 0, outcome.err
    quality = outcome.summary["quality"]
    several = {"events_with_several": 0, "events_with_contradictions": 0}
    assert quality["labels"] == {"read": 196, "pending": 0, "unreadable": 0, "without_event": 1, **several}  # fmt: skip
    assert quality["events"] == {"labelled": 190, "no_label": 5, "null_label": 0, "before_event": 0, "after_horizon": 5}
    assert sum(quality["classes"].values()) == 190
    assert outcome.summary["dead_letters"]["labels"] == 5
    assert {(letter["stage"], letter["error"]) for letter in labelled.letters()} == {("labels", "BeyondHorizon")}
    assert sorted(letter["event_id"] for letter in labelled.letters()) == [f"t{number}" for number in range(190, 195)]
    assert b'"late_by"' not in labelled.letters()[0]["payload"]
    strict = run(labelled, "--max_dead_letters", "0", "--sinks", "append")
    assert strict.code == 0, strict.err


@pytest.mark.parametrize(("horizon", "labelled_events"), [("30d", 190), ("400d", 195)])
def test_labels_a_year_late_count_within_the_horizon_and_are_dead_letters_beyond_it(
    labelled: Flow, horizon: str, labelled_events: int
) -> None:
    late = [truth(number, 365 * 24 * HOUR_US) for number in range(190, 195)]
    labelled.feed(json_lines([*(truth(number) for number in range(190)), *late]), "truth.json")
    outcome = run(labelled, horizon=horizon)
    assert (outcome.code, outcome.summary["scored"]) == (0, 200), outcome.err
    assert outcome.summary["quality"]["events"]["labelled"] == labelled_events
    assert outcome.summary["dead_letters"]["labels"] == len(labelled.letters()) == 195 - labelled_events
    brier = [each for each in read_avro(labelled.root / "quality") if each["metric"] == "brier" and not each["segment"]]
    assert sum(each["n"] for each in brier if each["role"] == "champion") == labelled_events


def test_labels_that_cannot_be_read_or_are_not_there_stop_no_answer(labelled: Flow) -> None:
    (labelled.root / "truth.json").unlink()
    outcome = run(labelled)
    assert outcome.code == 0, outcome.err
    assert (outcome.summary["scored"], "no quality is measured" in outcome.err) == (200, True)


def test_a_job_without_labels_measures_pairs_of_versions_and_says_that_it_measures_nothing_else(labelled: Flow) -> None:
    spec = spec_of(labelled)
    del spec["labels"]
    outcome = labelled.run(spec)
    assert outcome.code == 0, outcome.err
    assert "labels is not: this run measures no quality, only how versions" in outcome.err
    records = read_avro(labelled.root / "quality")
    assert {(each["version"], each["role"], each["against"]) for each in records} == {("v3", "shadow", "v2")}
    assert {each["why"] for each in records if each["metric"] == "loss_difference"} == {"no pair has a label"}
    assert outcome.summary["quality"]["events"].get("no_label", 0) == 0
    run(labelled, "--sinks", "replace")
    again = [each for each in read_avro(labelled.root / "quality") if each["against"] is not None]
    unlabelled = [each for each in records if each["metric"] not in ("loss_difference", "latency_difference")]
    assert [{**each, "run": None} for each in unlabelled] == [
        {**each, "run": None} for each in again if each["metric"] not in ("loss_difference", "latency_difference")
    ]


def test_a_window_without_labels_says_why_it_has_no_metric(labelled: Flow) -> None:
    run(labelled, horizon="0s")
    records = read_avro(labelled.root / "quality")
    first = [each for each in records if each["metric"] == "auc" and each["segment"] == ""]
    assert {(each["value"], each["why"]) for each in first} == {(None, "no labelled event")}
    assert all(each["value"] is not None for each in records if each["metric"] == "selection_rate")


def test_a_shadow_is_compared_with_the_champion_on_the_same_events(labelled: Flow) -> None:
    outcome = run(labelled)
    assert outcome.code == 0, outcome.err
    receipts = read_avro(labelled.root / "audit" / "receipts")
    first = min(each["event_time"] for each in receipts).replace(minute=0, second=0, microsecond=0)
    by = {name: {each["event_id"]: each for each in receipts if each["version"] == name
                 and each["event_time"].hour == first.hour} for name in ("v2", "v3")}  # fmt: skip
    both = [(by["v3"][name], other, truth(int(name[1:]))["late_by"] > 15) for name, other in by["v2"].items()]
    losses = [[-np.log(each["score"] if label else 1 - each["score"]) for each in pair] for *pair, label in both]
    wanted = {
        "difference": np.mean([own["score"] - other["score"] for own, other, _ in both]),
        "flips_to_negative": np.mean([own["score"] < 0.9 <= other["score"] for own, other, _ in both]),
        "latency_difference": np.mean([own["latency_us"] - other["latency_us"] for own, other, _ in both]),
        "loss_difference": np.mean([own - other for own, other in losses]),
    }
    found = {each["metric"]: each for each in read_avro(labelled.root / "quality") if each["against"]
             and each["window_start"] == first and each["segment"] == ""}  # fmt: skip
    assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted)
    assert {(each["version"], each["role"], each["against"], each["n"]) for each in found.values()} == {
        ("v3", "shadow", "v2", len(both))
    }
    assert found["rank_agreement"]["value"] == pytest.approx(-1.0)


def test_a_rollout_decides_by_pairs_what_two_means_leave_open(flow: Flow) -> None:
    """A shadow that is a little worse on nearly every event: no mean of so few events shows it."""
    put(flow, "v2", 0.01)
    put(flow, "v3", 0.011)
    flow.store.append_release(champion="v2", effective_from_us=0, by="tests")
    flow.feed(json_lines([trip(number, delay=20.0 * (number % 10)) for number in range(200)]))
    late = [{**truth(number), "late_by": 60.0 * (number % 50 == 25)} for number in range(200)]
    flow.feed(json_lines(late), "truth.json")
    policy = {"rollout": "weekly", "version": "v3", "minimum": {"n": 50}, "stop": {"n": 50},
              "steps": [{"share": "shadow"}, {"share": "100%"}]}  # fmt: skip
    path = flow.root / "policy.yaml"
    path.write_text(yaml.safe_dump(policy))
    job = flow.write_spec(spec_of(flow))
    rollout = ("rollout", "--policy", path, "--job", job, "--no_check", "--json")
    assert halflife(*rollout, "--from", "2013-01-01").json["written"]["shadows"] == ["v3"]
    assert run(flow).code == 0
    looked = halflife(*rollout, "--from", "2013-01-02").json
    assert (looked["verdict"], looked["reason"]) == ("stop", "error"), looked
    rows = QualityRecords(str(flow.root / "quality"), "trips").latest()
    assert [each.arms for each in window_differences(rows, "error", 1, "v3", "v2")] == [False] * 4
    stated = looked["written"]["evidence"].split("; ", 3)[-1]
    before, means = flow.store.releases()[:-1], [row for row in rows if row.against is None]
    look = look_at(read_policy(policy), before, means, last=before[-1].sequence)
    assert (look.verdict.action, look.verdict.reason) == ("hold", "undecided")
    assert look.verdict.evidence["value"] == pytest.approx(json.loads(stated)["value"])


@pytest.mark.parametrize("subjects", [True, False])
def test_events_of_few_subjects_are_worth_few_whenever_they_happen(flow: Flow, subjects: bool) -> None:
    """Twenty pilots with ten trips each, spread over the hours: those of one are all late, or none is."""
    put(flow, "v2", 0.01)
    put(flow, "v3", 0.02)
    flow.store.append_release(champion="v2", shadows=("v3",), effective_from_us=0, by="tests")
    pilots = [{**trip(number, delay=100.0), "pilot": f"p{number * 7 % 20}"} for number in range(200)]
    flow.feed(json_lines(pilots))
    late = [{**truth(each), "late_by": 60.0 * (each * 7 % 20 % 3 == 0)} for each in range(200)]
    flow.feed(json_lines(late), "truth.json")
    spec = spec_of(flow) | {"drift": {"window": "7d"}}
    spec["events"] |= {"subject": "pilot"} if subjects else {}
    assert flow.run(spec).code == 0
    found = {each["metric"]: each for each in read_avro(flow.root / "quality") if each["segment"] == ""}
    worth = [found[name]["n_effective"] for name in ("log_loss", "loss_difference")]
    assert len({each["segment"] for each in read_avro(flow.root / "quality")}) == 1
    assert max(each or 200 for each in worth) < 40 if subjects else worth == [None, None], worth
